//! The program `grade`: our own store gets full marks, mistakes in submission files are named, strangers' programs
//! that misbehave end with a grade and a reason, and each planted fault of the sample loses its points and no others.

#[path = "../../tests/support/mod.rs"]
mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{Cluster, Id, signal, wait_for, wait_until};
use tempfile::TempDir;
use toystore::stop::Stop;
use toystore_lab::grade::checks::{self, Check};
use toystore_lab::grade::finding::Verdict;
use toystore_lab::grade::process::{self, Means};
use toystore_lab::grade::rubric::{Item, Rubric, Visibility};
use toystore_lab::grade::submission::Submission;
use toystore_lab::grade::{descendants, grading};

/// A submission in a directory of its own.
struct Graded {
    directory: TempDir,
}

impl Graded {
    fn new(submission: &str, rubric: &str) -> Graded {
        let directory = tempfile::tempdir().expect("a directory");
        let graded = Graded { directory };
        fs::create_dir(graded.path("store")).expect("a directory");
        fs::write(graded.path("submission.toml"), submission).expect("a file");
        fs::write(graded.path("rubric.toml"), rubric).expect("a file");
        graded
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = grade();
        command.arg(self.path("submission.toml"));
        command.arg("--rubric").arg(self.path("rubric.toml"));
        command.arg("--out").arg(self.path("out"));
        // Copies are made there, so that the test sees what stays.
        command.env("TMPDIR", self.directory.path());
        command
    }

    fn run(&self) -> Output {
        self.command().output().expect("a process")
    }

    fn report(&self) -> Value {
        report(&self.path("out"))
    }

    /// The verdict of a check and what was seen.
    fn verdict(&self, check: &str) -> (String, String) {
        verdict(&self.report(), check)
    }

    /// Nothing that was started runs, and no copy stays.
    fn assert_clean(&self) {
        let mark = self.directory.path().display().to_string();
        assert_eq!(processes_with(&mark), [""; 0], "nothing survives");
        let entries = fs::read_dir(self.directory.path()).expect("readable").flatten();
        let copies: Vec<_> = entries
            .map(|e| e.file_name())
            .filter(|n| n.to_string_lossy().starts_with("grade-"))
            .collect();
        assert_eq!(copies, [""; 0], "no copy stays");
    }
}

/// One test at a time: they start whole stores, and some of them take the machine for themselves.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for the turn of a test.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program, which finds the programs of the store.
fn grade() -> Command {
    let program = support::program("grade");
    let mut command = Command::new(&program);
    let path = std::env::var("PATH").unwrap_or_default();
    let here = program.parent().expect("a directory").display();
    command.env("PATH", format!("{here}:{path}"));
    command
}

fn report(out: &Path) -> Value {
    let text = fs::read_to_string(out.join("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

fn verdict(report: &Value, check: &str) -> (String, String) {
    let results = report["results"].as_array().expect("results");
    let found = results.iter().find(|result| result["name"] == check).expect("it was graded");
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    (text("verdict"), text("seen"))
}

/// The command lines of processes that have a text in their environment.
fn processes_with(mark: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux").flatten();
    let marked = entries.filter_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let has = environment.windows(mark.len()).any(|window| window == mark.as_bytes());
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        (has && !line.is_empty()).then(|| String::from_utf8_lossy(&line).replace('\0', " "))
    });
    marked.collect()
}

/// Our own store, whose front-end is started by this shell command, in which `$FRONTEND` is the program.
fn own_store(frontend: &str, more: &str) -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("submissions/toystore.toml"))
            .expect("our submission");
    let text = text.replace("directory = \"toystore\"", "directory = \"store\"");
    let shell = format!("command = [\"sh\", \"-c\", '''{frontend}''']");
    let text = text.replace("command = [\"frontend\"]", &shell);
    format!("{text}\n{more}")
}

fn rubric(checks: &[&str]) -> String {
    let check = |name: &&str| format!("[[check]]\nname = \"{name}\"\npoints = 1\n");
    format!("name = \"test\"\n{}", checks.iter().map(check).collect::<String>())
}

#[test]
fn our_own_store_gets_full_marks() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a directory");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("submissions/toystore.toml");
    let mut command = grade();
    let output = command.arg(file).arg("--out").arg(out.path()).output().expect("a process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report = report(out.path());
    let results = report["results"].as_array().expect("results");
    let not_passed: Vec<_> =
        results.iter().filter(|result| result["verdict"] != "passed").collect();
    assert!(not_passed.is_empty(), "extra credit too: {not_passed:?}");
    let page = fs::read_to_string(out.path().join("report.html")).expect("a page");
    assert!(page.contains("failover-transparent") && page.contains("<svg"), "evidence and a plot");
    assert_gradescope(&out.path().join("results.json"), results.len());
}

/// The documented format, "Output format" in Gradescope's autograder specifications.
fn assert_gradescope(file: &Path, count: usize) {
    let text = fs::read_to_string(file).expect("results");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    let visibilities = ["hidden", "after_due_date", "after_published", "visible"];
    let visible = |value: &Value| visibilities.contains(&value.as_str().expect("a text"));
    assert!(results["score"].is_number() && results["execution_time"].is_number());
    assert!(visible(&results["visibility"]) && visible(&results["stdout_visibility"]));
    let tests = results["tests"].as_array().expect("tests");
    assert_eq!(tests.len(), count);
    for test in tests {
        assert!(test["name"].is_string() && test["output"].is_string(), "{test}");
        assert!(test["score"].is_number() && test["max_score"].is_number(), "{test}");
        assert!(["passed", "failed"].contains(&test["status"].as_str().expect("a text")), "{test}");
        assert_eq!(test["output_format"], "text");
        assert!(visible(&test["visibility"]), "{test}");
        assert!(test["tags"].as_array().expect("tags").iter().all(Value::is_string), "{test}");
    }
}

const GOOD: &str = r#"
[[process]]
name = "shop"
role = "frontend"
command = ["shop", "{port}"]
ports = { listen = 0 }
ready = { port = "{port}" }

[api]
url = "http://127.0.0.1:{port:shop}"

[toys]
A = 100
B = 100
C = 100
D = 100
"#;

/// What is replaced in it, by what, and what is said.
#[rustfmt::skip]
const MISTAKES: [(&str, &str, &str); 22] = [
        ("name = \"shop\"", "name = shop", "s.toml, line 3: "),
        ("role = \"frontend\"", "role = \"front\"", "s.toml, line 4: unknown variant `front`"),
        (
            "role = \"frontend\"",
            "role = \"order\"",
            "s.toml, line 2: process \"shop\": a replica needs an id: id = 1",
        ),
        (
            "ready = { port = \"{port}\" }",
            "",
            "s.toml, line 2: process \"shop\": say when it is ready",
        ),
        (
            "\"{port}\"]",
            "\"{prot}\"]",
            "s.toml, line 2: process \"shop\": \"{prot}\" has {prot}: expected port, link, copy",
        ),
        (
            "\"{port}\"]",
            "\"{port.peer}\"]",
            "s.toml, line 2: process \"shop\": \"{port.peer}\" has {port.peer}: expected a port that is in the ports",
        ),
        ("\"{port}\"]", "\"{link:catalog}\"]", "s.toml, line 2: process \"shop\": "),
        ("command = ", "comand = ", "s.toml, line 5: unknown field `comand`"),
        (
            "ports = ",
            "directory = \"..\"\nports = ",
            "s.toml, line 2: process \"shop\": directory is relative",
        ),
        ("{port:shop}", "{port:shp}", "s.toml, line 9: api.url: "),
        (
            "http://",
            "https://",
            "s.toml, line 9: api.url is \"https://127.0.0.1:{port:shop}\", expected http://HOST:PORT",
        ),
        (
            "http://127.0.0.1:{port:shop}",
            "http://192.0.2.1:80",
            "s.toml, line 9: api.url: \"http://192.0.2.1:80\" is not on this machine; say remote = true",
        ),
        (
            "{ port = \"{port}\" }",
            "{ url = \"http://127.0.0.1.example.org/\" }",
            "s.toml, line 2: process \"shop\": \"http://127.0.0.1.example.org/\" is not on this machine",
        ),
        (
            "[toys]",
            "query = { request = \"/products\", quantity = \"\" }\n[toys]",
            "s.toml, line 9: api.query.request is",
        ),
        (
            "[toys]",
            "query = { request = \"GET /products\", quantity = \"\" }\n[toys]",
            "s.toml, line 9: api.query.request needs {name}",
        ),
        (
            "[toys]",
            "query = { request = \"GET /{name}\", quantity = \"data\" }\n[toys]",
            "s.toml, line 9: api.query.quantity is \"data\", expected a JSON pointer",
        ),
        (
            "[toys]",
            "buy = { request = \"POST /buy\", body = \"{name}\", number = \"\" }\n[toys]",
            "s.toml, line 9: api.buy needs {quantity}",
        ),
        ("[toys]", "preset = \"paths\"\n[toys]", "s.toml, line 12: unknown variant `paths`"),
        ("D = 100", "", "s.toml, line 12: [toys] has 3, expected 4 or more"),
        ("D = 100", "D = 5", "s.toml, line 12: D has a stock of 5, expected 10 or more"),
        (
            "D = 100",
            "D = 100\n[cache]\ncapacity = 4",
            "s.toml, line 12: [cache] capacity is 4, expected at least 1 and less than the 4 toys",
        ),
        (
            "[api]",
            "[[process]]\nname = \"shop\"\nrole = \"catalog\"\nready = { port = 1 }\n[api]",
            "s.toml, line 9: two processes have the name \"shop\"",
        ),
];

#[test]
fn a_mistake_in_a_submission_file_is_named_with_its_line() {
    Submission::parse(GOOD, "s.toml").expect("it is good");
    for (from, to, said) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let error =
            Submission::parse(&GOOD.replacen(from, to, 1), "s.toml").expect_err(to).to_string();
        assert!(error.starts_with(said), "{to}: {error}");
    }
}

#[test]
fn a_store_that_misbehaves_gets_a_grade_and_a_reason() {
    let _turn = turn();
    let cases: [(&str, &str, &str, &str); 5] = [
        // What it does, more of the submission; then the verdict of `buy` and a part of what was seen.
        (
            "yes \"$$ floods\" & exec frontend",
            "[limits]\noutput_mb = 1",
            "passed",
            "the second order",
        ),
        ("trap '' TERM INT HUP; frontend; true", "", "passed", "the second order"),
        ("rm -rf ..?* .[!.]* * ; exec frontend", "", "lost", "a purchase of 1 Barbie"),
        (
            "bomb() { bomb | bomb & }; bomb; exec frontend",
            "[limits]\nprocesses = 60",
            "not_graded",
            "it started",
        ),
        ("sleep 1000", "[deadlines]\nstart_ms = 500", "not_graded", "it was not ready after 0.5 s"),
    ];
    for (frontend, more, expected, part) in cases {
        let graded = Graded::new(&own_store(frontend, more), &rubric(&["buy", "look-up"]));
        let output = graded.run();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let codes = BTreeMap::from([("passed", 0), ("lost", 1), ("not_graded", 2)]);
        let code = codes[expected];
        assert_eq!(output.status.code(), Some(code), "{frontend}: {said}");
        let (verdict, seen) = graded.verdict("buy");
        assert_eq!(verdict, expected, "{frontend}: {seen}");
        assert!(seen.contains(part), "{frontend}: {seen}");
        graded.assert_clean();
    }
}

#[test]
fn a_port_that_is_used_is_named() {
    let _turn = turn();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let ready = format!("ready = {{ port = {port} }}");
    let text = own_store("exec frontend", "");
    let ready_by_health = "ready = { url = \"http://127.0.0.1:{port.peer}/health\" }";
    let graded = Graded::new(&text.replacen(ready_by_health, &ready, 1), &rubric(&["buy"]));
    assert_eq!(graded.run().status.code(), Some(2));
    let (verdict, seen) = graded.verdict("buy");
    assert_eq!(verdict, "not_graded");
    assert!(
        seen.contains(&format!("catalog: 127.0.0.1:{port} is used by another process already")),
        "{seen}"
    );
    graded.assert_clean();
}

/// A process that left its group, and its parent, is ended too: it would keep the port from the next submission.
#[test]
fn nothing_survives_an_interruption_a_time_out_or_the_end() {
    let _turn = turn();
    let hides = "(setsid sh -c 'sleep 1001 & exec sleep 1000' &) ; exec frontend";
    for (more, interrupted) in [("[limits]\ntotal_s = 2", false), ("", true)] {
        // It cannot pass, so it takes until its deadline.
        let store = own_store(hides, more)
            .replace("every_ms = 3000", "every_ms = 600000")
            .replace("\"3000\"", "\"600000\"");
        let graded = Graded::new(&store, &rubric(&["restock"]));
        let mut program: Child = graded
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mark = graded.directory.path().display().to_string();
        wait_until("it hides", || {
            processes_with(&mark).iter().any(|line| line.contains("sleep 1001"))
        });
        let begun = Instant::now();
        if interrupted {
            signal(&program, Signal::INT);
        }
        let status = wait_for("it ends", || program.try_wait().expect("our child"));
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(status.code(), Some(if interrupted { 130 } else { 2 }), "{more}");
        graded.assert_clean();
    }
}

/// Also if one of the two processes of grade is killed: the one that the user started, or its child that grades.
#[test]
fn nothing_survives_a_kill_of_grade() {
    let _turn = turn();
    let hides = "(setsid sh -c 'sleep 1001 & exec sleep 1000' &) ; exec frontend";
    let store = own_store(hides, "").replace("every_ms = 3000", "every_ms = 600000");
    for killed in ["the guard", "its child"] {
        let graded = Graded::new(&store, &rubric(&["restock"]));
        let mark = graded.directory.path().display().to_string();
        let mut program = graded.command().stderr(Stdio::piped()).spawn().expect("a process");
        wait_until("it hides", || {
            processes_with(&mark).iter().any(|line| line.contains("sleep 1001"))
        });
        if killed == "the guard" {
            signal(&program, Signal::KILL);
        } else {
            let children = format!("/proc/{0}/task/{0}/children", program.id());
            let child = fs::read_to_string(children).expect("Linux");
            let child = child.trim().parse().ok().and_then(Pid::from_raw).expect("one child");
            kill_process(child, Signal::KILL).expect("it runs");
        }
        let status = wait_for("it ends", || program.try_wait().expect("our child"));
        if killed == "its child" {
            let said = std::io::read_to_string(program.stderr.take().expect("a pipe"));
            let said = said.expect("text");
            assert!(said.contains("it was killed (signal: 9 (SIGKILL))"), "{said}");
            assert_eq!((status.code(), processes_with(&mark)), (Some(2), vec![]));
        }
        wait_until(&format!("nothing survives a kill of {killed}"), || {
            processes_with(&mark).is_empty()
        });
    }
}

#[test]
fn one_submission_that_hangs_costs_nobody_else_anything() {
    let _turn = turn();
    let good = Graded::new(&own_store("exec frontend", ""), &rubric(&["buy"]));
    fs::write(good.path("hangs.toml"), own_store("sleep 1000", "[deadlines]\nstart_ms = 300"))
        .expect("a file");
    fs::write(good.path("wrong.toml"), "[api]").expect("a file");
    let mut command = grade();
    command.args(["hangs.toml", "wrong.toml", "submission.toml"].map(|name| good.path(name)));
    command.arg("--rubric").arg(good.path("rubric.toml")).arg("--out").arg(good.path("out"));
    command.arg("--csv").arg(good.path("grades.csv"));
    assert_eq!(command.output().expect("a process").status.code(), Some(2));
    let csv = fs::read_to_string(good.path("grades.csv")).expect("grades");
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "submission,score,max_score,failure,buy");
    assert!(rows[1].starts_with("toystore,0,1,"), "{csv}");
    assert!(rows[2].starts_with("wrong,0,1,") && rows[2].contains("line 1"), "{csv}");
    assert_eq!(rows[3], "toystore,1,1,,1");
}

#[test]
fn a_check_of_the_file_tries_three_requests() {
    let _turn = turn();
    let graded = Graded::new(&own_store("exec frontend", ""), &rubric(&["buy"]));
    let output = graded.command().arg("--check").output().expect("a process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in
        ["Order order-2: order --id {id}", "GET /products/Barbie → 200", "It can be graded."]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_store_that_does_not_start_shows_what_its_processes_said() {
    let _turn = turn();
    let store =
        own_store("echo nobody listens here; exec sleep 1000", "[deadlines]\nstart_ms = 500");
    let graded = Graded::new(&store, &rubric(&["buy"]));
    assert_eq!(graded.run().status.code(), Some(2));
    let log = graded.report()["results"][0]["log"].to_string();
    assert!(log.contains("frontend: nobody listens here") && log.contains("catalog: "), "{log}");
    graded.assert_clean();
}

/// The reports of one would take the place of the other's.
#[test]
fn two_submissions_with_the_same_name_of_the_file_are_refused() {
    let _turn = turn();
    let graded = Graded::new(GOOD, &rubric(&["buy"]));
    let twin = graded.path("store").join("submission.toml");
    fs::write(&twin, GOOD).expect("a file");
    let output = graded.command().arg(&twin).output().expect("a process");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the same directory of reports, submission: rename one"), "{said}");
    assert!(!graded.path("out").exists());
}

static PANICS: Check = Check {
    name: "panics",
    asks: "Nothing.",
    is_fresh: false,
    run: |trial| {
        trial.buy_one(trial.submission.toy(0))?;
        panic!("on purpose")
    },
};

/// A mistake of grade itself costs one check, and the store ends all the same.
#[test]
fn a_check_that_panics_is_not_graded_and_the_others_go_on() {
    let _turn = turn();
    let grade = support::program("grade");
    let programs = grade.parent().expect("a directory").display().to_string();
    let text = own_store(&format!("exec {programs}/frontend"), "")
        .replace("command = [\"catalog\"", &format!("command = [\"{programs}/catalog\""))
        .replace("command = [\"order\"", &format!("command = [\"{programs}/order\""));
    let graded = Graded::new(&text, "");
    let submission = Submission::read(&graded.path("submission.toml")).expect("it is good");
    let named = |name| checks::named(name).expect("a check").1;
    let items = [named("buy"), &PANICS, named("look-up")].map(|check| Item {
        check,
        group: "test",
        points: 1.0,
        is_extra: false,
        visibility: Visibility::default(),
    });
    let rubric = Rubric { name: "test".into(), items: items.into() };
    let flag = clap::Arg::new("exit-with-parent")
        .long("exit-with-parent")
        .action(clap::ArgAction::SetTrue);
    let arguments = clap::Command::new("test").arg(flag).get_matches_from(["test"]);
    let stop = Stop::install(&arguments).expect("signals");
    stop.let_signals_end();
    let means = Means { grade, user: None };
    let grade = grading::grade(&submission, &rubric, &means, &Arc::new(stop), &mut |_| {});
    let seen: Vec<_> = grade
        .expect("a grade")
        .results
        .into_iter()
        .map(|graded| (graded.name, graded.verdict, graded.seen))
        .collect();
    assert_eq!((seen[0].0, seen[0].1), ("buy", Verdict::Passed), "{seen:?}");
    let panicked = "the check panicked: on purpose".to_owned();
    assert_eq!(seen[1], ("panics", Verdict::NotGraded, panicked));
    assert_eq!((seen[2].0, seen[2].1), ("look-up", Verdict::Passed), "{seen:?}");
    assert_eq!(descendants::running(), []);
}

/// A store that somebody else started: nothing is known but its URL, and perhaps commands for faults.
#[test]
fn a_store_that_runs_already_is_graded_by_its_url() {
    let _turn = turn();
    let checks = ["buy", "look-up", "keep-alive", "cached", "eviction", "order-numbers", "latency"];
    let checks = [&checks[..], &["duplicate-key", "no-oversell", "stock-conserved"]].concat();
    let template = own_store("", "");
    let (_, toys) = template.split_once("[toys]").expect("toys");
    let (toys, _) = toys.split_once("[restock]").expect("toys come first");
    for has_faults in [false, true] {
        let store = Cluster::open(&[]);
        let (url, pid) = (store.address(Id::Frontend), store.pid(Id::Catalog));
        let fault = |name, signal| format!("{name} = [\"kill\", \"-{signal}\", \"{pid}\"]");
        let (pause, resume) = (fault("pause", "STOP"), fault("resume", "CONT"));
        let faults = format!(
            "[cache]\ncapacity = 7\n[[process]]\nname = \"catalog\"\nrole = \"catalog\"\n\
             faults = {{ {pause}, {resume} }}\n"
        );
        let text = format!(
            "[api]\nurl = \"http://{url}\"\nkey = \"Idempotency-Key\"\ncodes = {{ not_enough = 409 }}\n\
             [toys]{toys}{}",
            if has_faults { &faults } else { "" }
        );
        let graded = Graded::new(&text, &rubric(&checks));
        graded.run();
        let report = graded.report();
        for check in &checks {
            let (verdict, seen) = graded.verdict(check);
            let expected = match *check {
                // Without a fault it is the latency that shows the cache, or does not.
                "cached" if !has_faults => {
                    assert!(seen.contains("the first query of a toy that was bought"), "{seen}");
                    continue;
                }
                "eviction" if !has_faults => "not_graded",
                // Nobody can tell how many there are after one that sells a toy out.
                "stock-conserved" => "not_graded",
                _ => "passed",
            };
            assert_eq!(verdict, expected, "{check}: {seen}: {report:#}");
        }
        graded.run();
        let (verdict, seen) = graded.verdict("buy");
        assert_eq!(verdict, "not_graded");
        assert!(seen.contains("it has orders already"), "{seen}");
        graded.assert_clean();
    }
}

/// What a command starts is an orphan, which grade adopts. Killed, it is gone only when grade has taken note of it.
#[test]
fn a_command_may_wait_for_the_end_of_what_another_one_started() {
    let _turn = turn();
    descendants::adopt_orphans().expect("Linux");
    let directory = tempfile::tempdir().expect("a directory");
    let run = |script: &str| {
        let command = ["sh", "-c", script].map(str::to_owned);
        process::run(&command, directory.path(), Instant::now() + support::PATIENCE, vec![])
    };
    run("sleep 1000 & echo $! >pid").expect("it ends");
    run("kill -9 $(cat pid); while kill -0 $(cat pid); do sleep 0.01; done").expect("it ends, too");
    assert_eq!(descendants::running(), []);
}

/// The sample with planted faults, and which checks lose points with each: `submissions/student/faults.toml`.
fn sample() -> (PathBuf, BTreeMap<String, BTreeSet<String>>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("submissions/student");
    let text = fs::read_to_string(directory.join("faults.toml")).expect("the table of faults");
    let table: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> =
        toml::from_str(&text).expect("a table");
    (directory.join("student.toml"), table["faults"].clone())
}

/// The checks that lost points.
fn lost_with(submission: &Path, fault: &str) -> BTreeSet<String> {
    let out = tempfile::tempdir().expect("a directory");
    let mut command = grade();
    command.arg(submission).arg("--out").arg(out.path());
    command.arg("--environment").arg(format!("STORE_FAULT={fault}"));
    command.output().expect("a process");
    let report = report(out.path());
    let results = report["results"].as_array().expect("results");
    let not_passed = results.iter().filter(|result| result["verdict"] != "passed");
    for result in not_passed.clone() {
        println!("{fault}: {} {}: {}", result["name"], result["verdict"], result["seen"]);
    }
    not_passed.map(|result| result["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
#[ignore = "takes minutes: make grade-faults"]
fn each_planted_fault_loses_its_points_and_no_others() {
    let _turn = turn();
    let (submission, faults) = sample();
    assert!(faults.len() >= 12, "{} faults", faults.len());
    let mut wrong = Vec::new();
    for round in 1..=rounds() {
        let none = (String::new(), BTreeSet::new());
        for (fault, expected) in std::iter::once(none).chain(faults.clone()) {
            let lost = lost_with(&submission, &fault);
            if lost != expected {
                wrong.push(format!(
                    "round {round}, {fault:?}: lost {lost:?}, expected {expected:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How often the matrix is repeated (`GRADE_ROUNDS`).
fn rounds() -> usize {
    std::env::var("GRADE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

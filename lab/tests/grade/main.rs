//! The program `grade`: our own store gets full marks; what the command line promises; and the reports.

#[path = "../../../tests/support/mod.rs"]
mod support;
mod file;
mod foreign;
mod safety;
mod faults;

use file::GOOD;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

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

/// The total and the points of the other checks would tell the points of a hidden one.
#[test]
fn students_see_no_total_of_hidden_checks() {
    let _turn = turn();
    for (more, text) in [
        ("", "2 of 2 points (rubric test)"),
        ("visibility = \"hidden\"\n", "Graded with the rubric test"),
    ] {
        let rubric = format!("{}{more}", rubric(&["buy", "look-up"]));
        let graded = Graded::new(&own_store("exec frontend", ""), &rubric);
        assert_eq!(graded.run().status.code(), Some(0));
        let results = fs::read_to_string(graded.path("out/results.json")).expect("results");
        let results: Value = serde_json::from_str(&results).expect("JSON");
        assert_eq!((&results["output"], &results["score"]), (&text.into(), &2.0.into()));
    }
}

/// In binary 0.1 + 0.2 is 0.30000000000000004.
#[test]
fn points_have_at_most_two_decimals() {
    let _turn = turn();
    let mut rubric = rubric(&["buy", "look-up", "too-many"]);
    for points in ["0.1", "0.2", "33.333"] {
        rubric = rubric.replacen("points = 1\n", &format!("points = {points}\n"), 1);
    }
    let graded = Graded::new(&own_store("exec frontend", ""), &rubric);
    let output = graded.command().arg("--csv").arg(graded.path("csv")).output().expect("a process");
    assert_eq!(output.status.code(), Some(0));
    let read = |name: &str| fs::read_to_string(graded.path(name)).expect("a file");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("33.63 of 33.63 points") && said.contains("33.33 /"), "{said}");
    assert!(read("out/report.html").contains("33.63 of 33.63 points"));
    assert!(read("out/report.json").contains("\"score\": 33.63,"));
    assert!(read("out/results.json").contains("\"score\": 33.63,"));
    assert!(read("csv").contains("toystore,33.63,33.63,,0.1,0.2,33.33"), "{}", read("csv"));
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
    // Not graded, so the last cell is empty.
    assert!(rows[1].starts_with("toystore,0,1,") && rows[1].ends_with(','), "{csv}");
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
        own_store("echo nobody listens here; exec sleep 1000", "[deadlines]\nstart_ms = 3000");
    let graded = Graded::new(&store, &rubric(&["buy"]));
    assert_eq!(graded.run().status.code(), Some(2));
    let log = graded.report()["results"][0]["log"].to_string();
    assert!(log.contains("frontend: nobody listens here") && log.contains("catalog: "), "{log}");
    graded.assert_clean();
}

/// Another program may have taken one of its ports.
#[test]
fn a_store_that_does_not_start_once_is_started_again() {
    let _turn = turn();
    let frontend = "mkdir {submission}/first 2>/dev/null && exit 1; exec frontend";
    let graded = Graded::new(&own_store(frontend, ""), &rubric(&["buy"]));
    assert_eq!(graded.run().status.code(), Some(0));
    assert!(graded.path("store/first").exists());
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

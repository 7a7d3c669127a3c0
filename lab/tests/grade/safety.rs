//! Strangers' programs: they end with a grade and a reason, and nothing of them survives.

use super::support::{self, signal, wait_for, wait_until};
use super::{Graded, own_store, processes_with, rubric, turn};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Instant;
use toystore::stop::Stop;
use toystore_lab::grade::checks::{self, Check};
use toystore_lab::grade::finding::Verdict;
use toystore_lab::grade::process::{self, Means};
use toystore_lab::grade::rubric::{Item, Rubric, Visibility};
use toystore_lab::grade::submission::Submission;
use toystore_lab::grade::{descendants, grading};

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

/// What a store says could change the terminal of whoever reads it.
#[test]
fn control_characters_of_a_store_are_shown_and_not_sent() {
    let _turn = turn();
    let frontend = "mkdir -p data; printf \"1,\\033[2J,1\\n\" | tee data/log; exec frontend";
    let store = own_store(frontend, "[deadlines]\nsync_ms = 100")
        .replace("data/order-1/orders.csv", "data/log");
    let graded = Graded::new(&store, &rubric(&["replicas-agree"]));
    let output = graded.run();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let page = fs::read_to_string(graded.path("out/report.html")).expect("a page");
    assert!(
        said.contains("but 1 \\u{1b}[2J in") && page.contains("1,\\u&#123;1b}[2J,1"),
        "{said}{page}"
    );
    let is_control = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(!is_control(&said) && !is_control(&page), "{said:?}");
}

#[test]
fn a_log_may_have_the_highest_number() {
    let _turn = turn();
    let frontend = "mkdir -p data; echo 18446744073709551615,Barbie,1 >data/log; exec frontend";
    let store = own_store(frontend, "[deadlines]\nsync_ms = 100")
        .replace("data/order-1/orders.csv", "data/log");
    let graded = Graded::new(&store, &rubric(&["replicas-agree"]));
    assert_eq!(graded.run().status.code(), Some(1));
    let (verdict, seen) = graded.verdict("replicas-agree");
    assert_eq!(verdict, "lost", "{seen}");
    assert!(seen.contains("is not in the log of order-1"), "{seen}");
}

/// Customers who are refused too early leave no other evidence.
#[test]
fn a_loss_after_a_load_shows_failures_of_customers() {
    let _turn = turn();
    let store = own_store("exec frontend", "").replace("Elephant = 100", "Elephant = 1000");
    let graded = Graded::new(&store, &rubric(&["no-oversell"]));
    assert_eq!(graded.run().status.code(), Some(1));
    let evidence = graded.report()["results"][0]["evidence"].to_string();
    assert_eq!(evidence.matches("the last failure of a customer: POST /orders").count(), 5);
    assert!(evidence.contains("→ 409 "), "{evidence}");
}

#[test]
fn a_time_out_while_a_store_starts_is_the_only_reason() {
    let _turn = turn();
    let store = own_store("exec sleep 1000", "[limits]\ntotal_s = 1");
    let graded = Graded::new(&store, &rubric(&["buy"]));
    assert_eq!(graded.run().status.code(), Some(2));
    let why = "the grading took longer than 1 s (limits.total_s)";
    assert_eq!(graded.verdict("buy"), ("not_graded".to_owned(), why.to_owned()));
    assert_eq!(graded.report()["failure"], why);
}

/// How many processes there were, and when somebody looked, does not decide which checks count.
#[test]
fn a_store_with_too_many_processes_at_any_time_gets_no_points() {
    let _turn = turn();
    // Its second start has them.
    let many = "for one in $(seq 70); do sleep 1000 & done";
    let frontend =
        format!("if ! mkdir {{submission}}/first 2>/dev/null; then {many}; fi; exec frontend");
    let store = own_store(&frontend, "[limits]\nprocesses = 60");
    let graded = Graded::new(&store, &rubric(&["buy", "frontend-returns", "look-up"]));
    assert_eq!(graded.run().status.code(), Some(2));
    let why = "it started more than 60 processes (limits.processes)";
    for check in ["buy", "frontend-returns", "look-up"] {
        assert_eq!(graded.verdict(check), ("not_graded".to_owned(), why.to_owned()), "{check}");
    }
    let report = graded.report();
    assert_eq!((report["score"].as_f64(), report["failure"].as_str()), (Some(0.0), Some(why)));
    graded.assert_clean();
}

/// A log may be anything that a submission makes there. None of it is read without end, or from outside of the copy.
#[test]
fn a_log_that_is_no_file_of_the_copy_is_not_graded() {
    let _turn = turn();
    for (made, part) in [
        ("mkfifo data/log", "it is not a regular file"),
        ("ln -s /dev/zero data/log", "it is not in the copy"),
        ("ln -s {submission}/secret data/log", "it is not in the copy"),
        ("ln -s ../long data/log", "it is longer than limits.file_mb"),
    ] {
        let frontend = format!("mkdir -p data; {made}; exec frontend");
        let store = own_store(&frontend, "[limits]\nfile_mb = 32")
            .replace("data/order-1/orders.csv", "data/log");
        let graded = Graded::new(&store, &rubric(&["replicas-agree"]));
        fs::write(graded.path("store/secret"), "1,Barbie,1\n").expect("a file");
        let long = fs::File::create(graded.path("store/long")).expect("a file");
        long.set_len(33 * 1024 * 1024).expect("a long file");
        assert_eq!(graded.run().status.code(), Some(2), "{made}");
        let (verdict, seen) = graded.verdict("replicas-agree");
        assert_eq!(verdict, "not_graded", "{made}: {seen}");
        assert!(seen.contains("data/log") && seen.contains(part), "{made}: {seen}");
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
        if interrupted {
            signal(&program, Signal::INT);
        }
        let status = wait_for("it ends", || program.try_wait().expect("our child"));
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

static PANICS: Check = Check {
    name: "panics",
    asks: "Nothing.",
    is_fresh: false,
    run: |trial| {
        let toy = trial.toy(0)?;
        trial.buy_one(toy)?;
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

//! How the program `loadtest` ends when its output cannot be written, or when it is interrupted.

#[path = "../../tests/support/mod.rs"]
mod support;

use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::process::Command;
use support::Cluster;
use support::Id::Frontend;
use support::interrupt::{await_orders, interrupt, start};
use support::output::{assert_full_and_closed_output, closed_pipe, run};

#[test]
#[cfg(target_os = "linux")]
fn help_that_cannot_be_printed_is_no_success() {
    let arguments: [&[&str]; 5] =
        [&["--help"], &["-h"], &["--version"], &["--generate", "man"], &["--generate", "zsh"]];
    for arguments in arguments {
        assert_full_and_closed_output(&format!("loadtest {arguments:?}"), || {
            let mut command = Command::new(support::program("loadtest"));
            command.args(arguments);
            command
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_printed_are_one_line_or_a_quiet_end() {
    let store = Cluster::open(&[]);
    let cases: [&[&str]; 2] =
        [&["query", "-n", "9"], &["query", "-n", "9", "--json", "-", "--csv", "-"]];
    for arguments in cases {
        assert_full_and_closed_output(&format!("loadtest {arguments:?}"), || {
            let mut command = store.program("loadtest");
            command.args(arguments);
            command
        });
    }
}

#[test]
fn a_load_is_saved_although_nobody_reads_its_table() {
    let store = Cluster::open(&[]);
    let mut command = store.program("loadtest");
    run(command.args(["query", "-n", "9", "--csv", "load.csv"]), closed_pipe());
    let mut saved = String::new();
    let file = File::open(store.path("load.csv"));
    file.expect("it was written").read_to_string(&mut saved).expect("text");
    assert!(saved.contains("\nquery,9,"), "{saved}");
}

#[test]
fn a_load_that_is_interrupted_shows_what_it_measured() {
    let store = Cluster::open(&["--catalog-reset-stock", "--catalog-restock-to=100000"]);
    for pause in [false, true] {
        let endless = ["mixed", "-p", "0.5", "-r", "300", "-d", "60m", "--json", "-"];
        let load = start(&store, "loadtest", &endless);
        await_orders(&store);
        if pause {
            store.pause(Frontend);
        }
        let (json, said) = interrupt(load);
        let shown: Value = serde_json::from_str(&json).expect("JSON");
        assert!(shown["kinds"]["buy"]["requests"].as_u64() > Some(3), "{json}");
        assert_eq!(shown["errors"], 0, "what was cut short is no error: {json}");
        let unsent = shown["unsent"].as_u64().expect("a number");
        assert!(unsent < 10_000, "of an hour's requests only those of the first moments: {json}");
        assert_eq!(said, "loadtest: interrupted\n");
        store.resume(Frontend);
    }
}

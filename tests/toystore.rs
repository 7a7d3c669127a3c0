//! Used by the containers: one program that contains all programs, and a health check that every service answers.

mod support;

use std::process::{Command, Output};
use support::Id::Frontend;
use support::{ALL, Cluster};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("a process")
}

fn toystore(arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_toystore"), arguments)
}

#[test]
fn the_program_of_all_programs_is_each_of_them() {
    for (name, alone) in [
        ("catalog", env!("CARGO_BIN_EXE_catalog")),
        ("order", env!("CARGO_BIN_EXE_order")),
        ("frontend", env!("CARGO_BIN_EXE_frontend")),
        ("client", env!("CARGO_BIN_EXE_client")),
        ("frame", env!("CARGO_BIN_EXE_frame")),
        ("audit", env!("CARGO_BIN_EXE_audit")),
        ("toys", env!("CARGO_BIN_EXE_toys")),
        ("trace", env!("CARGO_BIN_EXE_trace")),
        ("certs", env!("CARGO_BIN_EXE_certs")),
    ] {
        assert_eq!(toystore(&[name, "--help"]), run(alone, &["--help"]), "{name}");
    }
    let names = "catalog, order, frontend, client, frame, audit, toys, trace, certs or database";
    for arguments in [&[][..], &["shop"]] {
        let refused = toystore(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(refused.stderr).expect("text");
        assert!(said.trim_end().ends_with(names), "{said}");
    }
    let help = toystore(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).expect("text").contains(names));
}

#[test]
fn every_service_answers_a_health_check_while_it_runs() {
    let mut store = Cluster::open(&[]);
    let code = |store: &Cluster, id| {
        toystore(&["frame", store.peer_address(id), "health_check"]).status.code()
    };
    for id in ALL {
        assert_eq!(code(&store, id), Some(0), "{id:?}");
    }
    let unknown = toystore(&["frame", store.peer_address(Frontend), "query"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    store.kill(Frontend);
    assert_eq!(code(&store, Frontend), Some(2), "nobody is there");
}

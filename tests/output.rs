//! Whatever happens to its output, a program of the store ends correctly: if nobody reads it (a blocked pipe, a
//! terminal after Ctrl-S), if its reader is gone (a closed pipe), or if the disk is full.

mod support;

use rustix::process::Signal;
use std::io::{PipeReader, pipe};
use std::process::{Command, Stdio};
use support::Id::{self, Catalog, Frontend, Order};
use support::output::assert_full_and_closed_output;
use support::{ALL, Cluster, finish, signal, wait_until};

/// More lines than fit into a pipe of 64 KiB.
const LINES: usize = 2_000;

const PROGRAMS: [&str; 9] =
    ["audit", "catalog", "certs", "client", "frame", "frontend", "order", "run-all", "toystore"];

/// Standard output and standard error in one pipe.
fn into_pipe(command: &mut Command) -> PipeReader {
    let (reader, writer) = pipe().expect("a pipe");
    command.stdout(writer.try_clone().expect("a descriptor")).stderr(writer);
    reader
}

#[test]
fn run_all_ends_although_nobody_reads_what_it_says() {
    let store = Cluster::closed(&["--frontend-access-log=true"]);
    let mut command = store.program("run-all");
    let reader = into_pipe(command.args(["--no-page", "--exit-with-parent"]));
    let mut run_all = command.stdin(Stdio::piped()).spawn().expect("a process");
    wait_until("the store is open", || ALL.into_iter().all(|id| store.is_ready(id)));
    let mut customer = store.customer(Frontend);
    for _ in 0..LINES {
        customer.quantity("Tux");
    }
    customer.buy_one("Tux");
    signal(&run_all, Signal::TERM);
    assert_eq!(finish(&mut run_all).code(), Some(0));
    drop(reader);
}

/// A service whose log goes into a pipe without a reader. It has written more than the pipe holds.
fn muted(store: &Cluster, id: Id, settings: &[&str]) -> (std::process::Child, PipeReader) {
    let mut command = store.command(id, settings);
    let reader = into_pipe(command.args(["--log-level=trace", "--frontend-access-log=true"]));
    let process = command.spawn().expect("a process");
    wait_until(&format!("{id:?} is ready"), || store.is_ready(id));
    (process, reader)
}

#[test]
fn a_service_ends_although_nobody_reads_its_log() {
    let mut store = Cluster::open(&[]);
    for id in [Frontend, Catalog, Order(1)] {
        store.end(id);
        let (mut process, _reader) = muted(&store, id, &[]);
        if id == Frontend {
            let mut customer = store.customer(Frontend);
            (0..LINES).for_each(|_| drop(customer.get("/products/Tux")));
        }
        signal(&process, Signal::TERM);
        assert_eq!(finish(&mut process).code(), Some(0), "{id:?}");
        store.start(id);
    }
}

#[test]
fn a_failed_disk_ends_a_process_whose_log_nobody_reads() {
    let mut store = Cluster::open(&[]);
    store.await_in_sync();
    // Its pipe is full from the beginning.
    let follower = Order(1);
    store.end(follower);
    let mut command = store.command(follower, &["--fail=fail-write@1"]);
    let (_reader, writer) = full_pipe();
    let mut process = command.stderr(writer).spawn().expect("a process");
    wait_until("the replica is ready", || store.is_ready(follower));
    store.await_in_sync();
    store.customer(Frontend).buy_one("Tux");
    assert_eq!(finish(&mut process).code(), Some(3), "a failed disk");
}

/// A full pipe.
fn full_pipe() -> (PipeReader, std::io::PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("a pipe");
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("a pipe");
    while rustix::io::write(&writer, &[b'x'; 512]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).expect("a pipe");
    (reader, writer)
}

#[test]
#[cfg(target_os = "linux")]
fn help_that_cannot_be_printed_is_no_success() {
    for program in PROGRAMS {
        let arguments: &[&[&str]] = if program == "toystore" {
            &[&["--help"], &["catalog", "--help"], &["order", "--version"]]
        } else {
            &[&["--help"], &["-h"], &["--version"], &["--generate", "man"], &["--generate", "zsh"]]
        };
        for arguments in arguments {
            let what = format!("{program} {arguments:?}");
            assert_full_and_closed_output(&what, || {
                let mut command = Command::new(support::program(program));
                command.args(*arguments);
                command
            });
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_printed_are_one_line_or_a_quiet_end() {
    let store = Cluster::open(&[]);
    let address = store.peer_address(Catalog);
    let cases: [(&str, &[&str]); 4] = [
        ("audit", &["--running"]),
        ("certs", &["--tls-directory=new"]),
        ("client", &["-c", "1", "-n", "3", "-p", "0"]),
        ("frame", &[address, "health_check"]),
    ];
    for (program, arguments) in cases {
        assert_full_and_closed_output(&format!("{program} {arguments:?}"), || {
            let mut command = store.program(program);
            command.args(arguments);
            command
        });
    }
}

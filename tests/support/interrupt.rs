//! Presses Ctrl-C while a program runs.

use super::{Cluster, PATIENCE, signal, wait_until};
use rustix::process::Signal;
use std::process::{Child, Stdio};
use std::time::Instant;

/// A program that runs until it is interrupted.
pub fn start(store: &Cluster, program: &str, arguments: &[&str]) -> Child {
    let mut command = store.program(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a process")
}

/// Interrupts it; returns its standard output and its standard error.
pub fn interrupt(program: Child) -> (String, String) {
    let begun = Instant::now();
    signal(&program, Signal::INT);
    let output = program.wait_with_output().expect("it is our child");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    (String::from_utf8(output.stdout).expect("text"), said)
}

/// Waits until the store has more orders.
pub fn await_orders(store: &Cluster) {
    let before = store.committed();
    wait_until("there are more orders", || store.committed() > before + 3);
}

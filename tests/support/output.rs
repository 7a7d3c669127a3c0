//! Runs a program whose standard output cannot be written.

use rustix::process::Signal;
use std::fs::File;
use std::io::pipe;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

/// Exit code and errors of a program with this standard output.
pub fn run(command: &mut Command, stdout: impl Into<Stdio>) -> Output {
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
    child.expect("a process").wait_with_output().expect("it is our child")
}

/// A pipe without a reader.
pub fn closed_pipe() -> Stdio {
    pipe().expect("a pipe").1.into()
}

/// A full disk gives one line and exit code 2; a pipe without a reader ends the program without a message.
pub fn assert_full_and_closed_output(what: &str, mut command: impl FnMut() -> Command) {
    let full = run(&mut command(), File::create("/dev/full").expect("Linux has it"));
    let said = String::from_utf8(full.stderr).expect("text");
    assert_eq!(full.status.code(), Some(2), "{what}: {said}");
    assert_eq!(said.lines().count(), 1, "{what}: one line: {said}");
    assert!(said.contains("standard output: cannot write to it: No space left"), "{what}: {said}");

    let closed = run(&mut command(), closed_pipe());
    let said = String::from_utf8(closed.stderr).expect("text");
    assert_eq!((closed.status.signal(), &*said), (Some(Signal::PIPE.as_raw()), ""), "{what}");
}

//! The guard: the process that a user starts. It grades nothing itself, but starts `grade` again, as its child, and waits
//! for it. If the child is killed, what that had started is adopted by the guard, which ends it. Called by `bin/grade`.
//!
//! If the guard is killed, the standard input of the child ends, and the child ends as after Ctrl-C.

use super::descendants;
use clap::{Arg, ArgAction, ArgMatches};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use toystore::error::{Error, Result};
use toystore::stop::Stop;

/// How often it looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(20);

const FLAG: &str = "guarded";

/// The flag of the child.
pub fn flag() -> Arg {
    Arg::new(FLAG).long(FLAG).action(ArgAction::SetTrue).hide(true)
}

/// Whether this process is the child.
pub fn is_guarded(arguments: &ArgMatches) -> bool {
    arguments.get_flag(FLAG)
}

/// Starts the child, and waits for it. Nothing that it started runs when this returns.
pub fn run(arguments: &ArgMatches, stop: &Stop) -> Result<ExitCode> {
    let failed = |e: io::Error| Error::unavailable(format!("cannot start itself again: {e}"));
    descendants::adopt_orphans().map_err(failed)?;
    let mut child = start(arguments).map_err(failed)?;
    let mut is_told = false;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if !is_told && stop.wait(LOOK) {
            is_told = true;
            // It may have ended in the meantime.
            kill_process(Pid::from_child(&child), Signal::TERM).ok();
        }
        if is_told {
            std::thread::sleep(LOOK);
        }
    };
    descendants::end_all();
    code(status)
}

fn start(arguments: &ArgMatches) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(format!("--{FLAG}"));
    if !arguments.get_flag("exit-with-parent") {
        command.arg("--exit-with-parent");
    }
    // The pipe is open as long as this process lives.
    command.args(env::args_os().skip(1)).stdin(Stdio::piped()).spawn()
}

fn code(status: ExitStatus) -> Result<ExitCode> {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let killed =
        || Error::unavailable(format!("it was killed ({status}); what it had started is ended"));
    code.map(ExitCode::from).ok_or_else(killed)
}

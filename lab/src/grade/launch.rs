//! The launcher: a strange program is not started directly, but by this program, which first limits itself and then
//! becomes the strange program. So the limits hold from its first instruction. Called by `bin/grade`.
//!
//! `grade launch MEMORY_MB FILE_MB PROCESSES USER PROGRAM ARGUMENTS…`; USER is `uid:gid`, or `-`.

use super::submission::Limits;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use toystore::output;

const WORD: &str = "launch";

/// Somebody else, as whom to run a program.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
}

/// A command that runs a program with these limits.
pub fn limited(grade: &Path, limits: &Limits, user: Option<User>, program: &[String]) -> Command {
    let mut command = Command::new(grade);
    let user = user.map_or_else(|| "-".to_owned(), |User { uid, gid }| format!("{uid}:{gid}"));
    let Limits { memory_mb, file_mb, processes, .. } = limits;
    command.arg(WORD).args([
        memory_mb.to_string(),
        file_mb.to_string(),
        processes.to_string(),
        user,
    ]);
    command.args(program);
    command
}

/// Becomes the program, if this process was started as its launcher. Returns only if that is not so, or if the
/// program cannot be started.
pub fn become_program() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let why = match arguments.as_slice() {
        [memory_mb, file_mb, processes, user, program, arguments @ ..] => {
            match limit([memory_mb, file_mb, processes], user != "-") {
                Ok(()) => become_one(user, program, arguments),
                Err(why) => why,
            }
        }
        _ => "the launcher is for grade itself".to_owned(),
    };
    output::complain(why);
    Some(ExitCode::from(127))
}

fn limit(numbers: [&OsString; 3], is_somebody_else: bool) -> Result<(), String> {
    const MIB: u64 = 1024 * 1024;
    let [memory, file, processes] = numbers.map(|text| text.to_str()?.parse::<u64>().ok());
    let mut limits = vec![
        // Not the address space: Java and Go reserve much more of that than they use.
        (Resource::Data, memory.map(|mb| mb.saturating_mul(MIB))),
        (Resource::Fsize, file.map(|mb| mb.saturating_mul(MIB))),
        (Resource::Core, Some(0)),
    ];
    if is_somebody_else {
        // Counts all processes and threads of the user on this machine, so it is for a user of its own only. The
        // number of processes is also watched from outside.
        limits.push((Resource::Nproc, processes.map(|count| count.saturating_mul(16))));
    }
    for (resource, limit) in limits {
        let both = Rlimit { current: limit, maximum: limit };
        setrlimit(resource, both).map_err(|e| format!("cannot set the limit {resource:?}: {e}"))?;
    }
    end_with_parent()
}

/// The system kills this process when `grade` is killed, even if the guard is killed at the same time.
#[cfg(target_os = "linux")]
fn end_with_parent() -> Result<(), String> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() -> Result<(), String> {
    Ok(())
}

/// Returns only if it fails, and says why.
fn become_one(user: &OsString, program: &OsString, arguments: &[OsString]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some((uid, gid)) = user.to_str().and_then(|user| user.split_once(':'))
        && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
    {
        command.gid(gid).uid(uid);
    }
    let error = command.exec();
    format!("cannot start {}: {error}", Path::new(program).display())
}

//! One service as a child process: starts it, checks whether it is ready or has ended, ends it.
//!
//! A child has its own process group, so that Ctrl-C reaches the supervisor only, which then ends the
//! services in order. Its standard input is a pipe to which nothing is written: if the supervisor is
//! killed, the pipe is closed and the service ends (`--exit-with-parent`).

use super::relay;
use super::service::ServiceId;
use crate::error::{Error, Result};
use crate::http::Client;
use crate::net::Target;
use crate::stop::VitalThread;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a service may take to finish its requests before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a health check may take; on loopback it takes microseconds.
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// The destination of the output of a service.
#[derive(Debug, Clone)]
pub enum Output {
    /// To standard output, with the name of the service before each line.
    Relayed,
    /// To the end of this file.
    Appended(PathBuf),
}

/// What is needed to start a service.
#[derive(Clone)]
pub(super) struct Service {
    /// Its id.
    pub(super) id: ServiceId,
    /// Its executable.
    pub(super) program: PathBuf,
    /// Its command line.
    pub(super) arguments: Vec<String>,
    /// Its address for requests.
    pub(super) listen: String,
    /// Its address for the other services, health, status and metrics.
    pub(super) peer: Target,
    /// The destination of its output.
    pub(super) output: Output,
}

impl Output {
    /// The standard output and standard error of a child.
    fn open(&self) -> io::Result<[Stdio; 2]> {
        match self {
            Output::Relayed => Ok([Stdio::piped(), Stdio::piped()]),
            Output::Appended(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path)?;
                Ok([file.try_clone()?.into(), file.into()])
            }
        }
    }
}

/// A running service, or one that has ended.
pub(super) struct Process {
    pub(super) service: Service,
    child: Child,
    relays: Vec<VitalThread>,
    state: State,
}

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was started and has not ended.
    Running,
    /// Paused until it is resumed.
    Paused,
    /// It has ended with this status.
    Ended(ExitStatus),
}

impl Process {
    /// Starts a service and, if its output is relayed, the two threads that do so;
    /// [`Process::end`] joins them.
    pub(super) fn start(service: Service) -> Result<Process> {
        let error = |error: io::Error| Error::Service {
            name: service.id.to_string(),
            why: format!("cannot start {}: {error}", service.program.display()),
        };
        let [stdout, stderr] = service.output.open().map_err(error)?;
        let child = Command::new(&service.program)
            .args(&service.arguments)
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(error)?;
        let mut process = Process { service, child, relays: Vec::new(), state: State::Running };
        // Relays end when the process does.
        if let Err(error) = process.relay() {
            process.kill();
            return Err(error);
        }
        Ok(process)
    }

    fn relay(&mut self) -> Result<()> {
        let name = self.service.id.to_string();
        if let Some(pipe) = self.child.stdout.take() {
            self.relays.push(relay::start(&name, pipe)?);
        }
        if let Some(pipe) = self.child.stderr.take() {
            self.relays.push(relay::start(&name, pipe)?);
        }
        Ok(())
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it answers `GET /health` with 200. The request goes to the peer address, because the
    /// address for customers may use other certificates.
    pub(super) fn is_ready(&self) -> bool {
        let mut client = Client::new(self.service.peer.clone(), HEALTH_CHECK_TIMEOUT);
        client.send("GET", "/health", &[], b"").is_ok_and(|response| response.status == 200)
    }

    /// Its last known state.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// How it ended; only in the first call after its end.
    pub(super) fn newly_ended(&mut self) -> Option<String> {
        if self.has_ended() {
            return None;
        }
        let status = self.child.try_wait().ok().flatten()?;
        self.state = State::Ended(status);
        Some(how(status))
    }

    /// Kills it with SIGKILL, like a crash, and waits for its end.
    pub(super) fn kill(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        if let Ok(status) = self.child.wait() {
            self.state = State::Ended(status);
        }
    }

    /// Pauses it: it keeps its memory and its connections, and does nothing.
    pub(super) fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.state = State::Paused;
    }

    /// Resumes it.
    pub(super) fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.state = State::Running;
    }

    /// Sends it a signal, if it has not ended.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.has_ended() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Ends it and returns how it ended; `None` if it had ended before.
    pub(super) fn end(mut self) -> Option<String> {
        let outcome = if self.has_ended() { None } else { Some(self.terminate()) };
        drop(self.relays);
        outcome
    }

    /// Sends SIGTERM, and SIGKILL if it does not end in time. A paused process must resume to handle SIGTERM.
    fn terminate(&mut self) -> String {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return how(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let killed = self.child.wait().map_or_else(|error| error.to_string(), how);
        format!("did not end within {END_TIMEOUT:?} and was {killed}")
    }
}

/// An exit status as text.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("unknown");
            format!("killed by signal {signal} ({name})")
        }
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_code_or_signal() {
        assert_eq!(how(ExitStatus::from_raw(2 << 8)), "exit code 2");
        assert_eq!(how(ExitStatus::from_raw(9)), "killed by signal 9 (SIGKILL)");
    }
}

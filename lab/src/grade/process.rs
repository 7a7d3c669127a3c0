//! One process of a store: starts it and waits until it is ready, kills, pauses and resumes it. Used by the store.
//!
//! It has a process group of its own, and signals go to the group. What a process of somebody else (in a container, on
//! another host) needs for a fault is a command.

use super::descendants;
use super::launch::{User, limited};
use super::output::Lines;
use super::submission::Limits;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use toystore::error::{Error, Result};
use toystore::http::Client;

/// How often a condition is checked.
pub const LOOK: Duration = Duration::from_millis(5);

/// How long a port of this machine may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// The variables of the environment that a process inherits.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME"];

/// How a process is started: a process of the submission, with all placeholders replaced.
#[derive(Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// The program and its arguments; empty if somebody else starts it.
    pub command: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Its variables.
    pub environment: BTreeMap<String, String>,
    /// When it is ready.
    pub ready: Condition,
}

/// When a process is ready.
#[derive(Debug)]
pub enum Condition {
    /// At once.
    Always,
    /// This address accepts a connection.
    Accepts(SocketAddr),
    /// A GET of this path at this address is answered with 2xx within this time.
    Answers(String, String, Duration),
    /// A line contains this text.
    Says(String),
}

/// With what strange programs are started.
#[derive(Debug)]
pub struct Means {
    /// This program, the launcher.
    pub grade: PathBuf,
    /// Somebody else, as whom to run them.
    pub user: Option<User>,
}

/// A process: it runs, is paused, or has ended.
pub struct Process {
    pub(super) recipe: Recipe,
    /// What it wrote.
    pub lines: Lines,
    /// The first line of its last start.
    started_at_line: usize,
    child: Option<Child>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// A process that has not been started.
    pub fn new(recipe: Recipe, limits: &Limits) -> Process {
        let lines = Lines::new(limits.output_mb * 1024 * 1024);
        Process { recipe, lines, started_at_line: 0, child: None, readers: Vec::new() }
    }

    fn error(&self, why: String) -> Error {
        Error::Service { name: self.recipe.name.clone(), why }
    }

    /// Starts it, if it is ours.
    pub fn start(&mut self, means: &Means, limits: &Limits) -> Result<()> {
        if self.recipe.command.is_empty() {
            return Ok(());
        }
        if let Condition::Accepts(address) = self.recipe.ready
            && TcpStream::connect_timeout(&address, CONNECT).is_ok()
        {
            return Err(self.error(format!("{address} is used by another process already")));
        }
        let started = self.spawn(means, limits);
        started.map_err(|e| {
            self.error(format!("cannot start it in {}: {e}", self.recipe.directory.display()))
        })
    }

    fn spawn(&mut self, means: &Means, limits: &Limits) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        self.started_at_line = self.lines.count();
        let Recipe { command, directory, environment, .. } = &self.recipe;
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = limited(&means.grade, limits, means.user, command)
            .current_dir(directory)
            .env_clear()
            .envs(inherited)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        self.child = Some(child);
        self.readers.push(self.lines.read(reader)?);
        Ok(())
    }

    /// Waits until it is ready, at most until the deadline.
    pub fn await_ready(&mut self, deadline: Instant, is_over: &dyn Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.is_ready() {
                return Ok(());
            }
            if let Some(ended) = self.ended() {
                let said = self.lines.last(self.started_at_line, 5).join(" | ");
                return Err(
                    self.error(format!("it ended before it was ready: {ended}; it said: {said}"))
                );
            }
            if Instant::now() > deadline || is_over() {
                let waited = begun.elapsed().as_secs_f64();
                let what = self.recipe.ready.in_words();
                return Err(self.error(format!("it was not ready after {waited:.1} s: {what}")));
            }
            thread::sleep(LOOK);
        }
    }

    fn is_ready(&self) -> bool {
        match &self.recipe.ready {
            Condition::Always => true,
            Condition::Accepts(address) => TcpStream::connect_timeout(address, CONNECT).is_ok(),
            Condition::Answers(address, path, within) => {
                let answer = Client::new(address.as_str(), *within).send("GET", path, &[], b"");
                answer.is_ok_and(|response| (200..300).contains(&response.status))
            }
            Condition::Says(text) => self.lines.contains(self.started_at_line, text),
        }
    }

    /// How it ended, if it is ours and did.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.to_string())
    }

    /// Its process group, while it runs.
    pub fn group(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// Whether it is started by grade.
    pub fn is_ours(&self) -> bool {
        !self.recipe.command.is_empty()
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group() {
            // It may be gone.
            kill_process_group(group, signal).ok();
        }
    }

    /// Kills its group, and waits until all of it has ended: one that is left would keep the port from its successor.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let group = Pid::from_child(&child);
            // It is killed; the second kill is for a child that could not join its group.
            child.kill().ok();
            child.wait().ok();
            descendants::await_end(group);
        }
    }

    /// Waits for the readers of its output; all who wrote to it must have ended.
    pub fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }
}

impl Condition {
    fn in_words(&self) -> String {
        match self {
            Condition::Always => "always".to_owned(),
            Condition::Accepts(address) => format!("{address} does not accept connections"),
            Condition::Answers(address, path, _) => {
                format!("http://{address}{path} does not answer with 2xx")
            }
            Condition::Says(text) => format!("no line contains {text:?}"),
        }
    }
}

/// Runs a command of the submission for a process that somebody else started. `own` are the processes that grade started.
pub fn run(
    command: &[String],
    directory: &Path,
    deadline: Instant,
    mut own: Vec<Pid>,
) -> Result<()> {
    let [program, arguments @ ..] = command else {
        return Err(Error::invalid("there is no command for this fault"));
    };
    let failed = |why: String| Error::Service { name: program.clone(), why };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    own.push(Pid::from_child(&child));
    loop {
        // What an earlier command left may have been killed by this one, which perhaps waits for its end.
        descendants::reap(&own);
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(status.to_string())),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK * 4),
            Ok(None) => {
                child.kill().ok();
                child.wait().ok();
                return Err(failed("it did not end in time".to_owned()));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

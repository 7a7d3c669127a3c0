//! A store: its processes on a fresh copy of the submission, and faults. Made by the grading, before each
//! check that needs a fresh store. Dropping it ends everything that it started.

use super::caller::number_at;
use super::descendants;
use super::network::Network;
use super::process::{self, Condition, Means, Process, Recipe};
use super::submission::template::{PortOf, expand};
use super::submission::{Faults, Leader, Port, Ready, Role, Submission};
use super::watch::Watch;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Instant;
use toystore::error::{Error, Result};
use toystore::http::Client;

/// What is not copied: large, and made again when it is needed.
const NOT_COPIED: [&str; 4] = [".git", "__pycache__", "target", "node_modules"];

/// Free ports are chosen from here, below those that the system gives to connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A store.
pub struct Store<'a> {
    submission: &'a Submission,
    means: &'a Means,
    watch: &'a Watch,
    copy: PathBuf,
    ports: BTreeMap<(String, String), u16>,
    /// The free ports of processes that have not been started. They are bound until then, so that no other program
    /// takes one.
    reserved: Vec<(String, OwnedFd)>,
    network: Network,
    /// In the order of their start.
    processes: Vec<Process>,
    /// The processes that were killed or paused and not started again.
    down: BTreeSet<String>,
    /// When it was made.
    pub opened: Instant,
}

impl<'a> Store<'a> {
    /// A fresh copy of the submission, whose processes have not been started.
    pub fn new(
        submission: &'a Submission,
        means: &'a Means,
        watch: &'a Watch,
    ) -> Result<Store<'a>> {
        let copy = fresh_directory()?;
        let mut store = Store {
            submission,
            means,
            watch,
            copy,
            ports: BTreeMap::new(),
            reserved: Vec::new(),
            network: Network::default(),
            processes: Vec::new(),
            down: BTreeSet::new(),
            opened: Instant::now(),
        };
        if !submission.fresh.is_empty() {
            store.run(&submission.fresh)?;
        }
        store.copy_submission()?;
        store.choose_ports()?;
        for process in submission.processes() {
            let recipe = store.recipe(process)?;
            store.processes.push(Process::new(recipe, &submission.limits));
        }
        Ok(store)
    }

    fn copy_submission(&self) -> Result<()> {
        // A store of somebody else runs elsewhere.
        if self.submission.processes().all(|process| process.command.is_empty()) {
            return Ok(());
        }
        let owner = self.means.user.map(|user| (user.uid, user.gid));
        copy(&self.submission.directory, &self.copy, owner)
            .map_err(|e| Error::storage(&self.submission.directory, "cannot copy it", e))
    }

    fn choose_ports(&mut self) -> Result<()> {
        for process in self.submission.processes() {
            for (name, port) in &process.ports {
                let port = if *port == 0 { self.free_port(&process.name)? } else { *port };
                self.ports.insert((process.name.clone(), name.clone()), port);
            }
        }
        Ok(())
    }

    fn free_port(&mut self, process: &str) -> Result<u16> {
        let mut tried = (0..1_000).map(|_| fastrand::u16(PORTS));
        let found = tried.find_map(|port| Some((port, bound(port).ok()?)));
        let none = || Error::unavailable("there is no free port");
        let (port, socket) = found.ok_or_else(none)?;
        self.reserved.push((process.to_owned(), socket));
        Ok(port)
    }

    /// Replaces the placeholders in a text of a process.
    fn expand(&mut self, text: &str, own: Option<&super::submission::Process>) -> Result<String> {
        let submission = self.submission;
        let mut failed = None;
        let (ports, network) = (&self.ports, &mut self.network);
        let copy = self.copy.display().to_string();
        let value = |word: &str| match word {
            "copy" => Some(copy.clone()),
            "submission" => Some(submission.directory.display().to_string()),
            "id" => own.and_then(|own| Some(own.id?.to_string())),
            "name" => own.map(|own| own.name.clone()),
            // Replaced when a log is read.
            "number" => Some("{number}".to_owned()),
            _ => {
                let PortOf { process, port, is_link } = PortOf::parse(word)?;
                let process = process.or(own.map(|own| own.name.as_str()))?;
                let port = *ports.get(&(process.to_owned(), port.to_owned()))?;
                let Some(own) = own.filter(|_| is_link) else { return Some(port.to_string()) };
                match network.link(&own.name, process, (Ipv4Addr::LOCALHOST, port).into()) {
                    Ok(port) => Some(port.to_string()),
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                }
            }
        };
        let expanded = expand(text, value);
        if let Some(error) = failed {
            return Err(error);
        }
        expanded.map_err(|word| Error::invalid(format!("{{{word}}} has no value")))
    }

    fn recipe(&mut self, process: &super::submission::Process) -> Result<Recipe> {
        let own = Some(process);
        let command: Result<Vec<_>> =
            process.command.iter().map(|word| self.expand(word, own)).collect();
        let environment: Result<BTreeMap<_, _>> = process
            .environment
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.expand(value, own)?)))
            .collect();
        let ready = match &process.ready {
            None => Condition::Always,
            Some(Ready::Line(text)) => Condition::Says(text.clone()),
            Some(Ready::Port(Port::Number(port))) => {
                Condition::Accepts((Ipv4Addr::LOCALHOST, *port).into())
            }
            Some(Ready::Port(Port::Template(text))) => {
                let port = self.expand(text, own)?;
                let port = port.parse::<u16>();
                let port = port.map_err(|_| Error::invalid(format!("{text} is no port")))?;
                Condition::Accepts((Ipv4Addr::LOCALHOST, port).into())
            }
            Some(Ready::Url(url)) => {
                let url = self.expand(url, own)?;
                let (address, path) = split_url(&url)?;
                Condition::Answers(address, path, self.submission.deadlines.answer())
            }
        };
        Ok(Recipe {
            name: process.name.clone(),
            command: command?,
            directory: self.copy.join(&process.directory),
            environment: environment?,
            ready,
        })
    }

    /// The address and the path in front of all requests.
    pub fn front_end(&mut self) -> Result<(String, String)> {
        let url = self.expand(&self.submission.api().url, None)?;
        let (address, path) = split_url(&url)?;
        Ok((address, path.trim_end_matches('/').to_owned()))
    }

    /// The port of a link from grade to the front-end at this address.
    pub fn link_to(&mut self, address: &str) -> Result<u16> {
        let resolved = address.to_socket_addrs().ok().and_then(|mut all| all.next());
        let there = resolved.ok_or_else(|| Error::invalid(format!("{address} is no address")))?;
        self.network.link("grade", "front-end", there)
    }

    /// The network of its links.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where its files are.
    pub fn copy(&self) -> &Path {
        &self.copy
    }

    /// Where a replica's log is: a file or a URL.
    pub fn log_of(&mut self, name: &str) -> Option<Result<String>> {
        let submission = self.submission;
        let process = submission.process(name)?;
        let log = process.log.as_ref()?;
        Some(self.expand(log, Some(process)))
    }

    fn position(&self, name: &str) -> Result<usize> {
        let found = self.processes.iter().position(|process| process.recipe.name == name);
        found.ok_or_else(|| Error::invalid(format!("there is no process {name}")))
    }

    /// Starts a process, and waits until it is ready.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let at = self.position(name)?;
        let deadline = Instant::now() + self.submission.deadlines.start();
        if !self.processes[at].is_ours() && self.down.contains(name) {
            self.command(name, |faults| &faults.start)?;
        }
        self.reserved.retain(|(process, _)| process != name);
        let process = &mut self.processes[at];
        process.start(self.means, &self.submission.limits)?;
        let watch = self.watch;
        process.group().into_iter().for_each(|group| watch.add_group(group, false));
        process.await_ready(deadline, &|| watch.reason().is_some())?;
        self.down.remove(name);
        Ok(())
    }

    fn signal(&self, at: usize, signal: Signal) {
        let process = &self.processes[at];
        if let Some(group) = process.group() {
            self.watch.add_group(group, signal == Signal::STOP);
        }
        process.signal(signal);
        if signal == Signal::STOP {
            process.group().into_iter().for_each(descendants::await_pause);
        }
    }

    fn end(&mut self, at: usize) {
        let group = self.processes[at].group();
        self.processes[at].kill();
        if let Some(group) = group {
            self.watch.remove_group(group);
        }
    }

    /// Kills a process.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.fault(name, Store::end, |faults| &faults.kill)?;
        self.down.insert(name.to_owned());
        Ok(())
    }

    /// Pauses a process.
    pub fn pause(&mut self, name: &str) -> Result<()> {
        self.fault(name, |store, at| store.signal(at, Signal::STOP), |faults| &faults.pause)?;
        self.down.insert(name.to_owned());
        Ok(())
    }

    /// Whether there is a process of this role, and a way to pause it.
    pub fn can_pause(&self, role: Role) -> bool {
        let process = self.submission.first(role);
        process
            .is_some_and(|process| !(process.command.is_empty() && process.faults.pause.is_empty()))
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self, name: &str) -> Result<()> {
        self.fault(name, |store, at| store.signal(at, Signal::CONT), |faults| &faults.resume)?;
        self.down.remove(name);
        Ok(())
    }

    /// Does this to a process of ours. Of somebody else's, runs the command for it.
    fn fault(
        &mut self,
        name: &str,
        ours: fn(&mut Self, usize),
        theirs: fn(&Faults) -> &Vec<String>,
    ) -> Result<()> {
        let at = self.position(name)?;
        if self.processes[at].is_ours() {
            ours(self, at);
            return Ok(());
        }
        self.command(name, theirs)
    }

    fn command(&self, name: &str, which: fn(&Faults) -> &Vec<String>) -> Result<()> {
        let process = self.submission.process(name);
        self.run(process.map_or(&[][..], |process| which(&process.faults)))
    }

    fn run(&self, command: &[String]) -> Result<()> {
        let deadline = Instant::now() + self.submission.deadlines.start();
        let own = self.processes.iter().filter_map(Process::group).collect();
        process::run(command, &self.submission.directory, deadline, own)
    }

    /// Kills all processes at once.
    pub fn kill_all(&mut self) -> Result<()> {
        if self.processes.is_empty() {
            return Err(Error::invalid("the submission names no processes, so none can be killed"));
        }
        // First every signal, so that none of them notices the end of another.
        self.processes.iter().for_each(|process| process.signal(Signal::KILL));
        let names: Vec<String> = self.names().collect();
        names.iter().try_for_each(|name| self.kill(name))
    }

    /// Starts all processes, in their order.
    pub fn start_all(&mut self) -> Result<()> {
        let names: Vec<String> = self.names().collect();
        names.iter().try_for_each(|name| self.start(name))
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let names: Vec<_> =
            self.submission.processes().map(|process| process.name.clone()).collect();
        names.into_iter()
    }

    /// The replica that leads.
    pub fn leader(&mut self) -> Result<String> {
        let submission = self.submission;
        let asked = match &submission.leader {
            Leader::HighestId => None,
            Leader::Ask { url, at } => Some(self.ask_for_leader(url, at)?),
        };
        let up = || submission.replicas().filter(|replica| !self.down.contains(&replica.name));
        let id = asked.or_else(|| up().filter_map(|replica| replica.id).max());
        let leader = up().find(|replica| replica.id == id && id.is_some());
        let none = || Error::unavailable(format!("no replica that runs has the id {id:?}"));
        leader.map(|leader| leader.name.clone()).ok_or_else(none)
    }

    fn ask_for_leader(&mut self, url: &str, at: &str) -> Result<u64> {
        let url = self.expand(url, None)?;
        let (address, path) = split_url(&url)?;
        let deadline = Instant::now() + self.submission.deadlines.failover();
        loop {
            let within = self.submission.deadlines.answer();
            let answer = Client::new(address.as_str(), within).send("GET", &path, &[], b"");
            let id = answer
                .as_ref()
                .ok()
                .and_then(|answer| number_at(&serde_json::from_slice(&answer.body).ok()?, at));
            if let Some(id) = id {
                return Ok(id);
            }
            if Instant::now() > deadline || self.watch.reason().is_some() {
                let said = answer
                    .map_or_else(|e| e.to_string(), |a| String::from_utf8_lossy(&a.body).into());
                return Err(Error::unavailable(format!("{url} does not say who leads: {said}")));
            }
            std::thread::sleep(process::LOOK);
        }
    }

    /// Whether a process was killed or paused, and not started again.
    pub fn is_down(&self) -> bool {
        !self.down.is_empty()
    }

    /// A process that has ended although nobody killed it, and how.
    pub fn ended(&mut self) -> Vec<String> {
        let (down, mut found) = (&self.down, Vec::new());
        for process in &mut self.processes {
            let name = &process.recipe.name;
            if down.contains(name) {
                continue;
            }
            let name = name.clone();
            found.extend(process.ended().map(|status| format!("{name} ended: {status}")));
        }
        found
    }

    /// How many lines each process has written.
    pub fn line_counts(&self) -> Vec<usize> {
        self.processes.iter().map(|process| process.lines.count()).collect()
    }

    /// The last lines of each process since these counts, with its name.
    pub fn lines_since(&self, counts: &[usize], each: usize) -> Vec<String> {
        let mut found = Vec::new();
        for (at, process) in self.processes.iter().enumerate() {
            let since = counts.get(at).copied().unwrap_or(0);
            let lines = process.lines.last(since, each);
            found.extend(lines.iter().map(|line| format!("{}: {line}", process.recipe.name)));
            if process.lines.is_cut() {
                found.push(format!(
                    "{}: (earlier lines were dropped: it wrote too much)",
                    process.recipe.name
                ));
            }
        }
        found
    }

    /// The name of the first process with this role.
    pub fn named(&self, role: Role) -> Option<String> {
        self.submission.first(role).map(|process| process.name.clone())
    }
}

impl Drop for Store<'_> {
    fn drop(&mut self) {
        self.network.release();
        // In reverse order, so that none of them complains about the end of another it needs.
        (0..self.processes.len()).rev().for_each(|at| self.end(at));
        descendants::end_all();
        descendants::reap(&[]);
        self.processes.iter_mut().for_each(Process::join_readers);
        // What stays is in the system's directory for temporary files.
        fs::remove_dir_all(&self.copy).ok();
    }
}

/// The address and the path of a URL.
pub fn split_url(url: &str) -> Result<(String, String)> {
    let rest = url.strip_prefix("http://");
    let rest = rest.ok_or_else(|| Error::invalid(format!("{url} does not begin with http://")))?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    Ok((address, format!("/{path}")))
}

/// A socket that has a port, and does not listen: a connection to it is refused.
fn bound(port: u16) -> rustix::io::Result<OwnedFd> {
    let socket =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

fn fresh_directory() -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("grade-{:016x}", fastrand::u64(..)));
    fs::create_dir(&path).map_err(|e| Error::storage(&path, "cannot create it", e))?;
    Ok(path)
}

/// Copies what is in a directory. Links are copied as links.
fn copy(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    if let Some((uid, gid)) = owner {
        chown(to, Some(uid), Some(gid))?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if NOT_COPIED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, owner)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            if let Some((uid, gid)) = owner {
                chown(&target, Some(uid), Some(gid))?;
            }
        }
    }
    Ok(())
}

//! The end of a process: on request (SIGTERM, Ctrl-C, or the end of its parent), when its disk fails
//! ([`crash`]), or when one of its necessary threads panics ([`VitalThread`]). Used by every program.
//!
//! A signal handler writes a byte into a socket pair; a started process's standard input is a pipe
//! that its parent holds open and never writes to, so its end is the parent's end. [`Stop::wait`]
//! polls both. The byte is never read, so every later call of every thread returns true.

use crate::error::{Error, Result};
use crate::output;
use clap::ArgMatches;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use std::any::Any;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Whether this process has been asked to end.
pub struct Stop {
    /// Readable once a signal came.
    signalled: UnixStream,
    /// Whether the end of standard input counts.
    with_parent: bool,
}

impl Stop {
    /// Takes over SIGTERM and Ctrl-C; with `--exit-with-parent` among the `arguments` (a flag that
    /// [`crate::config::load`] gives to every program) also watches standard input.
    pub fn install(arguments: &ArgMatches) -> Result<Stop> {
        let watch = || -> io::Result<UnixStream> {
            let (signalled, handler) = UnixStream::pair()?;
            pipe::register(SIGTERM, handler.try_clone()?)?;
            pipe::register(SIGINT, handler)?;
            Ok(signalled)
        };
        let signalled =
            watch().map_err(|e| Error::unavailable(format!("cannot watch for signals: {e}")))?;
        Ok(Stop { signalled, with_parent: arguments.get_flag("exit-with-parent") })
    }

    /// The exit code of a program that was interrupted, as shells know it: 128 and the number of SIGINT.
    pub const INTERRUPTED: u8 = 130;

    /// Restores the default: from now on SIGTERM and Ctrl-C end the process at once.
    pub fn let_signals_end(&self) {
        for signal in [SIGTERM, SIGINT] {
            // It can fail only for signals that have no handler, such as SIGKILL.
            flag::register_conditional_default(signal, Arc::new(AtomicBool::new(true))).ok();
        }
    }

    /// Waits until the process is asked to end, at most for `timeout`. Returns whether it was asked.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.poll(left) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Polls once. It may return early, as every poll may.
    fn poll(&self, timeout: Duration) -> bool {
        let stdin = io::stdin();
        let mut watched = vec![PollFd::new(&self.signalled, PollFlags::IN)];
        if self.with_parent {
            watched.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let timeout = Timespec::try_from(timeout).ok();
        if poll(&mut watched, timeout.as_ref()).is_err() {
            return false;
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        // Bytes on standard input are ignored; zero bytes mean that it is closed.
        ready[0] || (ready.get(1) == Some(&true) && is_at_end(&mut stdin.lock()))
    }
}

/// Reads some bytes. Returns whether the input is closed.
fn is_at_end(input: &mut impl Read) -> bool {
    match input.read(&mut [0; 1024]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != io::ErrorKind::Interrupted,
    }
}

/// Ends the process because its disk failed: data in memory may not reach the disk any more, and a failed
/// sync is never retried. The other services keep running. If several threads find it, one says so.
pub fn crash(error: &Error) -> ! {
    static FIRST: Mutex<()> = Mutex::new(());
    let _until_the_end = FIRST.lock();
    tracing::error!("{error}; this process ends");
    // The last lines of the log may be lost when the process exits. This line is written before.
    output::complain(format!("{error}; this process ends"));
    process::exit(3)
}

/// A thread that its process needs. If it panics, the process ends, and other processes replace it. Dropping
/// it joins it, so its owner must first tell it to end.
#[must_use = "dropping it waits for its end"]
pub struct VitalThread(Option<JoinHandle<()>>);

impl VitalThread {
    /// Starts a thread of this name.
    pub fn start(
        name: impl Into<String>,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<VitalThread> {
        let name = name.into();
        let run = {
            let name = name.clone();
            move || vital(&name, body)
        };
        match thread::Builder::new().name(name.clone()).spawn(run) {
            Ok(thread) => Ok(VitalThread(Some(thread))),
            Err(e) => Err(Error::unavailable(format!("cannot start the thread {name}: {e}"))),
        }
    }
}

impl Drop for VitalThread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A panic has ended the process.
            thread.join().ok();
        }
    }
}

/// Runs the body of the thread of this name. A panic in it ends the process.
pub fn vital<T>(name: &str, body: impl FnOnce() -> T) -> T {
    let run = || {
        if let Some(file) =
            PANIC.get().and_then(|thread| thread.strip_prefix(name)?.strip_prefix('@'))
        {
            panic_when_file_exists(Path::new(file));
        }
        body()
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic_text(&*panic);
        output::complain(format!("the thread {name} panicked: {text}; this process ends"));
        process::exit(4)
    })
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// The panic that tests ask for with `--panic-thread=<name>@<file>`.
static PANIC: OnceLock<String> = OnceLock::new();

/// Sets the panic for tests. `thread` is `<name>@<file>`: the thread of this name waits until the file exists, then
/// panics instead of its work.
pub(crate) fn panic_in(thread: &str) {
    PANIC.get_or_init(|| thread.to_owned());
}

fn panic_when_file_exists(file: &Path) {
    while !file.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    panic!("requested by --panic-thread");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, Command};

    #[test]
    fn a_signal_asks_every_waiter_for_ever() {
        let flag = Arg::new("exit-with-parent").long("exit-with-parent").action(ArgAction::SetTrue);
        let arguments = Command::new("test").arg(flag).get_matches_from(["test"]);
        let stop = Stop::install(&arguments).expect("signals");
        assert!(!stop.wait(Duration::ZERO), "nobody asked");
        std::thread::scope(|scope| {
            let waiters = [(); 2].map(|()| scope.spawn(|| stop.wait(Duration::from_secs(60))));
            signal_hook::low_level::raise(SIGTERM).expect("a signal");
            assert!(waiters.into_iter().all(|waiter| waiter.join().expect("no panic")));
        });
        assert!(stop.wait(Duration::ZERO), "asked once is asked for ever");
    }

    #[test]
    fn bytes_on_standard_input_do_not_end_it() {
        assert!(!is_at_end(&mut &b"x"[..]));
        assert!(is_at_end(&mut io::empty()));
    }
}

//! Servers that are not of this crate, started for a measurement: they end with the program that
//! measures, however it ends.

use crate::support::{finish, signal};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server that runs until this is dropped.
pub struct Running(Child);

impl Running {
    /// Starts `program` and waits until it accepts connections at `address`. What it says goes to `log`.
    /// An error if it is not installed, or ends.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        address: &str,
        log: &Path,
    ) -> io::Result<Running> {
        let log = File::create(log)?;
        // `setsid` gives it a session of its own, as the store's services have. `setpriv` is replaced by the
        // program, which the kernel ends should this process be killed.
        let mut command = Command::new("setsid");
        command.args(["setpriv", "--pdeathsig", "TERM"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut running = Running(command.spawn()?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.0.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal(&self.0, Signal::TERM);
            finish(&mut self.0);
        }
    }
}

/// A program of `lab/benches/peers`, if it was built.
pub fn peer(name: &str) -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/target/release");
    Some(built.join(name)).filter(|path| path.exists())
}

/// An address that was free just now.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").to_string()
}

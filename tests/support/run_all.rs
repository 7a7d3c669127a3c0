//! `run-all` for one test: it starts a whole store.

use super::{Cluster, wait_until};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

/// `run-all`, and a file with its output.
pub struct RunAll {
    pub process: Child,
    said: PathBuf,
}

impl RunAll {
    pub fn start(store: &Cluster, arguments: &[&str]) -> RunAll {
        let said = store.path("run-all.log");
        let stdout = File::create(&said).expect("a file");
        let mut command = store.program("run-all");
        command.args(arguments).arg("--exit-with-parent").stdin(Stdio::piped()).stdout(stdout);
        RunAll::spawn(command, said)
    }

    /// Starts it by this command, which must write its output to the file.
    pub fn spawn(mut command: Command, said: PathBuf) -> RunAll {
        let mut run_all = RunAll { process: command.spawn().expect("a process"), said };
        run_all.wait_until_said("the store is open at http://");
        run_all
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("a file")
    }

    pub fn wait_until_said(&mut self, text: &str) {
        wait_until(text, || {
            let ended = self.process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{ended:?}: {}", self.said());
            self.said().contains(text)
        });
    }

    /// Host and port of the cluster page, and its path: `/` and the token.
    pub fn page(&mut self) -> (String, String) {
        let before = "the cluster page is at http://";
        self.wait_until_said(before);
        let said = self.said();
        let (_, url) = said.split_once(before).expect("just seen");
        let (address, rest) = url.split_once('/').expect("a path");
        let (token, _) = rest.split_once('/').expect("it ends in a slash");
        (address.to_owned(), format!("/{token}"))
    }

    /// The first number after a text in its output.
    pub fn number_after(&self, text: &str) -> i32 {
        let said = self.said();
        let (_, rest) = said.split_once(text).unwrap_or_else(|| panic!("{text} in {said}"));
        let digits = rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        digits.parse().expect("a number")
    }
}

impl Drop for RunAll {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
        if thread::panicking() {
            eprintln!("--- run-all:\n{}", self.said());
        }
    }
}

//! One PostgreSQL with Debian's defaults (`synchronous_commit = on`, no replica), and its own load generator, pgbench.
//!
//! A transaction is what a purchase does: take one toy of ten from the stock, if there is one, and insert an order.
//! Both are one prepared statement, so a transaction takes one round trip and one sync.

use super::other::{Running, free_address};
use super::{ROUND, Writes};
use rustix::process::geteuid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};
use toystore::address;

const SCHEMA: &str = "CREATE TABLE toys (id int PRIMARY KEY, name text, price int, quantity int);
    CREATE TABLE orders (number bigserial PRIMARY KEY, toy int NOT NULL, quantity int NOT NULL);
    INSERT INTO toys SELECT n, 'Toy ' || n, 1990, 1000000000 FROM generate_series(1, 10) n;";
const PURCHASE: &str = "\\set toy random(1, 10)
WITH sold AS (UPDATE toys SET quantity = quantity - 1 WHERE id = :toy AND quantity >= 1 RETURNING id)
INSERT INTO orders (toy, quantity) SELECT id, 1 FROM sold;
";

/// How long PostgreSQL may take to start.
const START_MAX: Duration = Duration::from_secs(20);

pub struct Postgres {
    programs: PathBuf,
    address: String,
    script: PathBuf,
    _server: Running,
}

impl Postgres {
    /// An error says what is not installed.
    pub fn start(directory: &Path) -> io::Result<Postgres> {
        let programs = programs()?;
        let data = directory.join("postgres");
        fs::create_dir(&data)?;
        if geteuid().is_root() {
            // PostgreSQL does not run as root.
            open_to_all(directory)?;
            run(Command::new("chown").arg("postgres").arg(&data))?;
        }
        let place = data.display().to_string();
        let mut init = as_its_user(programs.join("initdb"));
        run(init
            .args(["--auth=trust", "--username=postgres", "--pgdata", &place])
            .current_dir("/"))?;
        let address = free_address();
        let (host, port) = address::parts(&address);
        let server = as_its_user(programs.join("postgres"));
        let mut arguments: Vec<&str> = server.get_args().filter_map(|word| word.to_str()).collect();
        arguments.extend(["-D", &place, "-h", host, "-p", port, "-c", "unix_socket_directories="]);
        arguments.extend(["-c", "max_connections=300"]);
        let log = directory.join("postgres.log");
        let server = Running::start(server.get_program(), &arguments, &address, &log)?;
        let script = directory.join("purchase.sql");
        fs::write(&script, PURCHASE)?;
        let postgres = Postgres { programs, address, script, _server: server };
        // It takes connections before it answers them.
        let until = Instant::now() + START_MAX;
        while run(&mut postgres.client("pg_isready")).is_err() && Instant::now() < until {
            thread::sleep(Duration::from_millis(100));
        }
        run(postgres.client("psql").args(["-q", "-c", SCHEMA]))?;
        Ok(postgres)
    }

    /// One round of purchases.
    pub fn sell(&self, clients: usize) -> Writes {
        let directory = tempfile::tempdir().expect("a directory");
        let mut pgbench = self.client("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-j", "2", "-l", "-f"]).arg(&self.script);
        pgbench.args(["-c", &clients.to_string(), "-T", &ROUND.as_secs().to_string()]);
        let output = run(pgbench.current_dir(directory.path()))
            .unwrap_or_else(|error| panic!("pgbench: {error}"));
        let said = String::from_utf8_lossy(&output.stdout);
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let per_second = rate.unwrap_or_else(|| panic!("pgbench printed no rate:\n{said}"));
        let mut micros = latencies(directory.path()).expect("pgbench wrote its logs");
        micros.sort_unstable();
        let [p50, p99] =
            [50, 99].map(|percent| Duration::from_micros(micros[micros.len() * percent / 100]));
        Writes { per_second, p50, p99 }
    }

    /// A client program, in a session of its own.
    fn client(&self, program: &str) -> Command {
        let (host, port) = address::parts(&self.address);
        let mut command = Command::new("setsid");
        command.arg(self.programs.join(program)).args(["-h", host, "-p", port, "-U", "postgres"]);
        command.env("PGDATABASE", "postgres");
        command
    }
}

/// The latency of each transaction, µs: the third column of pgbench's logs.
fn latencies(directory: &Path) -> io::Result<Vec<u64>> {
    let mut all = Vec::new();
    for file in fs::read_dir(directory)? {
        let text = fs::read_to_string(file?.path())?;
        all.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()));
    }
    Ok(all)
}

/// The directory of the newest PostgreSQL's programs, where Debian puts them.
fn programs() -> io::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let complete = versions
        .map(|version| version.path().join("bin"))
        .filter(|path| path.join("pgbench").exists());
    let missing = "PostgreSQL (Debian: postgresql) is not installed";
    complete.max().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))
}

/// The command, as PostgreSQL's own user if this program runs as root.
fn as_its_user(program: PathBuf) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=TERM"])
        .arg(program);
    command
}

fn open_to_all(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

/// Runs it to its end; a failure is an error with its output.
fn run(command: &mut Command) -> io::Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

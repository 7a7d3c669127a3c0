//! The cached query beside the floor and beside others: `make bench-floor`, which builds the others first, or
//! `make bench-floor ARGS="10 64"` for these numbers of connections only, `ARGS="--with wrk"` for the load
//! of wrk instead of our own.
//!
//! The floor is a bare loop, a thread per connection that answers canned bytes on std sockets. It runs in
//! a process of its own, which is this program once more. The others do the same lookup on axum and on
//! actix-web (`benches/peers`); nginx answers a fixed string. Who is not there is left out.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use measure::load::Generator;
use measure::other::{Running, free_address, peer};
use measure::{ROUND, ROUNDS, Spread, Wanted, context_switches, float, judge, numbers, wanted};
use std::any::Any;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use support::{Cluster, Id};

/// What the floor and nginx answer, and the first that everyone is asked for.
const TOY: &str = r#"{"data":{"name":"Tux","price":19.9,"quantity":100}}"#;
/// The same for the list, with which our own generator begins.
const TOYS: &str = r#"{"data":[{"name":"Tux","price":19.9,"quantity":100}]}"#;

/// Somebody who answers queries.
struct Contestant {
    name: &'static str,
    address: String,
    /// The process that answers, if it is known.
    pid: Option<u32>,
    /// Runs as long as it is here.
    _server: Box<dyn Any>,
}

fn main() -> io::Result<()> {
    let Some(words) = wanted() else { return Ok(()) };
    if let [role, address] = &words[..]
        && role == "bare-loop"
    {
        return bare_loop(address);
    }
    let directory = tempfile::tempdir()?;
    let contestants = contestants(directory.path());
    let floor = answer(&contestants[0].address);
    for Contestant { name, address, .. } in &contestants {
        let answer = answer(address);
        assert!(answer.ends_with(TOY.as_bytes()), "{name}: {}", String::from_utf8_lossy(&answer));
        let more = answer.len().cast_signed() - floor.len().cast_signed();
        println!("{name:<26} at {address:<22} answers {more:+} bytes");
    }
    let generator = Generator::of(&words);
    for connections in numbers(&words, [1, 10, 64, 256, 1000]) {
        compare(&contestants, generator, connections);
    }
    Ok(())
}

/// All who are there; the floor comes first.
fn contestants(directory: &Path) -> Vec<Contestant> {
    let myself = std::env::current_exe().expect("it runs");
    let mut all = Vec::new();
    let mut start = |name, program: &OsStr, arguments: &[&str], address: &str| {
        let log = directory.join(format!("{name}.log"));
        match Running::start(program, arguments, address, &log) {
            Ok(server) => all.push(contestant(name, address, None, server)),
            Err(error) => println!("without {name}: {error}"),
        }
    };
    let address = free_address();
    start("bare loop", myself.as_os_str(), &["--bench", "bare-loop", &address], &address);
    for name in ["axum", "actix"] {
        let address = free_address();
        match peer(name) {
            Some(program) => start(name, program.as_os_str(), &[&address], &address),
            None => println!("without {name}: `make bench-floor` builds it"),
        }
    }
    let address = free_address();
    let settings = nginx_settings(directory, &address);
    start(NGINX, OsStr::new("nginx"), &["-c", &settings], &address);
    for (name, settings) in [
        (CACHED, &[ALL_TOYS][..]),
        (LOGGED, &[ALL_TOYS, "--frontend-access-log=true"]),
        (UNCACHED, &["--frontend-cache-capacity=0"]),
    ] {
        let store = Cluster::open(settings);
        let address = store.address(Id::Frontend).to_owned();
        let pid = store.pid(Id::Frontend);
        all.push(contestant(name, &address, Some(pid), store));
    }
    all
}

const ALL_TOYS: &str = "--frontend-cache-capacity=10";
const NGINX: &str = "nginx";
const CACHED: &str = "store";
const LOGGED: &str = "store, access log to file";
const UNCACHED: &str = "store, cache off";

fn contestant(name: &'static str, address: &str, pid: Option<u32>, server: impl Any) -> Contestant {
    Contestant { name, address: address.to_owned(), pid, _server: Box::new(server) }
}

/// Everyone in turns; each round begins with another.
fn compare(contestants: &[Contestant], generator: Generator, connections: usize) {
    println!(
        "\n{connections} connections, {ROUNDS} rounds of {ROUND:?} in turns, with {generator}"
    );
    let mut rates = vec![Vec::new(); contestants.len()];
    let mut switches = vec![Vec::new(); contestants.len()];
    for round in 0..ROUNDS {
        for turn in 0..contestants.len() {
            let who = (round + turn) % contestants.len();
            let Contestant { address, pid, .. } = &contestants[who];
            let before = pid.map(context_switches);
            let rate = generator.queries(address, connections, ROUND.as_secs());
            rates[who].push(rate);
            if let (Some(pid), Some(before)) = (*pid, before) {
                let during = float(context_switches(pid) - before);
                switches[who].push(during / (rate * ROUND.as_secs_f64()));
            }
        }
    }
    println!("  {:<26} {:>9}  {:<20}  switches/query", "", "median/s", "to the floor");
    for ((contestant, own), switches) in contestants.iter().zip(&rates).zip(&switches) {
        let (rate, ratio) =
            (Spread::of(own.iter().copied()).median, Spread::of_ratios(own, &rates[0]));
        let ratio = ratio.to_string();
        print!("  {:<26} {rate:>9.0}  {ratio:<20}", contestant.name);
        match switches[..] {
            [] => println!(),
            _ => println!("  {:.3}", Spread::of(switches.iter().copied()).median),
        }
    }
    let place = |name: &str| contestants.iter().position(|contestant| contestant.name == name);
    let judge_ratio = |one: &str, other: &str, target| {
        if let (Some(one_at), Some(other_at)) = (place(one), place(other)) {
            let ratio = Spread::of_ratios(&rates[one_at], &rates[other_at]);
            judge(&format!("{one} / {other}"), &ratio, target);
        }
    };
    judge_ratio(CACHED, NGINX, Wanted::AtLeast(1.0));
    judge_ratio(CACHED, "axum", Wanted::Above(1.0));
    judge_ratio(CACHED, "actix", Wanted::Above(1.0));
    judge_ratio(LOGGED, CACHED, Wanted::AtLeast(0.75));
    judge_ratio(UNCACHED, CACHED, Wanted::AtLeast(0.45));
}

/// One query's answer.
fn answer(address: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = b"GET /products/Tux HTTP/1.1\r\nHost: toystore\r\n\r\n";
    stream.write_all(request).expect("open");
    let mut answer = vec![0; 4096];
    let mut bytes = 0;
    while !answer[..bytes].ends_with(TOY.as_bytes()) {
        let more = stream.read(&mut answer[bytes..]).expect("an answer");
        assert!(more > 0, "{}", String::from_utf8_lossy(&answer));
        bytes += more;
    }
    answer.truncate(bytes);
    answer
}

/// The floor: reads something and answers always the same, which is as long as the store's answer.
fn bare_loop(address: &str) -> io::Result<()> {
    for stream in TcpListener::bind(address)?.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        let (toy, toys) = (canned(TOY), canned(TOYS));
        let session = move || {
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|bytes| bytes > 0)
                && stream
                    .write_all(if request.starts_with(b"GET /products ") { &toys } else { &toy })
                    .is_ok()
            {}
        };
        thread::Builder::new().spawn(session)?;
    }
    Ok(())
}

fn canned(body: &str) -> Vec<u8> {
    let bytes = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Debian's defaults, with files of its own, and connections that are kept and may be many. Returns the file.
fn nginx_settings(directory: &Path, address: &str) -> String {
    let root = directory.display();
    let settings = format!(
        "daemon off; worker_processes auto; worker_rlimit_nofile 16384; pid {root}/nginx.pid; error_log stderr;
         events {{ worker_connections 8192; }}
         http {{
             access_log off; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 300;
             client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
             uwsgi_temp_path {root}; scgi_temp_path {root}; default_type application/json;
             server {{
                 listen {address}; add_header Cache-Control no-store;
                 location / {{ return 200 '{TOY}'; }}
                 location = /products {{ return 200 '{TOYS}'; }}
             }}
         }}"
    );
    let path = directory.join("nginx.conf");
    fs::write(&path, settings).expect("a file");
    path.display().to_string()
}

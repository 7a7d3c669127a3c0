//! The cluster page and the commands of `run-all`: who may use them, and their results.

mod support;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use support::Id::{Catalog, Frontend};
use support::run_all::RunAll;
use support::{ALL, Cluster, Customer, PATIENCE, finish, own_host, signal, wait_for, wait_until};

/// A store with a cluster page, and its user.
struct Lesson {
    run_all: RunAll,
    store: Cluster,
    /// Host and port of the page.
    address: String,
    /// `/` and the token.
    token: String,
    http: Customer,
}

impl Lesson {
    fn begin() -> Lesson {
        let store = Cluster::closed(&[]);
        let listen = format!("--page-listen={}:0", own_host());
        let mut run_all = RunAll::start(&store, &["--page", &listen]);
        let (address, token) = run_all.page();
        let http = Customer::of(&address);
        Lesson { run_all, store, address, token, http }
    }

    fn state(&mut self) -> Value {
        let (status, mut body) = self.http.get(&format!("{}/state", self.token));
        assert_eq!(status, 200, "{body}");
        body["data"].take()
    }

    /// Sends a command; returns its result.
    fn command(&mut self, line: &str) -> (u16, String) {
        let target = format!("{}/commands", self.token);
        let (status, body) = self.http.send("POST", &target, &[], line.as_bytes());
        let said = if status == 200 { &body["data"] } else { &body["error"]["message"] };
        (status, said.as_str().expect("words").to_owned())
    }

    /// Sends a command that must succeed.
    fn done(&mut self, line: &str) -> String {
        let (status, said) = self.command(line);
        assert_eq!(status, 200, "{line}: {said}");
        said
    }

    /// The state of a service, as the page shows it.
    fn state_of(&mut self, name: &str) -> String {
        let state = self.state();
        let services = state["services"].as_array().expect("a list");
        let service = services.iter().find(|service| service["name"] == name).expect(name);
        service["state"].as_str().expect("a word").to_owned()
    }

    fn await_state(&mut self, name: &str, expected: &str) {
        wait_until(&format!("{name} is {expected}"), || self.state_of(name) == expected);
    }

    /// The leader, once there is one.
    fn leader(&mut self) -> String {
        wait_for("a leader", || {
            let state = self.state();
            let services = state["services"].as_array().expect("a list");
            let leader = services.iter().find(|service| service["state"] == "leader")?;
            leader["name"].as_str().map(str::to_owned)
        })
    }

    /// Sends a command for the leader, once there is one. Returns which replica that was.
    fn command_leader(&mut self, line: &str, expected: &str) -> String {
        wait_for(line, || {
            self.leader();
            let (status, said) = self.command(line);
            let (name, _) = said.split_once(expected)?;
            (status == 200).then(|| name.to_owned())
        })
    }

    /// Waits until the customers have this number of further orders.
    fn await_orders(&mut self, count: u64) {
        let mut orders = || self.state()["customers"]["orders"].as_u64().expect("a number");
        let before = orders();
        wait_until("orders", || orders() >= before + count);
    }

    fn await_event(&mut self, text: &str) {
        wait_until(text, || self.state()["events"].to_string().contains(text));
    }
}

/// Sends a request as it is, and returns the status.
fn raw(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}

#[test]
fn whoever_lacks_the_token_or_comes_from_elsewhere_is_refused() {
    let mut lesson = Lesson::begin();
    let (address, token) = (lesson.address.clone(), lesson.token.clone());
    let request = |method: &str, path: &str, headers: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
        )
    };
    let host = format!("Host: {address}\r\n");
    let origin = format!("{host}Origin: http://{address}\r\n");
    let foreign = format!("{host}Origin: http://evil.example\r\n");
    let neighbour = format!("{host}Origin: http://127.0.0.1:3000\r\n");
    let commands = format!("{token}/commands");
    for (method, path, headers, status) in [
        ("GET", format!("{token}/"), &host, 200),
        ("HEAD", format!("{token}/"), &host, 200),
        ("GET", token.clone(), &host, 308),
        ("GET", format!("{token}/state"), &host, 200),
        ("GET", format!("{token}/state?event=7"), &origin, 200),
        ("GET", format!("{token}/state?event=x"), &host, 400),
        ("GET", format!("{token}/nowhere"), &host, 404),
        ("GET", commands.clone(), &host, 405),
        ("POST", format!("{token}/state"), &host, 405),
        ("POST", commands.clone(), &origin, 400),
        // Without the token.
        ("GET", "/".to_owned(), &host, 403),
        ("GET", "/state".to_owned(), &host, 403),
        ("POST", "/commands".to_owned(), &host, 403),
        ("POST", "/0000000000000000/commands".to_owned(), &host, 403),
        ("GET", format!("/x{token}/state"), &host, 403),
        // With the token, from another origin or host.
        ("GET", format!("{token}/"), &"Host: evil.example\r\n".to_owned(), 403),
        ("POST", commands.clone(), &"Host: evil.example:8080\r\n".to_owned(), 403),
        ("POST", commands.clone(), &foreign, 403),
        ("POST", commands, &neighbour, 403),
        ("GET", format!("{token}/state"), &foreign, 403),
    ] {
        assert_eq!(
            raw(&address, &request(method, &path, headers)),
            status,
            "{method} {path} {headers}"
        );
    }
    // The page is at no other address of the store.
    for id in ALL {
        let mut customer = lesson.store.customer(id);
        for path in ["/state".to_owned(), format!("{token}/state"), format!("{token}/")] {
            assert_eq!(customer.get(&path).0, 404, "{id:?} {path}");
        }
        for path in ["/commands".to_owned(), format!("{token}/commands")] {
            assert_eq!(customer.send("POST", &path, &[], b"crash 3").0, 404, "{id:?} {path}");
        }
    }
    // Nothing was crashed.
    lesson.await_state("order 3", "leader");
}

#[test]
fn a_page_that_others_could_reach_is_not_opened() {
    let store = Cluster::closed(&[]);
    for address in ["0.0.0.0:0", "[::]:0"] {
        let mut command = store.program("run-all");
        command.args(["--page", &format!("--page-listen={address}")]);
        let output = command.stderr(Stdio::piped()).output().expect("a process");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("expected a loopback address"), "{said}");
    }
}

#[test]
fn the_address_of_a_page_that_is_not_shown_is_free() {
    let mut store = Cluster::closed(&[]);
    let page = format!("--page-listen={}", store.address(Frontend));
    store.start_with(Frontend, &[&page]);
    store.close();

    let run_all = |more: &str| {
        let mut command = store.program("run-all");
        command.args([&*page, more]).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let refused = run_all("--page").output().expect("a process");
    let said = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("frontend needs it; --page-listen sets another address"), "{said}");
    let mut opened = RunAll::start(&store, &[&page, "--no-page"]);
    signal(&opened.process, Signal::TERM);
    assert_eq!(finish(&mut opened.process).code(), Some(0));
    let mut terminal = Terminal::open(&store, &[&page]);
    terminal.run_all.wait_until_said("commands: ");
    assert!(terminal.run_all.said().contains("no cluster page: "), "{}", terminal.run_all.said());
    terminal.enter("quit");
    terminal.close();
}

#[test]
fn without_a_terminal_there_is_no_page() {
    let store = Cluster::closed(&[]);
    let run_all = RunAll::start(&store, &[]);
    store.leader();
    assert!(!run_all.said().contains("the cluster page is at"), "{}", run_all.said());
    assert!(!run_all.said().contains("commands: "), "{}", run_all.said());
}

#[test]
fn the_whole_lesson_can_be_given_by_commands() {
    let mut lesson = Lesson::begin();
    lesson.await_state("order 1", "in_sync");
    assert_eq!(lesson.done("customers 3"), "customers: 3");
    lesson.await_orders(20);
    wait_until("a sample with queries", || {
        let state = lesson.state();
        let samples = state["samples"].as_array().expect("a list");
        samples.iter().any(|sample| sample["query"]["p50_ms"].as_f64() > Some(0.0))
    });

    let crashed = lesson.command_leader("crash leader", " crashed (kill -9 ");
    let id = crashed.trim_start_matches("order ");
    lesson.await_state(&crashed, "down");
    let leader = lesson.leader();
    lesson.await_event(&format!("{crashed} crashed"));
    lesson.await_event(&format!("replica {id} is down; epoch "));
    lesson.await_orders(20);
    let refused = (400, format!("{crashed} is not running; start it first"));
    assert_eq!(lesson.command(&format!("crash {id}")), refused);
    assert_eq!(lesson.command(&format!("pause {id}")), refused);
    let refused = (400, format!("{leader} is already running"));
    assert_eq!(lesson.command(&format!("start {leader}")), refused);

    let said = lesson.done(&format!("start {id}"));
    assert!(said.starts_with(&format!("{crashed} started, pid ")), "{said}");
    lesson.await_event(" missing orders from replica ");
    lesson.await_state(&crashed, "in_sync");
    assert_eq!(lesson.done("customers 0"), "customers: 0");
    wait_until("all logs are the same, on the page and by the byte", || {
        let files = [1, 2, 3].map(|id| {
            let file = lesson.store.path(&format!("order-{id}/orders.csv"));
            fs::read_to_string(file).expect("a log")
        });
        let last = files[0].lines().count() - 1;
        let state = lesson.state();
        let services = state["services"].as_array().expect("a list");
        let logs: Vec<_> = services.iter().map(|service| &service["log"]).collect();
        let logs = &logs[1..4];
        files.iter().all(|file| *file == files[0])
            && logs
                .iter()
                .all(|log| log["last"] == last && log["last_epoch"] == logs[0]["last_epoch"])
    });
    assert_eq!(lesson.state()["customers"]["failed"], 0, "nobody noticed");
}

#[test]
fn a_paused_service_does_nothing_until_it_is_resumed() {
    let mut lesson = Lesson::begin();
    let paused = lesson.command_leader("pause leader", " paused (kill -STOP ");
    lesson.await_state(&paused, "paused");
    let leader = lesson.leader();
    let refused = (400, format!("{paused} is already paused"));
    assert_eq!(lesson.command(&format!("pause {paused}")), refused);
    let refused = (400, format!("{leader} is not paused"));
    assert_eq!(lesson.command(&format!("continue {leader}")), refused);
    assert_eq!(lesson.store.customer(Frontend).buy_one("Tux"), 1);
    let said = lesson.done(&format!("continue {paused}"));
    assert!(said.starts_with(&format!("{paused} resumed")), "{said}");
    lesson.await_state(&paused, "in_sync");
    // A paused service is closed like every other.
    lesson.done("pause 1");
    signal(&lesson.run_all.process, Signal::TERM);
    assert_eq!(finish(&mut lesson.run_all.process).code(), Some(0));
    assert!(
        lesson.run_all.said().contains("order 1  ended: exit code 0"),
        "{}",
        lesson.run_all.said()
    );
}

#[test]
fn a_slow_database_is_slow_until_it_is_not() {
    let mut lesson = Lesson::begin();
    lesson.await_state("order 3", "leader");
    for (line, said, delay_ms) in [
        ("slow on", "the artificial delay is on", 200),
        ("slow off", "the artificial delay is off", 0),
    ] {
        assert_eq!(lesson.done(line), said);
        wait_until(said, || lesson.state()["delay_ms"] == delay_ms);
    }
    assert!(lesson.done("crash catalog").starts_with("catalog crashed"));
    assert_eq!(lesson.command("slow on"), (400, "catalog is not running; start it first".into()));
    lesson.done("start catalog");
    lesson.await_state("catalog", "up");
    assert_eq!(lesson.store.customer(Catalog).get("/health").0, 200);
}

/// `run-all` at a terminal, and its user.
struct Terminal {
    run_all: RunAll,
    keyboard: File,
    /// Copies the terminal's output into a file, until the terminal is closed.
    display: JoinHandle<io::Result<u64>>,
}

impl Terminal {
    fn open(store: &Cluster, arguments: &[&str]) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("it is ours");
        let name = ptsname(&keyboard, Vec::new()).expect("it has a name");
        let name = name.to_str().expect("a path");
        let screen = OpenOptions::new().read(true).write(true).open(name).expect("a terminal");
        let screens = [(); 2].map(|()| screen.try_clone().expect("a descriptor"));
        let [stdin, stdout] = screens;
        let mut command = store.program("run-all");
        command.args(arguments).env("NO_COLOR", "1").stdin(stdin).stdout(stdout).stderr(screen);

        let said = store.path("terminal.log");
        let mut log = File::create(&said).expect("a file");
        let keyboard = File::from(keyboard);
        let mut shown = keyboard.try_clone().expect("a descriptor");
        let display = thread::Builder::new().name("display".into());
        let display = display.spawn(move || io::copy(&mut shown, &mut log)).expect("a thread");
        Terminal { run_all: RunAll::spawn(command, said), keyboard, display }
    }

    fn enter(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("a terminal");
    }

    /// Waits for the end; returns the output until then.
    fn close(mut self) -> String {
        assert_eq!(finish(&mut self.run_all.process).code(), Some(0));
        // Reading a closed terminal fails; here only the end matters.
        self.display.join().expect("no panic").ok();
        self.run_all.said()
    }
}

#[test]
fn a_terminal_takes_the_same_commands() {
    let store = Cluster::closed(&[]);
    // The page's address is taken: the store opens nevertheless.
    let taken = TcpListener::bind((own_host(), 0)).expect("a free port");
    let page = format!("--page-listen={}", taken.local_addr().expect("bound"));
    let mut terminal = Terminal::open(&store, &[&page]);
    terminal.run_all.wait_until_said("commands: crash 3, start 3, customers 5, status, help, quit");
    let said = terminal.run_all.said();
    assert!(said.contains("no cluster page: cannot listen on"), "{said}");
    wait_until("a leader", || {
        terminal.enter("status");
        terminal.run_all.said().contains("leader ★")
    });
    for (typed, expected) in [
        ("crash 3", "order 3 crashed (kill -9 "),
        ("crash 3", "order 3 is not running; start it first"),
        ("start 3", "order 3 started, pid "),
        ("pause 2", "order 2 paused"),
        ("continue 2", "order 2 resumed"),
        ("jump", "unknown command \"jump\"; help lists all commands"),
        ("help", "close the store; Ctrl-C does the same"),
    ] {
        terminal.enter(typed);
        terminal.run_all.wait_until_said(expected);
    }
    terminal.enter("quit");
    terminal.close();
}

#[test]
fn a_terminal_that_wants_no_page_has_no_commands_either() {
    let store = Cluster::closed(&[]);
    let mut terminal = Terminal::open(&store, &["--no-page"]);
    terminal.run_all.wait_until_said("Ctrl-C closes the store");
    terminal.enter("quit");
    terminal.enter("crash 3");
    assert_eq!(store.leader(), 3);
    signal(&terminal.run_all.process, Signal::TERM);
    let said = terminal.close();
    assert!(!said.contains("the cluster page is at") && !said.contains("is crashed"), "{said}");
}

//! The server and its callers over real sockets: which clients are served when there are too many, slow,
//! or silent ones, or when a request panics.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use parking_lot::Mutex;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use toystore::config::Config;
use toystore::error::Error;
use toystore::net::frame::{self, FRAME_BYTES_MAX, Frames};
use toystore::net::{Caller, Limits, Progress, Protocol, Resolver, Rpc, Server, Target};

/// Much longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A protocol that answers each line with itself. Some lines do something else first.
#[derive(Default)]
struct Lines {
    /// The events that are not answers.
    events: Mutex<Vec<&'static str>>,
    /// Lines that say `block` or `later` wait for this; `block` with a thread, `later` without.
    is_open: AtomicBool,
    /// Since when the request that said `queued` waited for a thread.
    queued: Mutex<Option<Instant>>,
    /// The sessions that wait without a thread.
    waiting: Mutex<Vec<Waker>>,
}

impl Lines {
    /// From now on all answers are ready.
    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        self.waiting.lock().drain(..).for_each(Waker::wake);
    }
}

impl Protocol for Lines {
    type Session = Waker;

    fn open(&self, _: Caller, waker: Waker) -> Waker {
        waker
    }

    fn serve(
        &self,
        waker: &mut Waker,
        input: &[u8],
        output: &mut Vec<u8>,
        queued: Option<Instant>,
    ) -> Progress {
        assert!(!input.is_empty());
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            return Progress::NeedMore;
        };
        let line = str::from_utf8(&input[..end]).unwrap();
        let (word, number) = line.split_once(' ').unwrap_or((line, "0"));
        if matches!(word, "later" | "woken" | "until") && !self.is_open.load(Ordering::SeqCst) {
            let mut until = Instant::now() + 2 * PATIENCE;
            match word {
                "later" => self.waiting.lock().push(waker.clone()),
                // Before it waits.
                "woken" => {
                    self.is_open.store(true, Ordering::SeqCst);
                    waker.wake_by_ref();
                }
                _ => {
                    self.is_open.store(true, Ordering::SeqCst);
                    until = Instant::now() + Duration::from_millis(20);
                }
            }
            return Progress::Later { until };
        }
        output.extend_from_slice(&input[..=end]);
        match word {
            "sleep" => thread::sleep(Duration::from_millis(number.parse().unwrap())),
            "big" => output.resize(output.len() + number.parse::<usize>().unwrap(), b'.'),
            "block" => {
                self.events.lock().push("blocked");
                wait_until(|| self.is_open.load(Ordering::SeqCst));
            }
            "queued" => *self.queued.lock() = queued,
            "panic" => panic!("as asked"),
            "bye" => return Progress::Close,
            _ => {}
        }
        Progress::Served { bytes: end + 1 }
    }

    fn expired(&self, _: &mut Waker, output: &mut Vec<u8>) {
        self.events.lock().push("expired");
        output.extend_from_slice(b"too slow\n");
    }

    fn panicked(&self, _: &mut Waker, output: &mut Vec<u8>) {
        self.events.lock().push("panicked");
        output.extend_from_slice(b"sorry\n");
    }
}

fn start(limits: Limits) -> (Server, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    (Server::start("lines", "127.0.0.1:0", Arc::clone(&lines), limits).unwrap(), lines)
}

fn with_threads(threads: usize) -> Limits {
    Limits { threads, ..Limits::default() }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never happened");
        thread::sleep(Duration::from_millis(2));
    }
}

fn connect(server: &Server) -> TcpStream {
    connect_to(server.address())
}

fn connect_to(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn read_bytes(mut client: &TcpStream, bytes: usize) -> String {
    let mut answer = vec![0; bytes];
    client.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn read_to_end(mut client: &TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends lines and compares the answers.
fn echo(mut client: &TcpStream, line: &str) {
    writeln!(client, "{line}").unwrap();
    assert_eq!(read_bytes(client, line.len() + 1), format!("{line}\n"));
}

#[test]
fn requests_sent_together_are_answered_in_order_and_with_one_write() {
    let (server, _) = start(with_threads(1));
    let mut client = connect(&server);
    // If the first answer were written alone, this sleep would let the client read it alone.
    let requests = "first\nsleep 50\nlast\n";
    client.write_all(requests.as_bytes()).unwrap();
    let mut answer = [0; 100];
    let bytes = client.read(&mut answer).unwrap();
    assert_eq!(str::from_utf8(&answer[..bytes]).unwrap(), requests);
}

/// Purchases that wait must not hold the threads.
#[test]
fn answers_that_come_later_hold_no_thread_and_stay_in_order() {
    let (server, lines) = start(with_threads(1));
    let waiting: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    for mut client in &waiting {
        client.write_all(b"before\nlater\nbehind\n").unwrap();
        assert_eq!(read_bytes(client, 7), "before\n", "it is not held up by the one after it");
    }
    wait_until(|| lines.waiting.lock().len() == waiting.len());
    echo(&connect(&server), "meanwhile");
    lines.open();
    for client in &waiting {
        assert_eq!(read_bytes(client, 13), "later\nbehind\n");
        echo(client, "another");
    }
}

#[test]
fn a_session_is_served_again_if_it_was_woken_before_it_waited_and_at_its_deadline() {
    for line in ["woken", "until"] {
        let (server, _) = start(with_threads(1));
        let client = connect(&server);
        echo(&client, line);
        echo(&client, line);
    }
}

#[test]
fn a_client_that_leaves_before_its_answer_leaves_nothing_behind() {
    let (server, lines) = start(with_threads(1));
    let mut client = connect(&server);
    client.write_all(b"later\n").unwrap();
    wait_until(|| server.gauges().parked == 1);
    drop(client);
    lines.open();
    wait_until(|| server.gauges().open == 0);
}

/// A client that waits for its answer gets it when the server stops, if that does not take long.
#[test]
fn stopping_waits_for_answers_that_come_later() {
    let (server, lines) = start(with_threads(1));
    let mut client = connect(&server);
    client.write_all(b"later\n").unwrap();
    wait_until(|| server.gauges().parked == 1);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop());
        let address = client.peer_addr().unwrap();
        wait_until(|| TcpStream::connect(address).is_err());
        lines.open();
        assert_eq!(read_to_end(&client), "later\n");
        stopping.join().unwrap();
    });
}

#[test]
fn a_thread_per_request_keeps_no_thread_between_them() {
    let patience = Limits { stay: PATIENCE, ..with_threads(2) };
    let (server, _) = start(Limits { stays: false, ..patience.clone() });
    let client = connect(&server);
    for line in ["first", "second"] {
        echo(&client, line);
        wait_until(|| server.gauges().parked == 1);
    }
    let (server, _) = start(patience);
    let client = connect(&server);
    echo(&client, "first");
    echo(&client, "second");
    // A thread that has not started to wait for work yet counts as busy.
    wait_until(|| (server.gauges().parked, server.gauges().busy) == (0, 1));
}

/// Otherwise each of the calls that services make at intervals would wake three threads.
#[test]
fn no_thread_stays_with_a_connection_whose_last_request_came_after_a_longer_silence() {
    let stay = Duration::from_secs(1);
    let (server, _) = start(Limits { stay, ..with_threads(2) });
    let client = connect(&server);
    let parks_soon = |line| {
        let asked = Instant::now();
        echo(&client, line);
        let answered = Instant::now();
        wait_until(|| server.gauges().parked == 1);
        let is_soon = asked.elapsed() < stay;
        // The kernel may end a read a tick before its time: the silence has to be longer than that.
        wait_until(|| answered.elapsed() > stay);
        is_soon
    };
    parks_soon("a thread stays after this");
    // With a thread that stays, each of these takes longer. Without one, a busy machine may make some of them slow.
    let lines = ["and not after this", "nor this", "nor this one", "nor the last"];
    assert!(lines.into_iter().any(parks_soon));
}

#[test]
fn requests_are_found_however_they_are_cut() {
    let (server, _) = start(Limits { stay: Duration::from_millis(1), ..with_threads(2) });
    let requests = (0..2000).map(|n| format!("line {}\n", n * n)).collect::<Vec<_>>().concat();
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let client = connect(&server);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut rest = requests.as_bytes();
                while !rest.is_empty() {
                    let bytes = random.usize(1..=rest.len().min(700));
                    (&client).write_all(&rest[..bytes]).unwrap();
                    rest = &rest[bytes..];
                    if random.u8(..) < 8 {
                        thread::sleep(Duration::from_millis(3));
                    }
                }
            });
            assert_eq!(read_bytes(&client, requests.len()), requests, "seed {seed}");
        });
    }
}

#[test]
fn half_a_request_then_close_is_no_error() {
    let (server, lines) = start(with_threads(1));
    let mut client = connect(&server);
    client.write_all(b"hal").unwrap();
    wait_until(|| server.gauges().parked == 1);
    drop(client);
    wait_until(|| server.gauges().open == 0);
    echo(&connect(&server), "the next");
    assert!(lines.events.lock().is_empty());
}

#[test]
fn a_slow_sender_is_cut_off_with_last_words_and_delays_nobody() {
    for trickles in [true, false] {
        let limits = Limits { request_deadline: Duration::from_millis(300), ..with_threads(1) };
        let (server, lines) = start(limits);
        let slow = connect(&server);
        (&slow).write_all(b"never").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                // Faster than a thread gives up waiting for it.
                while trickles && (&slow).write_all(b".").is_ok() && lines.events.lock().is_empty()
                {
                    thread::sleep(Duration::from_millis(4));
                }
            });
            let other = connect(&server);
            for _ in 0..20 {
                echo(&other, "quick");
            }
            assert_eq!(read_to_end(&slow), "too slow\n", "trickles: {trickles}");
        });
        assert_eq!(*lines.events.lock(), ["expired"]);
    }
}

#[test]
fn an_idle_connection_is_closed_at_its_deadline() {
    let limits = Limits { idle_deadline: Duration::from_millis(200), ..with_threads(1) };
    let (server, lines) = start(limits);
    let client = connect(&server);
    echo(&client, "once");
    assert_eq!(read_to_end(&client), "");
    assert!(lines.events.lock().is_empty());
}

#[test]
fn more_clients_than_threads_all_make_progress() {
    for turn_requests_max in [1, 64] {
        let (server, _) = start(Limits { turn_requests_max, ..with_threads(2) });
        thread::scope(|scope| {
            for number in 0..50 {
                let client = connect(&server);
                scope.spawn(move || {
                    for round in 0..20 {
                        echo(&client, &format!("{number} in {round}"));
                    }
                });
            }
        });
        wait_until(|| server.gauges().open == 0);
    }
}

#[test]
fn a_session_that_never_falls_silent_starves_nobody() {
    for turn_requests_max in [1, 64] {
        let (server, _) = start(Limits { turn_requests_max, ..with_threads(1) });
        let greedy = connect(&server);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let many = "more\n".repeat(10_000);
                while !is_over.load(Ordering::SeqCst) {
                    (&greedy).write_all(many.as_bytes()).unwrap();
                }
                greedy.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let reader = scope.spawn(|| read_to_end(&greedy));
            let modest = connect(&server);
            for _ in 0..20 {
                echo(&modest, "one");
            }
            is_over.store(true, Ordering::SeqCst);
            let answers = reader.join().unwrap();
            assert_eq!(answers, "more\n".repeat(answers.len() / 5));
        });
    }
}

#[test]
fn idle_connections_outnumbering_the_threads_cost_no_thread() {
    let (server, _) = start(with_threads(2));
    let idle: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    wait_until(|| server.gauges().parked == 200 && server.gauges().busy == 0);
    echo(&connect(&server), "new");
    for client in &idle {
        echo(client, "old");
    }
}

#[test]
fn a_client_that_never_reads_holds_no_thread() {
    const BYTES: usize = 20 << 20;
    // A write that waits for room would wait for so long.
    let (server, _) = start(Limits { stay: 2 * PATIENCE, ..with_threads(1) });
    let unwilling = connect(&server);
    writeln!(&unwilling, "big {BYTES}\nand more").unwrap();
    wait_until(|| server.gauges().parked == 1);
    let other = connect(&server);
    for _ in 0..20 {
        echo(&other, "quick");
    }
    drop(other);
    let expected = format!("big {BYTES}\n{}and more\n", ".".repeat(BYTES));
    assert!(read_bytes(&unwilling, expected.len()) == expected, "what it reads late is whole");
}

#[test]
fn a_client_that_never_reads_is_cut_off_at_the_write_deadline() {
    let limits = Limits { write_deadline: Duration::from_millis(200), ..with_threads(1) };
    let (server, _) = start(limits);
    let mut unwilling = connect(&server);
    writeln!(unwilling, "big {}", 20 << 20).unwrap();
    wait_until(|| server.gauges().open == 1);
    wait_until(|| server.gauges().open == 0);
}

#[test]
fn a_panic_closes_its_connection_and_nothing_else() {
    let (server, lines) = start(with_threads(1));
    let other = connect(&server);
    echo(&other, "before");
    let mut unlucky = connect(&server);
    unlucky.write_all(b"fine\npanic\nnever served\n").unwrap();
    assert_eq!(read_to_end(&unlucky), "fine\nsorry\n");
    echo(&other, "after");
    assert_eq!(*lines.events.lock(), ["panicked"]);
}

#[test]
fn last_words_reach_a_client_that_is_still_sending() {
    let (server, _) = start(with_threads(1));
    let mut client = connect(&server);
    client.write_all(b"bye\n").unwrap();
    client.write_all(&vec![b'x'; 300_000]).unwrap();
    assert_eq!(read_to_end(&client), "bye\n");
}

#[test]
fn a_client_beyond_the_limit_waits_until_another_leaves() {
    let (server, _) = start(Limits { connections_max: 2, ..with_threads(2) });
    let (first, second, third) = (connect(&server), connect(&server), connect(&server));
    writeln!(&third, "late").unwrap();
    for _ in 0..20 {
        echo(&first, "one");
        echo(&second, "two");
        assert_eq!(server.gauges().open, 2);
    }
    third.set_nonblocking(true).unwrap();
    assert_eq!((&third).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    third.set_nonblocking(false).unwrap();
    drop(first);
    assert_eq!(read_bytes(&third, 5), "late\n");
}

#[test]
fn stopping_finishes_the_request_in_flight_and_closes_the_idle_connections() {
    let (server, lines) = start(with_threads(2));
    let address = server.address();
    let idle = connect(&server);
    echo(&idle, "once");
    let client = connect(&server);
    writeln!(&client, "block").unwrap();
    wait_until(|| lines.events.lock().contains(&"blocked"));
    let stopping = thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop());
        assert_eq!(read_to_end(&idle), "");
        assert!(!stopping.is_finished());
        lines.is_open.store(true, Ordering::SeqCst);
        assert_eq!(read_to_end(&client), "block\n");
        stopping.join()
    });
    assert!(stopping.is_ok());
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(Arc::strong_count(&lines), 1, "no thread is left");
}

#[test]
fn a_server_listens_at_every_address_of_its_host_and_is_one_server() {
    // Clients connect to `localhost`, some of them only to its IPv6 address.
    let listen = Config::default().frontend.first.listen;
    let (host, _) = listen.rsplit_once(':').unwrap();
    let limits = Limits { connections_max: 2, ..with_threads(1) };
    let lines = Arc::new(Lines::default());
    let server = Server::start("lines", format!("{host}:0"), lines, limits).unwrap();
    let port = server.address().port();
    let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let named = server.listening_on();
    assert!(
        both.iter().all(|ip| named.contains(&SocketAddr::new(*ip, port).to_string())),
        "{named}"
    );
    for _ in 0..20 {
        // One limit for both listeners: when a connection to one closes, the other may accept one.
        let clients = both.map(|ip| connect_to((ip, port).into()));
        for client in &clients {
            echo(client, "here");
        }
        assert_eq!(server.gauges().open, 2);
    }
    server.stop();
    for ip in both {
        assert!(TcpStream::connect((ip, port)).is_err(), "{ip}");
    }
}

#[test]
fn an_address_in_use_is_refused_by_name() {
    let (server, _) = start(with_threads(1));
    let address = server.address().to_string();
    let again = Server::start("lines", &address, Arc::new(Lines::default()), Limits::default());
    let Err(Error::Listen { address: named, .. }) = again else { panic!("it was not refused") };
    assert_eq!(named, address);
}

/// Traces show how long a request waited for a thread.
#[test]
fn a_request_is_told_since_when_it_waited_for_a_thread() {
    let (server, lines) = start(with_threads(1));
    let [mut blocking, mut waiting] = [(); 2].map(|()| connect(&server));
    echo(&waiting, "here");
    blocking.write_all(b"block\n").unwrap();
    wait_until(|| lines.events.lock().contains(&"blocked"));
    let sent = Instant::now();
    waiting.write_all(b"queued\n").unwrap();
    wait_until(|| server.gauges().queued == 1);
    let seen = Instant::now();
    lines.open();
    wait_until(|| lines.queued.lock().is_some_and(|since| sent <= since && since <= seen));
}

/// Answers each frame with itself.
struct Parrot;

impl Protocol for Parrot {
    type Session = ();

    fn open(&self, _: Caller, _: Waker) {}

    fn serve(
        &self,
        (): &mut (),
        input: &[u8],
        output: &mut Vec<u8>,
        _: Option<Instant>,
    ) -> Progress {
        match frame::split(input) {
            Ok(None) => Progress::NeedMore,
            Ok(Some((payload, bytes))) => {
                output.extend_from_slice(&input[..bytes]);
                assert_eq!(payload.len() + 4, bytes);
                Progress::Served { bytes }
            }
            Err(_) => Progress::Close,
        }
    }

    fn expired(&self, (): &mut (), _: &mut Vec<u8>) {}

    fn panicked(&self, (): &mut (), _: &mut Vec<u8>) {}
}

fn start_parrot(address: &str) -> Server {
    Server::start("parrot", address, Arc::new(Parrot), with_threads(2)).unwrap()
}

fn call(rpc: &Rpc, request: &[u8]) -> Result<Vec<u8>, Error> {
    rpc.call(request, Instant::now() + PATIENCE, &|| false).map(|reply| reply.payload)
}

#[test]
fn calls_share_connections_and_carry_payloads_of_any_size() {
    let server = start_parrot("127.0.0.1:0");
    let rpc = Rpc::new(server.address().to_string());
    for bytes in [0, 1, 4096, 100_000, FRAME_BYTES_MAX] {
        let request = vec![b'x'; bytes];
        assert!(call(&rpc, &request).unwrap() == request, "{bytes} bytes");
    }
    let too_long = call(&rpc, &vec![b'x'; FRAME_BYTES_MAX + 1]);
    assert!(matches!(too_long, Err(Error::Invalid { .. })));
    assert_eq!(server.gauges().open, 1);
    thread::scope(|scope| {
        for number in 0..8_u8 {
            let rpc = &rpc;
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(call(rpc, &[number]).unwrap(), [number]);
                }
            });
        }
    });
    assert!(server.gauges().open <= 8);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = start_parrot("127.0.0.1:0");
    let address = server.address().to_string();
    let rpc = Rpc::new(&*address);
    assert_eq!(call(&rpc, b"one").unwrap(), b"one");
    server.stop();
    let server = start_parrot(&address);
    assert_eq!(call(&rpc, b"two").unwrap(), b"two");
    server.stop();
    // The connection was open when the request was sent, so it may have been done.
    let error = call(&rpc, b"three").unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error}");
    // Now there is no connection left, so nothing can have been sent.
    let error = call(&rpc, b"four").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[test]
fn a_call_ends_at_its_deadline_or_when_abandoned_and_its_connection_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rpc = Rpc::new(listener.local_addr().unwrap().to_string());
    let is_abandoned = AtomicBool::new(false);
    let soon = || Instant::now() + Duration::from_millis(50);

    let error = rpc.call(b"silence", soon(), &|| false).unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error}");

    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut peer, _) = listener.accept().unwrap();
            assert_eq!(peer.read(&mut [0; 100]).unwrap(), 4 + 7);
            let (mut peer, _) = listener.accept().unwrap();
            assert_eq!(peer.read(&mut [0; 100]).unwrap(), 4 + 8);
            is_abandoned.store(true, Ordering::SeqCst);
            let mut third = Frames::new(listener.accept().unwrap().0);
            third.send(b"answer").unwrap();
            assert_eq!(third.receive().unwrap().unwrap(), b"question");
        });
        let begin = Instant::now();
        let error = rpc
            .call(b"forsaken", Instant::now() + 2 * PATIENCE, &|| {
                is_abandoned.load(Ordering::SeqCst)
            })
            .unwrap_err();
        assert!(matches!(error, Error::Unanswered { .. }), "{error}");
        assert!(begin.elapsed() < PATIENCE);
        assert_eq!(call(&rpc, b"question").unwrap(), b"answer");
    });
}

/// A name server whose behaviour is set by a test.
mod name_server {
    use super::*;

    pub static HANGS: AtomicBool = AtomicBool::new(false);
    pub static REFUSES: AtomicBool = AtomicBool::new(false);

    /// It knows only `parrot`.
    pub fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
        wait_until(|| !HANGS.load(Ordering::SeqCst));
        match name.split_once(':') {
            Some(("parrot", port)) if !REFUSES.load(Ordering::SeqCst) => {
                Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()))])
            }
            _ => Err(io::Error::other("nobody has this name")),
        }
    }
}

#[test]
fn a_name_server_that_hangs_or_refuses_changes_nothing_for_those_who_were_reached() {
    let server = start_parrot("127.0.0.1:0");
    let port = server.address().port();
    let resolver = Arc::new(Resolver::new(name_server::look_up));
    // Each connects anew, so each has the name looked up.
    let ask = |address: &str, patience: Duration| {
        let rpc = Rpc::new(Target::looked_up_by(resolver.clone(), address));
        let answer = rpc.call(b"who?", Instant::now() + patience, &|| false);
        answer.map(|reply| reply.payload)
    };
    let (parrot, nobody) = (format!("parrot:{port}"), format!("nobody:{port}"));
    let moment = Duration::from_millis(100);
    assert_eq!(ask(&parrot, PATIENCE).unwrap(), b"who?");
    let error = ask(&nobody, PATIENCE).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().ends_with("nobody has this name"), "{error}");

    name_server::REFUSES.store(true, Ordering::SeqCst);
    assert_eq!(ask(&parrot, PATIENCE).unwrap(), b"who?");

    name_server::HANGS.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(ask(&parrot, PATIENCE / 2).unwrap(), b"who?");
        // A replica that refuses connections is replaced at once; about this one nothing is known.
        let error = ask(&nobody, moment).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(error.is_definite(), "nothing was asked");
    }
    assert_eq!(ask(&format!("127.0.0.1:{port}"), PATIENCE / 2).unwrap(), b"who?");
    let unwanted = resolver.resolve(&nobody, Instant::now() + 2 * PATIENCE, &|| true);
    assert!(matches!(unwanted, Err(Error::Unavailable { .. })), "{unwanted:?}");
    assert!(name_server::HANGS.swap(false, Ordering::SeqCst), "it hung all the time");

    let error = ask(&nobody, PATIENCE).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[test]
fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rpc = Rpc::new(listener.local_addr().unwrap().to_string());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Frames::new(listener.accept().unwrap().0);
            assert_eq!(peer.receive().unwrap().unwrap(), b"first");
            peer.send(b"first").unwrap();
            assert_eq!(peer.receive().unwrap().unwrap(), b"second");
            peer.stream().write_all(&[0, 0, 0, 9, b'h']).unwrap();
        });
        assert_eq!(call(&rpc, b"first").unwrap(), b"first");
        let error = call(&rpc, b"second").unwrap_err();
        assert!(matches!(error, Error::Unanswered { .. }), "{error}");
    });
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

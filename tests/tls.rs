//! Servers and callers with mutual TLS over real sockets: which calls are accepted, which are refused with which
//! message, and that a bad handshake does not delay the others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls::{Stream, StreamOwned};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use time::OffsetDateTime;
use toystore::certs::{self, Authority};
use toystore::config::{Client as Customers, Config};
use toystore::error::{Error, Result};
use toystore::model::{Principal, ReplicaId};
use toystore::net::{Caller, Limits, Progress, Protocol, Rpc, Server, Transport, frame, transport};
use toystore::protocol::wanted;

/// Much longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const ORDER_1: Principal = Principal::Order(ReplicaId(1));

/// A protocol that answers each frame with itself, and HTTP as a service does.
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
        if input[0] != 0 {
            output.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            return Progress::Close;
        }
        let Some((_, bytes)) = frame::split(input).unwrap() else { return Progress::NeedMore };
        output.extend_from_slice(&input[..bytes]);
        Progress::Served { bytes }
    }

    fn expired(&self, (): &mut (), _: &mut Vec<u8>) {}

    fn panicked(&self, (): &mut (), _: &mut Vec<u8>) {}
}

/// A cluster in which one service runs: a parrot at the catalog's request address.
struct Cluster {
    certificates: TempDir,
    config: Config,
    server: Server,
}

impl Cluster {
    fn start(limits: Limits) -> Cluster {
        let certificates = tempfile::tempdir().unwrap();
        let authority = Authority::create(certificates.path()).unwrap();
        for who in [Principal::Catalog, ORDER_1, Principal::Tool] {
            issue(&authority, certificates.path(), who, days(-1)..days(1));
        }
        let mut config = Config::default();
        config.tls.directory = Some(certificates.path().to_owned());
        let transport = Transport::of(&config, Principal::Catalog).unwrap();
        let listen = transport.listen("127.0.0.1:0");
        let server = Server::start("parrot", listen, Arc::new(Parrot), limits).unwrap();
        config.catalog.first.listen = server.address().to_string();
        Cluster { certificates, config, server }
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }

    fn rpc(&self, caller: Principal) -> Rpc {
        Transport::of(&self.config, caller).unwrap().rpc(&self.address()).unwrap()
    }

    /// A caller with the files of this directory.
    fn caller(&self, directory: &Path, who: Option<Principal>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let authority = self.certificates.path().join("authority.pem");
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match who {
            None => builder.with_no_client_auth(),
            Some(who) => {
                let (certificate, key) = pair(directory, who);
                builder.with_client_auth_cert(certificate, key).unwrap()
            }
        }
    }

    fn connect(&self, config: ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("catalog.toystore").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(session, connect(&self.address()))
    }
}

fn days(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::days(days)
}

fn issue(
    authority: &Authority,
    directory: &Path,
    who: Principal,
    valid: std::ops::Range<OffsetDateTime>,
) {
    authority.issue(directory, who, &BTreeSet::new(), valid).unwrap();
}

fn pair(
    directory: &Path,
    who: Principal,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(directory.join(format!("{who}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{who}-key.pem"))).unwrap();
    (vec![certificate], key)
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn call(rpc: &Rpc, question: &[u8]) -> Result<Vec<u8>> {
    rpc.call(question, Instant::now() + PATIENCE, &wanted).map(|reply| reply.payload)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length, payload].concat()
}

/// A thread per request, with one thread: a request could see what the connection before left.
fn one_thread() -> Limits {
    Limits { threads: 1, stays: false, ..Limits::default() }
}

#[test]
fn nothing_stays_behind_when_a_connection_gives_its_thread_back() {
    let cluster = Cluster::start(one_thread());
    let mut stream =
        cluster.connect(cluster.caller(cluster.certificates.path(), Some(Principal::Tool)));
    let read = |stream: &mut dyn Read, expected: &[u8]| {
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer == expected, "another answer than what was asked");
    };
    // Three requests in one record.
    let three = [framed(b"one"), framed(b"two"), framed(b"three")].concat();
    stream.write_all(&three).unwrap();
    read(&mut stream, &three);

    // Three in three records, which arrive together.
    for request in [framed(b"four"), framed(b"five"), framed(b"six")] {
        stream.conn.writer().write_all(&request).unwrap();
    }
    stream.flush().unwrap();
    read(&mut stream, &[framed(b"four"), framed(b"five"), framed(b"six")].concat());

    // One and a half records, and the rest after the first answer; also cut within a record.
    let (first, second) = (framed(b"seven"), framed(&vec![8; 40_000]));
    let mut encrypted = Vec::new();
    for part in [&first[..], &second[..100], &second[100..]] {
        stream.conn.writer().write_all(part).unwrap();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut encrypted).unwrap();
        }
    }
    let (early, late) = encrypted.split_at(encrypted.len() - 20_000);
    stream.sock.write_all(early).unwrap();
    read(&mut stream, &first);
    stream.sock.write_all(late).unwrap();
    read(&mut stream, &second);
}

#[test]
fn frames_longer_than_any_buffer_go_through_in_both_directions() {
    let cluster = Cluster::start(Limits::default());
    let rpc = cluster.rpc(Principal::Tool);
    for bytes in [0, 1, 16_383, 16_384, 16_385, 65_536, 5 << 20] {
        let question: Vec<u8> = (0..=250).cycle().take(bytes).collect();
        assert!(call(&rpc, &question).unwrap() == question, "{bytes} bytes");
    }
    assert_eq!(cluster.server.gauges().open, 1, "all on one connection");
}

#[test]
fn certificates_that_an_editor_saved_with_a_byte_order_mark_are_read() {
    let cluster = Cluster::start(one_thread());
    for file in ["authority.pem", "tool.pem", "tool-key.pem"] {
        let path = cluster.certificates.path().join(file);
        let marked = [b"\xef\xbb\xbf", &std::fs::read(&path).unwrap()[..]].concat();
        std::fs::write(&path, marked).unwrap();
    }
    assert_eq!(call(&cluster.rpc(Principal::Tool), b"hello").unwrap(), b"hello");
}

#[test]
fn a_caller_is_refused_if_it_cannot_show_a_reason_to_call() {
    let cluster = Cluster::start(Limits::default());
    let elsewhere = tempfile::tempdir().unwrap();
    issue(
        &Authority::create(elsewhere.path()).unwrap(),
        elsewhere.path(),
        Principal::Tool,
        days(-1)..days(1),
    );
    let expired = tempfile::tempdir().unwrap();
    let authority = Authority::open(cluster.certificates.path()).unwrap();
    issue(&authority, expired.path(), Principal::Tool, days(-9)..days(-1));
    let own = cluster.certificates.path();

    for (directory, who, expected) in [
        (own, None, "CertificateRequired"),
        // The two authorities have the same name, so only the signature differs.
        (elsewhere.path(), Some(Principal::Tool), "DecryptError"),
        (expired.path(), Some(Principal::Tool), "CertificateExpired"),
        (own, Some(Principal::Catalog), "AccessDenied"),
    ] {
        let mut stream = cluster.connect(cluster.caller(directory, who));
        // The caller may see the refusal while it sends, or later.
        let sent = stream.write_all(&framed(b"let me in")).and_then(|()| stream.flush());
        let said = format!("{sent:?} {:?}", stream.read(&mut [0; 100]));
        assert!(said.contains(expected), "{who:?}: {said}");
    }

    // The store's own callers know it before they send a request, so the error is definite.
    let error = call(&cluster.rpc(Principal::Catalog), b"let me in").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("our certificate is not for a service that may call"),
        "{error}"
    );
    assert_eq!(call(&cluster.rpc(ORDER_1), b"me?").unwrap(), b"me?");
}

#[test]
fn a_certificate_is_good_for_every_name_of_its_own_machine() {
    let certificates = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.frontend.first.listen = "192.0.2.1:8081".to_owned();
    certs::make(&config, certificates.path(), 1).unwrap();
    config.frontend.certificate = Some(certificates.path().join("frontend.pem"));
    config.frontend.key = Some(certificates.path().join("frontend-key.pem"));
    let transport = Transport::of(&config, Principal::Frontend).unwrap();
    for (host, listen) in
        [("localhost", "127.0.0.1:0"), ("127.0.0.1", "127.0.0.1:0"), ("[::1]", "[::1]:0")]
    {
        let listen = transport.listen_to_customers(listen);
        let server = Server::start("parrot", listen, Arc::new(Parrot), Limits::default()).unwrap();
        let address = format!("{host}:{}", server.address().port());
        let authority = Some(certificates.path().join("authority.pem"));
        let customers = Customers { addresses: vec![address], authority, ..Customers::default() };
        let rpc = Rpc::new(transport::public_targets(&customers).unwrap().remove(0));
        assert_eq!(call(&rpc, b"is it you?").unwrap(), b"is it you?", "{host}");
    }
}

#[test]
fn a_callee_is_refused_if_it_is_not_who_the_configuration_says() {
    let cluster = Cluster::start(Limits::default());
    let address = cluster.address();
    let refused = |config: &Config, address: &str| {
        let rpc = Transport::of(config, Principal::Tool).unwrap().rpc(address).unwrap();
        let error = call(&rpc, b"is it you?").unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "nothing was asked: {error:?}");
        error.to_string()
    };
    let mut config = cluster.config.clone();
    config.catalog.first.listen = Config::default().catalog.first.listen;
    config.order.replicas.get_mut(&ReplicaId(1)).unwrap().listen = address.clone();
    let said = refused(&config, &address);
    let expected = "its certificate is not for order-1.toystore but for catalog.toystore";
    assert!(said.contains(expected), "{said}");
    let unknown = Transport::of(&config, Principal::Tool).unwrap().rpc("127.0.0.1:1").err();
    assert!(
        unknown.unwrap().to_string().contains("no service of this configuration has this address")
    );

    let elsewhere = Cluster::start(Limits::default());
    let config = Config { catalog: elsewhere.config.catalog.clone(), ..cluster.config.clone() };
    let said = refused(&config, &elsewhere.address());
    assert!(said.contains("its certificate is of another authority"), "{said}");

    let plain = Server::start("parrot", "127.0.0.1:0", Arc::new(Parrot), Limits::default());
    let plain = plain.unwrap();
    let mut config = cluster.config.clone();
    config.catalog.first.listen = plain.address().to_string();
    let said = refused(&config, &config.catalog.first.listen);
    assert!(said.contains("plain text instead of TLS: is [tls] set there?"), "{said}");

    let authority = Authority::open(cluster.certificates.path()).unwrap();
    issue(&authority, elsewhere.certificates.path(), Principal::Catalog, days(-9)..days(-2));
    let (address, expired) = answer_with(elsewhere.certificates.path());
    config.catalog.first.listen = address;
    let said = refused(&config, &config.catalog.first.listen);
    let expected = format!("its certificate expired {}", days(-2).date());
    assert!(said.contains(&expected), "{said}");
    expired.join().unwrap();
}

/// A catalog that does one handshake, with the certificate in this directory.
fn answer_with(directory: &Path) -> (String, thread::JoinHandle<()>) {
    let (certificate, key) = pair(directory, Principal::Catalog);
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificate, key);
    let mut session = ServerConnection::new(Arc::new(config.unwrap())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::Builder::new().name("catalog".into()).spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        assert!(Stream::new(&mut session, &mut socket).read(&mut [0; 1]).is_err());
    });
    let thread = thread.unwrap();
    (address, thread)
}

#[test]
fn a_bad_handshake_costs_the_others_nothing_and_ends_in_time() {
    let limits = Limits { request_deadline: Duration::from_millis(400), ..one_thread() };
    let cluster = Cluster::start(limits);
    let config = cluster.caller(cluster.certificates.path(), Some(Principal::Tool));
    let mut hello = Vec::new();
    cluster.connect(config).conn.write_tls(&mut hello).unwrap();

    let address = cluster.address();
    let silent = connect(&address);
    let mut half = connect(&address);
    half.write_all(&hello[..hello.len() / 2]).unwrap();
    // All of it, and then nothing more.
    let mut lazy = connect(&address);
    lazy.write_all(&hello).unwrap();
    let mut garbage = connect(&address);
    garbage.write_all(&[0x16, 3, 1, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
    // Single bytes from time to time, which must not extend the deadline.
    let slow = connect(&address);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut slow = &slow;
            // Ends when the connection does.
            for byte in hello.iter().cycle() {
                if slow.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        let rpc = cluster.rpc(Principal::Tool);
        assert_eq!(call(&rpc, b"what about me?").unwrap(), b"what about me?");
        for mut connection in [&silent, &half, &lazy, &garbage, &slow] {
            // Closed or reset, before the test's deadline.
            let begun = Instant::now();
            let _ = connection.read_to_end(&mut Vec::new());
            assert!(begun.elapsed() < PATIENCE, "it is still open");
        }
        assert_eq!(call(&rpc, b"still there?").unwrap(), b"still there?");
    });
    let deadline = Instant::now() + PATIENCE;
    while cluster.server.gauges().open > 1 {
        assert!(Instant::now() < deadline, "{:?}", cluster.server.gauges());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_deadline_of_a_handshake_ends_with_it() {
    let limits = Limits { request_deadline: Duration::from_millis(200), ..one_thread() };
    let cluster = Cluster::start(limits.clone());
    let config = cluster.caller(cluster.certificates.path(), Some(Principal::Tool));
    let mut stream = cluster.connect(config);
    stream.conn.complete_io(&mut stream.sock).unwrap();
    // Silence before the first request is allowed, as between two requests.
    thread::sleep(2 * limits.request_deadline);
    stream.write_all(&framed(b"here I am")).unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *framed(b"here I am"));
}

#[test]
fn a_callee_that_says_nothing_costs_its_caller_a_bounded_time() {
    let cluster = Cluster::start(Limits::default());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = cluster.config.clone();
    config.catalog.first.listen = silent.local_addr().unwrap().to_string();
    let rpc =
        Transport::of(&config, Principal::Tool).unwrap().rpc(&config.catalog.first.listen).unwrap();

    let error = call(&rpc, b"hello?").unwrap_err();
    // It is not down, so no other replica is elected before it has been silent for long.
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.is_definite(), "nothing was asked");
    assert!(error.to_string().contains("no TLS handshake in time"), "{error}");
    // The answer is no longer needed: the call ends long before any deadline.
    let error = rpc.call(b"hello?", Instant::now() + PATIENCE, &|| true).unwrap_err();
    assert!(error.to_string().contains("the caller no longer waits"), "{error}");
}

//! The whole store with mutual TLS, HTTPS for customers, and what is refused: at the start, in a call, and
//! when certificates are renewed.

mod support;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use support::Id::{Catalog, Frontend, Order};
use support::{ALL, Cluster, PATIENCE, finish, wait_until};
use time::{Duration, OffsetDateTime};
use toystore::certs::{self, Authority};
use toystore::config::{Client as Customers, Config};
use toystore::http::Client;
use toystore::model::Principal;
use toystore::net::{Rpc, Transport, transport};
use toystore::protocol::catalog::{Books, Request};
use toystore::protocol::{ask, wanted};

/// The error of a program that cannot start, with exit code 2.
fn refusal(command: &mut Command) -> String {
    let output = command.stderr(Stdio::piped()).output().expect("a process");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    said.trim_end().to_owned()
}

#[test]
fn a_store_with_certificates_shops_survives_its_leader_and_balances() {
    let mut store = Cluster::secured(&[]);
    store.start_all();
    let mut customer = store.customer(Frontend);
    for number in 1..=5 {
        assert_eq!(customer.buy_one("Tux"), number);
    }
    store.await_in_sync();
    let leader = store.leader();
    store.kill(Order(leader));
    assert_eq!(customer.buy_one("Fox"), 6, "customers notice nothing");
    store.start(Order(leader));
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 6);

    let mut health = store.program("frame");
    let health = health.args([store.peer_address(Order(1)), "health_check"]).status();
    assert_eq!(health.expect("a process").code(), Some(0), "the operator's certificate is good");
    let audit = store.program("audit").arg("--running").status();
    assert_eq!(audit.expect("a process").code(), Some(0), "the books balance");
    for id in ALL {
        assert!(!store.log(id).contains("refused"), "{id:?}: {}", store.log(id));
    }

    let stranger = Rpc::new(store.peer_address(Order(1)));
    let error = stranger.call(b"{}", Instant::now() + PATIENCE, &wanted).unwrap_err().to_string();
    assert!(error.contains("the other end uses TLS: is [tls] set here?"), "{error}");
    let said = "plain text instead of TLS: is [tls] set there?";
    wait_until("the replica says so", || store.log(Order(1)).contains(said));
}

#[test]
fn a_refusal_names_who_was_refused_though_it_is_gone() {
    let mut store = Cluster::secured(&[]);
    store.start(Catalog);
    // The catalog logs the caller only after it is gone.
    store.pause(Catalog);
    let mut stranger = TcpStream::connect(store.address(Catalog)).expect("it listens");
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("there is room");
    let own_address = stranger.local_addr().expect("connected");
    // A connection that is closed like this is reset.
    set_socket_linger(&stranger, Some(std::time::Duration::ZERO)).expect("a socket");
    drop(stranger);
    store.resume(Catalog);
    let said = format!("refused {own_address}: plain text instead of TLS");
    wait_until("the catalog says so", || store.log(Catalog).contains(&said));
}

#[test]
fn run_all_and_the_client_work_with_certificates() {
    let store = Cluster::secured(&[]);
    let mut all = store.program("run-all");
    // If this test fails, the services see the end of their pipe and end.
    all.arg("--exit-with-parent").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut all = all.spawn().expect("a process");
    wait_until("the store is open", || ALL.into_iter().all(|id| store.is_ready(id)));
    let mut client = store.program("client");
    let client = client.args(["-c", "2", "-n", "20", "-p", "0.5"]).status().expect("a process");
    support::signal(&all, Signal::INT);
    assert_eq!(client.code(), Some(0));
    assert_eq!(finish(&mut all).code(), Some(0));
}

#[test]
fn nobody_speaks_plainly_to_another_machine_unless_told_to() {
    let store = Cluster::closed(&[]);
    for id in ALL {
        for host in ["0.0.0.0", "[::]", "192.0.2.1", "elsewhere"] {
            let peer = format!("--{}-peer={host}:9999", id.section());
            let said = refusal(&mut store.command(id, &[&peer]));
            let reason = "other machines reach this address, and nothing protects it";
            assert!(said.contains(&format!("{host}:9999")) && said.contains(reason), "{said}");
            assert!(
                said.contains("make certs") && said.contains("--insecure"),
                "what to do: {said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    // It is as bad if its calls go there.
    let said = refusal(&mut store.command(Frontend, &["--catalog-listen=192.0.2.1:9999"]));
    assert!(said.contains("192.0.2.1:9999 of catalog"), "{said}");

    // No machine has this address, so the start fails, but not because of missing certificates.
    for insecure in ["--insecure", "--tls-insecure"] {
        let said =
            refusal(&mut store.command(Catalog, &["--catalog-peer=192.0.2.1:9999", insecure]));
        assert!(said.contains("cannot listen on 192.0.2.1:9999"), "{said}");
    }
    let said = refusal(&mut store.command(Frontend, &["--frontend-listen=192.0.2.1:9999"]));
    assert!(said.contains("cannot listen on 192.0.2.1:9999"), "HTTP is for everybody: {said}");
}

#[test]
fn a_certificate_that_others_would_refuse_is_refused_at_the_start() {
    let store = Cluster::secured(&[]);
    let certificates = store.path("certs");
    let authority = Authority::open(&certificates).expect("just made");
    let now = OffsetDateTime::now_utc();
    let (day, two_days) = (Duration::DAY, Duration::days(2));
    let start = |id| refusal(&mut store.command(id, &["--log-level=error"]));
    let none = BTreeSet::new();
    let issue = |who, valid: Range<OffsetDateTime>| {
        authority.issue(&certificates, who, &none, valid).expect("has room");
    };

    issue(Principal::Catalog, now - Duration::WEEK..now - two_days);
    let said = start(Catalog);
    let expired = format!(
        "catalog.pem: it cannot be used: this certificate expired {}",
        (now - two_days).date()
    );
    assert!(said.contains(&expired), "{said}");

    issue(Principal::Catalog, now + two_days..now + Duration::WEEK);
    let said = start(Catalog);
    assert!(said.contains("this certificate is valid from"), "{said}");

    issue(Principal::Catalog, now - day..now + day);
    let copy = |from: &str, to: &str| {
        fs::copy(certificates.join(from), certificates.join(to)).expect("has room");
    };
    copy("catalog-key.pem", "frontend-key.pem");
    assert!(
        start(Frontend).contains("frontend.pem: it cannot be used: the key belongs to another")
    );
    copy("catalog.pem", "frontend.pem");
    let said = start(Frontend);
    let wrong = "this certificate is not for frontend.toystore but for catalog.toystore";
    assert!(said.contains(wrong), "{said}");

    let elsewhere = tempfile::tempdir().expect("a directory");
    certs::make(&store.config(), elsewhere.path(), 1).expect("certificates");
    fs::copy(elsewhere.path().join("authority.pem"), certificates.join("authority.pem")).unwrap();
    let said = start(Order(1));
    assert!(
        said.contains("order-1.pem: it cannot be used: this certificate is of another"),
        "{said}"
    );

    fs::remove_file(certificates.join("order-2.pem")).expect("it was there");
    let said = start(Order(2));
    assert!(said.contains("order-2.pem: cannot read certificates"), "{said}");
}

#[test]
fn customers_speak_https_where_the_front_end_has_a_certificate() {
    let mut store = Cluster::secured(&[]);
    let certificates = store.path("certs");
    let file = |name: &str| certificates.join(name).display().to_string();
    let (authority, own) =
        (file("authority.pem"), [file("frontend.pem"), file("frontend-key.pem")]);
    let https =
        [format!("--frontend-certificate={}", own[0]), format!("--frontend-key={}", own[1])];
    for id in [Catalog, Order(1), Order(2), Order(3)] {
        store.start(id);
    }
    store.start_with(Frontend, &[&https[0], &https[1]]);

    let mut client = store.program("client");
    let client =
        client.args(["-c", "3", "-n", "20", "-p", "0.5"]).arg(format!("--authority={authority}"));
    assert_eq!(client.status().expect("a process").code(), Some(0));

    let ask = |authority: Option<&Path>| {
        let address = store.address(Frontend).to_owned();
        let authority = authority.map(Path::to_owned);
        let customers = Customers { addresses: vec![address], authority, ..Customers::default() };
        let target = transport::public_targets(&customers).expect("an authority").remove(0);
        let answer = Client::new(target, PATIENCE).send("GET", "/products/Tux", &[], b"");
        answer.map(|response| response.status).map_err(|error| error.to_string())
    };
    assert_eq!(ask(Some(&certificates.join("authority.pem"))), Ok(200));
    assert!(ask(None).is_err(), "HTTP is not spoken there");

    let elsewhere = tempfile::tempdir().expect("a directory");
    Authority::create(elsewhere.path()).expect("an authority");
    let error = ask(Some(&elsewhere.path().join("authority.pem"))).unwrap_err();
    assert!(error.contains("its certificate is of another authority"), "{error}");

    let half = refusal(&mut store.command(Frontend, &["--certificate=certs/frontend.pem"]));
    assert!(half.contains("frontend.certificate and frontend.key: one is set"), "{half}");
}

#[test]
fn a_renewed_certificate_is_used_after_sighup_and_a_bad_one_is_not() {
    let mut store = Cluster::secured(&[]);
    store.start(Catalog);
    let certificates = store.path("certs");
    let books = |rpc: &Rpc| {
        ask::<_, Books>(rpc, &Request::Books { after: None }, Instant::now() + PATIENCE, &wanted)
    };
    let tool = |certificates: &Path| {
        let mut config: Config = store.config();
        config.tls.directory = Some(certificates.to_owned());
        let transport = Transport::of(&config, Principal::Tool).expect("certificates");
        transport.rpc(store.address(Catalog)).expect("it is configured")
    };
    let before = tool(&certificates);
    books(&before).expect("an answer");

    // Other authorities, one after the other, so that the test sees which one the catalog uses.
    let renewed = tempfile::tempdir().expect("a directory");
    certs::make(&store.config(), renewed.path(), 1).expect("certificates");
    let error = books(&tool(renewed.path())).unwrap_err().to_string();
    assert!(error.contains("its certificate is of another authority"), "{error}");
    let hang_up = |said: &str| {
        let before = store.log(Catalog).matches(said).count();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(store.pid(Catalog).cast_signed()).expect("a pid"),
            Signal::HUP,
        )
        .expect("it runs");
        wait_until(said, || store.log(Catalog).matches(said).count() > before);
    };

    fs::write(certificates.join("catalog.pem"), "nonsense").expect("has room");
    hang_up("the certificates read before stay in use");
    books(&tool(&certificates)).expect("the old certificate is in use");

    for name in ["authority.pem", "catalog.pem", "catalog-key.pem"] {
        fs::copy(renewed.path().join(name), certificates.join(name)).expect("has room");
    }
    hang_up("read the certificates again");
    books(&tool(renewed.path())).expect("the new authority is believed");
    books(&before).expect("connections that stand go on");
    assert_eq!(store.end(Catalog).code(), Some(0), "SIGTERM means what it did");
}

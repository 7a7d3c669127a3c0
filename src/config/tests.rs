//! Tests of the configuration: the four sources agree, and errors are clear.

use super::*;
use crate::model::{OrderNumber, ReplicaId};
use std::path::PathBuf;
use std::time::Duration;

/// Reads these arguments and variables on top of a file of this text.
fn read_with(file: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("t.toml");
    std::fs::write(&path, file).expect("a file");
    let mut all: Vec<OsString> = vec!["test".into(), "--config".into(), path.into()];
    all.extend(arguments.iter().map(Into::into));
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    read(Command::new("test"), "frontend", &all, variables).map(|(config, _)| config)
}

/// The error of a configuration that must not be accepted, without the temporary directory.
fn refusal(file: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let error = read_with(file, arguments, variables).expect_err(file).to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error.rsplit_once("/t.toml").map_or(error.clone(), |(_, rest)| format!("t.toml{rest}"))
}

#[test]
fn the_file_in_the_repository_is_the_defaults_and_complete() {
    let text = include_str!("../../config/toystore.toml");
    let mut config = Config::default();
    // Whatever the file leaves out would show as this.
    config.order.replicas.clear();
    file::parse(text, "toystore.toml", &mut config).expect("valid");
    assert_eq!(config, Config::default());
    let table = toml::de::DeTable::parse(text).expect("valid");
    for setting in keys::settings(&config) {
        let mut value = Some(&toml::de::DeValue::Table(table.get_ref().clone())).cloned();
        for name in setting.path().split('.') {
            value = value.and_then(|value| Some(value.get(name)?.get_ref().clone()));
        }
        assert!(value.is_some(), "{} is missing", setting.path());
    }
}

#[test]
fn every_setting_reads_back_what_it_shows_in_all_three_ways() {
    for setting in keys::settings(&Config::default()) {
        let value = setting.show(&Config::default());
        let flag = format!("--{}={value}", setting.flag());
        assert_eq!(read_with("", &[&flag], &[]), Ok(Config::default()), "{flag}");
        let variable = (setting.variable(), value);
        let variables = [(variable.0.as_str(), variable.1.as_str())];
        assert_eq!(read_with("", &[], &variables), Ok(Config::default()), "{variables:?}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = "[frontend]\nthreads = 2\ncache_capacity = 2\nconnections_max = 2";
    let variables = [("TOYSTORE_FRONTEND_THREADS", "3"), ("TOYSTORE_FRONTEND_CACHE_CAPACITY", "3")];
    let config = read_with(file, &["--frontend-threads", "4"], &variables).expect("valid").frontend;
    assert_eq!((config.threads, config.cache_capacity, config.connections_max), (4, 3, 2));
    assert_eq!(config.request_deadline, Frontend::default().request_deadline);
}

#[test]
fn values_of_every_kind_are_read() {
    let file = r#"
        catalog = { restock = "all", initial = "toys.csv", restock_every_ms = 1_500 }
        order.fail = "fail-write@7"
        client.probability = 1
        log = { format = "json", level = "warn" }"#;
    let config = read_with(file, &["--allow-unclean-election"], &[]).expect("valid");
    assert_eq!(config.catalog.restock, Restock::All);
    assert_eq!(config.catalog.initial, Some("toys.csv".into()));
    assert_eq!(config.catalog.restock_every, Duration::from_millis(1500));
    let failure = Failure { how: FailureKind::FailWrite, at: OrderNumber(7) };
    assert_eq!(config.order.fail, Some(failure));
    assert!((config.client.probability - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.log, Log { format: LogFormat::Json, level: Level::Warn });
    assert!(config.frontend.allow_unclean_election);
}

#[test]
fn the_replicas_are_those_of_the_file_else_three() {
    let ids = |config: &Config| config.order.replicas.keys().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(ids(&read_with("", &[], &[]).expect("valid")), [1, 2, 3]);
    assert_eq!(ids(&read_with("order.threads = 4", &[], &[]).expect("valid")), [1, 2, 3]);
    let file = "[order.7]\n[order.5]\nlisten = \"order-5:80\"";
    let config = read_with(file, &["--order-7-data", "/seven"], &[]).expect("valid");
    assert_eq!(ids(&config), [5, 7]);
    assert_eq!(config.order.replicas[&ReplicaId(5)].listen, "order-5:80");
    assert_eq!(config.order.replicas[&ReplicaId(5)].peer, "127.0.0.1:9095");
    assert_eq!(config.order.replicas[&ReplicaId(7)].data, PathBuf::from("/seven"));
    let error = config.order.replica(ReplicaId(1)).expect_err("no such replica");
    assert_eq!(error.to_string(), "--id: there is no replica 1, expected one of 5, 7");
}

#[test]
fn a_flag_without_a_section_is_about_the_process_that_id_names() {
    let listen = |own: &'static str, id: &str| {
        let text =
            "storage.engine = \"database\"\ncatalog.2.peer = \"b:2\"\nfrontend.2.peer = \"c:2\"";
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("t.toml");
        std::fs::write(&file, text).expect("a file");
        let command = Command::new("test").arg(clap::Arg::new("id").long("id"));
        let arguments = ["test", "--config", file.to_str().expect("UTF-8"), "--listen", "a:7", id];
        let arguments = arguments.map(OsString::from);
        let (config, _) = read(command, own, &arguments, HashMap::new()).expect("valid");
        keys::settings(&config).into_iter().find(|s| s.show(&config) == "a:7").map(|s| s.path())
    };
    for (own, id, expected) in [
        ("catalog", "--id=1", "catalog.listen"),
        ("catalog", "--id=2", "catalog.2.listen"),
        ("frontend", "--id=2", "frontend.2.listen"),
        ("order", "--id=3", "order.3.listen"),
    ] {
        assert_eq!(listen(own, id), Some(expected.to_owned()), "{own} {id}");
    }
}

#[test]
fn a_mistake_in_the_file_is_refused_with_its_line_and_what_is_allowed() {
    let threads = "expected a whole number from 1 to 1000";
    for (file, expected) in [
        ("[frontend]\n\nthreads = 0", format!("line 3: frontend.threads is \"0\", {threads}")),
        ("[frontend]\nthreads = 1001", format!("line 2: frontend.threads is \"1001\", {threads}")),
        ("[frontend]\nthreads = -1", format!("line 2: frontend.threads is \"-1\", {threads}")),
        ("[frontend]\nthreads = 1.5", format!("line 2: frontend.threads is \"1.5\", {threads}")),
        ("[catalog]\npeer_threads = 3", "catalog.peer_threads is \"3\", expected a whole number from 4 to 1000".to_owned()),
        ("[order]\npeer_threads = 3", "order.peer_threads is \"3\", expected a whole number from 4 to 1000".to_owned()),
        ("[order]\nthreads = [1]", format!("line 2: order.threads is \"(array)\", {threads}")),
        ("[client]\nprobability = nan", "expected a number from 0 to 1".to_owned()),
        ("[catalog]\nreset_stock = \"yes\"", "expected true or false".to_owned()),
        ("[catalog]\ndata = \"\"", "catalog.data is \"\", expected a directory".to_owned()),
        ("[log]\nlevel = \"loud\"", "expected one of trace, debug, info, warn, error".to_owned()),
        ("[order]\nfail = \"crash@0\"", "expected crash@N, hang@N or fail-write@N".to_owned()),
        ("[frontend]\ncache_capcity = 3", "line 2: unknown key cache_capcity in [frontend]; did you mean cache_capacity? allowed are listen, peer, ".to_owned()),
        ("\n[fronted]", "line 2: unknown section [fronted]; did you mean frontend? allowed are frontend, catalog, order, order.1, ".to_owned()),
        ("threads = 3", "line 1: unknown key threads outside the sections; allowed are frontend, ".to_owned()),
        ("[order.0]", "line 1: replica is \"0\", expected a whole number from 1 to 99".to_owned()),
        ("[order.100]", "replica is \"100\"".to_owned()),
        ("[order.one]", "replica is \"one\"".to_owned()),
        ("[order.01]", "replica is \"01\"".to_owned()),
        ("[order.1]\nlisten = \"a:1\"\n[order.2]\nlisten = \"a:1\"", "order.1.listen and order.2.listen: both are \"a:1\"".to_owned()),
        ("[catalog]\ndata = \"data/order-1\"", "catalog.data and order.1.data: both are".to_owned()),
        ("[catalog.1]", "line 1: catalog is \"1\", expected a whole number from 2 to 99".to_owned()),
        ("[storage]\nengine = \"database\"\n[catalog.2]\ndata = \"data/catalog\"", "catalog.data and catalog.2.data: both are".to_owned()),
        ("[frontend]\nthreads 3", "t.toml, line 2: ".to_owned()),
        ("[frontend]\nthreads = 3\nthreads = 3", "t.toml, line 3: duplicate key".to_owned()),
        ("[frontend", "t.toml, line 1: ".to_owned()),
    ] {
        let refusal = refusal(file, &[], &[]);
        assert!(refusal.contains(&expected), "{file}: {refusal}");
    }
}

#[test]
fn a_mistake_in_a_flag_or_variable_is_refused_by_its_name() {
    for (argument, expected) in [
        ("--threads=x", "--frontend-threads: frontend.threads is \"x\", expected a whole number"),
        (
            "--order-2-peer=nowhere",
            "--order-2-peer: order.2.peer is \"nowhere\", expected host:port",
        ),
        (
            "--access-log=maybe",
            "--frontend-access-log: frontend.access_log is \"maybe\", expected true",
        ),
        ("--config=missing.toml", "--config: cannot read missing.toml: No such file"),
    ] {
        assert!(refusal("", &[argument], &[]).starts_with(expected), "{argument}");
    }
    let empty = refusal("", &[], &[("TOYSTORE_FRONTEND_THREADS", "")]);
    assert!(empty.starts_with("TOYSTORE_FRONTEND_THREADS: frontend.threads is \"\""), "{empty}");
    let variables = HashMap::from([("TOYSTORE_CONFIG".into(), "missing.toml".into())]);
    let error = read(Command::new("test"), "", &["test".into()], variables).expect_err("missing");
    assert!(error.to_string().starts_with("TOYSTORE_CONFIG: cannot read missing.toml"), "{error}");
}

#[test]
fn a_variable_that_is_no_setting_is_a_warning() {
    let mut config = Config::default();
    for (variable, value, hint) in [
        ("TOYSTORE_PORT", "tcp://10.0.0.1:8081", "--help lists the settings"),
        ("TOYSTORE_FRONTEND_THREDS", "1", "did you mean TOYSTORE_FRONTEND_THREADS?"),
    ] {
        let variables = HashMap::from([(variable.into(), value.into())]);
        let warnings = flags::read_environment(variables, &mut config).expect("no error");
        let expected = format!("{variable} is ignored: no setting has this name; {hint}");
        assert_eq!(warnings, [expected]);
        assert_eq!(read_with("", &[], &[(variable, value)]), Ok(Config::default()));
    }
    assert_eq!(config, Config::default());
}

#[test]
fn addresses_are_a_host_and_a_port() {
    for (address, fits) in [
        ("127.0.0.1:0", true),
        ("localhost:65535", true),
        ("order-1.toys:80", true),
        ("[::1]:8081", true),
        ("localhost:65536", false),
        ("localhost:+1", false),
        ("localhost:", false),
        ("localhost", false),
        (":8081", false),
        ("::1:8081", false),
        ("http://localhost:8081", false),
    ] {
        let result = read_with("", &["--listen", address], &[]);
        assert_eq!(result.is_ok(), fits, "{address}: {result:?}");
    }
}

#[test]
fn given_flags_are_written_so_that_every_program_understands_them() {
    let arguments = [
        "run-all",
        "--frontend-access-log=false",
        "--order-2-listen",
        "a:1",
        "--log-level",
        "warn",
    ];
    let arguments = arguments.map(OsString::from);
    let (config, matches) =
        read(Command::new("run-all"), "", &arguments, HashMap::new()).expect("valid");
    let flags = ["--frontend-access-log=false", "--order-2-listen=a:1", "--log-level=warn"];
    assert_eq!(given_flags(&matches, &config, |_| None), flags);
    let environment = |variable: &str| match variable {
        "TOYSTORE_CONFIG" => Some("my store.toml".into()),
        // The flag wins.
        "TOYSTORE_LOG_LEVEL" | "TOYSTORE_ORDER_THREADS" => Some("ignored: read before".into()),
        _ => None,
    };
    assert_eq!(
        given_flags(&matches, &config, environment),
        [
            "--config=my store.toml",
            "--frontend-access-log=false",
            "--order-threads=10",
            "--order-2-listen=a:1",
            "--log-level=warn"
        ]
    );
    let again: Vec<_> = ["frontend"].iter().chain(&flags).map(OsString::from).collect();
    let (same, _) =
        read(Command::new("frontend"), "frontend", &again, HashMap::new()).expect("valid");
    assert_eq!(same, config);
}

#[test]
fn all_flags_win_over_environment_and_files() {
    let mut config = Config::default();
    config.frontend.threads = 3;
    config.catalog.delay = Duration::from_millis(200);
    let flags = all_flags(&config);
    let flags: Vec<_> = flags.iter().skip(1).map(String::as_str).collect();
    let variables = [("TOYSTORE_FRONTEND_THREADS", "4"), ("TOYSTORE_ORDER_THREADS", "4")];
    assert_eq!(read_with("[catalog]\ndelay_ms = 5", &flags, &variables), Ok(config));
}

#[test]
fn every_program_can_declare_its_flags_without_a_clash() {
    for own in ["", "frontend", "catalog", "order", "client", "log"] {
        flags::declare(Command::new("test"), own, Some(2), &Config::default()).debug_assert();
    }
}

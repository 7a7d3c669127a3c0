//! The commands that `run-all` prints work when they are pasted: in a shell, in another directory, without the
//! environment of `run-all`.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::Id::{Frontend, Order};
use support::run_all::RunAll;
use support::{Cluster, finish, signal, wait_for, wait_until};

/// A printed command, in a shell in another directory, without the environment.
fn paste(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    shell.stdin(Stdio::null());
    shell
}

fn output_of(command: &str) -> Output {
    paste(command).output().expect("a shell")
}

fn json_of(command: &str) -> Value {
    let output = output_of(command);
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{command}: {output:?}"))
}

/// `run-all` in a directory whose name needs quotes in a shell, with settings from flags, environment and file.
fn start(store: &Cluster, directory: &Path) -> RunAll {
    fs::create_dir(directory).expect("it is new");
    let settings =
        "[client]\nsessions = 1\niterations = 7\n\n[catalog]\ninitial = \"our toys.csv\"\n";
    fs::write(directory.join("it's configured.toml"), settings).expect("has room");
    fs::write(directory.join("our toys.csv"), "name,price,quantity\nGo & chess,9.9,50\n")
        .expect("has room");
    let mut command = store.program("run-all");
    command.args(["--exit-with-parent", "--config=it's configured.toml"]).current_dir(directory);
    command.args(["--order-3-data=data 3", "--client-address=127.0.0.1:8081"]);
    command.env("TOYSTORE_CLIENT_PROBABILITY", "0").stdin(Stdio::piped());
    let said = store.path("run-all.log");
    command.stdout(fs::File::create(&said).expect("a file"));
    RunAll::spawn(command, said)
}

/// The command that was printed after a text.
fn printed(run_all: &mut RunAll, text: &str) -> String {
    run_all.wait_until_said(text);
    wait_for("a whole line", || {
        let said = run_all.said();
        let (_, rest) = said.split_once(text)?;
        let (line, _) = rest.split_once('\n')?;
        Some(line.trim().to_owned())
    })
}

#[test]
fn every_printed_command_works_when_pasted() {
    let store = Cluster::closed(&[]);
    let directory = store.path("$HOME of 'toys'");
    let mut run_all = start(&store, &directory);
    store.leader();

    let toy = json_of(&printed(&mut run_all, "  query a toy "));
    assert_eq!(toy["data"], json!({ "name": "Go & chess", "price": 9.9, "quantity": 50 }));
    assert_eq!(
        json_of(&printed(&mut run_all, "  buy a toy "))["data"],
        json!({ "order_number": 1 })
    );
    let order = json_of(&printed(&mut run_all, "  query an order "));
    assert_eq!(order["data"], json!({ "number": 1, "name": "Go & chess", "quantity": 1 }));

    let customers = output_of(&printed(&mut run_all, "  run customers "));
    let table = String::from_utf8_lossy(&customers.stdout);
    assert_eq!(customers.status.code(), Some(0), "{customers:?}");
    let count = |kind: &str| {
        let line = table.lines().find(|line| line.starts_with(kind)).expect("a row");
        line[kind.len()..].split_whitespace().next().map(str::to_owned)
    };
    assert_eq!(count("query").as_deref(), Some("7"), "as the file says: {table}");
    assert_eq!(count("buy").as_deref(), Some("0"), "as the environment says: {table}");

    assert!(output_of(&printed(&mut run_all, "  crash the leader ")).status.success());
    let restart = "order 3 has ended (killed by signal 9 (SIGKILL)); the other services keep running. Start it again with:";
    run_all.wait_until_said(restart);
    // The line after it begins with the name of a service.
    let command = printed(&mut run_all, &format!("{restart}\nrun-all  │ "));
    let log = fs::File::create(store.path("again.log")).expect("a file");
    // So that the process that is ended below is the replica, not its shell.
    let command = command.replacen("&& ", "&& exec ", 1);
    let mut again = paste(&command).stderr(log).spawn().expect("a shell");
    wait_until("the replica is ready", || store.is_ready(Order(3)));
    store.await_in_sync();
    assert!(directory.join("data 3/orders.csv").exists(), "where it was before");
    signal(&again, rustix::process::Signal::TERM);
    assert_eq!(finish(&mut again).code(), Some(0));
    assert_eq!(store.customer(Frontend).get("/orders/1").0, 200);
}

#[test]
fn customers_are_sent_to_an_address_that_they_reach() {
    // If it listens at all addresses, the command has one address of this machine.
    let store = Cluster::closed(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let mut command = store.program("run-all");
    command.args(["--exit-with-parent", &format!("--frontend-listen=0.0.0.0:{port}")]);
    let said = store.path("run-all.log");
    command.stdin(Stdio::piped()).stdout(fs::File::create(&said).expect("a file"));
    let mut run_all = RunAll::spawn(command, said);
    let command = printed(&mut run_all, "  query a toy ");
    assert!(command.contains(&format!("http://127.0.0.1:{port}/")), "{command}");
    assert_eq!(json_of(&command)["data"]["quantity"], 100);
    let command = printed(&mut run_all, "  run customers ");
    assert!(command.contains(&format!("--address=127.0.0.1:{port}")), "{command}");
    // The listen address is passed to other processes, but no client connects to it.
    let said = run_all.said().replace("--frontend-listen=0.0.0.0", "");
    let mut of_run_all = said.lines().filter(|line| line.starts_with("run-all"));
    assert_eq!(of_run_all.find(|line| line.contains("0.0.0.0")), None, "nobody can call it");
    assert!(said.contains(&format!("frontend at 127.0.0.1:{port}, pid")), "{said}");
}

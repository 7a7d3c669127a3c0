//! Prints the addresses of an opened store and example commands to paste into another terminal. Called by `run-all`.

use super::process::Process;
use super::relay::{padded, say};
use super::service::ServiceId;
use super::{shell, store};
use crate::address;
use crate::catalogs::Catalogs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::percent_encode;
use crate::model::{Principal, Toy, ToyName};
use crate::net::Transport;
use crate::protocol::{ask, catalog, wanted};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Deadline for the catalog's answer. On one machine it takes less than a millisecond.
const TOY_DEADLINE: Duration = Duration::from_secs(1);

/// How many toys are searched for one in stock.
const TOYS_LOOKED_AT: usize = 100;

/// Prints that the store is open, how long that took, and the example commands.
pub(super) fn print(
    config: &Config,
    flags: &[String],
    processes: &[Process],
    after: Duration,
) -> Result<()> {
    for process in processes {
        let (id, listen) = (process.service.id, address::to_call(&process.service.listen));
        say(&format!("{} at {listen}, pid {}", padded(id), process.pid()));
    }
    let front_end = front_end(config);
    // A store may have other toys than the built-in ones.
    let toy = a_toy(config).map_or_else(|_| "Tux".to_owned(), String::from);
    let item = json!({ "name": toy, "quantity": 1 }).to_string();
    let curl = |words: &[&str]| {
        let authority = authority(config).map(|file| file.display().to_string());
        let trust = authority.iter().flat_map(|file| ["--cacert", file]);
        shell::words(["curl"].into_iter().chain(trust).chain(words.iter().copied()))
    };
    let things = [
        ("query a toy", curl(&[&format!("{front_end}/products/{}", percent_encode(&toy))])),
        ("buy a toy", curl(&["-d", &item, &format!("{front_end}/orders")])),
        ("query an order", curl(&[&format!("{front_end}/orders/1")])),
        ("run customers", shell::run(&store::sibling("client")?, &client_flags(config, flags))),
        ("crash the leader", kill_line(processes)),
    ];
    say(&format!("the store is open at {front_end} after {:.2} s; try:", after.as_secs_f64()));
    for (meaning, command) in things {
        say(&format!("  {meaning:<16}  {command}"));
    }
    say("Ctrl-C closes the store");
    Ok(())
}

/// The command that kills the replica of the highest id. In a new store it leads (F6).
fn kill_line(processes: &[Process]) -> String {
    let is_replica = |process: &&Process| matches!(process.service.id, ServiceId::Order(_));
    let replica = processes.iter().rfind(is_replica);
    replica.map_or_else(String::new, |process| format!("kill -9 {}", process.pid()))
}

/// Where customers reach the front-ends.
pub(super) fn front_ends(config: &Config) -> Vec<String> {
    config.frontend.instances().map(|(_, front)| address::to_call(&front.listen)).collect()
}

fn front_end(config: &Config) -> String {
    let scheme = if config.frontend.certificate.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", address::to_call(&config.frontend.first.listen))
}

/// The file of the CA certificate of the front-end, if it uses HTTPS and the file is known.
fn authority(config: &Config) -> Option<PathBuf> {
    config.frontend.certificate.as_ref()?;
    let of_the_services = || Some(config.tls.directory.as_ref()?.join("authority.pem"));
    let file = config.client.authority.clone().or_else(of_the_services)?;
    std::path::absolute(file).ok()
}

/// The flags of a client of this store: the given flags, and those needed to reach this front-end.
fn client_flags(config: &Config, flags: &[String]) -> Vec<String> {
    let mut all = flags.to_vec();
    let addresses = front_ends(config);
    if config.client.addresses != addresses {
        all.push(format!("--address={}", addresses.join(",")));
    }
    match authority(config).filter(|_| config.client.authority.is_none()) {
        Some(file) => all.push(format!("--authority={}", file.display())),
        // The front-end uses HTTP: override the certificate in the configuration file.
        None if config.frontend.certificate.is_none() && config.client.authority.is_some() => {
            all.push("--authority=".to_owned());
        }
        None => {}
    }
    all
}

/// The name of a toy that the store has.
fn a_toy(config: &Config) -> Result<ToyName> {
    let catalogs = Catalogs::find(config, &Transport::of(config, Principal::Tool)?)?;
    let deadline = Instant::now() + TOY_DEADLINE;
    let question = catalog::Request::List { after: None, limit: Some(TOYS_LOOKED_AT) };
    let toys: Vec<Toy> = ask(catalogs.active().requests(), &question, deadline, &wanted)?;
    let in_stock = toys.iter().find(|toy| toy.quantity > 0);
    let toy = in_stock.or(toys.first());
    toy.map(|toy| toy.name.clone()).ok_or(Error::UnknownToy)
}

//! Lists toys, changes prices, restocks and adds toys, for the operator. Called by the program `toys`; sends its
//! requests to the catalog.

use crate::catalogs::Catalogs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Client, percent_encode};
use crate::model::{Price, Principal, Toy, ToyName};
use crate::net::Transport;
use crate::protocol::catalog::{Put, Request};
use crate::protocol::web::{self, Data, ShownToy};
use crate::protocol::{ask, wanted};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::time::{Duration, Instant};

/// For one answer of the catalog. Before it answers, the catalog waits at most half a second until no cache has the
/// old value.
const DEADLINE: Duration = Duration::from_secs(10);

/// The subcommands `list`, `price`, `restock` and `add`.
pub fn subcommands() -> [Command; 4] {
    let required = |name, value| Arg::new(name).value_name(value).required(true);
    let name =
        || required("name", "NAME").value_parser(value_parser!(ToyName)).help("Name of the toy");
    let price =
        || required("price", "PRICE").value_parser(price).help("Price of one, such as 19.90");
    let quantity = || {
        let quantity = required("quantity", "N").value_parser(value_parser!(u64));
        quantity.help("New quantity")
    };
    [
        Command::new("list").about("Lists all toys: price, quantity, name"),
        Command::new("price").about("Changes a price").args([name(), price()]),
        Command::new("restock").about("Sets the quantity of a toy").args([name(), quantity()]),
        Command::new("add").about("Adds a toy").args([name(), price(), quantity()]),
    ]
}

/// The toy and the change that the arguments of a subcommand describe; `None` for `list`.
pub fn change_from(name: &str, arguments: &ArgMatches) -> Option<(ToyName, Put)> {
    let toy = || arguments.get_one::<ToyName>("name").expect("it is required").clone();
    let price = || *arguments.get_one::<Price>("price").expect("it is required");
    let quantity = || *arguments.get_one::<u64>("quantity").expect("it is required");
    let put = match name {
        "price" => Put::Change { price: Some(price()), restock: None },
        "restock" => Put::Change { price: None, restock: Some(quantity()) },
        "add" => Put::Add { price: price(), quantity: quantity() },
        _ => return None,
    };
    Some((toy(), put))
}

fn price(text: &str) -> Result<Price> {
    Price::try_from(text.parse::<f64>().map_err(|error| Error::invalid(error.to_string()))?)
}

/// Calls `each` with all toys, as many at a time as one answer has.
pub fn list(config: &Config, mut each: impl FnMut(&[Toy]) -> Result<()>) -> Result<()> {
    let catalogs = Catalogs::find(config, &Transport::of(config, Principal::Tool)?)?;
    let catalog = catalogs.active();
    let mut after = None;
    loop {
        let question = Request::List { after, limit: None };
        let toys: Vec<Toy> =
            ask(catalog.requests(), &question, Instant::now() + DEADLINE, &wanted)?;
        let Some(last) = toys.last() else { return Ok(()) };
        each(&toys)?;
        after = Some(last.name.clone());
    }
}

/// Adds a toy or changes one. Returns its new state.
pub fn put(config: &Config, name: &ToyName, put: &Put) -> Result<ShownToy> {
    let transport = Transport::of(config, Principal::Tool)?;
    let catalogs = Catalogs::find(config, &transport)?;
    let catalog = transport.target(catalogs.active().requests().address())?;
    let target = format!("/products/{}", percent_encode(name));
    let response = Client::new(catalog, DEADLINE)
        .send("PUT", &target, &[], &web::put_body(put))
        .map_err(Error::of_a_change)?;
    let refused = || web::refusal(&response.body);
    match response.status {
        200 | 201 => serde_json::from_slice::<Data<ShownToy>>(&response.body)
            .map(|body| body.data)
            .map_err(|e| {
                Error::unanswered(format!("malformed answer from the catalog: {e}")).of_a_change()
            }),
        404 => Err(Error::UnknownToy),
        409 => Err(Error::ToyExists),
        403 => Err(Error::Forbidden { why: refused() }),
        400..=499 => Err(Error::invalid(refused())),
        _ => Err(Error::unavailable(format!("the catalog answered: {}", refused()))),
    }
}

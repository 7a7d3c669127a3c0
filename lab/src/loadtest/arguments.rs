//! The command line of `loadtest`: a subcommand for each workload, and the [`Load`] that it describes.

use super::load::{Load, Pace, Span, Workload};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::time::Duration;
use toystore::config::Config;
use toystore::error::{Error, Result};

/// The duration of a load if neither `-n` nor `-d` is given.
const USUAL_SPAN: Duration = Duration::from_secs(10);

/// The subcommands `query`, `buy` and `mixed`.
pub fn workloads() -> [Command; 3] {
    let probability = number("probability", 'p', "P").value_parser(value_parser!(f64)).help(
        "Chance that a query is followed by a purchase of the same toy [default client.probability]",
    );
    [
        workload("query", "Queries random toys", "loadtest query -c 64 -d 10s"),
        workload("buy", "Buys random toys, one at a time", "loadtest buy -c 10 -n 1000"),
        workload(
            "mixed",
            "Queries random toys, and buys some of them",
            "loadtest mixed -p 0.2 -r 5000 -d 1m --json -",
        )
        .arg(probability),
    ]
}

fn workload(name: &'static str, about: &'static str, example: &str) -> Command {
    let count = value_parser!(u32).range(1..);
    let file = |name: &'static str| Arg::new(name).long(name).value_name("FILE");
    let args = [
        Arg::new("address")
            .long("address")
            .value_name("HOST:PORT,…")
            .value_delimiter(',')
            .help("Addresses of the front-ends [default client.address]"),
        number("connections", 'c', "N")
            .value_parser(count)
            .help("Connections, all open at the same time [default client.sessions]"),
        number("requests", 'n', "N")
            .value_parser(value_parser!(u64).range(1..))
            .conflicts_with("duration")
            .help("Number of requests"),
        number("duration", 'd', "TIME")
            .value_parser(duration)
            .help("Duration of the load: 500ms, 10s, 2m [default 10s]"),
        number("rate", 'r', "N")
            .value_parser(value_parser!(f64))
            .help("Open loop: requests per second; a latency counts from when its request was due"),
        Arg::new("pipeline")
            .long("pipeline")
            .value_name("N")
            .default_value("1")
            .value_parser(count)
            .help("Requests in flight on one connection"),
        Arg::new("seed")
            .long("seed")
            .value_name("N")
            .value_parser(value_parser!(u64))
            .help("Repeats the requests of the run that showed this seed"),
        file("json").help("Write the numbers as JSON, - for standard output"),
        file("csv").help("Write the numbers as CSV, - for standard output"),
    ];
    Command::new(name).about(about).after_help(format!("Example: {example}")).args(args)
}

fn number(name: &'static str, short: char, value: &'static str) -> Arg {
    Arg::new(name).short(short).long(name).value_name(value)
}

impl Load {
    /// The load that the arguments of a subcommand describe. Missing arguments have their values from the
    /// configuration of the client.
    pub fn from_arguments(name: &str, arguments: &ArgMatches, config: &Config) -> Result<Load> {
        let config = &config.client;
        if config.authority.is_some() {
            let why = "this program uses HTTP only, expected an empty value";
            let place = "client.authority".to_owned();
            return Err(Error::Config { place, why: why.to_owned() });
        }
        let count = |name| arguments.get_one::<u32>(name).map(|count| *count as usize);
        let seed = arguments.get_one("seed").copied().unwrap_or(config.seed);
        let probability = || arguments.get_one("probability").copied();
        Ok(Load {
            addresses: arguments
                .get_many("address")
                .map_or_else(|| config.addresses.clone(), |all| all.cloned().collect()),
            workload: match name {
                "query" => Workload::Query,
                "buy" => Workload::Buy,
                "mixed" => {
                    Workload::Mixed { probability: probability().unwrap_or(config.probability) }
                }
                other => return Err(Error::invalid(format!("there is no workload {other}"))),
            },
            pace: match arguments.get_one("rate") {
                Some(rate) => Pace::Open { rate: *rate },
                None => Pace::Closed,
            },
            span: match (arguments.get_one("requests"), arguments.get_one("duration")) {
                (Some(count), _) => Span::Requests(*count),
                (None, Some(duration)) => Span::For(*duration),
                (None, None) => Span::For(USUAL_SPAN),
            },
            connections: count("connections").unwrap_or(config.sessions),
            pipeline: count("pipeline").unwrap_or(1),
            seed: if seed == 0 { fastrand::u64(1..) } else { seed },
            deadline: config.deadline,
        })
    }
}

/// `500ms`, `10s` or `2m`; a number alone is in seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("expected a time such as 500ms, 10s or 2m".to_owned()),
    };
    let number = digits.parse::<f64>().ok().filter(|number| *number > 0.0);
    let seconds = number.ok_or("expected a time above 0, such as 500ms, 10s or 2m")? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_that_people_use() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("1.5", 1_500), ("2m", 120_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["", "s", "0s", "-1s", "5h", "1e400", "NaN", "inf"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_subcommand_says_how_it_is_used() {
        for command in workloads() {
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example: loadtest "), "{help}");
            command.debug_assert();
        }
    }
}

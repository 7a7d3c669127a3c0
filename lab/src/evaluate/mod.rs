//! The evaluation: runs the lab's seven experiments with stores that it starts itself, and writes a report.
//! Called by `loadtest evaluate`.
//!
//! ```text
//! lab ── opens ──▶ store ◀── loads ── experiment ─▶ Chapter: figures, data, findings
//!                                                      └▶ report: CSV, SVG, PNG, report.html
//! ```
//!
//! * [`lab`]: a store with given settings, on free ports and with new data.
//! * [`clients`], [`probability`], [`queueing`], [`cached`] with its `mosaic`, [`failover`] with its
//!   `timeline`, [`scaling`], [`engines`] with its `galera`: the experiments, in the order of the report.
//! * [`measured`], [`words`]: numbers, and how they are written in text.
//! * [`chapter`]: the result of an experiment; [`report`] writes it, with the [`machine`].
//! * `plot`: figures.
//!
//! - Each paragraph is computed from the data, and says so if the data differs from what is
//!   expected.
//! - The same seed makes the same requests, but not the same times.

pub mod lab;
pub mod clients;
pub mod probability;
pub mod queueing;
pub mod cached;
mod mosaic;
pub mod failover;
mod timeline;
pub mod scaling;
pub mod engines;
mod galera;
pub mod measured;
pub mod words;
pub mod chapter;
pub mod machine;
pub mod report;
pub mod plot;

use chapter::Chapter;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use lab::{Lab, Size};
use std::fs;
use std::path::PathBuf;
use toystore::error::{Error, Result};
use toystore::stop::Stop;

/// The subcommand `evaluate`.
pub fn command() -> Command {
    let quick = Arg::new("quick").long("quick").action(ArgAction::SetTrue);
    let out = Arg::new("out").long("out").value_name("DIRECTORY");
    let only = Arg::new("only").long("only").value_name("N");
    let seed = Arg::new("seed").long("seed").value_name("N").value_parser(value_parser!(u64));
    Command::new("evaluate")
        .about("Starts its own stores, runs the lab's seven experiments, and writes a report")
        .after_help("Example: loadtest evaluate --quick --out /tmp/report")
        .args([
            quick.help("Run in two to three minutes, as a test; the numbers are rough"),
            out.help("Directory of the report [default results/<time>]"),
            only.value_parser(value_parser!(u8).range(1..=7))
                .value_delimiter(',')
                .help("Run only these experiments, such as 1,5"),
            seed.help("Seed of all random choices").default_value("1"),
        ])
}

/// Runs the experiments and writes the report. Returns the path of the page.
pub fn run(arguments: &ArgMatches, stop: Stop) -> Result<PathBuf> {
    let size = if arguments.get_flag("quick") { Size::Quick } else { Size::Full };
    let seed = *arguments.get_one("seed").expect("it has a default");
    let out = match arguments.get_one::<String>("out") {
        Some(out) => PathBuf::from(out),
        None => PathBuf::from("results").join(machine::directory_name()),
    };
    let create = |e| Error::storage(&out, "cannot create it", e);
    fs::create_dir_all(&out).map_err(create)?;
    // The services get absolute paths of their data, because they may run in another directory.
    let out = out.canonicalize().map_err(create)?;
    let facts = machine::facts(&out, size, seed)?;
    let lab = Lab::new(&out, stop, size, seed);
    let experiments: [fn(&Lab) -> Result<Chapter>; 7] = [
        clients::run,
        probability::run,
        queueing::run,
        cached::run,
        failover::run,
        scaling::run,
        engines::run,
    ];
    let only = arguments.get_many::<u8>("only").map(|numbers| numbers.copied().collect::<Vec<_>>());
    let is_wanted = |number: &u8| only.as_ref().is_none_or(|only| only.contains(number));
    let wanted = (1..).zip(experiments).filter(|(number, _)| is_wanted(number));
    let chapters: Result<Vec<_>> = wanted.map(|(number, make)| Ok((number, make(&lab)?))).collect();
    lab.finish();
    report::write(&out, &facts, &chapters?)?;
    Ok(out.join(report::PAGE))
}

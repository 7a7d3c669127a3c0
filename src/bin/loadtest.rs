//! Loads a running store and says how it bore it.

use clap::{ArgMatches, Command};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use toystore::config;
use toystore::error::{Error, Result};
use toystore::loadtest::progress::Progress;
use toystore::loadtest::{self, Load, arguments};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let command = Command::new("loadtest")
        .about("Loads the toy store and measures latencies, rate and errors")
        .after_help(
            "Example: loadtest mixed -c 10 -d 5s -p 0.2\n\nExit code: 0 done, 1 every request \
             failed, 2 could not run",
        )
        .subcommand_required(true)
        .subcommands(arguments::workloads());
    let (config, arguments) = config::load(command, "")?;
    let (name, arguments) = arguments.subcommand().expect("clap requires one");
    load(&Load::from_arguments(name, arguments, &config)?, arguments)
}

fn load(load: &Load, arguments: &ArgMatches) -> Result<ExitCode> {
    let mut progress = Progress::new(load);
    let summary = loadtest::run(load, &mut |answer| progress.count(answer))?;
    progress.finish();
    let file = |name| arguments.get_one::<String>(name).map(String::as_str);
    let json = file("json").map(|file| (file, format!("{:#}\n", summary.to_json())));
    let csv = file("csv").map(|file| (file, summary.to_csv()));
    // Who wants numbers on standard output wants nothing else there.
    if ![file("json"), file("csv")].contains(&Some("-")) {
        print!("{summary}");
    }
    for (file, text) in json.into_iter().chain(csv) {
        match file {
            "-" => print!("{text}"),
            file => fs::write(file, text)
                .map_err(|error| Error::storage(Path::new(file), "cannot write it", error))?,
        }
    }
    Ok(ExitCode::from(u8::from(summary.errors() == summary.requests())))
}

//! Loads a running store and says how it bore it.

use clap::{ArgMatches, Command};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use toystore::config::Config;
use toystore::error::{Error, Result};
use toystore::loadtest::progress::Progress;
use toystore::loadtest::{self, Load, arguments, evaluate};
use toystore::stop::Stop;
use toystore::{output, program};

fn main() -> ExitCode {
    let command = Command::new("loadtest")
        .about("Loads the toy store and measures latencies, rate and errors")
        .after_help(
            "Example: loadtest mixed -c 10 -d 5s -p 0.2\n\nExit code: 0 done, 1 every request \
             failed, 2 could not run",
        )
        .subcommand_required(true)
        .subcommands(arguments::workloads().into_iter().chain([evaluate::command()]));
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, all: &ArgMatches) -> Result<ExitCode> {
    let (name, arguments) = all.subcommand().expect("clap requires one");
    if name == "evaluate" {
        let page = evaluate::run(arguments, Stop::install(all)?)?;
        output::print(format!("{}\n", page.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    load(&Load::from_arguments(name, arguments, config)?, arguments)
}

fn load(load: &Load, arguments: &ArgMatches) -> Result<ExitCode> {
    let mut progress = Progress::new(load);
    let summary = loadtest::run(load, &mut |answer| progress.count(answer))?;
    progress.finish();
    let file = |name| arguments.get_one::<String>(name).map(String::as_str);
    let json = file("json").map(|file| (file, format!("{:#}\n", summary.to_json())));
    let csv = file("csv").map(|file| (file, summary.to_csv()));
    let (printed, saved): (Vec<_>, Vec<_>) =
        json.into_iter().chain(csv).partition(|(file, _)| *file == "-");
    // The files come first: nobody has to read what is printed.
    for (file, text) in saved {
        fs::write(file, text)
            .map_err(|error| Error::storage(Path::new(file), "cannot write it", error))?;
    }
    // Who wants numbers on standard output wants nothing else there.
    if printed.is_empty() {
        output::print(&summary)?;
    }
    for (_, text) in printed {
        output::print(text)?;
    }
    Ok(ExitCode::from(u8::from(summary.errors() == summary.requests())))
}

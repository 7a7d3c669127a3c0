//! Sends a load to a running store and measures it; runs the evaluation.

use clap::{ArgMatches, Command};
use std::process::ExitCode;
use std::time::Duration;
use toystore::config::Config;
use toystore::error::Result;
use toystore::stop::Stop;
use toystore::{output, program};
use toystore_lab::evaluate;
use toystore_lab::loadtest::progress::Progress;
use toystore_lab::loadtest::{Load, Ready, arguments, report};

fn main() -> ExitCode {
    let command = Command::new("loadtest")
        .about("Sends a load to the toy store and measures latencies, rate and errors")
        .after_help(
            "Example: loadtest mixed -c 10 -d 5s -p 0.2\n\nExit code: 0 done, 1 every request \
             failed, 2 could not run, 130 interrupted",
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
    let load = Load::from_arguments(name, arguments, config)?;
    let ready = Ready::new(&load)?;
    let stop = Stop::install(all)?;
    let is_over = || stop.wait(Duration::ZERO);
    let mut progress = Progress::new(&load);
    let summary = ready.run(&mut |answer| progress.count(answer), &is_over);
    progress.finish();
    let is_interrupted = is_over();
    stop.let_signals_end();
    report::show(&summary, arguments)?;
    if is_interrupted {
        output::complain("loadtest: interrupted");
        return Ok(ExitCode::from(Stop::INTERRUPTED));
    }
    Ok(ExitCode::from(u8::from(summary.errors() == summary.requests())))
}

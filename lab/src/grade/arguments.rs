//! The command line of `grade`: many submissions, one after the other.

use super::grading::{Grade, grade};
use super::launch::User;
use super::process::Means;
use super::rubric::Rubric;
use super::submission::Submission;
use super::{descendants, explain, guard, report};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use toystore::error::{Error, Result};
use toystore::output;
use toystore::stop::Stop;

/// The command line.
pub fn command() -> Command {
    let path = |name: &'static str| Arg::new(name).long(name).value_parser(value_parser!(PathBuf));
    Command::new("grade")
        .about("Grades toy stores: starts each, tries what the lab asks, and reports the points with their evidence")
        .after_help(
            "Example: grade --rubric lab3 --csv grades.csv submissions/*.toml\n\nExit code: 0 full marks, 1 points \
             lost, 2 could not grade, 130 interrupted",
        )
        .args([
            Arg::new("submission")
                .value_name("SUBMISSION.toml")
                .value_parser(value_parser!(PathBuf))
                .num_args(1..)
                .required(true)
                .help("What is graded; docs/grading.md describes the file"),
            Arg::new("rubric")
                .long("rubric")
                .value_name("NAME|FILE")
                .default_value("lab3")
                .help("lab2, lab3, or a TOML file with checks and points"),
            path("out").value_name("DIRECTORY").help("Directory of the reports [default grades/<submission>]"),
            path("csv").value_name("FILE").help("Write a row for each submission"),
            Arg::new("user").long("user").value_name("NAME").help("Run the submissions as this user; needs root"),
            Arg::new("environment")
                .long("environment")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("Set a variable for every process of the submissions"),
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Say what was understood, and try a query, a purchase and a look-up"),
            guard::flag(),
        ])
}

/// Grades what the command line names.
pub fn run(arguments: &ArgMatches, stop: Stop) -> Result<ExitCode> {
    descendants::adopt_orphans()
        .map_err(|e| Error::unavailable(format!("cannot adopt orphans: {e}")))?;
    let stop = Arc::new(stop);
    let means = Means {
        grade: std::env::current_exe()
            .map_err(|e| Error::unavailable(format!("cannot find itself: {e}")))?,
        user: arguments.get_one::<String>("user").map(|name| user(name)).transpose()?,
    };
    let rubric = Rubric::read(arguments.get_one::<String>("rubric").expect("it has a default"))?;
    let files: Vec<&PathBuf> = arguments.get_many("submission").expect("it is required").collect();
    if arguments.get_flag("check") {
        return check(&files, arguments, &means, &stop);
    }
    refuse_twins(&files)?;
    let mut grades = Vec::new();
    for file in &files {
        let name = stem(file);
        let bar = progress(&name, &rubric, (grades.len() + 1, files.len()));
        let outcome = read(file, arguments).and_then(|submission| {
            grade(&submission, &rubric, &means, &stop, &mut |graded| {
                show(&bar, &report::summary::line(graded));
            })
        });
        bar.finish_and_clear();
        if stop.wait(Duration::ZERO) {
            output::complain("grade: interrupted");
            return Ok(ExitCode::from(Stop::INTERRUPTED));
        }
        let grade =
            outcome.unwrap_or_else(|error| Grade::failed(&name, &rubric, &error.to_string()));
        let out = match arguments.get_one::<PathBuf>("out") {
            Some(out) if files.len() == 1 => out.clone(),
            Some(out) => out.join(&name),
            None => Path::new("grades").join(&name),
        };
        report::write(&out, &grade)?;
        output::print(report::summary::sum(&grade))?;
        grades.push(grade);
        // Written after each, so that an interrupted run leaves what it has.
        if let Some(csv) = arguments.get_one::<PathBuf>("csv") {
            report::write_csv(csv, &grades)?;
        }
    }
    let failed = grades.iter().any(|grade| grade.failure.is_some());
    let is_full = grades.iter().all(Grade::is_full);
    Ok(ExitCode::from(if failed { 2 } else { u8::from(!is_full) }))
}

/// The name of a submission's reports.
fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The reports of one submission must not take the place of another's.
fn refuse_twins(files: &[&PathBuf]) -> Result<()> {
    let mut stems = BTreeMap::new();
    for file in files {
        if let Some(other) = stems.insert(stem(file), file) {
            let (one, other) = (other.display(), file.display());
            return Err(Error::invalid(format!(
                "{one} and {other} would have the same directory of reports, {}: rename one of them",
                stem(file)
            )));
        }
    }
    Ok(())
}

fn check(
    files: &[&PathBuf],
    arguments: &ArgMatches,
    means: &Means,
    stop: &Arc<Stop>,
) -> Result<ExitCode> {
    for file in files {
        let submission = read(file, arguments)?;
        output::print(explain::understood(&submission))?;
        output::print(explain::attempt(&submission, means, stop)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path, arguments: &ArgMatches) -> Result<Submission> {
    let mut submission = Submission::read(file)?;
    for variable in arguments.get_many::<String>("environment").into_iter().flatten() {
        let pair = variable.split_once('=');
        let (name, value) = pair.ok_or_else(|| {
            Error::invalid(format!("--environment is {variable:?}, expected NAME=VALUE"))
        })?;
        submission.set_environment(name, value);
    }
    Ok(submission)
}

/// Shows a result as soon as it is known: above the bar at a terminal, else as a line of output.
fn show(bar: &ProgressBar, line: &str) {
    bar.inc(1);
    if !bar.is_hidden() {
        bar.println(line);
    } else if let Err(error) = output::print(format!("{line}\n")) {
        output::complain(error);
    }
}

/// The bar of one submission; shown only at a terminal.
fn progress(name: &str, rubric: &Rubric, (number, of): (usize, usize)) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {elapsed}");
    let bar = ProgressBar::new(rubric.items.len() as u64);
    let message = if of == 1 { name.to_owned() } else { format!("{name} ({number} of {of})") };
    bar.with_style(style.expect("the template is well-formed")).with_message(message)
}

/// A user of this machine, by the name in `/etc/passwd`.
fn user(name: &str) -> Result<User> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::invalid(format!("--user {name} needs root: start grade with sudo")));
    }
    let unknown = || Error::invalid(format!("--user is {name:?}, which is not in /etc/passwd"));
    let passwd = fs::read_to_string("/etc/passwd").map_err(|_| unknown())?;
    let row = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| (fields.nth(1), fields.next()))
    });
    match row {
        Some((Some(uid), Some(gid))) => match (uid.parse(), gid.parse()) {
            (Ok(uid), Ok(gid)) => Ok(User { uid, gid }),
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

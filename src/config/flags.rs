//! The command line and the environment, made from the table of keys.

use super::keys;
use super::settings::{Config, Frontend};
use crate::error::{Error, Result};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The file that is read when none is named, if it exists.
const DEFAULT_FILE: &str = "config/toystore.toml";
const FILE_VARIABLE: &str = "TOYSTORE_CONFIG";
/// The password of the database's user, which is no setting of the file and no flag.
const PASSWORD_VARIABLE: &str = "TOYSTORE_DATABASE_PASSWORD";

/// The configuration file to read, and what named it: the flag, the variable, or the default path.
pub(super) fn file(
    arguments: &[OsString],
    environment: &HashMap<OsString, OsString>,
) -> Option<(PathBuf, String)> {
    if let Some(file) = value(arguments, "--config") {
        return Some((file.into(), "--config".to_owned()));
    }
    if let Some(file) = environment.get(OsStr::new(FILE_VARIABLE)) {
        return Some((file.into(), FILE_VARIABLE.to_owned()));
    }
    let file = PathBuf::from(DEFAULT_FILE);
    file.exists().then(|| (file, DEFAULT_FILE.to_owned()))
}

/// The number that `--id` has: which process of its section the program is.
pub(super) fn id(arguments: &[OsString]) -> Option<u32> {
    value(arguments, "--id")?.to_str()?.parse().ok()
}

/// The value of a flag that is needed before the command line can be read. The last one is used, as for every flag.
fn value(arguments: &[OsString], flag: &str) -> Option<OsString> {
    arguments.iter().enumerate().rev().find_map(|(i, argument)| match argument.to_str()? {
        text if text == flag => arguments.get(i + 1).cloned(),
        text => text.strip_prefix(flag)?.strip_prefix('=').map(OsString::from),
    })
}

/// Adds the flags that all programs have to a program's command line. In the program of a section they have no section's
/// name, and those of its process `id` come first: `catalog --id 2 --listen …` is about `[catalog.2]`.
pub(super) fn declare(command: Command, own: &str, id: Option<u32>, config: &Config) -> Command {
    let common = [
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help(format!("Configuration file [default {DEFAULT_FILE}, if it exists]"))
            .long_help(format!(
                "Configuration file [default {DEFAULT_FILE}, if it exists]. Every setting can also be given as \
                 an environment variable, such as TOYSTORE_FRONTEND_THREADS; a flag overrides a \
                 variable, a variable overrides the file"
            )),
        Arg::new("exit-with-parent")
            .long("exit-with-parent")
            .action(ArgAction::SetTrue)
            .help("Finish and exit when standard input ends, which happens when the parent process ends"),
    ];
    let mut settings: Vec<_> = keys::settings(config);
    let process = id.map_or_else(String::new, |id| format!("{own}.{id}"));
    let of_process = settings.iter().filter(|setting| setting.section == process);
    let names: HashSet<_> = of_process.map(keys::Setting::name).collect();
    let is_own = |setting: &keys::Setting| {
        setting.section == process || setting.section == own && !names.contains(setting.name())
    };
    settings.sort_by_key(|setting| !is_own(setting));
    let has_subcommands = command.has_subcommands();
    let flags = settings.iter().map(|setting| flag(setting, is_own(setting), config));
    let all = flags.chain(common.map(|arg| arg.help_heading("All programs")));
    command
        .version(env!("CARGO_PKG_VERSION"))
        .args_override_self(true)
        // They are also accepted after a subcommand.
        .args(all.map(|arg| arg.global(has_subcommands)))
}

/// The flag of one setting, without the section's name if it is the program's own.
fn flag(setting: &keys::Setting, is_own: bool, config: &Config) -> Arg {
    let default = match setting.show(&Config {
        order: config.order.clone(),
        frontend: Frontend { others: config.frontend.others.clone(), ..Frontend::default() },
        ..Config::default()
    }) {
        value if value.is_empty() => "empty".to_owned(),
        value => value,
    };
    let help = format!("{} [{}; default {default}]", setting.key.meaning, setting.allowed());
    let arg = Arg::new(setting.path()).value_name(setting.value_name()).help(help);
    let arg = if setting.is_switch() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        // `Setting::set` refuses a negative number, with a message that names the allowed range.
        arg.allow_negative_numbers(true)
    };
    let arg = setting.key.alias.into_iter().fold(arg, Arg::visible_alias);
    let arg = arg.help_heading(format!("[{}]", setting.section));
    if is_own {
        let arg = arg.long(setting.name().replace('_', "-")).alias(setting.flag());
        setting.key.short.into_iter().fold(arg, Arg::short)
    } else {
        arg.long(setting.flag()).hide_short_help(true)
    }
}

/// Reads the variables that begin with `TOYSTORE_`. Returns a warning, not an error, for each one that is not
/// a setting: Kubernetes sets such variables for a Service called `toystore`.
pub(super) fn read_environment(
    environment: HashMap<OsString, OsString>,
    config: &mut Config,
) -> Result<Vec<String>> {
    let settings = keys::settings(config);
    let mut warnings = Vec::new();
    for (variable, value) in environment {
        let Some(variable) = variable.to_str().filter(|v| v.starts_with("TOYSTORE_")) else {
            continue;
        };
        if variable == FILE_VARIABLE {
            continue;
        }
        let error = |why| Error::Config { place: variable.to_owned(), why };
        if variable == PASSWORD_VARIABLE {
            let password = value.into_string().map_err(|_| error("not UTF-8".to_owned()))?;
            config.database.password = Some(password);
            continue;
        }
        let Some(setting) = settings.iter().find(|s| s.variable() == variable) else {
            let names: Vec<_> = settings.iter().map(keys::Setting::variable).collect();
            let hint = keys::nearest(variable, &names).map_or_else(
                || "--help lists the settings".to_owned(),
                |name| format!("did you mean {name}?"),
            );
            warnings.push(format!("{variable} is ignored: no setting has this name; {hint}"));
            continue;
        };
        let value = value.into_string().map_err(|_| error("not UTF-8".to_owned()))?;
        setting.set(config, &value).map_err(error)?;
    }
    Ok(warnings)
}

/// Reads the flags.
pub(super) fn read_flags(matches: &ArgMatches, config: &mut Config) -> Result<()> {
    for setting in keys::settings(config) {
        if let Some(value) = matches.get_one::<String>(&setting.path()) {
            let place = format!("--{}", setting.flag());
            setting.set(config, value).map_err(|why| Error::Config { place, why })?;
        }
    }
    Ok(())
}

/// The flags that give a program exactly this configuration, whatever its environment and its
/// configuration file contain. The replicas must be the default three.
pub fn all_flags(config: &Config) -> Vec<String> {
    let flag = |setting: keys::Setting| format!("--{}={}", setting.flag(), setting.show(config));
    let no_file = "--config=/dev/null".to_owned();
    [no_file].into_iter().chain(keys::settings(config).into_iter().map(flag)).collect()
}

/// The settings from the command line and the environment, as flags that every program accepts. `variable` reads an
/// environment variable.
pub fn given_flags(
    matches: &ArgMatches,
    config: &Config,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<String> {
    let on_command_line = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let file = match matches.get_one::<String>("config") {
        Some(file) => Some(file.clone()),
        None => variable(FILE_VARIABLE).map(|file| file.to_string_lossy().into_owned()),
    };
    let settings = keys::settings(config).into_iter().filter(|setting| {
        on_command_line(&setting.path()) || variable(&setting.variable()).is_some()
    });
    let flags = settings.map(|setting| format!("--{}={}", setting.flag(), setting.show(config)));
    file.map(|file| format!("--config={file}")).into_iter().chain(flags).collect()
}

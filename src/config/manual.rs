//! Makes the manual page and the shell completions of a program from its command line. Called by
//! [`load`](super::load) for `--generate`; `make manual` writes them for all programs.

use crate::error::{Error, Result};
use clap::{Command, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;

/// The value of `--generate`, if that is the only argument. Required arguments may then be missing.
pub(super) fn asked(arguments: &[OsString]) -> Option<&str> {
    match arguments {
        [_, flag, what] if flag == "--generate" => what.to_str(),
        _ => None,
    }
}

/// The manual page, in roff, or the completions for one of the shells that clap knows.
pub(super) fn generate(mut command: Command, what: &str) -> Result<String> {
    let mut text = Vec::new();
    let error = |why| Error::Config { place: "--generate".to_owned(), why };
    if what == "man" {
        let page = clap_mangen::Man::new(command);
        page.render(&mut text).map_err(|e| error(e.to_string()))?;
        return Ok(utf8(&text));
    }
    let shell = Shell::from_str(what, false)
        .map_err(|_| error(format!("unknown value \"{what}\", expected man, bash, zsh or fish")))?;
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(utf8(&text))
}

fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn every_kind_names_the_flags_and_needs_none() {
        for what in ["man", "bash", "zsh", "fish"] {
            let arguments = ["order", "--generate", what].map(OsString::from);
            let command = Command::new("order").arg(Arg::new("id").long("id").required(true));
            let asked = asked(&arguments).expect("the only argument");
            let text = generate(command, asked).expect("a known kind");
            assert!(text.contains("order") && text.contains("id"), "{what}: {text}");
        }
        let refused = generate(Command::new("order"), "html").expect_err("an unknown kind");
        assert!(refused.to_string().contains("expected man, bash, zsh or fish"), "{refused}");
    }
}

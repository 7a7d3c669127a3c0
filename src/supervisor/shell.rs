//! Formats the commands that `run-all` prints, so that they work when pasted into a shell in any directory.

use std::env;
use std::path::Path;

/// The command that runs a program in the directory of this process, because paths in the configuration are relative to
/// that directory.
pub(super) fn run(program: &Path, arguments: &[String]) -> String {
    let directory = env::current_dir().unwrap_or_default();
    let program = program.strip_prefix(&directory).unwrap_or(program).display().to_string();
    // A shell searches a name without a slash in `PATH` only.
    let program = if program.contains('/') { program } else { format!("./{program}") };
    let directory = directory.display().to_string();
    format!("cd {} && {}", quoted(&directory), words([program].iter().chain(arguments)))
}

/// These words as one command.
pub(super) fn words(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:@,+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_misread_them() {
        for (word, expected) in [
            ("--order-1-listen=127.0.0.1:8091", "--order-1-listen=127.0.0.1:8091"),
            ("", "''"),
            ("my store", "'my store'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("http://[::1]:8081", "'http://[::1]:8081'"),
            ("=ls", "'=ls'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}

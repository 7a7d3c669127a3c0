//! Commands as `run-all` prints them: whoever pastes one into a shell, wherever that is, gets what was meant.

use std::env;
use std::path::Path;

/// The command that runs a program as a child of this process would run: in its directory, to which paths in a
/// configuration are relative.
pub(super) fn run(program: &Path, arguments: &[String]) -> String {
    let directory = env::current_dir().unwrap_or_default();
    let program = program.strip_prefix(&directory).unwrap_or(program).display().to_string();
    // A shell looks for a bare name elsewhere.
    let program = if program.contains('/') { program } else { format!("./{program}") };
    let directory = directory.display().to_string();
    format!("cd {} && {}", quoted(&directory), words([program].iter().chain(arguments)))
}

/// These words as one command.
pub(super) fn words(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it back.
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

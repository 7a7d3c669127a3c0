//! Text with placeholders, such as `127.0.0.1:{port:order-2}`. Pure.
//!
//! A placeholder is a word in braces: small letters and `_`, then perhaps `:` or `.` and a name. Other braces, as
//! in JSON, are text.

/// Replaces each placeholder by what `value` says; the error is a placeholder that has no value.
pub fn expand(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let word = rest.find('}').map(|close| &rest[1..close]);
        if let Some(word) = word.filter(|word| is_placeholder(word)) {
            out.push_str(&value(word).ok_or_else(|| word.to_owned())?);
            rest = &rest[word.len() + 2..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_placeholder(word: &str) -> bool {
    let head = word.split([':', '.']).next().unwrap_or_default();
    !head.is_empty()
        && head.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
}

/// A port of a process that a placeholder names.
#[derive(Debug, PartialEq, Eq)]
pub struct PortOf<'a> {
    /// The process; `None` is the one that has the placeholder.
    pub process: Option<&'a str>,
    /// The name of the port.
    pub port: &'a str,
    /// Whether a proxy leads there.
    pub is_link: bool,
}

impl PortOf<'_> {
    /// The meaning of `port`, `port.peer`, `port:order-2`, `port:order-2.peer`, `link:order-2` and
    /// `link:order-2.peer`; `None` for other words.
    pub fn parse(word: &str) -> Option<PortOf<'_>> {
        const USUAL: &str = "listen";
        let own = |port| Some(PortOf { process: None, port, is_link: false });
        if word == "port" {
            return own(USUAL);
        }
        if let Some(port) = word.strip_prefix("port.") {
            return own(port);
        }
        let (head, rest) = word.split_once(':')?;
        let is_link = match head {
            "port" => false,
            "link" => true,
            _ => return None,
        };
        let (process, port) = rest.split_once('.').unwrap_or((rest, USUAL));
        Some(PortOf { process: Some(process), port, is_link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_braces_are_replaced_and_json_is_not() {
        let value = |word: &str| (word != "nothing").then(|| format!("<{word}>"));
        for (text, expanded) in [
            (r#"{"name": "{name}", "n": {quantity}}"#, r#"{"name": "<name>", "n": <quantity>}"#),
            ("127.0.0.1:{port:order-2.peer}", "127.0.0.1:<port:order-2.peer>"),
            ("{}{ a }{A}{", "{}{ a }{A}{"),
        ] {
            assert_eq!(expand(text, value).as_deref(), Ok(expanded));
        }
        assert_eq!(expand("a{nothing}", value), Err("nothing".to_owned()));
    }

    #[test]
    fn a_placeholder_names_a_port() {
        let port = |process, port, is_link| Some(PortOf { process, port, is_link });
        for (word, meant) in [
            ("port", port(None, "listen", false)),
            ("port.peer", port(None, "peer", false)),
            ("port:order-2", port(Some("order-2"), "listen", false)),
            ("link:order-2.peer", port(Some("order-2"), "peer", true)),
            ("copy", None),
            ("way:order-2", None),
        ] {
            assert_eq!(PortOf::parse(word), meant, "{word}");
        }
    }
}

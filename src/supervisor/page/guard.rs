//! Access control of the cluster page. Pure.
//!
//! The page can kill processes, so requests that other web pages make a browser send are refused:
//!
//! - The path must begin with the *token*. It is random; `run-all` prints it in its terminal at the start.
//! - `Host` must be a loopback address or `localhost`. A foreign name that resolves to 127.0.0.1 (DNS
//!   rebinding) is refused.
//! - `Origin`, which browsers send with every command, must be the same host and port.

use crate::address;
use crate::error::{Error, Result};
use crate::http::Request;
use std::net::SocketAddr;

/// Checks requests against the token.
pub struct Guard {
    token: String,
}

impl Guard {
    /// A guard with a new token.
    pub fn new() -> Result<Guard> {
        let random = getrandom::u64()
            .map_err(|e| Error::unavailable(format!("the system has no random numbers: {e}")))?;
        Ok(Guard { token: format!("{random:016x}") })
    }

    /// The URL of the page that listens at `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("http://{address}/{}/", self.token)
    }

    /// The path of a request after the token, or the reason why the request is refused.
    pub fn admit<'p, 'a>(
        &self,
        request: &Request<'_>,
        path: &'p [&'a str],
    ) -> Result<&'p [&'a str], &'static str> {
        let host = request.header("Host").unwrap_or_default().unwrap_or_default();
        if !address::is_loopback(address::parts(host).0) {
            return Err("the Host header must be a loopback address or localhost");
        }
        for origin in request.headers("Origin") {
            if origin.strip_prefix(b"http://") != Some(host.as_bytes()) {
                return Err("the Origin header must be the address of this page");
            }
        }
        match path {
            [token, below @ ..] if is_same(token, &self.token) => Ok(below),
            _ => Err("the token is missing or wrong: open the address that run-all printed"),
        }
    }
}

/// Compares in a time that does not depend on how many characters are equal.
fn is_same(given: &str, token: &str) -> bool {
    let differs = given.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == token.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Http1;
    use crate::net::Scheme;

    /// Whether the guard admits a request with these header lines.
    fn admitted(path: &str, headers: &[&str]) -> bool {
        let guard = Guard { token: "0123456789abcdef".to_owned() };
        let headers = headers.join("\r\n");
        let request = format!("POST {path} HTTP/1.1\r\n{headers}\r\nContent-Length: 0\r\n\r\n");
        let mut admitted = None;
        Http1::new(Scheme::Plain).serve(
            request.as_bytes(),
            &mut Vec::new(),
            |request, responder| {
                let segments: Vec<_> =
                    request.segments().collect::<Result<_>>().expect("decodable");
                let path: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
                admitted = Some(guard.admit(request, &path).is_ok());
                responder.send(200, &[], b"");
            },
        );
        admitted.expect("a whole request")
    }

    #[test]
    fn only_the_token_from_the_page_itself_at_loopback_is_accepted() {
        let page = "/0123456789abcdef/commands";
        for (path, headers, expected) in [
            (page, &["Host: 127.0.0.1:8080"][..], true),
            (page, &["Host: localhost:8080", "Origin: http://localhost:8080"], true),
            (page, &["Host: [::1]:8080", "Origin: http://[::1]:8080"], true),
            (page, &["Host: 127.4.5.6:1"], true),
            // No token, a wrong one, a shorter one, a longer one.
            ("/commands", &["Host: 127.0.0.1:8080"], false),
            ("/", &["Host: 127.0.0.1:8080"], false),
            ("/0123456789abcdee/commands", &["Host: 127.0.0.1:8080"], false),
            ("/0123456789/commands", &["Host: 127.0.0.1:8080"], false),
            ("/0123456789abcdef0/commands", &["Host: 127.0.0.1:8080"], false),
            // Names that may resolve to this machine, and addresses of other machines.
            (page, &["Host: evil.example:8080"], false),
            (page, &["Host: localhost.evil.example:8080"], false),
            (page, &["Host: 127.0.0.1.evil.example"], false),
            (page, &["Host: 192.168.1.7:8080"], false),
            (page, &["Host: 0.0.0.0:8080"], false),
            // Other pages, also of this machine.
            (page, &["Host: 127.0.0.1:8080", "Origin: http://evil.example"], false),
            (page, &["Host: 127.0.0.1:8080", "Origin: http://127.0.0.1:3000"], false),
            (page, &["Host: 127.0.0.1:8080", "Origin: https://127.0.0.1:8080"], false),
            (page, &["Host: 127.0.0.1:8080", "Origin: null"], false),
            (
                page,
                &["Host: 127.0.0.1:8080", "Origin: http://127.0.0.1:8080", "Origin: http://x"],
                false,
            ),
        ] {
            assert_eq!(admitted(path, headers), expected, "{path} {headers:?}");
        }
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let tokens = [(); 2].map(|()| Guard::new().expect("random numbers").token);
        assert_eq!(tokens[0].len(), 16);
        assert_ne!(tokens[0], tokens[1]);
    }
}

//! `host:port` as text: checks, splits and joins it. An IPv6 address is in brackets
//! (RFC 3986 §3.2.2). Pure; used wherever an address is read, called, printed or certified.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this is a host name or IP address (IPv6 in brackets), a colon, and a port.
pub fn is_one(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let named =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    (bracketed || named) && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// The host, without brackets, and the port; "" if there is none, as in some `Host` headers.
pub fn parts(address: &str) -> (&str, &str) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (bare(host), port),
        _ => (bare(address), ""),
    }
}

/// The address of a host, with brackets or without, and a port.
pub fn of(host: &str, port: impl Display) -> String {
    let host = bare(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address at which callers on this machine, such as browsers, reach a server that listens at `address`. The
/// address to listen at may mean all addresses of the machine, and that one cannot be called.
pub fn to_call(listen: &str) -> String {
    let (host, port) = parts(listen);
    match host.parse() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => of(&Ipv4Addr::LOCALHOST.to_string(), port),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => of(&Ipv6Addr::LOCALHOST.to_string(), port),
        _ => listen.to_owned(),
    }
}

/// Whether a host is the machine itself, without asking a name server.
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => is_localhost(host),
    }
}

/// Whether a host is the name that means the machine itself everywhere (RFC 6761 §6.3).
pub fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_come_and_go_with_ipv6() {
        for (address, host, port) in [
            ("localhost:8081", "localhost", "8081"),
            ("127.0.0.1:0", "127.0.0.1", "0"),
            ("[::1]:8081", "::1", "8081"),
            ("[::1]", "::1", ""),
            ("localhost", "localhost", ""),
        ] {
            assert_eq!(parts(address), (host, port), "{address}");
            if !port.is_empty() {
                assert_eq!(of(host, port), address);
                assert_eq!(of(&format!("[{host}]"), port), of(host, port), "given with brackets");
            }
        }
    }

    #[test]
    fn only_what_surely_stays_on_this_machine_is_loopback() {
        for host in ["127.0.0.1", "127.9.8.7", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.1", "catalog", "localhost.example", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn nobody_is_sent_to_all_addresses() {
        for (listen, call) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("[0:0::0]:8081", "[::1]:8081"),
            ("192.0.2.1:8081", "192.0.2.1:8081"),
            ("localhost:8081", "localhost:8081"),
        ] {
            assert_eq!(to_call(listen), call);
        }
    }
}

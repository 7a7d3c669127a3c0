//! Listens at every address that a host has. Called by the acceptor, and by programs that check whether listening
//! is possible.

use super::resolver::own_addresses;
use crate::error::{Error, Result};
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

/// Listens at `address` (`host:port`), with at least one listener. All have the same port, of which the first one
/// decides if it is 0.
pub fn listen(address: &str) -> Result<Vec<TcpListener>> {
    let addresses = own_addresses(address)?;
    listen_at_all(&addresses)
        .map_err(|error| Error::Listen { address: address.to_owned(), why: error.to_string() })
}

fn listen_at_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut missing = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        let port = match listeners.first() {
            Some(first) if address.port() == 0 => first.local_addr()?.port(),
            _ => address.port(),
        };
        match TcpListener::bind(SocketAddr::new(address.ip(), port)) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_not_here(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(missing) } else { Ok(listeners) }
}

/// Whether the machine does not have the address. A machine without IPv6, for example, has no `::1`.
fn is_not_here(error: &io::Error) -> bool {
    let is_unknown_family = error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error());
    error.kind() == ErrorKind::AddrNotAvailable || is_unknown_family
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_that_the_machine_has_not_is_left_out_but_one_in_use_is_not() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        for addresses in [[here, elsewhere], [elsewhere, here]] {
            assert_eq!(listen_at_all(&addresses).expect("one is here").len(), 1);
        }
        let error = listen_at_all(&[elsewhere]).expect_err("none is here");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(is_not_here(&Errno::AFNOSUPPORT.into()), "a system without IPv6");

        let other = TcpListener::bind(here).expect("a free port");
        let taken = other.local_addr().expect("bound");
        let error = listen_at_all(&[here, taken]).expect_err("another listens there");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

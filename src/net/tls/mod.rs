//! Mutual TLS between services, and HTTPS for customers.
//!
//! * `credentials`: turns certificate files into what rustls needs.
//! * `callers`: which callers are accepted.
//! * `reload`: reads the files again at SIGHUP.
//! * `session`: one end of one connection.
//! * `refusal`: the messages for a failed handshake.

pub(super) mod credentials;
pub(super) mod callers;
pub(super) mod reload;
pub(super) mod session;
pub(super) mod refusal;

//! Mutual TLS between services, and HTTPS for customers.
//!
//! * `credentials`: from certificate files to what rustls needs.
//! * `callers`: which callers are let in.
//! * `reload`: reads the files again at SIGHUP.
//! * `session`: one end of one connection.
//! * `refusal`: why two ends do not come together, in words.

pub(super) mod credentials;
pub(super) mod callers;
pub(super) mod reload;
pub(super) mod session;
pub(super) mod refusal;

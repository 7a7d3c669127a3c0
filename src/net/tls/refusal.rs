//! The messages for a failed handshake, from the view of the end that logs them: "its" means the other end's.

use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// The line for a connection with `peer` that failed, if that was because of TLS.
pub(in crate::net) fn line(peer: SocketAddr, error: &io::Error) -> Option<String> {
    match tls_error(error)? {
        Error::AlertReceived(alert) => Some(format!("{peer} {}", alert_words(*alert))),
        error => Some(format!("refused {peer}: {}", tls_words(error))),
    }
}

/// Whether a connection failed because of TLS.
pub(in crate::net) fn is_one(error: &io::Error) -> bool {
    tls_error(error).is_some()
}

/// What went wrong, for the caller.
pub(in crate::net) fn words(error: &io::Error) -> String {
    tls_error(error).map_or_else(|| error.to_string(), tls_words)
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// What was refused recently. A service with an expired certificate calls again many times a second, and
/// the first line is enough.
#[derive(Default)]
pub(in crate::net) struct Refusals(Mutex<HashMap<String, Instant>>);

impl Refusals {
    /// Whether this was not logged within the last minute.
    pub(in crate::net) fn is_news(&self, what: &str) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        const KNOWN_MAX: usize = 256;
        let mut known = self.0.lock();
        known.retain(|_, said| said.elapsed() < MINUTE);
        let is_news = known.len() < KNOWN_MAX && !known.contains_key(what);
        if is_news {
            known.insert(what.to_owned(), Instant::now());
        }
        is_news
    }
}

/// What is wrong with a certificate of our own.
pub(super) fn own_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate_words("this", error),
        other => tls_words(other),
    }
}

fn tls_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate_words("its", error),
        Error::NoCertificatesPresented => "it has no certificate".to_owned(),
        Error::InconsistentKeys(_) => "the key belongs to another certificate".to_owned(),
        Error::AlertReceived(alert) => format!("it {}", alert_words(*alert)),
        // The first bytes are of another protocol, usually ours without TLS.
        Error::InvalidMessage(_) => "plain text instead of TLS: is [tls] set there?".to_owned(),
        other => other.to_string(),
    }
}

/// `whose` is "its" or "this".
fn certificate_words(whose: &str, error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{whose} certificate expired {}", day(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{whose} certificate is valid from {}: is a clock wrong?", day(*not_before))
        }
        // Two authorities made by `make certs` have the same name, so that only the signature shows it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{whose} certificate is of another authority")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| unwrapped(name)).collect();
            format!(
                "{whose} certificate is not for {} but for {}",
                expected.to_str(),
                names.join(", ")
            )
        }
        CertificateError::ApplicationVerificationFailure => {
            format!("{whose} certificate is not for a service that may call here")
        }
        other => format!("{whose} certificate is not valid: {other}"),
    }
}

/// Why the other end refused us.
fn alert_words(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::CertificateExpired => "our certificate expired",
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "our certificate is of another authority"
        }
        AlertDescription::AccessDenied => {
            "our certificate is not for a service that may call there"
        }
        AlertDescription::CertificateRequired => "we have no certificate: is [tls] set here?",
        other => return format!("refused us: {other:?}"),
    };
    format!("refused us: {why}")
}

fn day(time: UnixTime) -> String {
    let since = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let at = OffsetDateTime::UNIX_EPOCH.checked_add(time::Duration::seconds(since));
    at.map_or_else(|| "in the far future".to_owned(), |at| at.date().to_string())
}

/// The name within `DnsName("catalog.toystore")`.
fn unwrapped(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

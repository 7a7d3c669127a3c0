//! A connection to one node, over the crate `mysql`, which no other file knows. Used by the rest of this directory, by the
//! services for what they read, and by the lab. In a program without the feature `database` it is
//! [`no_connection`](super::connection).

use super::fault::Refusal;
use crate::config;
use crate::error::{Error, Result};
use crate::text;
use mysql::DriverError::{
    CleartextPluginDisabled, OldMysqlPasswordDisabled, TlsNotSupported, UnknownAuthPlugin,
};
use mysql::prelude::Queryable;
use mysql::{Conn, MySqlError, Opts, OptsBuilder, SslOpts, from_row_opt};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

pub use mysql::prelude::FromRow;

/// How rustls begins the reason why it does not trust a certificate. It comes in several wrappings, whose types have no names
/// outside the crate `mysql`.
const INVALID_CERTIFICATE: &str = "invalid peer certificate";

/// What is the same for all nodes: who we are, and whom we trust.
#[derive(Debug)]
pub struct Options(Opts);

/// A connection.
#[derive(Debug)]
pub struct Connection(Conn);

impl Options {
    /// Reads the files that the settings name.
    pub fn of(settings: &config::Database, connect_time_max: Duration) -> Result<Options> {
        let password = settings.password_file.as_deref().map(|file| {
            text::read(file).map_err(|e| Error::storage(file, "cannot read the password", e))
        });
        let password = password.transpose()?.or_else(|| settings.password.clone());
        let authority = settings.authority.clone().map(|file| {
            // It is read for each connection; who cannot read it need not begin.
            let read = text::read(&file);
            read.map_err(|e| Error::storage(&file, "cannot read the certificate", e))?;
            Ok(SslOpts::default().with_root_cert_path(Some(file)))
        });
        let options = OptsBuilder::new()
            .user(Some(settings.user.clone()))
            .pass(password.map(|text| text.trim_end().to_owned()))
            .prefer_socket(false)
            .tcp_connect_timeout(Some(connect_time_max))
            .stmt_cache_size(0)
            .ssl_opts(authority.transpose()?);
        Ok(Options(options.into()))
    }

    /// Whether a node has to prove its name with a certificate.
    pub fn has_tls(&self) -> bool {
        self.0.get_ssl_opts().is_some()
    }
}

impl Connection {
    /// Connects to the node at this host and port. No answer may take longer than `longest`.
    pub fn open(
        options: &Options,
        (host, port): (&str, &str),
        database: Option<&str>,
        longest: Duration,
    ) -> Result<Connection, Refusal> {
        let options = OptsBuilder::from_opts(options.0.clone())
            .ip_or_hostname(Some(host))
            .tcp_port(port.parse().unwrap_or_default())
            .db_name(database)
            .read_timeout(Some(longest))
            .write_timeout(Some(longest));
        Ok(Connection(Conn::new(options)?))
    }

    /// Runs the statements of a text, in one round trip. The first error ends it.
    pub fn run(&mut self, text: &str) -> Result<(), Refusal> {
        let mut results = self.0.query_iter(text)?;
        while let Some(result) = results.iter() {
            result.into_iter().try_for_each(|row| row.map(drop))?;
        }
        Ok(())
    }

    /// The rows that a query finds.
    pub fn rows<T: FromRow>(&mut self, query: &str) -> Result<Vec<T>, Refusal> {
        let rows = self.0.query_iter(query)?;
        rows.map(|row| Ok(from_row_opt(row?).map_err(mysql::Error::from)?)).collect()
    }

    /// The first row that a query finds.
    pub fn first<T: FromRow>(&mut self, query: &str) -> Result<Option<T>, Refusal> {
        Ok(self.rows(query)?.into_iter().next())
    }
}

impl From<mysql::Error> for Refusal {
    fn from(error: mysql::Error) -> Refusal {
        let why = match &error {
            mysql::Error::MySqlError(MySqlError { code, message, .. }) => {
                return Refusal::Code(*code, message.clone());
            }
            mysql::Error::IoError(error) => error.to_string(),
            mysql::Error::DriverError(error) => error.to_string(),
            mysql::Error::TlsError(error) => error.to_string(),
            mysql::Error::CodecError(error) => error.to_string(),
            mysql::Error::UrlError(_)
            | mysql::Error::FromValueError(_)
            | mysql::Error::FromRowError(_) => return Refusal::Row(error.to_string()),
        };
        let inner = why.strip_prefix("IO error: `").and_then(|why| why.strip_suffix('\''));
        let why = inner.unwrap_or(&why).to_owned();
        match error {
            _ if why.contains(INVALID_CERTIFICATE) => Refusal::Untrusted(why),
            mysql::Error::TlsError(_) | mysql::Error::DriverError(TlsNotSupported) => {
                Refusal::Untrusted(why)
            }
            mysql::Error::DriverError(
                UnknownAuthPlugin(_) | OldMysqlPasswordDisabled | CleartextPluginDisabled,
            ) => Refusal::Login(why),
            // It was not sent. A node that gets one refuses it with this code.
            _ if why.contains("larger than max_allowed_packet") => Refusal::Code(1153, why),
            // A read or write that takes too long ends with this.
            _ if why.contains(&io::Error::from(Errno::AGAIN).to_string()) => {
                Refusal::Lost("no answer in time".to_owned())
            }
            _ => Refusal::Lost(why),
        }
    }
}

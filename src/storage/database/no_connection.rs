//! Stands for `connection.rs` in a program that was built without the feature `database`, as `make run-all` builds it: there
//! are no options for a connection, hence no connection, and what would use one is never reached.

use super::fault::Refusal;
use crate::config;
use crate::error::{Error, Result};
use std::time::Duration;

/// No value has this type.
#[derive(Debug)]
pub enum Options {}

/// No value has this type.
#[derive(Debug)]
pub enum Connection {}

/// What a row can be read as.
pub trait FromRow {}

impl<T> FromRow for T {}

impl Options {
    /// Always an error, which says what to do.
    pub fn of(_settings: &config::Database, _connect_time_max: Duration) -> Result<Options> {
        Err(Error::invalid(
            "this program was built without the database; add FEATURES=database to the command of make, \
             or build it without --no-default-features",
        ))
    }

    /// Never called.
    pub fn has_tls(&self) -> bool {
        match *self {}
    }
}

impl Connection {
    /// Never called.
    pub fn open(
        options: &Options,
        _node: (&str, &str),
        _database: Option<&str>,
        _longest: Duration,
    ) -> Result<Connection, Refusal> {
        match *options {}
    }

    /// Never called.
    pub fn run(&mut self, _text: &str) -> Result<(), Refusal> {
        match *self {}
    }

    /// Never called.
    pub fn rows<T: FromRow>(&mut self, _query: &str) -> Result<Vec<T>, Refusal> {
        match *self {}
    }

    /// Never called.
    pub fn first<T: FromRow>(&mut self, _query: &str) -> Result<Option<T>, Refusal> {
        match *self {}
    }
}

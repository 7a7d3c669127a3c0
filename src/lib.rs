//! The toy store: a front-end, a catalog, three replicated order servers, and shopping clients, built with
//! threads and sockets only.
//!
//! # What it guarantees
//!
//! - An acknowledged order is never lost and never doubled, whatever crashes: any replica,
//!   the leader included, the catalog, the front-end, or all at once. One replica of three is enough to continue.
//! - For each toy, at any time: initial + restocked − sold = now.
//! - A query that starts after an order was acknowledged reflects it, cache or not.
//! - A client whose request was in flight when the leader crashed notices only latency.
//!
//! # The life of a purchase
//!
//! ```text
//!  client             front-end               leader                 catalog            followers
//!    │  POST /orders      │                      │                      │                   │
//!    │───────────────────▶│  buy(epoch,key,item) │                      │                   │
//!    │                    │─────────────────────▶│  purchase(epoch,key) │                   │
//!    │                    │                      │─────────────────────▶│ decrement         │
//!    │                    │                      │◀── reserved, row 7 ──│                   │
//!    │                    │                      │ append to the log    │                   │
//!    │                    │                      │──── append(entries, committed) ─────────▶│
//!    │                    │                      │── durable(7)? ──────▶│                   │
//!    │                    │◀── changes: Tux is at version 7 ────────────│                   │
//!    │                    │                      │ fdatasync            │ fdatasync         │ fdatasync
//!    │                    │─── acknowledged ───────────────────────────▶│                   │
//!    │                    │                      │◀──── durable ────────│                   │
//!    │                    │                      │◀──── synced up to 42 ────────────────────│
//!    │                    │◀──── bought 42 ──────│ committed            │                   │
//!    │◀── order_number 42 │                      │──── settle(42) ─────▶│ forget the key    │
//! ```
//!
//! Purchases that wait at the same time are sent together, each with its own outcome.
//!
//! After any failure the same purchase is sent again with the same *key*, and each
//! step recognises it: the log by the key of the order, the catalog by the key of the open sale. If one of the two
//! loses the end of its file in a crash, leader and catalog *reconcile* before anything else is sold: orders without a
//! sale are sold again, sales without an order become orders. `docs/replication.md` is the protocol.
//!
//! # The modules, in reading order
//!
//! Each service has a *pure* part, which takes an input and returns what to do; a *durable* part; and
//! a *threaded* part around both.
//!
//! | layer | modules |
//! |---|---|
//! | values | [`error`], [`model`], [`text`], [`address`] |
//! | judging | [`history`]: what customers were answered, and which promises that breaks; [`links`]: a network with faults |
//! | programs | [`output`], [`config`], [`diagnostics`], [`blocking`], [`stop`], [`program`], [`signals`] |
//! | input and output | [`storage`] (what is durable: files, or a database), [`net`] (server, frames, calls), [`http`] |
//! | traces | [`trace`] (where the time of a request goes) |
//! | messages | [`protocol`]; [`pages`], for people with a browser |
//! | endpoints | [`monitoring`] (health, status, metrics), [`endpoint`] (an address of a service), [`collector`] (of traces), [`catalogs`] (which of them is active) |
//! | services | [`catalog`], [`order`], [`frontend`] |
//! | programs that use the services | [`client`], [`audit`], [`certs`], [`toys`], [`supervisor`]; [`migration`], which uses [`audit`] |
//!
//! The programs that measure stores are a package of their own, in `lab/`. `docs/architecture.md` follows one purchase
//! and one invalidation from file to file.
//!
//! A module imports strictly lower layers only; services never import each other. `tests/tidy.rs`
//! checks it.

pub mod error;
pub mod model;
pub mod text;
pub mod address;
pub mod history;
pub mod links;
pub mod output;
pub mod config;
pub mod diagnostics;
pub mod blocking;
pub mod stop;
pub mod program;
pub mod signals;
pub mod storage;
pub mod net;
pub mod http;
pub mod trace;
pub mod protocol;
pub mod pages;
pub mod monitoring;
pub mod endpoint;
pub mod collector;
pub mod catalogs;
pub mod catalog;
pub mod order;
pub mod frontend;
pub mod client;
pub mod supervisor;
pub mod audit;
pub mod migration;
pub mod certs;
pub mod toys;

//! Tables of a database that speaks MySQL's protocol and spans machines: the state of a service survives the loss of a
//! node. Knows no toys. Used by the services with `engine = "database"`.
//!
//! ```text
//! statement.rs   (pure) literals and lists in the text of a statement
//! fault.rs       (pure) what an error of a node means: try again, or tell the operator
//! connection.rs  a connection to one node, over the crate `mysql`; no_connection.rs in a program built without it
//! nodes.rs       the nodes of the database, tried in turn, each with deadlines
//! schema.rs      the tables that a service needs, made at its first start
//! opened.rs      a service's database: opens it, reads
//! node.rs        one node by itself: whether it answers, and what it says of itself
//! row.rs         (pure) what the row of a log says about a commit whose outcome is unknown
//! lease.rs       (pure) until when a log certainly has no other writer, and from when on it may be taken
//! claim.rs       that row in the database: read, take, give back
//! table_log.rs   a log that grows row by row: append, sync, answer; one writer at a time
//! candidate.rs   waits until a log has no writer, and takes it
//! ```
//!
//! - Each service has a database of its own.
//! - What was synced is there after the loss of any node that the database survives.
//! - A writer that was replaced cannot commit any more: the database itself refuses it.
//! - A commit whose answer did not come is neither taken for done nor for failed: another node is asked.

pub mod statement;
pub mod fault;
#[cfg(feature = "database")]
pub mod connection;
#[cfg(not(feature = "database"))]
#[path = "no_connection.rs"]
pub mod connection;
pub mod nodes;
pub mod schema;
pub mod opened;
pub mod node;
pub mod row;
pub mod lease;
mod claim;
pub mod table_log;
pub mod candidate;

pub use candidate::Candidate;
pub use connection::{Connection, FromRow, Options};
pub use fault::Refusal;
pub use lease::LOOK;
pub use node::{Node, NodeStatus};
pub use opened::Database;
pub use schema::{Definition, Schema};
pub use statement::{add_list, literal};
pub use table_log::TableLog;

//! The HTTP API under `/api/v1`. Bodies are JSON; an error is a problem (RFC 9457).
//!
//! [`ApiService`] makes the routes and the OpenAPI document from the same handlers. [`caller`] authenticates a
//! request and knows what its sender may do; the handlers check that, parse the request ([`input`]), and call the
//! rooms or the store of accounts.

pub mod accounts;
mod audit_log;
pub mod audit_writer;
mod caller;
mod document;
mod idempotency;
mod input;
mod keys;
mod once;
mod page;
mod participants;
pub(crate) mod problem;
pub mod quality_writer;
mod room_list;
mod router;
mod service;
mod stats;
pub mod stored_keys;
mod tokens;
mod users;

pub use document::document;
pub use problem::{InvalidField, Problem};
pub use service::ApiService;

//! The HTTP API under `/api/v1`. Bodies are JSON; an error is an object with `code` and `message`.

pub mod accounts;
mod api_error;
pub mod audit_writer;
pub mod quality_writer;
pub mod stored_keys;

pub use api_error::ApiError;

//! What outlives a process: accounts, projects, keys and the audit log; sessions and presence.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod sessions;

//! The commands of `leat` for operators that are not about accounts.

mod config_command;

pub use config_command::{ConfigCheckError, run as config};

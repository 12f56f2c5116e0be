//! The commands of `leat` for operators that are not about accounts.

mod config_command;
mod doctor;

pub use config_command::{ConfigCheckError, run as config};
pub use doctor::run as doctor;

//! The form of names.

use super::error::AccountError;
use super::limits::{
    LABEL_LEN_MAX, PASSWORD_BYTES_MAX, PASSWORD_LEN_MIN, PROJECT_LEN_MAX, ROOM_LEN_MAX, USER_BYTES_MAX,
    USER_LEN_MAX,
};

/// Checks the name of a project.
pub fn check_project(name: &str) -> Result<(), AccountError> {
    check_plain("the name of a project", name, PROJECT_LEN_MAX)
}

/// Checks the name of a room, with the rule of tokens.
pub fn check_room(name: &str) -> Result<(), AccountError> {
    check_plain("the name of a room", name, ROOM_LEN_MAX)
}

fn check_plain(what: &'static str, name: &str, len_max: usize) -> Result<(), AccountError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= len_max && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(AccountError::Invalid { what, wanted: format!("1 to {len_max} of A-Z a-z 0-9 . _ -") })
}

/// Checks the name of a user, with the rule of tokens.
pub fn check_user(name: &str) -> Result<(), AccountError> {
    let has_length = (1..=USER_LEN_MAX).contains(&name.chars().count()) && name.len() <= USER_BYTES_MAX;
    if has_length && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let wanted = format!(
        "1 to {USER_LEN_MAX} characters in at most {USER_BYTES_MAX} bytes, none of them a control character"
    );
    Err(AccountError::Invalid { what: "the name of a user", wanted })
}

/// Checks a new password.
pub fn check_password(password: &str) -> Result<(), AccountError> {
    if password.chars().count() >= PASSWORD_LEN_MIN && password.len() <= PASSWORD_BYTES_MAX {
        return Ok(());
    }
    let wanted = format!("at least {PASSWORD_LEN_MIN} characters in at most {PASSWORD_BYTES_MAX} bytes");
    Err(AccountError::Invalid { what: "the password", wanted })
}

pub(super) fn check_label(label: &str) -> Result<(), AccountError> {
    if label.chars().count() <= LABEL_LEN_MAX && !label.chars().any(char::is_control) {
        return Ok(());
    }
    let wanted = format!("at most {LABEL_LEN_MAX} characters, none of them a control character");
    Err(AccountError::Invalid { what: "the label of a key", wanted })
}

//! Why a request is refused.

use control::Refusal;

/// Why a request is refused, for programs and for people.
pub(crate) type Refused = (Refusal, String);

pub(crate) fn check_limit(count: usize, max: usize, what: &str) -> Result<(), Refused> {
    if count < max {
        Ok(())
    } else {
        Err((Refusal::Limit, format!("there are {max} {what}, which is the bound")))
    }
}

/// The command came before: the same again is answered the same, another with the same id is refused.
pub(crate) fn same_or_exists(is_same: bool, what: std::fmt::Arguments<'_>) -> Result<(), Refused> {
    if is_same { Ok(()) } else { Err((Refusal::Exists, format!("{what} exists, with other parameters"))) }
}

pub(crate) fn not_found(what: std::fmt::Arguments<'_>) -> Refused {
    (Refusal::NotFound, format!("{what} does not exist on this worker"))
}

pub(crate) fn invalid(text: String) -> Refused {
    (Refusal::Invalid, text)
}

//! Reads the attributes of the session or of one section.

use crate::error::SdpError;
use crate::limits::TOKEN_BYTES_MAX;
use sdp_types::Attribute;
use std::str::FromStr;

/// The attributes of the session or of a section, and the place for errors.
pub(crate) struct Attributes<'a> {
    pub(crate) all: &'a [Attribute],
    pub(crate) place: &'a str,
}

impl<'a> Attributes<'a> {
    /// Whether there is an attribute with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|attribute| attribute.attribute == name)
    }

    /// The value of the first attribute with this name.
    pub(crate) fn value(&self, name: &'static str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The values of all attributes with this name; an attribute without a value has an empty one.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let named = self.all.iter().filter(move |attribute| attribute.attribute == name);
        named.map(|attribute| attribute.value.as_deref().unwrap_or_default())
    }

    /// Reads all attributes with this name, at most `limit`.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        limit: usize,
        wanted: &'static str,
        read: impl Fn(&'a str) -> Option<T>,
    ) -> Result<Vec<T>, SdpError> {
        let mut found = Vec::new();
        for value in self.values(name) {
            if found.len() == limit {
                return Err(SdpError::TooMany { place: self.place.to_owned(), what: name, limit });
            }
            found.push(read(value).ok_or_else(|| self.wrong(name, wanted))?);
        }
        Ok(found)
    }

    /// Reads the first attribute with this name.
    pub(crate) fn first<T>(
        &self,
        name: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, SdpError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(name, wanted))
    }

    pub(crate) fn wrong(&self, attribute: &'static str, wanted: &'static str) -> SdpError {
        SdpError::Attribute { place: self.place.to_owned(), attribute, wanted }
    }
}

/// A token (RFC 8866 §9) of bounded length.
pub(crate) fn token(text: &str) -> Option<String> {
    let is_token = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]".contains(c);
    let is_short = (1..=TOKEN_BYTES_MAX).contains(&text.len());
    (is_short && text.chars().all(is_token)).then(|| text.to_owned())
}

/// A word without blanks and control characters, of bounded length.
pub(crate) fn word(text: &str) -> Option<String> {
    let is_short = (1..=TOKEN_BYTES_MAX).contains(&text.len());
    (is_short && !text.chars().any(|c| c.is_whitespace() || c.is_control())).then(|| text.to_owned())
}

/// A decimal number without a sign.
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())?
}

//! What a log does not show by default: addresses of clients, and in every case tokens and passwords.
//!
//! Addresses are found as text, because they are also in the messages of errors. An address of Leat itself is
//! logged in a field of [`OWN_ADDRESSES`]; an address in any other field, or in a message, is taken for that of
//! a client.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Stands for what is not shown.
pub const REDACTED: &str = "[redacted]";

/// Fields with addresses of this installation: its listening and announced addresses, and its proxies.
const OWN_ADDRESSES: [&str; 5] = ["address", "announced", "ip", "proxy", "relayed"];

/// Fields with names that an application gives. They are not changed.
const NAMES: [&str; 3] = ["roomId", "userId", "peerId"];

/// Names before `=`, or before `:` and a quoted text, whose value is a secret.
const SECRETS: [&str; 6] = ["token", "secret", "credential", "password", "passwd", "pwd"];

/// Whether a log shows the addresses of clients: option `--log-addresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddresses {
    /// Not shown.
    Redacted,
    /// Shown.
    Shown,
}

impl ClientAddresses {
    /// By the option `--log-addresses`.
    pub fn shown_if(log_addresses: bool) -> Self {
        if log_addresses { Self::Shown } else { Self::Redacted }
    }

    /// The text of a field, or of the message, as the log shows it.
    pub(crate) fn redact<'t>(self, field: &str, text: &'t str) -> Cow<'t, str> {
        if NAMES.contains(&field) {
            return text.into();
        }
        let text = without_secrets(text);
        if self == Self::Shown || OWN_ADDRESSES.contains(&field) {
            return text;
        }
        match text {
            Cow::Borrowed(text) => without_addresses(text),
            Cow::Owned(text) => without_addresses(&text).into_owned().into(),
        }
    }
}

/// A text without IP addresses and their ports. The unspecified address, on which a server listens, remains.
fn without_addresses(text: &str) -> Cow<'_, str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_.:%".contains(character);
    replace_words(text, is_part, |word, _| {
        // The end of a sentence.
        let end = word.trim_end_matches(['.', ':']).len();
        if is_address(word) {
            return Some(REDACTED.to_owned());
        }
        if is_address(&word[..end]) {
            return Some(format!("{REDACTED}{}", &word[end..]));
        }
        let is_hidden = |piece: &str| piece.parse().is_ok_and(|ip: Ipv4Addr| !ip.is_unspecified());
        let pieces: Vec<&str> = word.split(':').collect();
        pieces.iter().any(|piece| is_hidden(piece)).then(|| {
            let shown = pieces.iter().map(|piece| if is_hidden(piece) { REDACTED } else { piece });
            shown.collect::<Vec<_>>().join(":")
        })
    })
}

fn is_address(word: &str) -> bool {
    let without_zone = word.split('%').next().unwrap_or_default();
    let ip = without_zone.parse().or_else(|_| word.parse().map(|address: SocketAddr| address.ip()));
    ip.is_ok_and(|ip: IpAddr| !ip.is_unspecified())
}

/// A text without tokens, passwords and other secrets: what follows `token=`, `"password": `, `Bearer ` or the
/// like, every JSON Web Token, and the password of a URL.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let is_part = |character: char| !character.is_whitespace() && !"\"'()<>[]{},;".contains(character);
    replace_words(text, is_part, |word, before| {
        if is_value_of_secret(before) {
            return Some(REDACTED.to_owned());
        }
        word_without_secret(word)
    })
}

/// The length of the longest text before a secret.
const SCHEME_LEN_MAX: usize = "authorization: basic ".len();

/// Whether a text ends with `Bearer `, or with the name of a secret before a quoted value: `token: "`.
fn is_value_of_secret(before: &str) -> bool {
    let lower = |text: &str| text.to_ascii_lowercase();
    let end = lower(&before[before.floor_char_boundary(before.len().saturating_sub(SCHEME_LEN_MAX))..]);
    if end.ends_with("bearer ") || end.ends_with("authorization: basic ") {
        return true;
    }
    // Further words of a quoted value.
    let first = before.trim_end_matches("[redacted] ");
    if first.len() < before.len() {
        return first.ends_with(['"', '\'']);
    }
    let Some(name) = before.strip_suffix(['"', '\'']) else { return false };
    // `Some("…")` is the `Debug` of an optional value.
    let name = name.strip_suffix("Some(").unwrap_or(name).trim_end();
    let Some(name) = name.strip_suffix([':', '=']) else { return false };
    let name = name.trim_end_matches(['"', '\'', '\\']);
    let start = name.rfind(|character: char| !character.is_ascii_alphanumeric() && !"_-".contains(character));
    let name = lower(&name[start.map_or(0, |at| at + 1)..]);
    SECRETS.iter().any(|secret| name.ends_with(secret))
}

fn word_without_secret(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let value = SECRETS.iter().filter_map(|name| {
        let after = |at: usize| &lower[at + name.len()..];
        let at = lower.match_indices(name).map(|(at, _)| at).find(|at| after(*at).starts_with('='))?;
        Some(at + name.len() + 1)
    });
    // ICE's password in SDP.
    let value = value.chain(lower.find("ice-pwd:").map(|at| at + "ice-pwd:".len())).min();
    if let Some(at) = value.filter(|at| *at < word.len()) {
        return Some(format!("{}{REDACTED}", &word[..at]));
    }
    // A JSON Web Token begins with the base64 of `{"`.
    if let Some(at) = word.find("eyJ").filter(|at| word[*at..].matches('.').count() >= 2) {
        return Some(format!("{}{REDACTED}", &word[..at]));
    }
    let (scheme, rest) = word.split_once("://")?;
    let (user, host) = rest.split_once('@')?;
    let (user, _) = user.split_once(':')?;
    Some(format!("{scheme}://{user}:{REDACTED}@{host}"))
}

/// Gives each word, a longest run of characters for which `is_part`, to `replace`, with the new text before it.
fn replace_words(
    text: &str,
    is_part: impl Fn(char) -> bool,
    replace: impl Fn(&str, &str) -> Option<String>,
) -> Cow<'_, str> {
    // Until the first replacement, nothing is copied.
    let mut new: Option<String> = None;
    let mut at = 0;
    while let Some(start) = text[at..].find(&is_part).map(|start| at + start) {
        let end = text[start..].find(|character| !is_part(character)).map_or(text.len(), |len| start + len);
        let before = match &mut new {
            Some(new) => {
                new.push_str(&text[at..start]);
                new.as_str()
            }
            None => &text[..start],
        };
        match (replace(&text[start..end], before), &mut new) {
            (Some(word), Some(new)) => new.push_str(&word),
            (Some(word), None) => new = Some(format!("{}{word}", &text[..start])),
            (None, Some(new)) => new.push_str(&text[start..end]),
            (None, None) => {}
        }
        at = end;
    }
    match new {
        Some(mut new) => {
            new.push_str(&text[at..]);
            new.into()
        }
        None => text.into(),
    }
}

#[cfg(test)]
mod tests;

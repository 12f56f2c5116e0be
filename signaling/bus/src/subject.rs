//! Subjects: words separated by dots. A name that clients choose becomes one word.

use std::fmt::Write as _;

/// A name as one word of a subject and as a key of a bucket: letters, digits, `-` and `_` stay; every other
/// byte becomes `=` and two hexadecimal digits. So no name contains a dot, a space or a wildcard, and two
/// names never become the same word. An empty name becomes `=`.
pub fn token(name: &str) -> String {
    if name.is_empty() {
        return "=".to_owned();
    }
    let mut word = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            word.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(word, "={byte:02X}");
        }
    }
    word
}

/// Whether a subject matches a filter: `*` is any one word, `>` at the end is one or more words.
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    let mut filters = filter.split('.').peekable();
    while let Some(wanted) = filters.next() {
        let Some(word) = words.next() else { return false };
        if wanted == ">" && filters.peek().is_none() {
            return true;
        }
        if wanted != "*" && wanted != word {
            return false;
        }
    }
    words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_word_each_and_stay_different() {
        for (name, word) in [
            ("millpond", "millpond"),
            ("a.b", "a=2Eb"),
            ("a=2Eb", "a=3D2Eb"),
            ("*", "=2A"),
            (">", "=3E"),
            ("a b\r\n", "a=20b=0D=0A"),
            ("é", "=C3=A9"),
            ("", "="),
        ] {
            assert_eq!(token(name), word);
        }
    }

    #[test]
    fn filters_match_words() {
        for (filter, subject, wanted) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("a.*.>", "a.b", false),
        ] {
            assert_eq!(matches(filter, subject), wanted, "{filter} {subject}");
        }
    }
}

//! How deeply the brackets of a GraphQL document are nested. The parser is recursive and has no limit for
//! values, so a document is measured before it is parsed.

/// A string of the document has no end, so the document is not valid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnendedString;

/// The greatest number of brackets that are open at once, outside of strings and comments (GraphQL
/// specification §2.1).
pub(super) fn nesting(document: &str) -> Result<usize, UnendedString> {
    let mut rest = document.as_bytes();
    let (mut depth, mut deepest) = (0usize, 0);
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => after_string(rest).ok_or(UnendedString)?,
            b'#' => after_comment(after),
            b'[' | b'{' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
                after
            }
            b']' | b'}' | b')' => {
                depth = depth.saturating_sub(1);
                after
            }
            _ => after,
        };
    }
    Ok(deepest)
}

/// What follows a string that begins here; `None` if it has no end. Nothing shorter is tried then, because
/// each of the following quotation marks would be searched for an end again. The ends are those that the
/// parser finds, otherwise it would read brackets that are not counted here.
fn after_string(text: &[u8]) -> Option<&[u8]> {
    if let Some(mut block) = text.strip_prefix(b"\"\"\"") {
        loop {
            block = match block {
                [b'\\', b'"', b'"', b'"', after @ ..] => after,
                [b'"', b'"', b'"', after @ ..] => return Some(after),
                [_, after @ ..] => after,
                [] => return None,
            };
        }
    }
    let mut rest = &text[1..];
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [] | [b'\n' | b'\r', ..] => return None,
            [b'\\', _, after @ ..] | [_, after @ ..] => after,
        };
    }
}

fn after_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_strings_and_comments() {
        for (document, wanted) in [
            ("", 0),
            ("{ a }", 1),
            ("{ a(b: [[1], {c: 2}]) { d } }", 4),
            ("{ a } { b }", 1),
            ("}}}{", 1),
            ("{ a(b: \"[[[[\") }", 2),
            ("{ a(b: \"\\\"[[[[\") }", 2),
            ("{ a(b: \"\"\"[[[\"[[\\\"\"\" [[\n\"\"\") }", 2),
            ("{ # [[[[\n a }", 1),
            // Closing brackets in strings and comments close nothing.
            ("[\"]\" [\"]\" [ # ]\n [", 4),
            // An escaped end of a block string, with one more quotation mark.
            ("\"\"\"\\\"\"\"\" [ \"\"\" [[[[ \"\"\"\"\"\"", 4),
            ("\"\"\"\\\\\"\"\" [[ \"\"\" [", 1),
        ] {
            assert_eq!(nesting(document), Ok(wanted), "{document}");
        }
    }

    #[test]
    fn document_with_a_string_without_an_end_is_refused() {
        // The last one has many places where a string could begin.
        let many = format!("{{ a(b: \"{}", "\\\"".repeat(16_000));
        for document in [
            "\"",
            "[\" [[\n[",
            "\"a\r\"",
            "\"a\\",
            "\"\\\"",
            "\"\"\"",
            "[\"\"\"]\" [[",
            "\"\"\"\\\"\"\"",
            &many,
        ] {
            assert_eq!(nesting(document), Err(UnendedString), "{document}");
        }
        assert_eq!(nesting("\"\" \"\\\\\" \"\"\"\"\"\""), Ok(0));
    }
}

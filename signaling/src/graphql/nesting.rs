//! How deeply the brackets of a GraphQL document are nested. The parser is recursive and has no limit for
//! values, so a document is measured before it is parsed.

/// The greatest number of brackets that are open at once, outside of strings and comments (GraphQL
/// specification §2.1).
pub(super) fn nesting(document: &str) -> usize {
    let mut rest = document.as_bytes();
    let (mut depth, mut deepest) = (0usize, 0);
    let mut has_blocks = true;
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => after_string(rest, &mut has_blocks),
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
    deepest
}

/// What follows a string that begins here. One without an end is not a string: the parser refuses it, or
/// tries something shorter. `has_blocks` becomes false when no further block string can end, so that the
/// document is not searched again.
fn after_string<'a>(text: &'a [u8], has_blocks: &mut bool) -> &'a [u8] {
    if let Some(block) = text.strip_prefix(b"\"\"\"").filter(|_| *has_blocks) {
        let is_end = |at: &usize| block[*at..].starts_with(b"\"\"\"") && (*at == 0 || block[at - 1] != b'\\');
        if let Some(end) = (0..block.len()).find(is_end) {
            return &block[end + 3..];
        }
        *has_blocks = false;
    }
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return &text[at + 1..],
            b'\n' | b'\r' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    // Only the quotation mark.
    &text[1..]
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
            // A string without an end.
            ("[\" [[\n[", 4),
            ("[\"\"\"]\" [[", 3),
        ] {
            assert_eq!(nesting(document), wanted, "{document}");
        }
    }
}

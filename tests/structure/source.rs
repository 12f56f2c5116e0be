//! Forbidden code in sources: `unsafe` outside the listed crates, and in a machine a socket, a clock, global
//! randomness, a lock or a thread.
//!
//! This reads Rust just well enough for that: comments, literals and `#[cfg(test)]` items are blanked out,
//! then whole words are searched. It is *not* a parser, and a macro could evade it; the dependency rules of
//! [`crate::floor`] are the second check.

use crate::floor::CrateRule;

/// Names of APIs for time, randomness, the network or threads. Each is a whole path segment or path.
const FORBIDDEN_IN_MACHINES: &[(&str, &str)] = &[
    ("std::net::UdpSocket", "a socket"),
    ("UdpSocket", "a socket"),
    ("TcpStream", "a socket"),
    ("TcpListener", "a socket"),
    ("UnixStream", "a socket"),
    ("UnixDatagram", "a socket"),
    ("std::os", "an operating-system handle"),
    ("OwnedFd", "an operating-system handle"),
    ("RawFd", "an operating-system handle"),
    ("std::fs", "the file system"),
    ("std::env", "the environment"),
    ("std::process", "a process"),
    ("std::thread", "a thread"),
    ("thread_local", "a thread"),
    ("Instant::now", "a clock read"),
    ("SystemTime", "a clock read"),
    ("UNIX_EPOCH", "a clock read"),
    ("thread_rng", "global randomness"),
    ("rand::rng", "global randomness"),
    ("rand::random", "global randomness"),
    ("getrandom", "global randomness"),
    ("OsRng", "global randomness"),
    ("from_os_rng", "global randomness"),
    ("from_entropy", "global randomness"),
    ("SystemRandom", "global randomness"),
    ("aws_lc_rs::rand", "global randomness"),
    ("RandomState", "global randomness"),
    // These exist only for the hasher that seeds itself.
    ("HashMap::new", "global randomness"),
    ("HashMap::with_capacity", "global randomness"),
    ("HashSet::new", "global randomness"),
    ("HashSet::with_capacity", "global randomness"),
    ("Mutex", "something shared"),
    ("RwLock", "something shared"),
    ("RefCell", "something shared"),
    ("static mut", "something shared"),
    ("println", "the terminal"),
    ("eprintln", "the terminal"),
];

/// The forbidden code of one file, one sentence each.
pub fn violations(rule: &CrateRule, file: &str, source: &str) -> Vec<String> {
    let code = without_tests(&code_only(source));
    let mut found = Vec::new();
    if !rule.may_be_unsafe && contains_path(&code, "unsafe") {
        found.push(format!("{file}: `unsafe` belongs in shm, ssl and runtime"));
    }
    if rule.is_machine {
        for (path, meaning) in FORBIDDEN_IN_MACHINES {
            if contains_path(&code, path) {
                found.push(format!("{file}: `{path}` is {meaning}; a machine gets its inputs as arguments"));
            }
        }
    }
    found
}

/// The maximum length of a source file, in lines: a longer one should be split by meaning.
const LINES_MAX: usize = 900;

/// What a file of any rule must not have.
pub fn untidiness(source: &str) -> impl Iterator<Item = String> {
    let lines = source.lines().count();
    let long = (lines > LINES_MAX).then(|| format!("has {lines} lines: split it by meaning"));
    let open =
        [concat!("TO", "DO"), concat!("FIX", "ME")].into_iter().find(|word| contains_path(source, word));
    let open = open.map(|word| format!("contains an open task: {word}"));
    let off = code_only(source).contains("#[ignore").then(|| "disables a test".to_owned());
    [long, open, off].into_iter().flatten()
}

/// The longest inline module of unit tests, in lines: longer ones have their own file.
const INLINE_TESTS_MAX: usize = 60;

/// Unit tests are in `mod tests`: short ones inline, others in `x/tests.rs` beside `x.rs`.
pub fn misplaced_tests(path: &str, source: &str) -> Option<String> {
    if path.ends_with("_tests.rs") {
        return Some(format!("{path}: unit tests of `x.rs` belong in `x/tests.rs`"));
    }
    let (_, inline) = source.split_once("#[cfg(test)]\nmod tests {\n")?;
    let lines = inline.lines().take_while(|line| *line != "}").count();
    let is_long = lines + 3 > INLINE_TESTS_MAX;
    is_long.then(|| format!("{path}: its unit tests have {lines} lines; they belong in a file `tests.rs`"))
}

/// Whether a crate root forbids `unsafe`, or need not.
pub fn forbids_unsafe(rule: &CrateRule, root: &str) -> bool {
    rule.may_be_unsafe || code_only(root).replace(' ', "").contains("#![forbid(unsafe_code)]")
}

/// Looks for `path` with neither end inside a longer word. A path that begins further up
/// (`std::net::UdpSocket` for `UdpSocket`) is found as well.
pub fn contains_path(code: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(path)
        .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + path.len()..].starts_with(is_word))
}

/// The source with comments and literals blanked out, so that only code remains.
pub fn code_only(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let skipped = match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => string(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if !continues_word(&code) => raw_string(rest),
            ['\'', ..] => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(bytes[at]);
            at += 1;
        } else {
            code.push(' ');
            at += skipped;
        }
    }
    code
}

fn continues_word(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`; zero for a raw identifier such as `r#type`.
fn raw_string(rest: &[char]) -> usize {
    let prefix = if rest[0] == 'b' { 2 } else { 1 };
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return 0;
    }
    let mut end = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    let body = prefix + hashes + 1;
    let close = rest[body..].windows(end.len()).position(|window| window == end);
    close.map_or(rest.len(), |at| body + at + end.len())
}

/// `'a'` and `'\n'`; zero for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => rest.iter().skip(3).position(|&c| c == '\'').map_or(0, |at| at + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

/// Blanks out every item under `#[cfg(test)]`: a test may use a socket. Takes the output of [`code_only`], so
/// braces are counted correctly.
pub fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        rest = &rest[item_len(rest)..];
    }
    kept.push_str(rest);
    kept
}

/// Up to and with the item's closing brace, or its semicolon when it has no body.
fn item_len(code: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

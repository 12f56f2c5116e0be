//! Results as text files in the repository: a change in behaviour is a readable diff.

use std::path::Path;

/// Compares `text` with the file of this name beside the tests. With `UPDATE_GOLDEN=1` in the environment the
/// file is written again, for a person to check the diff.
#[track_caller]
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let differing = known.lines().zip(text.lines()).find(|(known, now)| known != now);
    assert!(
        known == text,
        "{name} differs, first {differing:?}; run with UPDATE_GOLDEN=1 and check the diff. Now:\n{text}"
    );
}

//! The promises of `docs/specification.md`: each one names a test that exists.

/// A promise's test: its file, and its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// From the top of the tree.
    pub file: &'a str,
    /// A function in Rust; in other files a part of its description.
    pub test: &'a str,
}

/// The tests in the rows of the page. A row without one is an `Err` with the row.
pub fn named(page: &str) -> Vec<Result<Named<'_>, &str>> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| test |"));
    rows.map(|row| {
        // The last cell: the promise itself may contain code too.
        let cell = row.trim_end_matches('|').rsplit('|').next().map(str::trim);
        let name = cell.and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        let (file, test) = name.and_then(|name| name.split_once(": ")).ok_or(row)?;
        Ok(Named { file, test })
    })
    .collect()
}

/// Whether a source has the test.
pub fn has(named: &Named<'_>, source: &str) -> bool {
    if named.file.ends_with(".rs") {
        source.contains(&format!("fn {}(", named.test))
    } else {
        source.contains(named.test)
    }
}

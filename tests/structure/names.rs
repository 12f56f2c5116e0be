//! The names of types: one name stands for one type in a crate.

use crate::source;
use std::collections::{BTreeMap, BTreeSet};

/// Names that several modules of a crate may use, because the name of the module belongs to the type:
/// `vp8::Descriptor`.
pub const QUALIFIED: &[(&str, &[&str])] = &[
    ("leat-rtp", &["Descriptor", "FrameSize", "Layer", "Payload", "Structure"]),
    ("leat-srtp", &["Session"]),
];

/// The types that the modules of a crate define, by name. `sources` is the path and the text of each file.
pub fn defined<'a>(
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources {
        let code = source::without_tests(&source::code_only(text));
        let words: Vec<&str> = code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2).filter(|pair| ["struct", "enum", "trait", "union"].contains(&pair[0])) {
            found.entry(pair[1].to_owned()).or_default().insert(path.to_owned());
        }
    }
    found
}

/// Every name that two files define, one sentence each.
pub fn repeated(package: &str, types: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let qualified = QUALIFIED.iter().find(|(of, _)| *of == package).map_or(&[][..], |(_, names)| names);
    let twice = types.iter().filter(|(name, files)| files.len() > 1 && !qualified.contains(&name.as_str()));
    twice
        .map(|(name, files)| {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            format!("{package}: {name} is the name of several types: {}", files.join(", "))
        })
        .collect()
}

//! The figures of the documentation: where a page writes a value and then names its constant, as in "512
//! (`NACK_PENDING_MAX`)", both agree.

use std::collections::BTreeMap;

/// The expressions of constants by name; the same name in two crates has two.
pub type Constants = BTreeMap<String, Vec<String>>;

/// A value and the constant that a page names for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Figure<'a> {
    /// The number before the name.
    pub number: u64,
    /// Its unit, if it has one.
    pub unit: &'a str,
    /// The name of the constant.
    pub name: &'a str,
}

/// Adds the constants of a source.
pub fn read(constants: &mut Constants, source: &str) {
    for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let named = line.split_once("const ").and_then(|(_, rest)| rest.split_once(':'));
        let value = named.and_then(|(name, rest)| Some((name, rest.split_once(" = ")?.1.strip_suffix(';')?)));
        if let Some((name, value)) = value {
            constants.entry(name.trim().to_owned()).or_default().push(value.to_owned());
        }
    }
}

/// A number, a product, a shift, a duration (in microseconds), or the name of another constant.
fn evaluate(expression: &str, constants: &Constants) -> Option<u64> {
    let durations = [("from_secs", 1_000_000), ("from_millis", 1_000), ("from_micros", 1)];
    for (name, micros) in durations {
        let inner = expression.strip_prefix("Duration::").and_then(|rest| rest.strip_prefix(name));
        if let Some(inner) = inner {
            return evaluate(inner.strip_prefix('(')?.strip_suffix(')')?, constants)?.checked_mul(micros);
        }
    }
    if let Some((left, right)) = expression.split_once(" << ") {
        return evaluate(left, constants)?.checked_shl(u32::try_from(evaluate(right, constants)?).ok()?);
    }
    if let Some((left, right)) = expression.rsplit_once(" * ") {
        return evaluate(left, constants)?.checked_mul(evaluate(right, constants)?);
    }
    let other = constants.get(expression).and_then(|values| values.first());
    match other {
        Some(other) => evaluate(other, constants),
        None => expression.replace('_', "").parse().ok(),
    }
}

/// The figures of a page whose constant is named in parentheses behind them.
pub fn named(page: &str) -> Vec<Figure<'_>> {
    let is_constant =
        |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let mut found = Vec::new();
    for (at, _) in page.match_indices("(`") {
        let Some((name, _)) = page[at + 2..].split_once("`)").filter(|(name, _)| is_constant(name)) else {
            continue;
        };
        let before = page[..at].trim_end();
        let (number, unit) = match before.rsplit_once(char::is_whitespace) {
            Some((rest, unit)) if UNITS.iter().any(|(known, _)| *known == unit) => (rest, unit),
            _ => (before, ""),
        };
        let number =
            number.trim_end().rsplit(|c: char| !(c.is_ascii_digit() || c == ',')).next().unwrap_or_default();
        if let Ok(number) = number.replace(',', "").parse() {
            found.push(Figure { number, unit, name });
        }
    }
    found
}

/// The units in which pages give sizes (bytes) and times (microseconds).
const UNITS: &[(&str, u64)] =
    &[("KiB", 1 << 10), ("MiB", 1 << 20), ("s", 1_000_000), ("ms", 1_000), ("µs", 1)];

/// What is wrong with a figure, if anything.
pub fn fault(figure: &Figure<'_>, constants: &Constants) -> Option<String> {
    let Figure { number, unit, name } = *figure;
    let Some(values) = constants.get(name) else { return Some(format!("no constant is called {name}")) };
    let factor = UNITS.iter().find(|(known, _)| *known == unit).map_or(1, |(_, factor)| *factor);
    let is_right = values.iter().any(|value| evaluate(value, constants) == number.checked_mul(factor));
    (!is_right).then(|| format!("{name} is {}, the page says {number} {unit}", values.join(" or ")))
}

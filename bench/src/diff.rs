//! Two files of results, compared figure by figure.

use crate::report::{Better, FORM, Figure, Head, short, table};
use anyhow::{Context, bail, ensure};
use std::path::Path;

/// A ratio (of lost packets) that is at most this much worse is noise.
const RATIO_NOISE: f64 = 0.001;

/// `leat-bench diff`: 1 if a figure is worse beyond the noise.
pub fn run(before: &Path, after: &Path, noise_percent: f64) -> anyhow::Result<u8> {
    let (before, after) = (read(before)?, read(after)?);
    ensure!(
        before.kind == after.kind,
        "{} and {} are not comparable: one command must have made both",
        before.kind,
        after.kind
    );
    if before.place.machine() != after.place.machine() {
        eprintln!("the machines differ: {} and {}", before.place, after.place);
    }
    if before.about != after.about {
        eprintln!("the loads differ: {} and {}", before.about, after.about);
    }
    let rows: Vec<DiffRow> = rows(&before, &after, noise_percent / 100.0);
    if rows.is_empty() {
        bail!("the files have no figure in common");
    }
    let head = ["server", "figure", "before", "after", "change", "verdict"];
    println!("{}", table(&head, rows.iter().map(DiffRow::cells)));
    Ok(u8::from(rows.iter().any(|row| row.verdict == Verdict::Worse)))
}

fn read(path: &Path) -> anyhow::Result<Head> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let head: Head = serde_json::from_str(&text).with_context(|| {
        format!("{} is no file of results, which load, compare and turn write with --json", path.display())
    })?;
    ensure!(head.form == FORM, "{} has the form {}, expected {FORM}", path.display(), head.form);
    Ok(head)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Better,
    Worse,
    /// Different, and neither is better.
    Other,
}

#[derive(Debug)]
struct DiffRow {
    server: String,
    name: String,
    unit: String,
    before: f64,
    after: f64,
    verdict: Verdict,
}

impl DiffRow {
    fn cells(&self) -> Vec<String> {
        let change = match self.before {
            0.0 => "–".to_owned(),
            before => format!("{:+.1} %", (self.after / before - 1.0) * 100.0),
        };
        let verdict = match self.verdict {
            Verdict::Same => "within the noise",
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::Other => "different",
        };
        let name =
            if self.unit.is_empty() { self.name.clone() } else { format!("{}, {}", self.name, self.unit) };
        vec![self.server.clone(), name, short(self.before), short(self.after), change, verdict.to_owned()]
    }
}

fn rows(before: &Head, after: &Head, noise: f64) -> Vec<DiffRow> {
    let pairs = before.figures.iter().filter_map(|figure| {
        let is_same = |other: &&Figure| (&other.server, &other.name) == (&figure.server, &figure.name);
        let other = after.figures.iter().find(is_same)?;
        (!figure.rounds.is_empty() && !other.rounds.is_empty()).then_some((figure, other))
    });
    pairs
        .map(|(before, after)| DiffRow {
            server: before.server.clone(),
            name: before.name.clone(),
            unit: before.unit.clone(),
            before: before.spread()[1],
            after: after.spread()[1],
            verdict: verdict(before, after, noise),
        })
        .collect()
}

/// The noise of a figure is the spread of its rounds, and at least `noise` of its median. Two figures differ if these
/// bands do not touch.
fn verdict(before: &Figure, after: &Figure, noise: f64) -> Verdict {
    let band = |figure: &Figure| {
        let [least, median, most] = figure.spread();
        let least_noise = if figure.unit.is_empty() { RATIO_NOISE } else { median.abs() * noise };
        (least.min(median - least_noise), most.max(median + least_noise))
    };
    let (before_band, after_band) = (band(before), band(after));
    let (is_more, is_less) = (after_band.0 > before_band.1, after_band.1 < before_band.0);
    match (before.better, is_more, is_less) {
        (_, false, false) => Verdict::Same,
        (Better::Neither, ..) => Verdict::Other,
        (Better::Less, true, _) | (Better::More, _, true) => Verdict::Worse,
        _ => Verdict::Better,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: &str, better: Better, rounds: &[f64]) -> Figure {
        Figure::new("leat", ("figure", unit, better), rounds.to_vec())
    }

    #[test]
    fn a_change_within_the_spread_of_the_rounds_is_noise() {
        let cpu = |rounds: &[f64]| figure("ns", Better::Less, rounds);
        let judge = |before: &[f64], after: &[f64]| verdict(&cpu(before), &cpu(after), 0.03);
        assert_eq!(judge(&[100.0, 120.0, 110.0], &[115.0, 119.0, 125.0]), Verdict::Same);
        assert_eq!(judge(&[100.0, 101.0, 102.0], &[110.0, 111.0, 112.0]), Verdict::Worse);
        assert_eq!(judge(&[110.0, 111.0, 112.0], &[100.0, 101.0, 102.0]), Verdict::Better);
        // Rounds without any spread have the least noise.
        assert_eq!(judge(&[100.0], &[105.0]), Verdict::Same);
        assert_eq!(judge(&[100.0], &[107.0]), Verdict::Worse);
    }

    #[test]
    fn less_of_a_yield_is_worse_and_another_load_is_different() {
        let of = |better, value| figure("1/s", better, &[value]);
        assert_eq!(verdict(&of(Better::More, 100.0), &of(Better::More, 80.0), 0.03), Verdict::Worse);
        assert_eq!(verdict(&of(Better::More, 80.0), &of(Better::More, 100.0), 0.03), Verdict::Better);
        assert_eq!(verdict(&of(Better::Neither, 80.0), &of(Better::Neither, 100.0), 0.03), Verdict::Other);
    }

    #[test]
    fn a_loss_that_appears_is_worse_although_there_was_none() {
        let loss = |value| figure("", Better::Less, &[value]);
        assert_eq!(verdict(&loss(0.0), &loss(0.0005), 0.03), Verdict::Same);
        assert_eq!(verdict(&loss(0.0), &loss(0.02), 0.03), Verdict::Worse);
    }
}

//! The results of all subcommands that measure servers: figures with their rounds, as a table, a page with plots, and a
//! file that [`diff`](crate::diff) reads.

mod page;
mod plots;

pub use page::Page;
pub use plots::{Bars, Curve, Plot, Scale, Stack};

use crate::Place;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use serde::{Deserialize, Serialize};

/// The form of the files. It changes when a field gets another meaning.
pub const FORM: u32 = 1;

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A cost.
    Less,
    /// A yield.
    More,
    /// It describes the load.
    Neither,
}

/// A figure of one server, in every round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The server's name.
    pub server: String,
    /// What was measured.
    pub name: String,
    /// The unit; empty for a ratio.
    pub unit: String,
    /// What is better.
    pub better: Better,
    /// The value of each round that counts.
    pub rounds: Vec<f64>,
}

impl Figure {
    /// Of a server.
    pub fn new(server: &str, (name, unit, better): (&str, &str, Better), rounds: Vec<f64>) -> Self {
        Self { server: server.to_owned(), name: name.to_owned(), unit: unit.to_owned(), better, rounds }
    }

    /// The least, the median and the most; zeroes without rounds.
    pub fn spread(&self) -> [f64; 3] {
        spread(&self.rounds)
    }
}

/// The least, the median and the most; zeroes without values.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return [0.0; 3] };
    let middle = sorted.len() / 2;
    let median =
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    [*least, median, *most]
}

/// What a file of results begins with. Further fields are those of the subcommand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`FORM`].
    pub form: u32,
    /// The subcommand.
    pub kind: String,
    /// The command line.
    pub command: String,
    /// What was measured, in words.
    pub about: String,
    /// Where.
    pub place: Place,
    /// All figures, server by server.
    pub figures: Vec<Figure>,
}

impl Head {
    /// Of this process.
    pub fn new(kind: &str, about: String, place: Place, figures: Vec<Figure>) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("leat-bench {}", arguments.join(" "));
        Self { form: FORM, kind: kind.to_owned(), command, about, place, figures }
    }
}

/// A file of results.
#[derive(Debug, Serialize)]
pub struct File<'a, T> {
    /// The common part.
    #[serde(flatten)]
    pub head: &'a Head,
    /// The subcommand's.
    #[serde(flatten)]
    pub detail: &'a T,
}

/// A value with its spread, for people.
pub fn shown([least, median, most]: [f64; 3]) -> String {
    if least == most {
        short(median)
    } else {
        format!("{} ({} to {})", short(median), short(least), short(most))
    }
}

/// Three digits that count.
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        below if below < 0.1 => 4,
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A table for the terminal, aligned; it is Markdown too.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The servers of the figures, in their order.
pub fn servers(figures: &[Figure]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for figure in figures {
        if !names.contains(&figure.server.as_str()) {
            names.push(&figure.server);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_least_median_and_most() {
        assert_eq!(spread(&[]), [0.0; 3]);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(spread(&[4.0, 1.0]), [1.0, 2.5, 4.0]);
    }

    #[test]
    fn values_are_shown_with_the_digits_that_count() {
        assert_eq!([0.0, 0.01234, 1.234, 12.34, 1_234.5].map(short), ["0", "0.0123", "1.23", "12.3", "1234"]);
        assert_eq!(shown([2.0, 2.0, 2.0]), "2.00");
        assert_eq!(shown([1.0, 2.0, 3.0]), "2.00 (1.00 to 3.00)");
    }

    #[test]
    fn a_table_is_aligned_and_markdown() {
        let table =
            table(&["server", "ns"], [vec!["leat".into(), "1".into()], vec!["a".into(), "1000".into()]]);
        assert_eq!(table, "| server |   ns |\n|--------|------|\n| leat   |    1 |\n| a      | 1000 |");
    }
}

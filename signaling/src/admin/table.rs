//! Tables for people and scripts: columns separated by tabs, one line a row.

use std::io::{self, Write};

/// A table with a line of titles.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(titles: [&str; COLUMNS]) -> Self {
        Self { rows: vec![titles.map(str::to_owned)] }
    }

    /// Adds a row. A value cannot end the line or the column.
    pub(crate) fn row(&mut self, values: [String; COLUMNS]) {
        self.rows.push(values.map(|value| value.replace(char::is_control, " ")));
    }

    pub(crate) fn print(self, out: &mut impl Write) -> io::Result<()> {
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", row.join("\t").trim_end()))
    }
}

/// A time in milliseconds since 1970, in the form of RFC 3339; empty for 0.
pub(crate) fn date(at: i64) -> String {
    if at == 0 {
        return String::new();
    }
    let (days, second) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000) / 1_000);
    // The days of the civil calendar, in years that begin in March, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (at, expected) in [
            (1_000, "1970-01-01T00:00:01Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (0, ""),
        ] {
            assert_eq!(date(at), expected);
        }
    }

    #[test]
    fn value_cannot_add_a_column_or_a_row() {
        let mut table = Table::new(["A", "B"]);
        table.row(["a\tb".into(), "c\nd".into()]);
        let mut out = Vec::new();
        table.print(&mut out).expect("a vector");
        assert_eq!(String::from_utf8_lossy(&out), "A\tB\na b\tc d\n");
    }
}

//! The scalar `DateTime`: RFC 3339, in UTC, with milliseconds.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime(pub(super) u64);

/// A time in UTC by RFC 3339, for example "2026-11-30T04:17:11.250Z".
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(_: Value) -> InputValueResult<Self> {
        Err(InputValueError::custom("no argument of this schema is a DateTime"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_text())
    }
}

impl DateTime {
    fn to_text(self) -> String {
        let (seconds, millis) = (self.0 / 1_000, self.0 % 1_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date of a day since 1970-01-01 in the Gregorian calendar. The year begins in March here, so that the
/// leap day is its last.
fn civil(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 is 719,468 days earlier. 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_utc() {
        // `date -u -d @SECONDS +%FT%TZ`
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_123, "2024-02-29T00:00:00.123Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (1_796_012_231_250, "2026-11-30T04:17:11.250Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(DateTime(millis).to_text(), text);
        }
    }
}

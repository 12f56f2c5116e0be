//! What a check has found.

use serde::Serialize;
use std::io::{self, Write};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Nothing to do.
    Ok,
    /// It could not be checked.
    Unknown,
    /// Leat runs, but worse than it could.
    Warning,
    /// Leat, or a part of it, cannot run.
    Error,
}

/// One result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check: `ports`, `announced`, `buffers`, `descriptors`, `clock`, `certificates`, `turn` or `stores`.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) level: Level,
    /// What is so.
    pub(super) message: String,
    /// What to do, unless there is nothing to do.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, message: message.into(), advice: None }
    }

    pub(super) fn bad(
        check: &'static str,
        level: Level,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, level, message: message.into(), advice: Some(advice.into()) }
    }
}

/// For people: a line for each finding, and one for its advice.
pub(super) fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for Finding { check, level, message, advice } in findings {
        let level = match level {
            Level::Ok => "ok",
            Level::Unknown => "unknown",
            Level::Warning => "warning",
            Level::Error => "ERROR",
        };
        writeln!(out, "{level:<8} {check:<12} {message}")?;
        if let Some(advice) = advice {
            writeln!(out, "{:<8} {:<12} to do: {advice}", "", "")?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings, unknown) = (count(Level::Error), count(Level::Warning), count(Level::Unknown));
    writeln!(out, "{errors} errors, {warnings} warnings, {unknown} not checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_with_their_advice_below() {
        let findings = [
            Finding::ok("clock", "right"),
            Finding::bad("ports", Level::Error, "UDP port 7000 is in use", "stop the other process"),
        ];
        let mut out = Vec::new();
        print(&findings, &mut out).expect("a vector");
        let wanted = "ok       clock        right\n\
                      ERROR    ports        UDP port 7000 is in use\n\
                      \x20                     to do: stop the other process\n\
                      1 errors, 0 warnings, 0 not checked\n";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
}

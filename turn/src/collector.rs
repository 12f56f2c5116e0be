//! The metrics of the server: sums over the workers, without labels.

use crate::control::Board;
use metrics::{Collector, DescriptorEncoder, Metric, NO_LABELS, Page, Registry, of_loop};
use relay::{Counter, Counters};
use std::fmt;

/// What the server shows at the address for metrics.
pub fn page(boards: Vec<Board>) -> Page {
    let mut registry = Registry::with_prefix("leat_turn");
    registry.register_collector(Box::new(OfWorkers(boards.clone())));
    Page {
        registry,
        // A worker that ends ends the process.
        live: Box::new(|| vec![("workers", Ok(()))]),
        ready: Box::new(move || {
            let waits = boards.iter().any(|board| board.read().report.is_none());
            vec![("workers", if waits { Err("not all of them have started".to_owned()) } else { Ok(()) })]
        }),
    }
}

#[derive(Debug)]
struct OfWorkers(Vec<Board>);

impl Collector for OfWorkers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sum = Counters::default();
        let mut reports = Vec::new();
        for status in self.0.iter().map(|board| board.read()) {
            sum.merge(&status.counters);
            reports.extend(status.report);
        }
        for counter in Counter::ALL {
            let make = if LEVELS.contains(counter) { Metric::gauge } else { Metric::counter };
            make(counter.name(), counter.help()).write(&mut encoder, sum.value(*counter))?;
        }
        of_loop(&mut encoder, &[(NO_LABELS, reports)])
    }
}

/// Gauges: their values also go down.
const LEVELS: &[Counter] = &[Counter::Allocations, Counter::Sockets, Counter::PeerConnections];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_metric_has_a_unique_name_a_help_and_a_type() {
        let mut text = String::new();
        metrics::encode(&mut text, &page(vec![Board::default(), Board::default()]).registry).expect("a text");
        let lines: Vec<&str> = text.lines().filter(|line| *line != "# EOF").collect();
        let starts = |prefix: &str| lines.iter().filter(|line| line.starts_with(prefix)).count();
        let values: Vec<&&str> = lines.iter().filter(|line| !line.starts_with('#')).collect();
        let names: HashSet<&str> = values.iter().filter_map(|line| line.split(' ').next()).collect();
        let expected = (values.len(), values.len(), values.len());
        assert_eq!((starts("# HELP "), starts("# TYPE "), names.len()), expected, "{text}");
        assert!(
            text.contains("\nleat_turn_allocations 0\n") && text.contains("\nleat_turn_challenges_total 0\n")
        );
        assert!(text.contains("\nleat_turn_busy_seconds_total 0"), "{text}");
        assert!(!text.contains('{'), "there are no labels");
    }
}

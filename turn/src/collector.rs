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
        let named = |prefix: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(prefix)?.split(' ').next()).collect()
        };
        let (help, types) = (named("# HELP "), named("# TYPE "));
        let names: HashSet<&str> = help.iter().copied().collect();
        assert_eq!((types.len(), names.len()), (help.len(), help.len()), "{text}");
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let unique: HashSet<&str> = samples.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(unique.len(), samples.len(), "{text}");
        let is_known = |sample: &&str| {
            let name = sample.split([' ', '{']).next().unwrap_or_default();
            ["", "_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix).is_some_and(|name| names.contains(name)))
        };
        assert!(samples.iter().all(is_known), "{text}");
        assert!(
            text.contains("\nleat_turn_allocations 0\n") && text.contains("\nleat_turn_challenges_total 0\n")
        );
        assert!(text.contains("\nleat_turn_busy_seconds_total 0"), "{text}");
        let of_buckets = samples.iter().filter(|sample| sample.contains("_bucket{le=\"")).count();
        let with_labels = samples.iter().filter(|sample| sample.contains('{')).count();
        assert!(of_buckets > 0 && with_labels == of_buckets, "only buckets have a label: {text}");
    }
}

//! The metrics of the engine: each worker's counters, with the label `worker`.

use control::{Counter, Counters, Discard};
use metrics::{Collector, DescriptorEncoder, Metric, Page, Registry, of_loop};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The place where a worker publishes its counters.
pub type Board = Arc<metrics::Board<Counters>>;

/// What the engine shows at the address for metrics. `is_attached` is whether there is a controller.
pub fn page(boards: Vec<Board>, is_attached: Arc<AtomicBool>) -> Page {
    let mut registry = Registry::with_prefix("leat_engine");
    registry.register_collector(Box::new(OfWorkers {
        workers: (0..).map(|worker: usize| worker.to_string()).zip(boards.clone()).collect(),
        is_attached: is_attached.clone(),
    }));
    Page {
        registry,
        // A worker that ends ends the process.
        live: Box::new(|| vec![("workers", Ok(()))]),
        ready: Box::new(move || {
            let waits = boards.iter().any(|board| board.read().report.is_none());
            let workers = if waits { Err("not all of them have started".to_owned()) } else { Ok(()) };
            let signaling = match is_attached.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err("not attached: media continues, but new peers cannot join".to_owned()),
            };
            vec![("workers", workers), ("signaling", signaling)]
        }),
    }
}

#[derive(Debug)]
struct OfWorkers {
    /// Each with its number as text.
    workers: Vec<(String, Board)>,
    is_attached: Arc<AtomicBool>,
}

impl Collector for OfWorkers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workers: Vec<_> =
            self.workers.iter().map(|(worker, board)| (worker.as_str(), board.read())).collect();
        for counter in Counter::ALL {
            let make = if counter.is_of_existing() { Metric::gauge } else { Metric::counter };
            let values = workers
                .iter()
                .map(|(worker, status)| ([("worker", *worker)], status.counters.value(*counter)));
            make(counter.name(), counter.help()).write_each(&mut encoder, values)?;
        }
        let discards = workers.iter().flat_map(|(worker, status)| {
            let discard = |discard: &Discard| {
                ([("worker", *worker), ("reason", discard.name())], status.counters.discarded(*discard))
            };
            Discard::ALL.iter().map(discard)
        });
        let help = "Datagrams, or parts of them, that were dropped, by reason.";
        Metric::counter("discards", help).write_each(&mut encoder, discards)?;
        let reports: Vec<_> = workers
            .iter()
            .map(|(worker, status)| ([("worker", *worker)], status.report.into_iter().collect()))
            .collect();
        of_loop(&mut encoder, &reports)?;
        self.encode_steering(&mut encoder, &workers)?;
        let help = "1 while signaling is attached.";
        Metric::gauge("attached", help)
            .write(&mut encoder, u64::from(self.is_attached.load(Ordering::Relaxed)))
    }
}

impl OfWorkers {
    /// Of a shared UDP port.
    fn encode_steering(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        workers: &[(&str, metrics::Status<Counters>)],
    ) -> fmt::Result {
        let of = |status: &metrics::Status<Counters>| status.report.and_then(|report| report.steering);
        let mode = workers.iter().find_map(|(_, status)| of(status)).map_or("ports", |(mode, _)| mode.name());
        let help = "1; the label says how datagrams get to their worker: ports (each worker has its own), ebpf, cbpf or hash.";
        Metric::gauge("udp_steering", help).write_each(encoder, [([("mode", mode)], 1_u64)])?;
        let counts = workers.iter().flat_map(|(worker, status)| {
            let stats = of(status).map(|(_, stats)| stats).unwrap_or_default();
            let rows = [
                ("own", stats.own),
                ("handed_over", stats.handed_over),
                ("dropped", stats.dropped),
                ("received", stats.received),
            ];
            rows.map(|(result, count)| ([("worker", *worker), ("result", result)], count))
        });
        let help = "Datagrams at the shared UDP port: for the worker that received them, handed over to another one, dropped instead, or received from another one.";
        Metric::counter("udp_steered", help).write_each(encoder, counts)?;
        let refused = workers.iter().map(|(worker, status)| {
            ([("worker", *worker)], of(status).map_or(0, |(_, stats)| stats.claims_refused))
        });
        let help = "Addresses of peers that another worker has.";
        Metric::counter("udp_claims_refused", help).write_each(encoder, refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn text(boards: Vec<Board>) -> String {
        let mut text = String::new();
        metrics::encode(&mut text, &page(boards, Arc::default()).registry).expect("a text");
        text
    }

    #[test]
    fn every_metric_has_one_help_one_type_and_a_sample_for_each_worker() {
        let text = text(vec![Board::default(), Board::default()]);
        let of = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        let (help, types) = (of("# HELP "), of("# TYPE "));
        let names: HashSet<&str> = help.iter().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!((names.len(), types.len()), (help.len(), help.len()), "{text}");
        assert!(help.iter().all(|line| line.ends_with('.')), "{help:#?}");
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let unique: HashSet<&str> =
            samples.iter().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        assert_eq!(unique.len(), samples.len(), "{text}");
        assert!(text.contains("\nleat_engine_rtp_in_total{worker=\"1\"} 0\n"), "{text}");
        assert!(text.contains("\nleat_engine_routers{worker=\"0\"} 0\n"), "{text}");
        assert!(
            text.contains("\nleat_engine_discards_total{worker=\"1\",reason=\"stun_malformed\"} 0\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn page_of_the_most_workers_is_bounded() {
        // Labels have no other values, so that this is the largest page, with the fewest digits.
        let text = text((0..126).map(|_| Board::default()).collect());
        assert!(text.len() < 1_000_000, "{} bytes", text.len());
    }
}

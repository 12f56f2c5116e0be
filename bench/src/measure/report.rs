//! The report of a measurement: as text, and as JSON.

use super::{Moment, Tally};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server's name.
    pub server: String,
    /// "livestream", "meeting" or "audio".
    pub shape: String,
    /// The number of publishers.
    pub publishers: usize,
    /// The number of subscribers.
    pub subscribers: usize,
    /// Subscribers that got all their streams.
    pub complete: usize,
    /// It was interrupted.
    pub interrupted: bool,
    /// Measured seconds.
    pub duration_s: f64,
    /// Received packets of media, each counted once.
    pub delivered: u64,
    /// The same a second.
    pub delivered_pps: f64,
    /// Bits a second, as datagrams.
    pub delivered_bps: f64,
    /// Packets that publishers sent.
    pub sent: u64,
    /// Packets that did not fit into publishers' sockets.
    pub unsent: u64,
    /// Packets that should have arrived.
    pub expected: u64,
    /// Of these, lost ones.
    pub lost: u64,
    /// Lost over expected.
    pub loss_ratio: f64,
    /// One packet in this number was decrypted.
    pub sample: u64,
    /// Packets that were decrypted and compared.
    pub checked: u64,
    /// Of these, those with a wrong tag.
    pub unauthentic: u64,
    /// Of these, those with a wrong content.
    pub payload_errors: u64,
    /// Duplicated packets.
    pub duplicates: u64,
    /// Packets after a later one.
    pub reordered: u64,
    /// Packets received as retransmissions.
    pub repaired: u64,
    /// Padding, probes and unneeded retransmissions.
    pub padding: u64,
    /// Packets dropped on purpose.
    pub thrown: u64,
    /// Keyframes requested from publishers.
    pub keyframe_requests: u64,
    /// From a publisher's clock to a receiver's socket.
    pub latency_us: Latency,
    /// The course, one row a second.
    pub series: Vec<Moment>,
    /// Messages of data channels, if they were part of the load.
    pub data: Option<DataReport>,
    /// Absent if no process was given.
    pub server_cost: Option<ServerCost>,
    /// Processes of the server that ended during the measurement: then the figures are not those of one
    /// server.
    pub server_ended: Vec<String>,
    /// How peers joined.
    pub joins: Joins,
    /// Cores that the generator used.
    pub generator_cores: f64,
    /// The generator was the limit, not the server: figures about the server are too low.
    pub generator_is_bottleneck: bool,
    /// The reasons of the first few failures of peers.
    pub failures: Vec<String>,
}

/// Microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    /// Half of all packets are faster.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
    /// Pairs of a percentile and its latency, for a plot.
    pub curve: Vec<(f64, u64)>,
}

impl Latency {
    /// As recorded.
    pub fn of(tally: &Tally) -> Self {
        let at = |percentile| tally.latency_us.value_at_percentile(percentile);
        // Every decade of the tail has as many points as the one before.
        let curve = (0..=40).map(|step| 100.0 * (1.0 - 10f64.powf(-f64::from(step) / 10.0)));
        Self {
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: tally.latency_us.max(),
            curve: curve.map(|percentile| (percentile, at(percentile))).collect(),
        }
    }
}

/// Messages of data channels.
#[derive(Clone, Debug, Serialize)]
pub struct DataReport {
    /// Bytes of each.
    pub message_len: u32,
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that arrived, over all receivers.
    pub delivered: u64,
    /// Messages that a receiver did not get before a later one.
    pub lost: u64,
    /// Messages with another content or length, or out of their order.
    pub wrong: u64,
    /// Megabytes (10⁶) that arrived per second.
    pub delivered_mbytes_per_s: f64,
    /// CPU time of the server in user space, for each megabyte that arrived, in microseconds. It includes what the
    /// server spends on media.
    pub user_us_per_mbyte: Option<f64>,
    /// The same in the kernel.
    pub system_us_per_mbyte: Option<f64>,
}

impl DataReport {
    /// As counted. `cpu` is the server's time in user space and in the kernel.
    pub fn of(tally: &Tally, message_len: u32, time: Duration, cpu: Option<(Duration, Duration)>) -> Self {
        let mbytes = tally.data_bytes as f64 / 1e6;
        let per_mbyte = |time: Duration| time.as_secs_f64() * 1e6 / mbytes.max(f64::MIN_POSITIVE);
        Self {
            message_len,
            sent: tally.data_sent,
            delivered: tally.data_delivered,
            lost: tally.data_lost,
            wrong: tally.data_wrong,
            delivered_mbytes_per_s: mbytes / time.as_secs_f64(),
            user_us_per_mbyte: cpu.map(|(user, _)| per_mbyte(user)),
            system_us_per_mbyte: cpu.map(|(_, system)| per_mbyte(system)),
        }
    }

    /// CPU time in user space and in the kernel together; 0 if no process was given.
    pub fn cpu_us_per_mbyte(&self) -> f64 {
        self.user_us_per_mbyte.unwrap_or(0.0) + self.system_us_per_mbyte.unwrap_or(0.0)
    }
}

/// The use of resources by the server's processes.
#[derive(Clone, Debug, Serialize)]
pub struct ServerCost {
    /// CPU time for each delivered packet, nanoseconds.
    pub cpu_ns_per_packet: f64,
    /// Of that, in user space.
    pub user_ns_per_packet: f64,
    /// Of that, in the kernel.
    pub system_ns_per_packet: f64,
    /// Cores in use.
    pub cores: f64,
    /// Resident memory at the end, bytes.
    pub rss_bytes: u64,
    /// Its growth since before the first peer, per peer.
    pub rss_bytes_per_peer: f64,
}

/// How peers joined.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Joins {
    /// Number of connected peers.
    pub connected: usize,
    /// Number of peers that failed.
    pub failed: usize,
    /// The time from the first join to the last.
    pub per_s: f64,
    /// From a peer's first message to the server until SRTP has keys: p50, p90, p99 and the longest,
    /// milliseconds.
    pub connect_ms: [f64; 4],
    /// The same until a subscriber's first packet.
    pub media_ms: [f64; 4],
}

/// p50, p90, p99 and the longest, in milliseconds; zeroes without values.
pub fn percentiles(times: &[Duration]) -> [f64; 4] {
    let mut ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    [0.5, 0.9, 0.99, 1.0].map(|part| {
        let rank = (part * ms.len() as f64).ceil() as usize;
        ms.get(rank.max(1) - 1).copied().unwrap_or(0.0)
    })
}

impl Report {
    /// Whether every checked packet and message was authentic and complete, packets and messages arrived at all,
    /// and the server did not end.
    pub fn is_sound(&self) -> bool {
        let is_media_sound = self.payload_errors == 0 && self.unauthentic == 0 && self.checked > 0;
        let is_data_sound = self.data.as_ref().is_none_or(|data| data.wrong == 0 && data.delivered > 0);
        is_media_sound && is_data_sound && self.server_ended.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, shape, publishers, subscribers, complete, duration_s, .. } = self;
        let cut = if self.interrupted { ", interrupted" } else { "" };
        writeln!(
            f,
            "{server}, {shape}: {publishers} publishers, {subscribers} subscribers ({complete} with all streams), {duration_s:.1} s{cut}"
        )?;
        writeln!(
            f,
            "  delivered    {} packets, {:.0} a second, {:.1} Mbit/s",
            self.delivered,
            self.delivered_pps,
            self.delivered_bps / 1e6
        )?;
        writeln!(
            f,
            "  checked      {} (1 in {}): {} unauthentic, {} with a wrong payload",
            self.checked, self.sample, self.unauthentic, self.payload_errors
        )?;
        writeln!(
            f,
            "  lost         {} of {} ({:.4} %), {} repaired, {} duplicates, {} reordered, {} of padding",
            self.lost,
            self.expected,
            self.loss_ratio * 100.0,
            self.repaired,
            self.duplicates,
            self.reordered,
            self.padding
        )?;
        if self.thrown + self.unsent > 0 {
            writeln!(
                f,
                "  on purpose   {} thrown away; {} did not fit into publishers' sockets",
                self.thrown, self.unsent
            )?;
        }
        let latency = &self.latency_us;
        writeln!(
            f,
            "  latency      p50 {} µs, p90 {}, p99 {}, p99.9 {}, max {}",
            latency.p50, latency.p90, latency.p99, latency.p999, latency.max
        )?;
        if let Some(data) = &self.data {
            writeln!(
                f,
                "  data         {:.1} MB/s of messages of {} bytes, {} delivered, {} lost, {} wrong; {:.0} µs CPU a MB ({:.0} user, {:.0} system)",
                data.delivered_mbytes_per_s,
                data.message_len,
                data.delivered,
                data.lost,
                data.wrong,
                data.cpu_us_per_mbyte(),
                data.user_us_per_mbyte.unwrap_or(0.0),
                data.system_us_per_mbyte.unwrap_or(0.0)
            )?;
        }
        match &self.server_cost {
            Some(cost) => writeln!(
                f,
                "  server       {:.0} ns CPU a packet ({:.0} user, {:.0} system), {:.2} cores, {:.1} MiB resident, {:.1} KiB a peer",
                cost.cpu_ns_per_packet,
                cost.user_ns_per_packet,
                cost.system_ns_per_packet,
                cost.cores,
                cost.rss_bytes as f64 / f64::from(1 << 20),
                cost.rss_bytes_per_peer / 1024.0
            )?,
            None => writeln!(f, "  server       not accounted for: name its process by --pid")?,
        }
        let joins = &self.joins;
        writeln!(
            f,
            "  joins        {} connected, {} failed, {:.0} a second; connected after p50 {:.0} ms, p99 {:.0}; first media p50 {:.0} ms, p99 {:.0}",
            joins.connected,
            joins.failed,
            joins.per_s,
            joins.connect_ms[0],
            joins.connect_ms[2],
            joins.media_ms[0],
            joins.media_ms[2]
        )?;
        write!(f, "  generator    {:.2} cores", self.generator_cores)?;
        if self.generator_is_bottleneck {
            write!(
                f,
                "\n  WARNING: the generator was the bottleneck, not the server; the figures of the server are too low"
            )?;
        }
        if !self.server_ended.is_empty() {
            write!(
                f,
                "\n  VOID: these processes of the server ended during the measurement: {}; the figures are not those of one server",
                self.server_ended.join(", ")
            )?;
        }
        for failure in &self.failures {
            write!(f, "\n  failed: {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_nothing_are_zero() {
        assert_eq!(percentiles(&[]), [0.0; 4]);
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(&times), [50.0, 90.0, 99.0, 100.0]);
        assert_eq!(percentiles(&times[..1]), [100.0; 4]);
    }

    #[test]
    fn a_latency_curve_rises_and_ends_at_the_tail() {
        let mut tally = Tally::default();
        for us in 1..=10_000u64 {
            tally.record_latency(us * 1000);
        }
        let latency = Latency::of(&tally);
        assert!((4_950..=5_050).contains(&latency.p50), "{latency:?}");
        assert!((9_980..=10_010).contains(&latency.p999), "{latency:?}");
        assert!(latency.curve.is_sorted_by_key(|(_, us)| *us), "{latency:?}");
        assert_eq!(latency.curve[0].0, 0.0);
        assert!(latency.curve.last().is_some_and(|(percentile, _)| *percentile > 99.98));
    }
}

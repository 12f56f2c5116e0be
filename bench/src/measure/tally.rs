//! The receivers' counters.

use hdrhistogram::Histogram;

/// Counts over all receivers.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Packets of media, each once.
    pub delivered: u64,
    /// Their bytes, as datagrams.
    pub bytes: u64,
    /// Decrypted packets, which are authentic and whose payload was checked.
    pub checked: u64,
    /// Packets whose tag was wrong.
    pub unauthentic: u64,
    /// Authentic packets with a wrong content.
    pub payload_errors: u64,
    /// Duplicated packets.
    pub duplicates: u64,
    /// Packets after a later one.
    pub reordered: u64,
    /// Packets received as retransmissions; included in the delivered ones.
    pub repaired: u64,
    /// Packets of padding and other probes.
    pub padding: u64,
    /// Packets sent between the first and the last received one, over all receivers.
    pub expected: u64,
    /// Of these, lost ones.
    pub lost: u64,
    /// Packets dropped on purpose, by `--loss`.
    pub thrown: u64,
    /// Frames' packets that publishers sent.
    pub sent: u64,
    /// Packets that did not fit into a publisher's socket.
    pub unsent: u64,
    /// Requested keyframes.
    pub keyframe_requests: u64,
    /// Messages that data producers sent.
    pub data_sent: u64,
    /// Messages that arrived with their content, in their order, over all receivers.
    pub data_delivered: u64,
    /// Their bytes.
    pub data_bytes: u64,
    /// Messages that a receiver did not get before a later one.
    pub data_lost: u64,
    /// Messages with another content or length, on another stream, or out of their order.
    pub data_wrong: u64,
    /// From a publisher's clock to a receiver's socket, in microseconds.
    pub latency_us: Histogram<u64>,
}

/// Longer than any join takes.
const LATENCY_US_MAX: u64 = 60_000_000;

impl Default for Tally {
    fn default() -> Self {
        Self {
            delivered: 0,
            bytes: 0,
            checked: 0,
            unauthentic: 0,
            payload_errors: 0,
            duplicates: 0,
            reordered: 0,
            repaired: 0,
            padding: 0,
            expected: 0,
            lost: 0,
            thrown: 0,
            sent: 0,
            unsent: 0,
            keyframe_requests: 0,
            data_sent: 0,
            data_delivered: 0,
            data_bytes: 0,
            data_lost: 0,
            data_wrong: 0,
            latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("sound bounds"),
        }
    }
}

impl Tally {
    /// A packet had this latency.
    pub fn record_latency(&mut self, nanos: u64) {
        self.latency_us.saturating_record((nanos / 1000).max(1));
    }

    /// The lost part of the expected packets; 0 if none were expected.
    pub fn loss_ratio(&self) -> f64 {
        if self.expected == 0 { 0.0 } else { self.lost as f64 / self.expected as f64 }
    }
}

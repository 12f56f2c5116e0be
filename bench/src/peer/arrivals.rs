//! The receiving side of transport-wide congestion control: the arrived numbers and their times, until the
//! next feedback.

use super::rtcp;

/// Unreported arrivals.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The number of the first entry.
    base: Option<u16>,
    /// Microseconds, from `base` on.
    at_us: Vec<Option<u64>>,
    count: u8,
}

/// Packets of one feedback: 5,000 packets per second for 100 ms. Later arrivals are reported as missing.
const ARRIVALS_MAX: usize = 512;

impl Arrivals {
    /// A packet with this number arrived.
    pub fn record(&mut self, number: u16, at_us: u64) {
        let base = *self.base.get_or_insert(number);
        let ahead = usize::from(number.wrapping_sub(base));
        // A number more than half the circle ahead is an old one: it was reported as missing, which is final.
        if ahead >= ARRIVALS_MAX {
            if ahead < 1 << 15 && self.at_us.is_empty() {
                self.base = Some(number);
                self.at_us.push(Some(at_us));
            }
            return;
        }
        if ahead >= self.at_us.len() {
            self.at_us.resize(ahead + 1, None);
        }
        self.at_us[ahead] = Some(at_us);
    }

    /// Appends feedback about all arrivals since the last one; nothing if there were none.
    pub fn tell(&mut self, out: &mut Vec<u8>, sender: u32, media: u32) {
        let Some(base) = self.base.filter(|_| !self.at_us.is_empty()) else { return };
        rtcp::transport_cc(out, sender, media, self.count, base, &self.at_us);
        self.count = self.count.wrapping_add(1);
        self.base = Some(base.wrapping_add(self.at_us.len() as u16));
        self.at_us.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

    fn tell(arrivals: &mut Arrivals) -> Option<(u16, u16, usize)> {
        let mut out = Vec::new();
        arrivals.tell(&mut out, 1, 2);
        let packets = oracle_rtcp::packet::unmarshal(&mut &out[..]).ok()?;
        let feedback = packets.first()?.as_any().downcast_ref::<TransportLayerCc>()?.clone();
        Some((feedback.base_sequence_number, feedback.packet_status_count, feedback.recv_deltas.len()))
    }

    #[test]
    fn every_number_is_reported_once() {
        let mut arrivals = Arrivals::default();
        assert_eq!(tell(&mut arrivals), None);
        for number in [65_534, 65_535, 1, 2] {
            arrivals.record(number, 1_000_000 + u64::from(number));
        }
        assert_eq!(tell(&mut arrivals), Some((65_534, 5, 4)), "0 is missing");
        assert_eq!(tell(&mut arrivals), None);
        arrivals.record(0, 2_000_000);
        assert_eq!(tell(&mut arrivals), None, "too late");
        arrivals.record(4, 2_000_000);
        assert_eq!(tell(&mut arrivals), Some((3, 2, 1)));
    }

    #[test]
    fn a_jump_restarts_the_feedback() {
        let mut arrivals = Arrivals::default();
        arrivals.record(1, 1_000_000);
        tell(&mut arrivals);
        arrivals.record(20_000, 2_000_000);
        assert_eq!(tell(&mut arrivals), Some((20_000, 1, 1)));
    }
}

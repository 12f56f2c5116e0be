//! The bandwidth module: any feedback through the estimator, and any demands through the allocator.

use std::time::Duration;

use control::Layers;
use machine::Instant;
use rtcp::{Compound, Packet, TwccFeedback, Writer};
use rtp::{Ssrc, TwccSeq};
use sfu::bandwidth::{
    Allocator, Bounds, Class, Demand, Estimator, Hysteresis, Offer, Pacer, Prefer, Purpose, limits,
};

use crate::script::Script;

/// An estimator and its pacer through sends, silence and feedback in any order: the estimate stays within its
/// bounds, a probe within its own, and no packet waits forever.
pub fn estimator(data: &[u8]) {
    let mut script = Script::new(data);
    let bounds = Bounds {
        min_bps: u64::from(script.u16()) << 10,
        start_bps: u64::from(script.u16()) << 10,
        max_bps: u64::from(script.u16()) << 12,
    };
    let mut estimator = Estimator::new(bounds);
    let bounds = bounds.normalized();
    let mut now = Instant::from_nanos(u64::from(script.u32()));
    let mut pacer = Pacer::new(now, estimator.estimate_bps());
    while !script.is_over() {
        match script.u8() % 10 {
            0 | 1 => now += Duration::from_micros(u64::from(script.u16())),
            2 => now += Duration::from_millis(u64::from(script.u16())),
            3 => (0..script.u8()).for_each(|_| estimator.on_sent(now, 1200, Purpose::Media)),
            4 => feed(&mut estimator, now, &frame(&mut script)),
            5 => feed(&mut estimator, now, script.blob()),
            6 => {
                let bps = u64::from(script.u32());
                estimator.on_remb(now, bps);
                estimator.on_loss_report(now, script.u8());
                estimator.on_rtt(Duration::from_millis(u64::from(script.u16())));
            }
            7 => {
                estimator.set_allocated(now, u64::from(script.u32()), u64::from(script.u32()));
                estimator.poll(now);
                pacer.set_rate(now, estimator.estimate_bps(), u64::from(script.u16()) << 8, script.bool());
            }
            8 => {
                // At most a packet above the bound, as the driver sends it.
                let mut sent = 0;
                while estimator.padding_due(now) > 0 {
                    estimator.on_sent(now, 250, Purpose::Padding);
                    sent += 250;
                }
                assert!(sent <= limits::PROBE_BYTES_MAX + 250);
            }
            _ => pace(&mut pacer, now, &mut script),
        }
        let estimate = estimator.estimate_bps();
        assert!((bounds.min_bps..=bounds.max_bps).contains(&estimate), "{estimate} is not within {bounds:?}");
        assert!(estimator.padding_due(now) <= limits::PROBE_BYTES_MAX);
        assert!(pacer.len() <= limits::PACER_QUEUE_LEN);
        assert_eq!(pacer.next_timeout().is_some(), !pacer.is_empty());
    }
    // Without new packets, a queue empties in its time, and at most one packet per turn is late.
    now += limits::PACER_WAIT_MAX;
    while pacer.pop(now).is_some() {}
    assert!(pacer.is_empty());
}

fn pace(pacer: &mut Pacer<u16>, now: Instant, script: &mut Script<'_>) {
    let class = script.choice(&[Class::Audio, Class::Retransmission, Class::Video, Class::Video]);
    let size = 1 + usize::from(script.u16() % 1500);
    for entry in 0..u16::from(script.u8()) {
        match pacer.offer(now, class) {
            Offer::Now => pacer.on_sent(now, size),
            Offer::Later => {
                assert_ne!(class, Class::Audio, "audio never waits");
                pacer.push(now, class, size, entry);
            }
            Offer::Never => assert_eq!(pacer.len(), limits::PACER_QUEUE_LEN),
        }
    }
    for _ in 0..script.u8() {
        let Some(_) = pacer.pop(now) else { break };
        pacer.on_sent(now, size);
    }
}

/// A well-formed feedback.
fn frame(script: &mut Script<'_>) -> Vec<u8> {
    let (base_seq, reference_time) = (TwccSeq(script.u16()), script.u32() as i32 >> 8);
    let statuses: Vec<Option<i16>> = (0..script.u8())
        .map(|_| match script.u8() {
            missing @ 0..=63 => (missing > 32).then_some(i16::from(missing)),
            64 => Some(script.u16() as i16),
            delta => Some(i16::from(delta) - 64),
        })
        .collect();
    let mut buffer = vec![0; 2048];
    let mut writer = Writer::new(&mut buffer);
    let feedback = TwccFeedback {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq,
        reference_time,
        feedback_count: 0,
        statuses: &statuses,
    };
    let is_written = !statuses.is_empty() && writer.twcc(&feedback);
    if is_written { writer.as_bytes().to_vec() } else { Vec::new() }
}

fn feed(estimator: &mut Estimator, now: Instant, bytes: &[u8]) {
    let Ok(compound) = Compound::new(bytes) else { return };
    // The estimator is tested here, not the bound on its work.
    let mut budget = usize::MAX;
    for packet in compound.packets() {
        match packet {
            Packet::Twcc(twcc) => estimator.on_feedback(now, &twcc, &mut budget),
            Packet::Remb(remb) => estimator.on_remb(now, remb.bitrate_bps()),
            _ => {}
        }
    }
}

/// Any demands over changing estimates: never more than the estimate, never layers above the preferred ones,
/// and no second step up so soon after a step down.
pub fn allocator(data: &[u8]) {
    let mut script = Script::new(data);
    let mut demands: Vec<Demand> = (0..script.u8() % 16)
        .map(|_| Demand {
            priority: script.u8(),
            prefer: script.choice(&[Prefer::Motion, Prefer::Detail]),
            max: Layers { spatial: script.u8() % 5, temporal: script.u8() % 5 },
            rates: std::array::from_fn(|_| std::array::from_fn(|_| u32::from(script.u8()) << 13)),
            layers: script.bool().then(|| Layers { spatial: script.u8(), temporal: script.u8() }),
            hysteresis: Hysteresis::default(),
        })
        .collect();
    let mut allocator = Allocator::default();
    let mut now = Instant::EPOCH;
    while !script.is_over() {
        now += Duration::from_millis(10 * u64::from(script.u8()));
        let budget = u64::from(script.u16()) << 8;
        let before = demands.clone();
        let allocated = allocator.allocate(now, budget, &mut demands);
        assert!(allocated.bps <= budget && allocated.bps <= allocated.wanted_bps);
        let sent: u64 = demands.iter().map(cost).sum();
        // A rate that varies below that of a lower resolution counts as much as that.
        assert!(sent <= allocated.bps, "sent {sent}, allocated {}", allocated.bps);
        for demand in &demands {
            let is_within = demand.layers.is_none_or(|layers| {
                layers.spatial <= demand.max.spatial && layers.temporal <= demand.max.temporal
            });
            assert!(is_within, "{demand:?}");
        }
        // The same again: soon nothing changes any more.
        (0..16).for_each(|_| _ = allocator.allocate(now, budget, &mut demands));
        let settled = demands.clone();
        allocator.allocate(now, budget, &mut demands);
        assert_eq!(demands, settled, "from {before:?}");
    }
}

fn cost(demand: &Demand) -> u64 {
    demand.layers.map_or(0, |layers| {
        u64::from(demand.rates[usize::from(layers.spatial)][usize::from(layers.temporal)])
    })
}

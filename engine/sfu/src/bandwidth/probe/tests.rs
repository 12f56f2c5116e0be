use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Sends a whole cluster in packets of `size` bytes; returns the packets.
fn send(prober: &mut Prober, from: Instant, size: u16) -> Vec<SentPacket> {
    let mut packets = Vec::new();
    let mut now = from;
    while let Some(cluster) = prober.cluster() {
        while prober.due_bytes(now) > 0 && prober.cluster().is_some() {
            packets.push(SentPacket { sent_at: now, size, cluster: Some(cluster) });
            prober.on_sent(now, size);
        }
        now = prober.next_timeout().unwrap_or(now);
    }
    packets
}

/// Carries the packets over a path of this capacity; returns the prober's result.
fn carry(prober: &mut Prober, packets: &[SentPacket], bps: f64) -> Option<Found> {
    let mut free_at = 0.0_f64;
    let mut found = None;
    for packet in packets {
        let entered = packet.sent_at.as_nanos() as f64 / 1e3;
        free_at = free_at.max(entered) + f64::from(packet.size) * 8e6 / bps;
        found = prober.on_packet(packet, PeerTime(free_at as i64)).or(found);
    }
    found
}

#[test]
fn padding_is_due_at_the_timeout() {
    for size in 40..1_500 {
        for target in [150e3, 380e3, 759_999.9, 1e6, 25e6] {
            let mut prober = Prober::default();
            prober.begin(at(0), target);
            (0..3).for_each(|_| prober.on_sent(at(0), size));
            let timeout = prober.next_timeout().filter(|_| prober.sending.is_some());
            let due = timeout.map(|timeout| prober.due_bytes(timeout));
            assert!(due.is_none_or(|due| due > 0), "{size} bytes at {target} bit/s: {due:?}");
        }
    }
}

#[test]
fn a_frame_within_a_cluster_does_not_change_the_result() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(1e6)));
    let cluster = prober.cluster();
    let frame = SentPacket { sent_at: at(0), size: 1200, cluster };
    let mut packets = vec![frame; 10];
    packets.iter().for_each(|packet| prober.on_sent(packet.sent_at, packet.size));
    packets.extend(send(&mut prober, at(0), 250));
    let found = carry(&mut prober, &packets, 100e6).expect("a result");
    assert!((1.8e6..2.3e6).contains(&found.bps), "{found:?}");
}

fn hungry(estimate_bps: f64) -> Situation {
    Situation { estimate_bps, wanted_bps: 5e6, is_congested: false }
}

#[test]
fn a_cluster_finds_a_rate_the_path_carries() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(1e6)));
    assert!(!prober.poll(at(1), &hungry(1e6)), "one cluster at a time");
    let packets = send(&mut prober, at(0), 250);
    assert!(packets.len() >= 15 && packets.len() < 25, "{}", packets.len());
    let found = carry(&mut prober, &packets, 10e6).expect("a result");
    assert!((1.7e6..2.3e6).contains(&found.bps), "{found:?}");
}

#[test]
fn a_cluster_finds_the_capacity_of_the_path() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(2e6)));
    let packets = send(&mut prober, at(0), 1000);
    let found = carry(&mut prober, &packets, 2.5e6).expect("a result");
    assert!((2.2e6..2.5e6).contains(&found.bps), "{found:?}");
}

#[test]
fn a_cluster_has_a_bound_in_bytes_and_a_minimum_of_packets() {
    let mut prober = Prober::default();
    prober.request(at(0), 1e9);
    assert!(prober.poll(at(0), &Situation { wanted_bps: 1e9, ..hungry(1e6) }));
    let bytes: u32 = send(&mut prober, at(0), 1200).iter().map(|packet| u32::from(packet.size)).sum();
    assert!(bytes < limits::PROBE_BYTES_MAX + 1200, "{bytes}");
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(30_000.0)));
    assert_eq!(send(&mut prober, at(0), 1200).len() as u32, limits::PROBE_PACKETS_MIN);
}

#[test]
fn no_probe_without_need_or_on_a_congested_path() {
    let mut prober = Prober::default();
    assert!(!prober.poll(at(0), &Situation { wanted_bps: 0.0, ..hungry(1e6) }));
    assert!(!prober.poll(at(0), &Situation { wanted_bps: 0.8e6, ..hungry(1e6) }));
    assert!(!prober.poll(at(0), &Situation { is_congested: true, ..hungry(1e6) }));
    assert!(prober.poll(at(0), &hungry(1e6)));
}

#[test]
fn probes_without_gain_become_rarer_and_a_gain_is_followed_up() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(1e6)));
    let packets = send(&mut prober, at(0), 1000);
    let found = carry(&mut prober, &packets, 1e6).expect("a result");
    prober.on_result(at(100), &found, 1e6);
    assert!(!prober.poll(at(6099), &hungry(1e6)));
    assert!(prober.poll(at(6100), &hungry(1e6)));
    let packets = send(&mut prober, at(6100), 1000);
    let found = carry(&mut prober, &packets, 50e6).expect("a result");
    prober.on_result(at(6200), &found, 1e6);
    assert!(prober.poll(at(6200), &hungry(found.bps)), "there may be more bandwidth");
}

#[test]
fn a_cluster_without_feedback_is_given_up() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(1e6)));
    let packets = send(&mut prober, at(0), 1000);
    assert!(!prober.poll(at(999), &hungry(1e6)));
    assert!(prober.poll(at(3000), &hungry(1e6)));
    assert_eq!(carry(&mut prober, &packets, 10e6), None);
}

#[test]
fn packets_that_arrive_at_once_give_no_result() {
    let mut prober = Prober::default();
    assert!(prober.poll(at(0), &hungry(1e6)));
    let packets = send(&mut prober, at(0), 250);
    let found: Vec<_> = packets.iter().filter_map(|packet| prober.on_packet(packet, PeerTime(5))).collect();
    assert_eq!(found, []);
}

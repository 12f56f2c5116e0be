use super::*;
use oracle_rtcp::packet::{Packet, unmarshal};
use oracle_rtcp::receiver_report::ReceiverReport;
use oracle_rtcp::sender_report::SenderReport;
use oracle_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use oracle_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

fn read_by_another(bytes: &[u8]) -> Vec<Box<dyn Packet + Send + Sync>> {
    unmarshal(&mut &bytes[..]).unwrap()
}

#[test]
fn reports_are_readable_by_another_implementation() {
    let mut out = Vec::new();
    let info = SenderInfo { ssrc: 7, ntp: 0x0102_0304_0506_0708, rtp_time: 9, packets: 10, octets: 11 };
    sender_report(&mut out, &info, "bench");
    let block =
        Block { ssrc: 5, fraction_lost: 3, lost: 4, highest_seq: 70_000, jitter: 6, last_sr: 7, delay: 8 };
    receiver_report(&mut out, 8, &[block]);
    let packets = read_by_another(&out);
    let sr = packets[0].as_any().downcast_ref::<SenderReport>().unwrap();
    assert_eq!(
        (sr.ssrc, sr.ntp_time, sr.rtp_time, sr.packet_count, sr.octet_count),
        (7, info.ntp, 9, 10, 11)
    );
    let rr = packets[2].as_any().downcast_ref::<ReceiverReport>().unwrap();
    let theirs = &rr.reports[0];
    assert_eq!((rr.ssrc, theirs.ssrc, theirs.fraction_lost, theirs.total_lost), (8, 5, 3, 4));
    assert_eq!(
        (theirs.last_sequence_number, theirs.jitter, theirs.last_sender_report, theirs.delay),
        (70_000, 6, 7, 8)
    );
    let mut parts = Vec::new();
    read(&out, |part| parts.push(part));
    assert_eq!(parts, [Part::SenderReport { ssrc: 7, ntp_middle: 0x0304_0506 }]);
}

#[test]
fn nacks_are_readable_by_another_implementation() {
    let lost = [65_530, 65_531, 65_535, 3, 100, 117];
    let mut out = Vec::new();
    nack(&mut out, 1, 2, &lost);
    let packets = read_by_another(&out);
    let nack = packets[0].as_any().downcast_ref::<TransportLayerNack>().unwrap();
    let theirs: Vec<u16> = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
    assert_eq!(theirs, lost);
}

#[test]
fn feedback_is_readable_by_another_implementation() {
    let arrivals: Vec<_> =
        (0..40u64).map(|at| (at % 5 != 3).then_some(1_000_000 + at * 400 + at / 20 * 90_000)).collect();
    let mut out = Vec::new();
    transport_cc(&mut out, 1, 2, 3, 65_520, &arrivals);
    let packets = read_by_another(&out);
    let feedback = packets[0].as_any().downcast_ref::<TransportLayerCc>().unwrap();
    assert_eq!(
        (feedback.base_sequence_number, feedback.packet_status_count, feedback.fb_pkt_count),
        (65_520, 40, 3)
    );
    let mut clock = i64::from(feedback.reference_time) * 64_000;
    let theirs: Vec<_> = feedback
        .recv_deltas
        .iter()
        .map(|delta| {
            clock += delta.delta;
            clock
        })
        .collect();
    let ours: Vec<_> = arrivals.iter().flatten().collect();
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(ours) {
        assert!((0..250).contains(&(*ours as i64 - theirs)), "{theirs} for {ours}");
    }
}

#[test]
fn keyframe_requests_are_recognised_and_noise_is_not() {
    let mut out = Vec::new();
    pli(&mut out, 1, 77);
    out.extend_from_slice(&[0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 78, 5, 0, 0, 0]);
    let parts = |bytes: &[u8]| {
        let mut parts = Vec::new();
        read(bytes, |part| parts.push(part));
        parts
    };
    assert_eq!(parts(&out), [Part::KeyframeRequest(77), Part::KeyframeRequest(78)]);
    for len in 0..out.len() {
        assert!(parts(&out[..len]).len() < 2, "{len} bytes");
    }
}

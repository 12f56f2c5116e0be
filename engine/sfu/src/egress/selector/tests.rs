use super::*;
use crate::packet::frame::Vp8Frame;
use crate::packet::media_packet::{Carried, Marker, MediaPacket};
use control::Codec;
use rtp::SeqNo;

const ALL: Layers = Layers { spatial: 2, temporal: 2 };
const SOURCE: Source = Source { stream: 0, epoch: 0 };

fn packet(number: u32, frame: Frame, starts_keyframe: bool) -> MediaPacket<'static> {
    MediaPacket {
        seq: SeqNo(u64::from(number)),
        timestamp: number * 3_000,
        marker: Marker::new(true, &Frame::Opaque),
        codec: Codec::Vp8,
        starts_keyframe,
        frame,
        picture: None,
        carried: Carried::default(),
        descriptor: &[],
        payload: &[0; 10],
        padded: &[0; 10],
    }
}

fn vp8(number: u32, tid: u8, layer_sync: bool) -> MediaPacket<'static> {
    packet(number, Frame::Vp8(Vp8Frame { tid, layer_sync }), false)
}

fn begun(ceiling: Layers, keyframe: &MediaPacket<'_>) -> Selector {
    let mut selector = Selector::new(ceiling);
    selector.begin(keyframe, SOURCE, None);
    assert_eq!(selector.decide(keyframe, SOURCE, false, None), Verdict::Forward);
    selector
}

/// Which of the packets are forwarded.
fn goes(selector: &mut Selector, packets: &[MediaPacket<'_>]) -> Vec<bool> {
    packets.iter().map(|packet| selector.decide(packet, SOURCE, false, None) == Verdict::Forward).collect()
}

#[test]
fn vp8_steps_up_one_temporal_layer_at_a_time_and_only_at_a_sync() {
    let keyframe = packet(0, Frame::Vp8(Vp8Frame { tid: 0, layer_sync: false }), true);
    let mut selector = begun(Layers { spatial: 0, temporal: 0 }, &keyframe);
    assert_eq!(
        goes(&mut selector, &[vp8(1, 2, true), vp8(2, 1, true), vp8(3, 0, false)]),
        [false, false, true]
    );
    selector.set_ceiling(ALL);
    let packets = [
        vp8(4, 2, true),
        vp8(5, 1, false),
        vp8(6, 2, false),
        vp8(7, 0, false),
        vp8(8, 2, true),
        vp8(9, 1, true),
        vp8(10, 2, false),
        vp8(11, 2, true),
    ];
    assert_eq!(goes(&mut selector, &packets), [false, false, false, true, false, true, false, true]);
    assert_eq!(selector.current().temporal, 2);
    selector.set_ceiling(Layers { spatial: 0, temporal: 1 });
    assert_eq!(goes(&mut selector, &[vp8(12, 2, false), vp8(13, 1, false)]), [false, true]);
}

#[test]
fn all_packets_of_a_frame_share_its_decision() {
    let keyframe = packet(0, Frame::Vp8(Vp8Frame { tid: 0, layer_sync: false }), true);
    let mut selector = begun(ALL, &keyframe);
    assert_eq!(selector.decide(&vp8(1, 2, false), SOURCE, false, None), Verdict::Forward);
    selector.set_ceiling(Layers::default());
    assert_eq!(selector.decide(&vp8(2, 2, false), SOURCE, false, None), Verdict::LeaveOut);
    assert_eq!(selector.decide(&vp8(1, 2, false), SOURCE, true, None), Verdict::Forward, "begun before");
}

#[test]
fn padding_is_left_out() {
    let keyframe = packet(0, Frame::Opaque, true);
    let mut selector = begun(ALL, &keyframe);
    let padding = MediaPacket { payload: &[], ..packet(1, Frame::Opaque, false) };
    assert_eq!(selector.decide(&padding, SOURCE, false, None), Verdict::LeaveOut);
}

fn vp9(number: u32, sid: u8, is_delta: bool, not_for_upper_layers: bool) -> MediaPacket<'static> {
    let frame = Vp9Frame {
        sid,
        tid: 0,
        inter_picture_predicted: is_delta,
        switching_up: true,
        inter_layer_predicted: false,
        not_for_upper_layers,
        ends: true,
        layers: (!is_delta).then_some(3),
    };
    packet(number, Frame::Vp9(frame), !is_delta && sid == 0)
}

fn picture(number: u32, is_key: bool, is_full: bool) -> [MediaPacket<'static>; 3] {
    [0, 1, 2].map(|sid| vp9(number, sid, !is_key, !is_key && !is_full))
}

#[test]
fn full_svc_steps_down_at_once_and_up_with_a_keyframe() {
    let mut selector = begun(ALL, &picture(0, true, true)[0]);
    assert_eq!(goes(&mut selector, &picture(0, true, true)), [true; 3]);
    assert_eq!(goes(&mut selector, &picture(1, false, true)), [true; 3]);
    selector.set_ceiling(Layers { spatial: 0, temporal: 0 });
    assert_eq!(goes(&mut selector, &picture(2, false, true)), [true, false, false]);
    assert!(!selector.needs_keyframe());
    selector.set_ceiling(ALL);
    assert_eq!(goes(&mut selector, &picture(3, false, true)), [true, false, false]);
    assert!(selector.needs_keyframe());
    assert_eq!(goes(&mut selector, &picture(4, true, true)), [true; 3]);
    assert!(!selector.needs_keyframe());
}

#[test]
fn between_keyframes_k_svc_sends_the_highest_layer_alone_and_changes_nothing() {
    let mut selector = begun(ALL, &picture(0, true, false)[0]);
    assert_eq!(goes(&mut selector, &picture(0, true, false)), [true; 3]);
    assert_eq!(goes(&mut selector, &picture(1, false, false)), [false, false, true]);
    selector.set_ceiling(Layers { spatial: 1, temporal: 0 });
    assert_eq!(goes(&mut selector, &picture(2, false, false)), [false, false, true]);
    assert!(selector.needs_keyframe());
    assert_eq!(goes(&mut selector, &picture(3, true, false)), [true, true, false]);
    assert_eq!(goes(&mut selector, &picture(4, false, false)), [false, true, false]);
}

#[test]
fn a_layer_that_stops_is_not_awaited() {
    let mut selector = begun(ALL, &picture(0, true, true)[0]);
    for number in 1..20 {
        let [base, middle, _] = picture(number, false, true);
        assert_eq!(goes(&mut selector, &[base, middle]), [true, true]);
    }
    assert_eq!(selector.current().spatial, 1);
    assert!(!selector.needs_keyframe());
}

/// A late packet is decided by the settings at its position in the stream, not by the current ones.
#[test]
fn a_late_frame_is_decided_by_the_settings_at_its_position() {
    let keyframe = packet(0, Frame::Vp8(Vp8Frame { tid: 0, layer_sync: false }), true);
    let mut selector = begun(Layers { spatial: 0, temporal: 0 }, &keyframe);
    assert_eq!(goes(&mut selector, &[vp8(2, 0, false)]), [true]);
    selector.set_ceiling(ALL);
    assert_eq!(goes(&mut selector, &[vp8(4, 1, true)]), [true]);
    selector.set_ceiling(Layers { spatial: 0, temporal: 0 });
    assert_eq!(goes(&mut selector, &[vp8(6, 0, false)]), [true]);
    let late = |selector: &mut Selector, number: u32| {
        selector.decide(&vp8(number, 1, true), SOURCE, true, None) == Verdict::Forward
    };
    assert_eq!([1, 3, 5].map(|number| late(&mut selector, number)), [false, false, true]);
    // There are no settings of a stream that was never followed.
    let other = Source { stream: 1, ..SOURCE };
    assert_eq!(selector.decide_late(&vp8(5, 0, false), other), Verdict::LeaveOut);
}

#[test]
fn a_picture_without_its_highest_layer_is_complete() {
    let mut selector = begun(ALL, &picture(0, true, true)[0]);
    let [base, mut middle, _] = picture(1, false, true);
    if let Frame::Vp9(frame) = &mut middle.frame {
        (frame.not_for_upper_layers, frame.inter_layer_predicted) = (true, true);
    }
    assert_eq!(goes(&mut selector, &[base, middle]), [true, true]);
}

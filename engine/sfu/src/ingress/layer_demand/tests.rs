use super::*;
use std::time::Duration;

fn at(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(ms)
}

#[test]
fn consumed_layers_are_reported_at_once_and_unconsumed_ones_after_a_while() {
    let mut layer_demand = LayerDemand::new(Kind::Video, 3);
    layer_demand.replace(0, 0b001);
    assert_eq!(layer_demand.poll(at(0)), None);
    assert_eq!(layer_demand.poll(at(1_999)), None);
    assert_eq!(layer_demand.poll(at(2_000)), Some(0b001), "the publisher started with all three");
    layer_demand.replace(0, 0b111);
    assert_eq!(layer_demand.poll(at(3_000)), Some(0b111));
    layer_demand.replace(0b111, 0);
    assert_eq!(layer_demand.poll(at(4_000)), None);
    layer_demand.replace(0, 0b111);
    assert_eq!(layer_demand.next_timeout(), None, "consumed again in time");
    layer_demand.replace(0b111, 0);
    layer_demand.replace(0b001, 0);
    assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to record the time");
    assert_eq!(layer_demand.poll(at(6_000)), None);
    assert_eq!(layer_demand.next_timeout(), Some(at(8_000)));
    assert_eq!(layer_demand.poll(at(8_000)), Some(0));
    assert_eq!(layer_demand.poll(at(9_000)), None);
}

#[test]
fn a_layer_is_removed_only_a_while_after_its_replacement() {
    let mut layer_demand = LayerDemand::new(Kind::Video, 3);
    layer_demand.replace(0, 0b001);
    assert_eq!(layer_demand.poll(at(0)), None);
    assert_eq!(layer_demand.poll(at(2_000)), Some(0b001));
    layer_demand.replace(0b001, 0b100);
    assert_eq!(
        layer_demand.poll(at(3_000)),
        Some(0b101),
        "the small one is in use until the large one has started"
    );
    assert_eq!(layer_demand.next_timeout(), Some(at(5_000)));
    assert_eq!(layer_demand.poll(at(4_999)), None);
    assert_eq!(layer_demand.poll(at(5_000)), Some(0b100));
    assert_eq!(layer_demand.next_timeout(), None);
}

#[test]
fn layers_are_reported_again_after_a_reset() {
    let mut layer_demand = LayerDemand::new(Kind::Video, 2);
    layer_demand.replace(0, 0b10);
    assert_eq!(layer_demand.poll(at(0)), None);
    assert_eq!(layer_demand.poll(at(2_000)), Some(0b10));
    layer_demand.forget_reported();
    assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to record the time");
    assert_eq!(layer_demand.poll(at(3_000)), None);
    assert_eq!(layer_demand.poll(at(5_000)), Some(0b10));
    let mut audio = LayerDemand::new(Kind::Audio, 1);
    audio.forget_reported();
    assert_eq!(audio.next_timeout(), None);
}

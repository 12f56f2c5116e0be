//! The audio observer: records the audio levels of packets, periodically determines the speakers, and reports
//! them to the controller.

use crate::base::slots::{Slot, Slots};
use crate::ingress::producer::Producer;
use crate::limits;
use crate::objects::Objects;
use crate::packet::media_packet::Carried;
use crate::shard::turn::Turn;
use crate::speakers::dominant;
use crate::speakers::loudest::Admission;
use crate::speakers::observer::{Speakers, SpeakersReport};
use crate::speakers::voice::Voice;
use control::{AudioObserver, Event, ExtensionKind, Volume};
use machine::{Instant, Tx, meter};
use std::time::Duration;

/// The controller enables or disables the observer.
pub(super) fn observe_audio(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    router: Slot,
    observer: Option<AudioObserver>,
) {
    let now = turn.now;
    let Some(found) = objects.routers.find_mut(router) else { return };
    let former = found.speakers.take();
    let transports = &found.transports;
    let Some(observer) = observer else {
        if let Some(former) = former {
            set_held_back(objects, &former.voices, false);
        }
        return;
    };
    match former {
        Some(mut speakers) if speakers.observer.loudest_forwarded == observer.loudest_forwarded => {
            speakers.observer = observer;
            found.speakers = Some(speakers);
        }
        former => {
            let voices = match former {
                Some(former) => former.voices,
                // Producers of an earlier observer are known already, and would not be added again by their
                // next packet.
                None => {
                    let transports = transports.iter().filter_map(|slot| objects.transports.find(*slot));
                    let producers = transports.flat_map(|transport| &transport.producers).copied();
                    let is_voice =
                        |slot: &Slot| objects.producers.find(*slot).is_some_and(|found| found.is_voice);
                    producers.filter(is_voice).collect()
                }
            };
            let mut speakers = Box::new(Speakers::new(observer));
            speakers.voices.clone_from(&voices);
            found.speakers = Some(speakers);
            // No producer has a place now: the next packets decide.
            set_held_back(objects, &voices, observer.loudest_forwarded.is_some());
        }
    }
    turn.timers.routers.hasten(router.index(), now + limits::SPEAKERS_INTERVAL);
}

/// A packet of a producer has arrived: records its level, if it has one and the router has an observer.
pub(super) fn on_audio_level(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    router: Slot,
    producer: Slot,
    carried: &Carried,
) {
    let now = turn.now;
    let Some(speakers) = objects.routers.find_mut(router).and_then(|router| router.speakers.as_mut()) else {
        return;
    };
    let level = carried.value(ExtensionKind::AudioLevel).and_then(rtp::ext::audio_level::read);
    let Some(level) = level else { return };
    let Some(found) = objects.producers.find_mut(producer).filter(|producer| !producer.paused) else {
        return;
    };
    found.voice.on_level(now, level.level_dbov);
    if !speakers.is_fresh {
        speakers.is_fresh = true;
        turn.timers.routers.hasten(router.index(), now + limits::SPEAKERS_INTERVAL);
    }
    let is_new = !std::mem::replace(&mut found.is_voice, true);
    if is_new {
        speakers.voices.push(producer);
    }
    let has_place = !is_new && !found.is_held_back;
    let Some(loudest) = speakers.loudest.as_mut().filter(|_| !has_place) else { return };
    let voice = found.voice;
    let producers = &mut objects.producers;
    let admission = loudest.admit(now, producer, &voice, |holder| {
        let holder = producers.find_mut(holder)?;
        holder.voice.catch_up(now);
        Some(holder.voice)
    });
    if let Admission::InsteadOf(former) = admission {
        set_held_back(objects, &[former], true);
    }
    set_held_back(objects, &[producer], admission == Admission::Refused);
}

/// A producer is paused: it has no level and no place until its next packet.
pub(super) fn reset_audio_level(objects: &mut Objects, router: Slot, producer: Slot) {
    let Some(found) = objects.producers.find_mut(producer) else { return };
    (found.is_voice, found.is_held_back) = (false, false);
    found.voice = Voice::new();
    let Some(speakers) = objects.routers.find_mut(router).and_then(|router| router.speakers.as_mut()) else {
        return;
    };
    speakers.voices.retain(|voice| *voice != producer);
    if let Some(loudest) = &mut speakers.loudest {
        loudest.retain(|holder| holder != producer);
    }
}

/// Checks the routers that are due, and reports changes.
pub(super) fn observe_speakers(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) {
    let now = turn.now;
    for _ in 0..limits::ROUTERS_PER_TIMEOUT {
        let Some(index) = turn.timers.routers.pop(now) else { break };
        let slot = objects.routers.slot_at(index);
        turn.handling.of_router(slot);
        let Some(router) = slot.and_then(|slot| objects.routers.find_mut(slot)) else { continue };
        let Some(speakers) = &mut router.speakers else { continue };
        let was_fresh = speakers.is_fresh;
        look(speakers, now, &mut objects.producers);
        let has_changed = speakers.next != speakers.reported;
        let interval = Duration::from_millis(speakers.observer.interval_ms.into());
        if has_changed && speakers.reported_at.is_none_or(|reported_at| reported_at + interval <= now) {
            let SpeakersReport { dominant, volumes } = &speakers.next;
            let (router, dominant, volumes) = (router.id, *dominant, volumes.clone());
            std::mem::swap(&mut speakers.reported, &mut speakers.next);
            speakers.reported_at = Some(now);
            turn.news.notify(Event::Speakers { router, dominant, volumes });
        }
        // A decreasing level needs another check; a router without levels needs none.
        if was_fresh || has_changed || !speakers.reported.volumes.is_empty() {
            turn.timers.routers.hasten(index, now + limits::SPEAKERS_INTERVAL);
        }
    }
}

/// Sets whether these producers are forwarded. Consumers of one that is not any more continue as after a
/// pause.
fn set_held_back(objects: &mut Objects, producers: &[Slot], is_held_back: bool) {
    for slot in producers {
        let Some(producer) = objects.producers.find_mut(*slot) else { continue };
        if std::mem::replace(&mut producer.is_held_back, is_held_back) == is_held_back {
            continue;
        }
        if !is_held_back {
            producer.streams.iter_mut().for_each(crate::ingress::stream::Stream::forget_gaps);
            continue;
        }
        meter::charge(producer.consumers.len(), 50);
        for consumer in &producer.consumers {
            if let Some(consumer) = objects.consumers.find_mut(*consumer) {
                consumer.interrupt();
            }
        }
    }
}

/// Checks all voices: which ones still exist, how loud they are, and which one is dominant.
fn look(speakers: &mut Speakers, now: Instant, producers: &mut Slots<Producer>) {
    speakers.is_fresh = false;
    let is_heard = |slot: Slot| producers.find(slot).is_some_and(|producer| !producer.paused);
    speakers.voices.retain(|slot| is_heard(*slot));
    if let Some(loudest) = &mut speakers.loudest {
        loudest.retain(is_heard);
    }
    speakers.dominant = speakers.dominant.filter(|slot| is_heard(*slot));
    speakers.next.volumes.clear();
    meter::charge(speakers.voices.len(), 500);
    for slot in &speakers.voices {
        let Some(producer) = producers.find_mut(*slot) else { continue };
        producer.voice.catch_up(now);
        let dbov = producer.voice.loudness().dbov();
        if dbov > speakers.observer.threshold_dbov {
            speakers.next.volumes.push(Volume { producer: producer.spec.producer, dbov });
        }
    }
    speakers.next.volumes.sort_unstable_by_key(|volume| (-i16::from(volume.dbov), volume.producer));
    speakers.next.volumes.truncate(control::limits::LIST_LEN_MAX);

    let voice = |slot: Slot| Some((slot, producers.find(slot)?.voice));
    let present = speakers.dominant.and_then(voice);
    let present = present.as_ref().map(|(slot, voice)| (*slot, voice));
    speakers.dominant = dominant::choose(present, speakers.voices.iter().filter_map(|slot| voice(*slot)));
    speakers.next.dominant = speakers.dominant.and_then(|slot| Some(producers.find(slot)?.spec.producer));
}

//! Checks of a command alone, before the shard checks it against its objects.

use crate::ingress::producer::{Producer, has_labels};
use crate::limits;
use crate::shard::refusal::{Refused, invalid};
use crate::transport::plain::next_port;
use control::{
    AudioObserver, CodecParameters, ConnectPlainTransport, Consume, CreatePlainTransport, IpFamily, Kind,
    PlayoutDelay, Produce, Text,
};
use rtp::{Mid, Rid, Ssrc};
use std::collections::BTreeSet;

pub(super) fn signaled_ssrcs(produce: &Produce) -> impl Iterator<Item = Ssrc> {
    let of_encodings = produce.encodings.iter().flat_map(|encoding| [encoding.ssrc, encoding.rtx_ssrc]);
    of_encodings.flatten().map(Ssrc)
}

pub(super) fn check_produce(produce: &Produce) -> Result<(), Refused> {
    check_codecs(&produce.codecs)?;
    check_mid(produce.mid.as_ref())?;
    check_encodings(produce)?;
    let ssrcs: BTreeSet<Ssrc> = signaled_ssrcs(produce).collect();
    if ssrcs.len() != signaled_ssrcs(produce).count() {
        return Err(invalid("two streams have the same SSRC".to_owned()));
    }
    check_extension_ids(produce.extensions.iter().map(|extension| extension.id))
}

fn check_encodings(produce: &Produce) -> Result<(), Refused> {
    let encodings = &produce.encodings;
    let (count, max) = (encodings.len(), limits::ENCODINGS_MAX);
    if !(1..=max).contains(&count) {
        return Err(invalid(format!("a producer has 1 to {max} encodings, not {count}")));
    }
    if count > 1 && produce.kind == Kind::Audio {
        return Err(invalid(format!("audio has one encoding, not {count}")));
    }
    let mut rids = BTreeSet::new();
    for encoding in encodings {
        let has_name = encoding.ssrc.is_some() || (produce.mid.is_some() && encoding.rid.is_some());
        if count > 1 && !has_name {
            return Err(invalid("each of several encodings needs an SSRC, or a MID and a RID".to_owned()));
        }
        for (what, layers, max) in [
            ("spatial", encoding.spatial_layers, limits::SPATIAL_LAYERS_MAX),
            ("temporal", encoding.temporal_layers, limits::TEMPORAL_LAYERS_MAX),
        ] {
            if !(1..=max).contains(&layers) {
                return Err(invalid(format!("an encoding has 1 to {max} {what} layers, not {layers}")));
            }
        }
        let Some(rid) = encoding.rid.as_ref().map(Text::as_str) else { continue };
        if Rid::new(rid.as_bytes()).is_none() {
            return Err(invalid(format!("RID {rid:?} is empty or longer than 16 bytes")));
        }
        if !rids.insert(rid) {
            return Err(invalid(format!("two encodings have RID {rid:?}")));
        }
    }
    Ok(())
}

pub(super) fn check_consume(consume: &Consume) -> Result<(), Refused> {
    let cname_len = consume.cname.as_str().len();
    // RFC 3550 §6.5: an item's length has eight bits, and a CNAME is not optional.
    if !(1..=255).contains(&cname_len) {
        return Err(invalid(format!("a CNAME has 1 to 255 bytes, not {cname_len}")));
    }
    check_codecs(&consume.codecs)?;
    check_mid(consume.mid.as_ref())?;
    if consume.rtx_ssrc == Some(consume.ssrc) {
        return Err(invalid("media and retransmissions cannot share an SSRC".to_owned()));
    }
    check_extension_ids(consume.extensions.iter().map(|extension| extension.id))
}

pub(super) fn check_playout_delay(delay: &PlayoutDelay) -> Result<(), Refused> {
    let (PlayoutDelay { min_ms, max_ms }, bound) = (*delay, control::limits::PLAYOUT_DELAY_MS_MAX);
    if min_ms <= max_ms && max_ms <= bound {
        return Ok(());
    }
    Err(invalid(format!("a playout delay of {min_ms} to {max_ms} ms is not a range within 0 to {bound} ms")))
}

pub(super) fn check_observer(observer: &AudioObserver) -> Result<(), Refused> {
    let intervals = limits::SPEAKERS_REPORT_INTERVAL_MS;
    if !intervals.contains(&observer.interval_ms) {
        return Err(invalid(format!(
            "an interval of {} ms is not within {}–{}",
            observer.interval_ms,
            intervals.start(),
            intervals.end()
        )));
    }
    if observer.threshold_dbov > 0 {
        return Err(invalid(format!(
            "a threshold of {} dBov exceeds the maximum of 0",
            observer.threshold_dbov
        )));
    }
    match observer.loudest_forwarded {
        None | Some(1..=limits::LOUDEST_FORWARDED_MAX) => Ok(()),
        Some(count) => Err(invalid(format!(
            "of the loudest, 1 to {} can be forwarded, not {count}",
            limits::LOUDEST_FORWARDED_MAX
        ))),
    }
}

fn check_codecs(codecs: &[CodecParameters]) -> Result<(), Refused> {
    let Some(first) = codecs.first() else {
        return Err(invalid("a track needs at least one codec".to_owned()));
    };
    if first.clock_rate_hz == 0 {
        return Err(invalid("a clock rate is at least 1 Hz".to_owned()));
    }
    let mut seen = BTreeSet::new();
    for pt in codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx_pt]).flatten() {
        // RFC 5761 §4: with RTCP on the same port, 64 to 95 would look like RTCP.
        if pt > 127 || (64..=95).contains(&pt) {
            return Err(invalid(format!("payload type {pt} is not within 0–63 or 96–127")));
        }
        if !seen.insert(pt) {
            return Err(invalid(format!("two formats have payload type {pt}")));
        }
    }
    Ok(())
}

fn check_mid(mid: Option<&Text>) -> Result<(), Refused> {
    match mid.filter(|mid| Mid::new(mid.as_str().as_bytes()).is_none()) {
        Some(mid) => Err(invalid(format!("MID {:?} is empty or longer than 16 bytes", mid.as_str()))),
        None => Ok(()),
    }
}

fn check_extension_ids(ids: impl Iterator<Item = u8>) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    for id in ids {
        // RFC 8285 §4.2: 0 is padding, 15 is reserved in the one-byte form.
        if id == 0 || id == 15 {
            return Err(invalid(format!("extension id {id} is not within 1–14 or 16–255")));
        }
        if !seen.insert(id) {
            return Err(invalid(format!("two extensions have id {id}")));
        }
    }
    Ok(())
}

/// A producer without MID and SSRC is identified by its payload types alone, which no other producer of the
/// transport may have.
pub(super) fn check_payload_types<'a>(
    produce: &Produce,
    mut others: impl Iterator<Item = &'a Producer>,
) -> Result<(), Refused> {
    let pts = |produce: &Produce| {
        let pts = produce.codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx_pt]);
        pts.flatten().collect::<Vec<u8>>()
    };
    let own = pts(produce);
    let meets = |other: &Producer| {
        let is_distinguishable = has_labels(produce) && has_labels(&other.spec);
        !is_distinguishable && pts(&other.spec).iter().any(|pt| own.contains(pt))
    };
    match others.find(|other| meets(other)) {
        Some(other) => Err(invalid(format!(
            "producer {} has one of these payload types, and one of the two has neither MID nor SSRC",
            other.spec.producer
        ))),
        None => Ok(()),
    }
}

pub(super) fn check_remotes(
    create: &CreatePlainTransport,
    connect: &ConnectPlainTransport,
) -> Result<(), Refused> {
    let id = create.transport;
    match (create.comedia, connect.remote) {
        (true, Some(_)) => {
            return Err(invalid(format!("transport {id} learns its peer's address and accepts none")));
        }
        (false, None) => return Err(invalid(format!("transport {id} needs its peer's address"))),
        _ => {}
    }
    if connect.rtcp_remote.is_some() && (create.rtcp_mux || create.comedia) {
        return Err(invalid(format!("transport {id} accepts no address for RTCP")));
    }
    for remote in [connect.remote, connect.rtcp_remote].into_iter().flatten() {
        let is_usable = remote.port() != 0 && !remote.ip().is_unspecified() && !remote.ip().is_multicast();
        if remote.is_ipv6() != (create.family == IpFamily::V6) || !is_usable {
            return Err(invalid(format!("{remote} is not a possible address of transport {id}'s peer")));
        }
    }
    let needs_next = !create.rtcp_mux && connect.rtcp_remote.is_none();
    if needs_next && connect.remote.is_some_and(|remote| next_port(remote).is_none()) {
        return Err(invalid("there is no port after 65535 for RTCP".to_owned()));
    }
    Ok(())
}

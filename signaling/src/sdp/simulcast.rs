//! The streams of simulcast, the smallest picture first.
//!
//! The order in a description is one of preference (RFC 8853 §5.1), and does not say which picture is the
//! smallest. So restrictions count first (RFC 8851 §5), then names that are in common use; otherwise the order
//! stays: without sizes of its own, a browser makes the last encoding the largest (W3C WebRTC §5.2).

use sdp::{Rid, Section};

/// Names of RIDs in common use, the smallest picture first.
const KNOWN: &[&[&str]] = &[
    // Quarter, half, full.
    &["q", "h", "f"],
    // Low, medium, high.
    &["l", "m", "h"],
    &["low", "mid", "high"],
    &["low", "medium", "high"],
    &["lo", "mid", "hi"],
    &["0", "1", "2", "3"],
    &["r0", "r1", "r2", "r3"],
    &["1", "2", "3", "4"],
];

/// RIDs that the author sends.
pub(super) fn rids(section: &Section) -> Vec<String> {
    let sent = |id: &str| section.rids.iter().find(|rid| rid.is_sent && rid.id == id);
    let listed: Vec<&Rid> = match &section.simulcast {
        Some(simulcast) => simulcast.sent_rids().filter_map(sent).collect(),
        None => section.rids.iter().filter(|rid| rid.is_sent).take(1).collect(),
    };
    let mut ids: Vec<String> = listed.iter().map(|rid| rid.id.clone()).collect();
    let sizes: Option<Vec<u64>> = listed.iter().map(|rid| size(rid)).collect();
    if let Some(sizes) = sizes {
        let mut sized: Vec<_> = sizes.into_iter().zip(ids).collect();
        sized.sort_by_key(|(size, _)| *size);
        return sized.into_iter().map(|(_, id)| id).collect();
    }
    let order = KNOWN.iter().find(|known| ids.iter().all(|id| known.contains(&id.as_str())));
    if let Some(order) = order {
        ids.sort_by_key(|id| order.iter().position(|known| known == id));
    }
    ids
}

/// A number that is larger for a larger picture: its pixels, or the bit rate.
fn size(rid: &Rid) -> Option<u64> {
    let number = |name: &str| rid.restrictions.get(name)?.parse::<u64>().ok();
    match (number("max-width"), number("max-height")) {
        (Some(width), Some(height)) => Some(width.saturating_mul(height)),
        _ => number("max-fs").or_else(|| number("max-br")),
    }
}

/// SSRCs of the streams, each with that of its retransmissions: of a stream alone, or of the older form of
/// simulcast (`a=ssrc-group:SIM`).
pub(super) fn ssrcs(section: &Section) -> Vec<(u32, Option<u32>)> {
    let groups = |name: &'static str| section.ssrc_groups.iter().filter(move |group| group.semantics == name);
    let pairs: Vec<(u32, u32)> = groups("FID")
        .filter_map(|group| match group.ssrcs[..] {
            [media, rtx] => Some((media, rtx)),
            _ => None,
        })
        .collect();
    let rtx = |media: u32| pairs.iter().find(|(of, _)| *of == media).map(|(_, rtx)| *rtx);
    if let Some(simulcast) = groups("SIM").next() {
        return simulcast.ssrcs.iter().map(|media| (*media, rtx(*media))).collect();
    }
    let is_rtx = |ssrc: u32| pairs.iter().any(|(_, rtx)| *rtx == ssrc);
    let first = section.ssrcs.iter().map(|ssrc| ssrc.id).find(|ssrc| !is_rtx(*ssrc));
    first.map(|media| (media, rtx(media))).into_iter().collect()
}

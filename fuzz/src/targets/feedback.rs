//! RTCP, and transport-wide congestion control in both directions.

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use oracle_rtcp::extended_report::{DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock};
use oracle_rtcp::goodbye::Goodbye;
use oracle_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use oracle_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use oracle_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use oracle_rtcp::receiver_report::ReceiverReport;
use oracle_rtcp::reception_report::ReceptionReport;
use oracle_rtcp::sender_report::SenderReport;
use oracle_rtcp::source_description::SourceDescription;
use oracle_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};
use oracle_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtcp::twcc::Recorder;
use rtcp::{Compound, Malformed, Packet, ReportBlock, Twcc, Walk, Writer, XrBlock};
use rtp::{Seq, Ssrc, TwccSeq};

use crate::known;
use crate::oracle::{ask, hold_against, same};
use crate::script::Script;

type Theirs = Box<dyn oracle_rtcp::packet::Packet + Send + Sync>;

/// A datagram: every accessor of its valid packets is called, a packet is valid in it exactly when it is
/// alone, and the oracle reads each one equally.
pub fn rtcp(data: &[u8]) {
    let _ = rtcp::is_rtcp(data);
    let walked: Vec<bool> =
        Walk::new(data).map(|packet| packet.inspect(|packet| walk(*packet)).is_ok()).collect();
    let (parts, is_even) = split(data);
    let mut expected = Vec::new();
    let mut is_framed = is_even;
    for (index, part) in parts.iter().enumerate() {
        let alone: Vec<_> = Walk::new(part).collect();
        let [alone] = &alone[..] else { panic!("{part:02x?} is one packet, not {}", alone.len()) };
        let is_last = is_even && index + 1 == parts.len();
        expected.push(alone.is_ok() && (is_last || part[0] & PADDING_BIT == 0));
        compare_alone(part, alone);
        if part[0] >> 6 != 2 {
            // Framing ends at another protocol.
            is_framed = true;
            break;
        }
    }
    // The rest is not a packet.
    expected.extend((!is_framed).then_some(false));
    assert_eq!(walked, expected, "a packet is as valid in a datagram as alone: {data:02x?}");

    let is_sound = !expected.is_empty() && expected.iter().all(|is_sound| *is_sound);
    let compound = Compound::new(data);
    assert_eq!(compound.is_ok(), is_sound, "a compound is as valid as its packets: {data:02x?}");
    if let Ok(compound) = compound {
        assert_eq!((compound.as_bytes(), compound.packets().count()), (data, parts.len()));
    }
}

/// Compares one packet, alone in its datagram, with the oracle.
///
/// The oracle leaves padding in the body and reads it as blocks, entries or text (RFC 3550 §6.4.1). So it
/// gets the same packet without padding, which we must read like the padded one.
fn compare_alone(part: &[u8], ours: &Result<Packet<'_>, Malformed>) {
    let bare = match padding_of(part) {
        None => part.to_vec(),
        Some(count) if count % 4 == 0 => {
            let bare = without_padding(part, count);
            let again = Walk::new(&bare).next().map(|packet| packet.is_ok());
            assert_eq!(again, Some(ours.is_ok()), "padding changes nothing: {part:02x?}");
            bare
        }
        // Without its padding it would not be a whole number of words: there is no such packet.
        Some(_) => return,
    };
    // The view of exactly the oracle's bytes.
    let ours = match Walk::new(&bare).next() {
        Some(Ok(packet)) => Ok(packet),
        Some(Err(malformed)) => Err(format!("{malformed:?}")),
        None => Err("no packet".to_owned()),
    };
    let theirs = ask(|| oracle_rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(&bare)));
    hold_against("rtcp", known::RTCP, &bare, ours, theirs, |ours, theirs: &Vec<Theirs>| match &theirs[..] {
        [theirs] => compare(ours, theirs),
        _ => Err(format!("one packet here, {} there", theirs.len())),
    });
}

/// The length of a packet's padding, if it is valid.
fn padding_of(part: &[u8]) -> Option<usize> {
    let count = usize::from(*part.last()?);
    (part[0] & PADDING_BIT != 0 && count > 0 && count + 4 <= part.len()).then_some(count)
}

/// The packet before this number of whole words of padding was added.
fn without_padding(part: &[u8], count: usize) -> Vec<u8> {
    let mut bare = part[..part.len() - count].to_vec();
    bare[0] &= !PADDING_BIT;
    let words = (bare.len() / 4 - 1) as u16;
    bare[2..4].copy_from_slice(&words.to_be_bytes());
    bare
}

const PADDING_BIT: u8 = 0x20;

/// Splits a datagram at the announced lengths; and whether that was exact.
fn split(data: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut parts = Vec::new();
    let mut rest = data;
    while let [_, _, high, low, ..] = *rest {
        let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some((part, after)) = rest.split_at_checked(len) else { return (parts, false) };
        parts.push(part);
        rest = after;
    }
    (parts, rest.is_empty())
}

/// Calls every accessor, none of which may panic or take longer than the packet's length.
fn walk(packet: Packet<'_>) {
    match packet {
        Packet::SenderReport(report) => {
            assert_eq!(report.info().ssrc, report.ssrc());
            report.reports().for_each(|block| {
                let _ = block.round_trip(report.ntp());
            });
        }
        Packet::ReceiverReport(report) => report.reports().for_each(|block| {
            let _ = block.highest_seq();
        }),
        Packet::Sdes(sdes) => {
            for chunk in sdes.chunks() {
                chunk.items().for_each(drop);
                let _ = chunk.cname();
                let _ = sdes.cname(chunk.ssrc);
            }
        }
        Packet::Bye(bye) => {
            bye.ssrcs().for_each(drop);
            let _ = bye.reason();
        }
        Packet::App(app) => {
            let _ = (app.subtype(), app.ssrc(), app.name(), app.data());
        }
        Packet::Nack(nack) => check_nack(nack.sender(), nack.media(), nack.losses().collect()),
        Packet::Pli(pli) => {
            let _ = (pli.sender(), pli.media());
        }
        Packet::Fir(fir) => fir.entries().for_each(drop),
        Packet::Remb(remb) => check_remb(remb.sender(), remb.bitrate_bps(), remb.ssrcs().collect()),
        Packet::Twcc(twcc) => check_twcc(&twcc),
        Packet::Xr(xr) => {
            for block in xr.blocks() {
                if let XrBlock::Dlrr(items) = block {
                    items.for_each(drop);
                }
            }
        }
        Packet::Unknown(_) => {}
    }
}

/// We write one packet that is read back.
fn written(write: impl FnOnce(&mut Writer<'_>) -> bool, check: impl FnOnce(Packet<'_>)) {
    let mut buffer = vec![0xa5; 1 << 18];
    let mut writer = Writer::new(&mut buffer);
    assert!(write(&mut writer), "there is room");
    let len = writer.len();
    let compound = Compound::new(&buffer[..len]).expect("our packet is a compound");
    check(compound.packets().next().expect("one packet"));
}

fn check_nack(sender: Ssrc, media: Ssrc, losses: Vec<Seq>) {
    let mut expected = losses.clone();
    expected.sort();
    expected.dedup();
    written(
        |writer| writer.nack(sender, media, losses.iter().copied()),
        |packet| {
            let Packet::Nack(again) = packet else { panic!("a NACK reads back as one, not {packet:?}") };
            assert_eq!((again.sender(), again.media()), (sender, media));
            let mut losses: Vec<Seq> = again.losses().collect();
            losses.sort();
            losses.dedup();
            assert_eq!(losses, expected);
        },
    );
}

fn check_remb(sender: Ssrc, bitrate_bps: u64, ssrcs: Vec<Ssrc>) {
    written(
        |writer| writer.remb(sender, bitrate_bps, &ssrcs),
        |packet| {
            let Packet::Remb(again) = packet else { panic!("a REMB reads back as one, not {packet:?}") };
            assert_eq!(again.sender(), sender);
            assert!(again.ssrcs().eq(ssrcs.iter().copied()));
            let lost = bitrate_bps - again.bitrate_bps();
            assert!(lost <= bitrate_bps >> 17, "{lost} of {bitrate_bps} lost in rounding");
        },
    );
}

fn check_twcc(twcc: &Twcc<'_>) {
    let statuses: Vec<_> = twcc.statuses().collect();
    assert_eq!(statuses.len(), usize::from(twcc.status_count()));
    for (index, (seq, _)) in statuses.iter().enumerate() {
        assert_eq!(seq.0, twcc.base_seq().0.wrapping_add(index as u16));
    }
    let deltas: Vec<Option<i16>> =
        statuses.iter().map(|(_, delta)| delta.map(|delta| delta as i16)).collect();
    written(
        |writer| {
            writer.twcc(&rtcp::TwccFeedback {
                sender: twcc.sender(),
                media: twcc.media(),
                base_seq: twcc.base_seq(),
                reference_time: twcc.reference_time(),
                feedback_count: twcc.feedback_count(),
                statuses: &deltas,
            })
        },
        |packet| {
            let Packet::Twcc(again) = packet else { panic!("a TWCC reads back as one, not {packet:?}") };
            assert!(again.statuses().eq(statuses.iter().copied()));
            assert_eq!(again.reference_time(), twcc.reference_time());
            assert_eq!(again.feedback_count(), twcc.feedback_count());
        },
    );
}

fn compare(ours: &Packet<'_>, theirs: &Theirs) -> Result<(), String> {
    let theirs = theirs.as_any();
    match ours {
        Packet::SenderReport(ours) => {
            let theirs: &SenderReport = cast(theirs)?;
            same("SSRC", ours.ssrc().0, theirs.ssrc)?;
            same("NTP time", ours.ntp().0, theirs.ntp_time)?;
            same("RTP time", ours.rtp_timestamp(), theirs.rtp_time)?;
            same("packets", ours.packet_count(), theirs.packet_count)?;
            same("octets", ours.octet_count(), theirs.octet_count)?;
            compare_blocks(ours.reports(), &theirs.reports)
        }
        Packet::ReceiverReport(ours) => {
            let theirs: &ReceiverReport = cast(theirs)?;
            same("SSRC", ours.ssrc().0, theirs.ssrc)?;
            compare_blocks(ours.reports(), &theirs.reports)
        }
        Packet::Sdes(ours) => {
            let theirs: &SourceDescription = cast(theirs)?;
            let ours = ours
                .chunks()
                .map(|chunk| {
                    let items = chunk.items().map(|item| (item.kind, item.text.to_vec()));
                    (chunk.ssrc.0, items.collect::<Vec<_>>())
                })
                .collect::<Vec<_>>();
            let theirs = theirs.chunks.iter().map(|chunk| {
                let items = chunk.items.iter().map(|item| (item.sdes_type as u8, item.text.to_vec()));
                (chunk.source, items.collect())
            });
            same("chunks", ours, theirs.collect())
        }
        Packet::Bye(ours) => {
            let theirs: &Goodbye = cast(theirs)?;
            same("sources", ours.ssrcs().map(|ssrc| ssrc.0).collect(), theirs.sources.clone())?;
            same("reason", ours.reason().unwrap_or_default(), &theirs.reason[..])
        }
        Packet::Nack(ours) => {
            let theirs: &TransportLayerNack = cast(theirs)?;
            same("sender", ours.sender().0, theirs.sender_ssrc)?;
            same("media", ours.media().0, theirs.media_ssrc)?;
            let losses = theirs.nacks.iter().flat_map(|pair| {
                let masked = (0..16).filter(|bit| pair.lost_packets & (1 << bit) != 0);
                std::iter::once(pair.packet_id).chain(masked.map(|bit| pair.packet_id.wrapping_add(bit + 1)))
            });
            same("losses", ours.losses().map(|seq| seq.0).collect::<Vec<_>>(), losses.collect())
        }
        Packet::Pli(ours) => {
            let theirs: &PictureLossIndication = cast(theirs)?;
            same("sender", ours.sender().0, theirs.sender_ssrc)?;
            same("media", ours.media().0, theirs.media_ssrc)
        }
        Packet::Fir(ours) => {
            let theirs: &FullIntraRequest = cast(theirs)?;
            same("sender", ours.sender().0, theirs.sender_ssrc)?;
            let entries = theirs.fir.iter().map(|entry| (entry.ssrc, entry.sequence_number));
            same(
                "entries",
                ours.entries().map(|(ssrc, number)| (ssrc.0, number)).collect::<Vec<_>>(),
                entries.collect(),
            )
        }
        Packet::Remb(ours) => {
            let theirs: &ReceiverEstimatedMaximumBitrate = cast(theirs)?;
            same("sender", ours.sender().0, theirs.sender_ssrc)?;
            same("SSRCs", ours.ssrcs().map(|ssrc| ssrc.0).collect(), theirs.ssrcs.clone())?;
            // Eighteen bits of mantissa are exact in an f32.
            same("bitrate", ours.bitrate_bps() as f32, theirs.bitrate)
        }
        Packet::Twcc(ours) => compare_twcc(ours, cast(theirs)?),
        Packet::Xr(ours) => compare_xr(ours, cast(theirs)?),
        Packet::App(_) | Packet::Unknown(_) => Ok(()),
    }
}

fn cast<T: 'static>(theirs: &(dyn Any + Send + Sync)) -> Result<&T, String> {
    theirs.downcast_ref().ok_or_else(|| format!("theirs is no {}", std::any::type_name::<T>()))
}

fn compare_blocks(ours: impl Iterator<Item = ReportBlock>, theirs: &[ReceptionReport]) -> Result<(), String> {
    let ours = ours.map(|block| ReceptionReport {
        ssrc: block.ssrc.0,
        fraction_lost: block.fraction_lost,
        // The oracle ignores the sign of the number.
        total_lost: block.cumulative_lost as u32 & 0x00ff_ffff,
        last_sequence_number: block.extended_highest_seq,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay_since_last_sr,
    });
    same("report blocks", ours.collect(), theirs.to_vec())
}

fn compare_twcc(ours: &Twcc<'_>, theirs: &TransportLayerCc) -> Result<(), String> {
    same("sender", ours.sender().0, theirs.sender_ssrc)?;
    same("media", ours.media().0, theirs.media_ssrc)?;
    same("base", ours.base_seq().0, theirs.base_sequence_number)?;
    same("count", ours.status_count(), theirs.packet_status_count)?;
    same("reference time", ours.reference_time() as u32 & 0x00ff_ffff, theirs.reference_time)?;
    same("feedback count", ours.feedback_count(), theirs.fb_pkt_count)?;
    let symbols = theirs.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            vec![run.packet_status_symbol; usize::from(run.run_length)]
        }
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = theirs.recv_deltas.iter();
    let statuses: Vec<Option<i64>> = symbols
        .take(usize::from(theirs.packet_status_count))
        .map(|symbol| match symbol {
            SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta => {
                deltas.next().map(|delta| delta.delta)
            }
            _ => None,
        })
        .collect();
    // The oracle counts deltas in microseconds.
    let ours = ours.statuses().map(|(_, delta)| delta.map(|delta| i64::from(delta) * 250));
    same("statuses", ours.collect(), statuses)
}

fn compare_xr(ours: &rtcp::Xr<'_>, theirs: &ExtendedReport) -> Result<(), String> {
    same("sender", ours.sender().0, theirs.sender_ssrc)?;
    same("number of blocks", ours.blocks().count(), theirs.reports.len())?;
    for (ours, theirs) in ours.blocks().zip(&theirs.reports) {
        match ours {
            XrBlock::ReceiverReferenceTime(ntp) => {
                let theirs: &ReceiverReferenceTimeReportBlock = cast(theirs.as_any())?;
                same("reference time", ntp.0, theirs.ntp_timestamp)?;
            }
            XrBlock::Dlrr(items) => {
                let theirs: &DLRRReportBlock = cast(theirs.as_any())?;
                let ours = items.map(|item| (item.ssrc.0, item.last_rr, item.delay_since_last_rr));
                let theirs = theirs.reports.iter().map(|item| (item.ssrc, item.last_rr, item.dlrr));
                same("delays", ours.collect::<Vec<_>>(), theirs.collect())?;
            }
            XrBlock::Unknown { .. } => {}
        }
    }
    Ok(())
}

/// The recorder with arbitrary arrivals: each feedback is valid and true, and the latest arrivals are always
/// reported.
pub fn twcc(data: &[u8]) {
    let mut script = Script::new(data);
    let mut recorder = Recorder::new();
    let mut now = Duration::ZERO;
    let mut arrivals: BTreeMap<u16, Vec<Duration>> = BTreeMap::new();
    let mut seq = TwccSeq(script.u16());
    let mut newest = None;
    while !script.is_over() {
        match script.u8() % 8 {
            // Mostly in order, with small gaps.
            0..=3 => seq = TwccSeq(seq.0.wrapping_add(1)),
            4 => seq = TwccSeq(seq.0.wrapping_add(u16::from(script.u8()))),
            5 => seq = TwccSeq(seq.0.wrapping_sub(u16::from(script.u8()))),
            6 => seq = TwccSeq(script.u16()),
            _ => {
                let room = 20 + usize::from(script.u16() % 1400);
                build(&mut recorder, room, &arrivals);
                continue;
            }
        }
        now += match script.u8() {
            pause @ 250.. => Duration::from_secs(u64::from(pause)),
            gap => Duration::from_micros(u64::from(gap) * 97),
        };
        recorder.record(seq, now);
        arrivals.entry(seq.0).or_default().push(now);
        newest = Some(seq);
    }
    if newest.is_some() && recorder.has_unreported() {
        // Room for everything in the recorder: in the end nothing is unreported.
        for _ in 0..=rtcp::limits::TWCC_WINDOW {
            if !build(&mut recorder, 4096, &arrivals) {
                break;
            }
        }
        assert!(!recorder.has_unreported());
    }
}

/// Builds feedback in `room` bytes and checks it; returns whether there was any.
fn build(recorder: &mut Recorder, room: usize, arrivals: &BTreeMap<u16, Vec<Duration>>) -> bool {
    let mut buffer = vec![0xa5; room];
    let mut writer = Writer::new(&mut buffer);
    let built = recorder.build(Ssrc(1), Ssrc(2), &mut writer);
    let len = writer.len();
    assert_eq!(built, len > 0);
    if !built {
        return false;
    }
    let compound = Compound::new(&buffer[..len]).expect("the recorder builds a compound");
    for packet in compound.packets() {
        let Packet::Twcc(twcc) = packet else { panic!("the recorder builds {packet:?}") };
        // In units of 250 µs, modulo what 24 bits of 64 ms hold.
        let mut at = i64::from(twcc.reference_time()) * 256;
        for (seq, delta) in twcc.statuses() {
            let Some(delta) = delta else { continue };
            at += i64::from(delta);
            let happened = arrivals.get(&seq.0).is_some_and(|times| {
                let units = times.iter().map(|time| (time.as_micros() / 250) as i64);
                units.into_iter().any(|units| (units - at) % (1 << 32) == 0)
            });
            assert!(happened, "{seq} did not arrive at {at}");
        }
    }
    true
}

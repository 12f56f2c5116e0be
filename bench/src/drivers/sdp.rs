//! The minimum of SDP (RFC 8866, RFC 9429) for servers that use it.

use super::{Feed, Me};
use crate::media::Codec;
use crate::peer::{Incoming, Outgoing, Remote, extension};
use anyhow::Context;
use std::fmt::Write;

/// The extension's URI.
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// A received description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Lines before the first media section.
    session: Vec<String>,
    /// Each begins with its `m=` line.
    media: Vec<Vec<String>>,
}

impl Description {
    /// Cuts a text into sections.
    pub fn read(text: &str) -> Self {
        let mut description = Self { session: Vec::new(), media: Vec::new() };
        for line in text.lines() {
            if line.starts_with("m=") {
                description.media.push(Vec::new());
            }
            description.media.last_mut().unwrap_or(&mut description.session).push(line.trim_end().to_owned());
        }
        description
    }

    /// The other end's transport: all media share the first section's (RFC 8843).
    pub fn remote(&self) -> anyhow::Result<Remote> {
        let lines = || self.media.first().into_iter().flatten().chain(&self.session);
        let value = |name: &str| {
            let found = lines().find_map(|line| line.strip_prefix(name));
            found.map(str::to_owned).with_context(|| format!("the description has no {name}"))
        };
        let fingerprint = value("a=fingerprint:")?;
        let (algorithm, fingerprint) =
            fingerprint.split_once(' ').context("a fingerprint without a value")?;
        anyhow::ensure!(algorithm.eq_ignore_ascii_case("sha-256"), "the fingerprint is of {algorithm}");
        // RFC 8839 §5.1: foundation, component, transport, priority, address, port.
        let candidates = lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let mut addresses = candidates.filter_map(|candidate| {
            let fields: Vec<&str> = candidate.split_whitespace().collect();
            let is_udp = fields.get(2)?.eq_ignore_ascii_case("udp");
            format!("{}:{}", fields.get(4)?, fields.get(5)?).parse().ok().filter(|_| is_udp)
        });
        Ok(Remote {
            address: addresses.next().context("the description has no UDP candidate")?,
            ufrag: value("a=ice-ufrag:")?,
            pwd: value("a=ice-pwd:")?,
            fingerprint: fingerprint.to_owned(),
        })
    }

    /// The content of media section `mid`.
    pub fn incoming(&self, mid: &str, feed: &Feed) -> anyhow::Result<Incoming> {
        let is_it = |section: &&Vec<String>| section.iter().any(|line| *line == format!("a=mid:{mid}"));
        let section = self.media.iter().find(is_it).with_context(|| format!("no media section {mid}"))?;
        let values = |name: &'static str| section.iter().filter_map(move |line| line.strip_prefix(name));
        let ssrcs: Vec<u32> =
            values("a=ssrc:").filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
        let rtx_ssrc = values("a=ssrc-group:FID ").find_map(|line| line.split(' ').nth(1)?.parse().ok());
        let transport_cc_id = values("a=extmap:").filter(|line| line.ends_with(TRANSPORT_CC));
        let transport_cc_id =
            transport_cc_id.filter_map(|line| line.split([' ', '/']).next()?.parse().ok()).next();
        let has_nack = values("a=rtcp-fb:").any(|line| line.ends_with(" nack"));
        Ok(Incoming {
            track: feed.track,
            ssrc: *ssrcs.first().with_context(|| format!("media section {mid} has no SSRC"))?,
            rtx_ssrc,
            transport_cc_id,
            nack: has_nack && feed.codec.is_video(),
            is_video: feed.codec.is_video(),
        })
    }

    /// An answer that accepts everything in an offer, as the DTLS client.
    pub fn answer(&self, me: Me<'_>) -> String {
        let mut text = session_lines(self.media.iter().filter_map(|section| mid(section)));
        for section in &self.media {
            let echoed = |line: &&String| {
                ["a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=rtcp-mux", "a=rtcp-rsize"]
                    .iter()
                    .any(|name| line.starts_with(name))
            };
            for line in section.iter().take(1).chain(section.iter().filter(echoed)) {
                let _ = writeln!(text, "{line}\r");
            }
            let _ = writeln!(text, "c=IN IP4 127.0.0.1\r\na=recvonly\r");
            text.push_str(&transport_lines(me, "active"));
        }
        text
    }
}

fn mid(section: &[String]) -> Option<&str> {
    section.iter().find_map(|line| line.strip_prefix("a=mid:"))
}

/// An offer to send these tracks, as the DTLS client.
pub fn offer(me: Me<'_>, tracks: &[Outgoing]) -> String {
    let mut text = session_lines(tracks.iter().map(|track| track.mid.as_str()));
    for track in tracks {
        text.push_str(&media_lines(track));
        text.push_str(&transport_lines(me, "active"));
    }
    text
}

fn session_lines<'a>(mids: impl Iterator<Item = &'a str>) -> String {
    let mids: Vec<&str> = mids.collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=msid-semantic: WMS bench\r\n",
        mids.join(" ")
    )
}

/// The candidate's port is unused: the server learns the real one from the first check.
fn transport_lines(me: Me<'_>, setup: &str) -> String {
    format!(
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n\
         a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n",
        me.local.ufrag, me.local.pwd, me.fingerprint
    )
}

fn media_lines(outgoing: &Outgoing) -> String {
    let codec = outgoing.track.codec;
    let (kind, pt, mid) = (codec.kind(), outgoing.pt, &outgoing.mid);
    let channels = if codec.is_video() { "" } else { "/2" };
    let mut text = format!(
        "m={kind} 9 UDP/TLS/RTP/SAVPF {pt}\r\nc=IN IP4 127.0.0.1\r\na=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
         a=rtpmap:{pt} {}/{}{channels}\r\na=rtcp-fb:{pt} transport-cc\r\n\
         a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:{} {TRANSPORT_CC}\r\na=msid:bench {kind}{mid}\r\n",
        codec.name(),
        codec.clock_rate(),
        extension::MID,
        extension::TRANSPORT_CC,
    );
    if codec.is_video() {
        for feedback in ["nack", "nack pli", "ccm fir"] {
            let _ = writeln!(text, "a=rtcp-fb:{pt} {feedback}\r");
        }
    }
    if codec == Codec::H264 {
        let _ = writeln!(
            text,
            "a=fmtp:{pt} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r"
        );
    }
    let rids: Vec<String> = (0..outgoing.ssrcs.len()).filter_map(|encoding| outgoing.rid(encoding)).collect();
    if rids.is_empty() {
        let _ = writeln!(text, "a=ssrc:{} cname:bench\r", outgoing.ssrcs[0]);
    } else {
        let _ = writeln!(text, "a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r", extension::RID);
        rids.iter().for_each(|rid| text.push_str(&format!("a=rid:{rid} send\r\n")));
        // The first is the one that a server should prefer: the largest.
        let order: Vec<&str> = rids.iter().rev().map(String::as_str).collect();
        let _ = writeln!(text, "a=simulcast:send {}\r", order.join(";"));
    }
    text
}

#[cfg(test)]
mod tests;

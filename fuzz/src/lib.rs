//! Fuzz targets: everything that reads foreign bytes, one public function each.
//!
//! Three things call them: libFuzzer through the shims in `fuzz_targets/` (`make fuzz`), the replay of
//! `corpus/` on stable (`cargo test -p leat-fuzz`), and a short deterministic mutation loop beside it. A
//! target panics when something is wrong, and returns on everything else, noise first of all.
//!
//! RTP, RTCP, STUN and SRTP are held against the published implementations ([`oracle`]); where those are
//! known to be wrong stands in [`known`], with the reason.

#![forbid(unsafe_code)]

pub mod known;
pub mod mutate;
pub mod oracle;
mod script;
mod targets;

pub use targets::{ring_records, rtcp, rtp, rtx, srtp, stun, twcc, vp8};

/// A target and its name: that of its corpus, its shim and its crash files.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// The target.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "ring_records", run: ring_records },
    Target { name: "rtcp", run: rtcp },
    Target { name: "rtp", run: rtp },
    Target { name: "rtx", run: rtx },
    Target { name: "srtp", run: srtp },
    Target { name: "stun", run: stun },
    Target { name: "twcc", run: twcc },
    Target { name: "vp8", run: vp8 },
];

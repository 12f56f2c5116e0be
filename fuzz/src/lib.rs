//! Fuzz targets: everything that reads untrusted bytes, one public function each.
//!
//! They are called by libFuzzer through the shims in `fuzz_targets/` (`make fuzz`), by the replay of
//! `corpus/` on stable (`cargo test -p leat-fuzz`), and by a short deterministic mutation loop with it. A
//! target panics if something is wrong, and returns on everything else, including noise.
//!
//! RTP, RTCP, STUN and SRTP are compared with the published implementations ([`oracle`]); [`known`] lists
//! their known errors, with the reasons.

#![forbid(unsafe_code)]

mod hostile;
pub mod known;
pub mod mutate;
pub mod oracle;
mod picture;
mod script;
mod targets;
mod world;

pub use targets::{
    allocator, dependency_descriptor, dependency_stream, dtls_records, estimator, frames, http, layers,
    payloads, red, ring_memory, ring_records, rtcp, rtp, rtx, sctp, sctp_pair, sdp, sdp_fragment, shard,
    srtp, stun, turn, twcc, vp8,
};

/// A target and its name: that of its corpus, its shim and its crash files.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// The target.
    pub run: fn(&[u8]),
    /// Its approximate cost relative to a parser: the replay makes proportionally fewer inputs.
    pub cost: u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "allocator", run: allocator, cost: 1 },
    Target { name: "dependency_descriptor", run: dependency_descriptor, cost: 1 },
    Target { name: "dependency_stream", run: dependency_stream, cost: 2 },
    Target { name: "dtls_records", run: dtls_records, cost: 20 },
    Target { name: "estimator", run: estimator, cost: 2 },
    Target { name: "frames", run: frames, cost: 2 },
    Target { name: "http", run: http, cost: 100 },
    Target { name: "layers", run: layers, cost: 400 },
    Target { name: "payloads", run: payloads, cost: 1 },
    Target { name: "red", run: red, cost: 1 },
    Target { name: "ring_memory", run: ring_memory, cost: 20 },
    Target { name: "ring_records", run: ring_records, cost: 1 },
    Target { name: "rtcp", run: rtcp, cost: 1 },
    Target { name: "rtp", run: rtp, cost: 1 },
    Target { name: "rtx", run: rtx, cost: 1 },
    Target { name: "sctp", run: sctp, cost: 20 },
    Target { name: "sctp_pair", run: sctp_pair, cost: 100 },
    Target { name: "sdp", run: sdp, cost: 20 },
    Target { name: "sdp_fragment", run: sdp_fragment, cost: 1 },
    Target { name: "shard", run: shard, cost: 20 },
    Target { name: "srtp", run: srtp, cost: 1 },
    Target { name: "stun", run: stun, cost: 1 },
    Target { name: "turn", run: turn, cost: 20 },
    Target { name: "twcc", run: twcc, cost: 1 },
    Target { name: "vp8", run: vp8, cost: 1 },
];

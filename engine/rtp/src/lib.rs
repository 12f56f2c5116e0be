//! RTP (RFC 3550) as checked views over bytes, and the other formats that a forwarder must read.
//!
//! A [`Packet`] is checked once, in [`Packet::new`]; after that its accessors cannot fail and copy nothing.
//! Header extensions are RFC 8285, their values are in [`ext`], and the largest of them has a separate
//! module, [`dependency_descriptor`]. Payloads are opaque except for the few bytes that forwarding needs:
//! [`vp8`], [`vp9`], [`h264`], [`av1`], [`opus`], [`red`], [`rtx`]. What is *not* here: streams, buffers,
//! jitter — any state beyond a sequence number — and SRTP.

#![forbid(unsafe_code)]

pub mod av1;
pub mod dependency_descriptor;
pub mod ext;
pub mod h264;
mod header;
mod ids;
pub mod limits;
pub mod ntp;
pub mod opus;
mod packet;
pub mod red;
pub mod rtx;
mod seq;
#[cfg(test)]
mod testing;
pub mod vp8;
pub mod vp9;

pub use header::{Extensions, HEADER_LEN, HEADER_LEN_MAX, Header};
pub use ids::{ExtId, Mid, Pt, Rid, Ssrc};
pub use packet::{ExtensionIter, Malformed, Packet};
pub use seq::{Seq, SeqExtender, SeqNo, TwccSeq};

//! Active speakers of a router: reported to the controller, and optionally only the loudest are forwarded.
//!
//! [`voice`] is the work per packet; [`dominant`] periodically determines the dominant speaker; [`loudest`]
//! selects the forwarded producers with each packet. Only the levels in the packets' headers (RFC 6464) are
//! read, which are readable with end-to-end encryption too. A producer without levels is neither reported nor
//! ranked, and always forwarded.

pub mod dominant;
pub mod loudest;
pub mod observer;
pub mod voice;

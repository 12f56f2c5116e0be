//! Every bound of this crate, with its reason and what happens when it is reached.

/// Elements one outgoing header extension block can hold. A browser offers about a dozen extensions and a
/// forwarder writes fewer. When full, [`Extensions::push`](crate::Extensions::push) says so and the packet
/// goes without.
pub const EXTENSIONS_MAX: usize = 12;

/// Value bytes of all elements of one outgoing header extension block. The usual set (mid, rid, times,
/// transport sequence number, level) takes under 40 bytes; a dependency descriptor with its structure takes
/// up to 60 more. When full, [`Extensions::push`](crate::Extensions::push) says so and the packet goes
/// without.
pub const EXTENSION_BYTES_MAX: usize = 96;

/// Bytes of a [`Mid`](crate::Mid): browsers write "0", "1", …; libwebrtc refuses more than 16. A longer one
/// is no mid.
pub const MID_LEN_MAX: usize = 16;

/// Bytes of a [`Rid`](crate::Rid): "h", "q", "r0"; libwebrtc refuses more than 16. A longer one is no rid.
pub const RID_LEN_MAX: usize = 16;

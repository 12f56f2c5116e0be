//! Every bound of this crate, with its reason and what happens when it is reached.

/// Elements of one outgoing header extension block. A browser offers about a dozen extensions and a forwarder
/// writes fewer. When full, [`Extensions::push`](crate::Extensions::push) returns false and the packet is
/// sent without the element.
pub const EXTENSIONS_MAX: usize = 12;

/// Value bytes of all elements of one outgoing header extension block. The usual set (MID, RID, times,
/// transport sequence number, level) takes under 40 bytes; the dependency descriptor of a browser's L3T3
/// keyframe, with its structure, 95 more. When full, [`Extensions::push`](crate::Extensions::push) returns
/// false and the packet is sent without the element.
pub const EXTENSION_BYTES_MAX: usize = 160;

/// Bytes of a [`Mid`](crate::Mid): browsers write "0", "1", …; libwebrtc refuses more than 16. A longer one
/// is invalid.
pub const MID_LEN_MAX: usize = 16;

/// Bytes of a [`Rid`](crate::Rid): "h", "q", "r0"; libwebrtc refuses more than 16. A longer one is invalid.
pub const RID_LEN_MAX: usize = 16;

/// Templates of a [dependency structure](crate::dependency_descriptor::Structure). Their ids have six bits,
/// so a sender can use no more. A descriptor with more is not read.
pub const TEMPLATES_MAX: usize = 64;

/// Decode targets of a dependency structure. Their count has five bits, so there are never more.
pub const DECODE_TARGETS_MAX: usize = 32;

/// Chains of a dependency structure. The syntax allows one for each decode target, so there are never more.
pub const CHAINS_MAX: usize = DECODE_TARGETS_MAX;

/// Spatial layers of a dependency structure. Its syntax has no bound; VP9 has eight, AV1 four. A descriptor
/// with more is not read.
pub const SPATIAL_LAYERS_MAX: usize = 8;

/// Temporal layers of a dependency structure. Its syntax has no bound; VP9 and AV1 have eight. A descriptor
/// with more is not read.
pub const TEMPORAL_LAYERS_MAX: usize = 8;

/// References of one frame. The syntax of the dependency descriptor has no bound; H.264 has sixteen, VP8, VP9
/// and AV1 at most seven. A descriptor with more is not read.
pub const FRAME_DIFFS_MAX: usize = 16;

/// Copies in one payload of redundant audio (RFC 2198). Its syntax has no bound; Chrome sends one or two, and
/// audio packets have no room for many. A payload with more is not read.
pub const RED_COPIES_MAX: usize = 16;

/// Elements of one AV1 payload. Its syntax has no bound; an encoder sends a few OBUs in a packet, and the
/// work for a packet grows with them. A payload with more is not read.
pub const AV1_ELEMENTS_MAX: usize = 256;

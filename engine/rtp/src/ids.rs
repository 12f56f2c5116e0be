//! The ids of RTP as separate types, so that similar ones cannot be confused.

use std::fmt;

use crate::limits::{MID_LEN_MAX, RID_LEN_MAX};

/// A synchronisation source (RFC 3550 §3): one stream of packets with one sequence-number space. The sender
/// of the stream chooses it at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// An RTP payload type: seven bits, `a=rtpmap` in SDP (RFC 8866 §6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pt(pub u8);

/// The number of a header extension, `a=extmap` in SDP (RFC 8285 §5): 1 to 14 in the one-byte form,
/// 1 to 255 in the two-byte form. 0 is padding and never an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtId(pub u8);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Pt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ExtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A media identification, `a=mid` in SDP (RFC 5888), sent in a header extension with BUNDLE (RFC 9143 §15):
/// the m-section of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(Text<MID_LEN_MAX>);

/// A stream id within an m-section, `a=rid` in SDP (RFC 8851), sent in a header extension (RFC 8852): the
/// simulcast layer of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid(Text<RID_LEN_MAX>);

impl Mid {
    /// `None` when empty, longer than [`MID_LEN_MAX`], or not made of visible ASCII.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Text::new(bytes).map(Self)
    }

    /// The text, never empty.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, never empty.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Rid {
    /// `None` when empty, longer than [`RID_LEN_MAX`], or not made of visible ASCII.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Text::new(bytes).map(Self)
    }

    /// The text, never empty.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, never empty.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mid({:?})", self.as_str())
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rid({:?})", self.as_str())
    }
}

/// Up to `N` bytes of visible ASCII, inline, so that it is copied and hashed without a heap. Bytes past the
/// length are zero, so the derived comparisons are correct (zero is not visible ASCII).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// Visible ASCII includes both grammars (`token` of RFC 8866 §9 for MID, RFC 8851 §10 for RID), and keeps
    /// control characters of a peer out of logs.
    fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > N || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, len: text.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("checked to be ASCII in new()")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mid_holds_one_to_sixteen_visible_bytes() {
        assert_eq!(Mid::new(b"audio-0").expect("fits").as_bytes(), b"audio-0");
        assert_eq!(Mid::new(&[b'a'; 16]).expect("fits").to_string(), "a".repeat(16));
        assert_eq!(Mid::new(b""), None);
        assert_eq!(Mid::new(&[b'a'; 17]), None);
        assert_eq!(Mid::new(b"a b"), None, "a space is not visible");
        assert_eq!(Mid::new(b"a\n"), None, "nor is a line end");
        assert_eq!(Mid::new(b"\xc3\xa9"), None, "nor is anything beyond ASCII");
        assert_eq!(Mid::new(b"0\0"), None, "nor is a NUL");
    }

    #[test]
    fn ids_are_displayed_in_the_usual_form() {
        assert_eq!(Ssrc(0xffff_ffff).to_string(), "4294967295");
        assert_eq!(Pt(111).to_string(), "111");
        assert_eq!(ExtId(3).to_string(), "3");
        assert_eq!(Rid::new(b"hi").expect("fits").to_string(), "hi");
        assert_eq!(format!("{:?}", Rid::new(b"hi").expect("fits")), "Rid(\"hi\")");
        assert_eq!(format!("{:>4}", Mid::new(b"v").expect("fits")), "   v");
    }

    #[test]
    fn texts_compare_as_texts() {
        let [a, ab, b] = [&b"a"[..], b"ab", b"b"].map(|text| Rid::new(text).expect("fits"));
        assert!(a < ab && ab < b && a == Rid::new(b"a").expect("fits"));
    }
}

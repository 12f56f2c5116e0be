//! The kind of media of a section.

use control::Kind;
use sdp::{MediaKind, Section};

/// Audio or video; `None` for [data channels](super::has_data), and for sections that this server rejects.
pub fn kind(section: &Section) -> Option<Kind> {
    match section.kind {
        MediaKind::Audio => Some(Kind::Audio),
        MediaKind::Video => Some(Kind::Video),
        MediaKind::Application | MediaKind::Other => None,
    }
}

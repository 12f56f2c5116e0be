//! The decision of a selector.

/// The decision about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it.
    Forward,
    /// Its layer is not forwarded.
    LeaveOut,
}

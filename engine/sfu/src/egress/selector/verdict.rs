//! What a selector decides.

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Forward,
    /// It is of a layer that is not forwarded.
    LeaveOut,
}

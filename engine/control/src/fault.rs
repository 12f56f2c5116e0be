//! The stage of a worker's processing in which it panicked.

use crate::codec::wire_enum;

/// What a worker was handling when it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A datagram whose transport is not known yet.
    Datagram,
    /// STUN of a transport.
    Stun,
    /// DTLS of a transport.
    Dtls,
    /// RTP of a transport.
    Rtp,
    /// RTCP of a transport.
    Rtcp,
    /// A timer of a transport.
    Timer,
    /// A command.
    Command,
    /// A message of another worker.
    HandOff,
    /// Forwarding packets of one transport to another, at the end of a receive batch.
    BatchEnd,
    /// The end of a TCP connection.
    PathClosed,
    /// A socket that was opened on demand.
    SocketOpened,
    /// The creation of an event.
    Event,
}
wire_enum!(Stage, "stage" {
    0 => Datagram, 1 => Stun, 2 => Dtls, 3 => Rtp, 4 => Rtcp, 5 => Timer, 6 => Command, 7 => HandOff, 8 => BatchEnd,
    9 => PathClosed, 10 => SocketOpened, 11 => Event,
});

impl Stage {
    /// The stages in which a test can make a transport panic, by
    /// [`Command::InjectPanic`](crate::Command::InjectPanic).
    pub const INJECTABLE: [Self; 8] = [
        Self::Stun,
        Self::Dtls,
        Self::Rtp,
        Self::Rtcp,
        Self::Timer,
        Self::Command,
        Self::HandOff,
        Self::BatchEnd,
    ];

    /// The name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datagram => "datagram",
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::Rtp => "rtp",
            Self::Rtcp => "rtcp",
            Self::Timer => "timer",
            Self::Command => "command",
            Self::HandOff => "hand_off",
            Self::BatchEnd => "batch_end",
            Self::PathClosed => "path_closed",
            Self::SocketOpened => "socket_opened",
            Self::Event => "event",
        }
    }
}

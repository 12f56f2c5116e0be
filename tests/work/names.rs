//! The kinds of input by name, taken from the types, so that a new one is detected.

use crate::workers;
use control::Command;
use rtcp::Packet;
use std::collections::BTreeSet;
use stun::Demux;

/// A function that names a value's variant, without a wildcard; and all names.
macro_rules! names {
    ($name:ident, $all:ident, $of:ident, $prefix:literal: $($variant:ident),* $(,)?) => {
        /// The row's handler for a value.
        pub fn $name(value: &$of) -> String {
            match value {
                $($of::$variant { .. } => concat!($prefix, " ", stringify!($variant)).to_owned(),)*
            }
        }

        const $all: &[&str] = &[$(concat!($prefix, " ", stringify!($variant)),)*];
    };
}

names!(of_command, COMMANDS, Command, "command":
    CreateRouter, CloseRouter, ClaimRouter, CreateTransport, ConnectTransport, RestartIce, CloseTransport, Produce, PauseProducer,
    ResumeProducer, CloseProducer, Consume, PauseConsumer, ResumeConsumer, CloseConsumer, RequestKeyframe, SetPreferredLayers,
    SetPriority, SetContentHint, SetPlayoutDelay, SetIgnoreDtx, SetBitrates, ObserveAudio, Stats, CreatePlainTransport,
    ConnectPlainTransport, CreatePipe, SetAppData, ConnectTransportAs, Snapshot, InjectPanic,
    ProduceData, CloseDataProducer, ConsumeData, CloseDataConsumer, AcceptData, CloseDataChannel,
);

names!(of_rtcp, RTCP, Packet, "RTCP":
    SenderReport, ReceiverReport, Sdes, Bye, App, Nack, Pli, Fir, Remb, Twcc, Xr, Unknown,
);

names!(of_protocol, PROTOCOLS, Demux, "protocol":
    Stun, Zrtp, Dtls, TurnChannel, Rtp, Rtcp, Unknown,
);

/// Every kind that must have a row.
pub fn all() -> BTreeSet<String> {
    let typed = [COMMANDS, RTCP, PROTOCOLS].concat();
    typed.into_iter().map(str::to_owned).chain(workers::kinds()).collect()
}

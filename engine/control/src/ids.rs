//! Ids. Signaling chooses them; none is reused while the engine runs.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl crate::codec::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(input: &mut crate::codec::Input<'_>) -> Result<Self, crate::DecodeError> {
                u64::read(input).map(Self)
            }
        }
    };
}

id!(
    /// Identifies one request; its answer carries the same number.
    RequestId
);
id!(
    /// A router: the media of one room.
    RouterId
);
id!(
    /// A transport: one ICE and DTLS session with one peer, or plain RTP with one.
    TransportId
);
id!(
    /// A producer: one track that a peer sends.
    ProducerId
);
id!(
    /// A consumer: one track that a peer receives.
    ConsumerId
);
id!(
    /// A data producer: one data channel that a peer sends on.
    DataProducerId
);
id!(
    /// A data consumer: one data channel that a peer receives on.
    DataConsumerId
);

//! The counters of a worker: plain fields of the shard, copied to the statistics page once a second.

use crate::page::{self, Section};

macro_rules! counted {
    ($(#[$doc:meta])* $enum:ident { $($(#[doc = $variant_doc:literal])* $variant:ident => $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum {
            $($(#[doc = $variant_doc])* $variant,)*
        }

        impl $enum {
            /// All, in the order of the statistics page.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// A description for operators.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($variant_doc),*).trim_start(),)*
                }
            }
        }
    };
}

counted! {
    /// Counts of normal operation.
    Counter {
        /// Datagrams received, of any kind.
        DatagramsIn => "datagrams_in",
        /// UDP payload bytes received.
        BytesIn => "bytes_in",
        /// RTP packets accepted after authentication, retransmissions included.
        RtpIn => "rtp_in",
        /// RTP packets written into the send batch for consumers, first transmissions.
        RtpOut => "rtp_out",
        /// RTP bytes written into the send batch, SRTP overhead included, retransmissions included.
        RtpBytesOut => "rtp_bytes_out",
        /// Retransmissions written for consumers.
        RtxOut => "rtx_out",
        /// RTCP compound packets accepted after authentication.
        RtcpIn => "rtcp_in",
        /// RTCP compound packets sent.
        RtcpOut => "rtcp_out",
        /// Packets that consumers reported missing.
        NacksIn => "nacks_in",
        /// Packets requested from publishers again.
        NacksOut => "nacks_out",
        /// Keyframe requests (PLI and FIR) from consumers.
        KeyframeRequestsIn => "keyframe_requests_in",
        /// PLI and FIR sent to publishers.
        KeyframeRequestsOut => "keyframe_requests_out",
        /// Packets in a retransmission request that are not in the cache (any more).
        NackCacheMisses => "nack_cache_misses",
        /// Retransmissions not sent because a consumer requested more than its budget.
        NacksOverBudget => "nacks_over_budget",
        /// Packets given up after the last retransmission request to a publisher.
        NacksGivenUp => "nacks_given_up",
        /// DTLS handshakes completed.
        DtlsConnected => "dtls_connected",
        /// DTLS handshakes failed.
        DtlsFailed => "dtls_failed",
        /// Datagrams not written because the send batch was full.
        TxFull => "tx_full",
        /// Bytes of padding written to probe for bandwidth, SRTP overhead included.
        PaddingBytesOut => "padding_bytes_out",
        /// Paced packets that were not sent: the queue was full, or the cache no longer had them.
        PacedDrops => "paced_drops",
        /// Packets in transport-wide feedback that were never sent, or so long ago that their record is gone.
        TwccUnmatched => "twcc_unmatched",
        /// Packets and messages of data channels sent to other workers.
        PipedOut => "piped_out",
        /// Packets and messages of data channels received from other workers.
        PipedIn => "piped_in",
        /// Packets and messages not sent to another worker, because its mailbox is full; and messages of data
        /// channels that arrived while too many waited for their consumers.
        PipedLost => "piped_lost",
        /// Contained panics: bugs of the engine. Each has closed the transports that it may have damaged.
        Panics => "panics",
        /// How often all objects of the worker were closed and its state created again after panics.
        ShardsReplaced => "shards_replaced",
        /// Routers that exist.
        Routers => "routers",
        /// Transports that exist.
        Transports => "transports",
        /// Producers that exist.
        Producers => "producers",
        /// Consumers that exist.
        Consumers => "consumers",
        /// Messages received on data channels.
        DataIn => "data_in",
        /// Messages given to data channels for sending.
        DataOut => "data_out",
        /// Messages not sent to a data consumer: its send buffer is full, because its peer or its path is slow.
        DataLost => "data_lost",
        /// Data producers that exist.
        DataProducers => "data_producers",
        /// Data consumers that exist.
        DataConsumers => "data_consumers",
    }
}

counted! {
    /// Why a datagram (or a part of one) was dropped. Network noise is not an error: it is counted here, and
    /// not logged per packet.
    Discard {
        /// The first byte belongs to no supported protocol (RFC 7983 §7).
        UnknownProtocol => "unknown_protocol",
        /// Longer than an MTU: reassembled by the kernel or from a TCP connection. It could not be sent to a
        /// consumer.
        DatagramTooLong => "datagram_too_long",
        /// Not a well-formed STUN message (RFC 8489 §6.3).
        StunMalformed => "stun_malformed",
        /// STUN, but not a Binding request: an ICE-lite agent sends none, so it expects no answer.
        StunUnexpected => "stun_unexpected",
        /// A Binding request for a username fragment that no transport has. Many mean a scan, or late checks
        /// of a closed transport.
        StunUnknownUser => "stun_unknown_user",
        /// A Binding request whose MESSAGE-INTEGRITY is absent or wrong (RFC 8489 §9.1.3), or whose
        /// FINGERPRINT is wrong.
        StunUnauthenticated => "stun_unauthenticated",
        /// A Binding request that is authentic for one transport, from the address of another transport whose
        /// peer used it within the last 15 seconds: the source address is forged.
        StunPathHeld => "stun_path_held",
        /// Not STUN, from an address without a validated ICE pair. DTLS and media from there have no effect.
        NoValidPair => "no_valid_pair",
        /// To a plain transport, from an address other than its peer's, or before that is known: injected
        /// RTP, or a wrong peer address.
        PlainStranger => "plain_stranger",
        /// DTLS before the peer's fingerprint is known. The peer retransmits.
        DtlsBeforeConnect => "dtls_before_connect",
        /// DTLS within half a second of a handshake that failed, or before the ClientHello of the engine. The
        /// peer retransmits.
        DtlsTooSoon => "dtls_too_soon",
        /// Media before the DTLS handshake has produced keys, usually reordering; or before a plain transport
        /// has its peer's key.
        MediaBeforeKeys => "media_before_keys",
        /// SRTP or SRTCP that is too short to hold its header and tag.
        SrtpTooShort => "srtp_too_short",
        /// Seen before, or older than the replay window (RFC 3711 §3.3.2). Usually reordering; many mean an
        /// attack.
        SrtpReplayed => "srtp_replayed",
        /// The authentication tag is wrong (RFC 3711 §3.3). Never a reason to close anything.
        SrtpUnauthenticated => "srtp_unauthenticated",
        /// SRTCP whose E bit says that it is not encrypted; refused.
        SrtcpUnencrypted => "srtcp_unencrypted",
        /// More SSRCs on one transport than the bound. If its keys are used up, the transport is closed.
        SsrcLimit => "ssrc_limit",
        /// Authenticated, but not a well-formed RTP packet (RFC 3550 §5.1, RFC 8285).
        RtpMalformed => "rtp_malformed",
        /// Neither MID, RID nor SSRC matches a producer.
        RtpUnroutable => "rtp_unroutable",
        /// A payload type the producer did not declare.
        RtpUnknownPt => "rtp_unknown_pt",
        /// A sequence number seen before: a duplicate, or a retransmission that came twice.
        RtpDuplicate => "rtp_duplicate",
        /// Further from the newest packet than any retransmission could be.
        RtpTooOld => "rtp_too_old",
        /// A retransmission (RFC 4588) too short to hold the original sequence number, or without payload (a
        /// probe).
        RtxEmpty => "rtx_empty",
        /// To a paused producer.
        ProducerPaused => "producer_paused",
        /// From an audio producer that is not among the loudest, if only those are forwarded.
        NotLoudest => "not_loudest",
        /// Authenticated, but not a well-formed RTCP packet (RFC 3550 §6.1). It is skipped; the others of its
        /// datagram are processed.
        RtcpMalformed => "rtcp_malformed",
        /// RTCP feedback about an SSRC that this transport does not have.
        RtcpUnknownSsrc => "rtcp_unknown_ssrc",
        /// From another worker, but malformed: a bug of the engine.
        PipeMessageMalformed => "pipe_message_malformed",
        /// From another worker, about an object that does not exist any more: it was in transit when the
        /// object closed.
        PipeMessageStale => "pipe_message_stale",
        /// Data inside DTLS on a transport without data channels.
        DtlsData => "dtls_data",
        /// The peer's ClientHello where the engine is the DTLS client too: signaling gave both the same role.
        DtlsBothClients => "dtls_both_clients",
        /// A message on a data channel that no data producer has, or that a data consumer has.
        DataUnroutable => "data_unroutable",
        /// SCTP: a packet with a wrong length or checksum, or with too many chunks (RFC 9260 §3).
        SctpMalformed => "sctp_malformed",
        /// SCTP: a verification tag or a port of another association (RFC 9260 §8.5).
        SctpWrongAssociation => "sctp_wrong_association",
        /// SCTP: a handshake chunk that fits no state (RFC 9260 §5.2). Usually a repetition.
        SctpUnexpectedHandshake => "sctp_unexpected_handshake",
        /// SCTP: a chunk type or a parameter that is not supported.
        SctpUnsupported => "sctp_unsupported",
        /// SCTP: an ERROR chunk (RFC 9260 §3.3.10), which has no effect.
        SctpPeerError => "sctp_peer_error",
        /// SCTP: DATA beyond the limits of the association. The peer retransmits it.
        SctpDataBeyondLimits => "sctp_data_beyond_limits",
        /// SCTP: DATA of a stream that is being closed.
        SctpDataOfClosingChannel => "sctp_data_of_closing_channel",
        /// SCTP: DATA of a stream beyond the highest one.
        SctpInvalidStream => "sctp_invalid_stream",
        /// SCTP: a message of a stream that is no channel.
        SctpMessageWithoutChannel => "sctp_message_without_channel",
        /// SCTP: a message with a payload protocol that is not for data channels (RFC 8831 §8).
        SctpUnknownProtocol => "sctp_unknown_protocol",
        /// SCTP: a DCEP message that is malformed or not possible (RFC 8832).
        SctpInvalidDcep => "sctp_invalid_dcep",
        /// SCTP: a SACK of data that was not sent (RFC 9260 §3.3.4).
        SctpInvalidAck => "sctp_invalid_ack",
        /// SCTP: a HEARTBEAT or a repeated handshake chunk that got no answer, because too many answers wait.
        SctpReplyBeyondLimits => "sctp_reply_beyond_limits",
    }
}

impl Counter {
    /// Whether it counts objects that exist, so that it also decreases.
    pub const fn is_of_existing(self) -> bool {
        matches!(
            self,
            Self::Routers
                | Self::Transports
                | Self::Producers
                | Self::Consumers
                | Self::DataProducers
                | Self::DataConsumers
        )
    }
}

/// All counters of a worker: one `u64` each, never decreasing except those of existing objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Self::LEN]);

impl Counters {
    /// All of [`Counter`], then all of [`Discard`].
    pub const LEN: usize = Counter::ALL.len() + Discard::ALL.len();

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, amount: u64) {
        self.0[counter as usize] += amount;
    }

    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Subtracts one from a count of existing objects.
    pub fn uncount(&mut self, counter: Counter) {
        self.0[counter as usize] = self.0[counter as usize].saturating_sub(1);
    }

    /// Sets the counts of existing objects to zero.
    pub fn clear_existing(&mut self) {
        for counter in Counter::ALL.iter().filter(|counter| counter.is_of_existing()) {
            self.0[*counter as usize] = 0;
        }
    }

    /// Counts one discarded datagram.
    pub fn discard(&mut self, discard: Discard) {
        self.discard_many(discard, 1);
    }

    /// Counts what was discarded for the same reason.
    pub fn discard_many(&mut self, discard: Discard, count: u64) {
        self.0[Counter::ALL.len() + discard as usize] += count;
    }

    /// The value of a counter.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// How often something was discarded for this reason.
    pub fn discarded(&self, discard: Discard) -> u64 {
        self.0[Counter::ALL.len() + discard as usize]
    }

    /// The sections [`Counters`](Section::Counters) and [`Discards`](Section::Discards) of the statistics page.
    pub fn sections(&self) -> (&[u64], &[u64]) {
        self.0.split_at(Counter::ALL.len())
    }

    /// From a statistics page; missing counters are zero, unknown ones are skipped.
    pub fn from_page(page: &[u64]) -> Self {
        let mut counters = Self::default();
        let (of_counter, of_discard) = counters.0.split_at_mut(Counter::ALL.len());
        for (known, section) in [(of_counter, Section::Counters), (of_discard, Section::Discards)] {
            for (counter, value) in known.iter_mut().zip(page::section(page, section)) {
                *counter = *value;
            }
        }
        counters
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self([0; Self::LEN])
    }
}

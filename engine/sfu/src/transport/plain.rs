//! The state of a plain transport: its sockets, its peer and its keys.

use control::{
    ConnectPlainTransport, CreatePlainTransport, Event, RequestId, SnapshotItem, SrtpKey, SrtpParameters,
    SrtpProfile,
};
use machine::{LocalId, Path, Rng};
use srtp::MasterKey;
use std::net::SocketAddr;

/// The state of a plain transport, in place of ICE and DTLS.
#[derive(Debug)]
pub struct Plain {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: CreatePlainTransport,
    /// The command with its peer: distinguishes a repetition from a contradiction.
    pub connected: Option<ConnectPlainTransport>,
    /// For RTP, and for RTCP without a separate port.
    pub rtp: AddressPair,
    /// For RTCP.
    pub rtcp: Option<AddressPair>,
    /// The key for sending.
    pub key: Option<SrtpKey>,
}

/// A local socket and its peer.
#[derive(Clone, Copy, Debug)]
pub struct AddressPair {
    /// The local socket.
    pub local: LocalId,
    /// The address for the peer.
    pub address: SocketAddr,
    /// The peer, once it is known.
    pub remote: Option<SocketAddr>,
}

impl AddressPair {
    /// Both ends, if the peer is known.
    pub fn path(&self) -> Option<Path> {
        Some(Path { local: self.local, remote: self.remote? })
    }
}

impl Plain {
    /// A transport whose peer is not known yet.
    pub fn new(
        create: CreatePlainTransport,
        address: SocketAddr,
        sockets: (LocalId, Option<LocalId>),
        rng: &mut Rng,
    ) -> Self {
        let pair = |local, address| AddressPair { local, address, remote: None };
        // The first of the two is even, so there is a next one.
        let next = next_port(address).unwrap_or(address);
        let key = create.srtp.map(|profile| {
            let profile = library_profile(profile);
            let mut key = vec![0; profile.key_len() + profile.salt_len()];
            rng.fill(&mut key);
            SrtpKey(key)
        });
        Self {
            connected: None,
            rtp: pair(sockets.0, address),
            rtcp: sockets.1.map(|local| pair(local, next)),
            key,
            spec: create,
        }
    }

    /// The path for RTP, if the peer is known.
    pub fn path(&self) -> Option<Path> {
        self.rtp.path()
    }

    /// The path for RTCP, if the peer is known.
    pub fn rtcp_path(&self) -> Option<Path> {
        self.rtcp.unwrap_or(self.rtp).path()
    }

    /// The numbers of its sockets.
    pub fn sockets(&self) -> impl Iterator<Item = LocalId> {
        [Some(self.rtp), self.rtcp].into_iter().flatten().map(|pair| pair.local)
    }

    /// Its snapshot item.
    pub fn snapshot_item(&self) -> SnapshotItem {
        SnapshotItem::PlainTransport {
            transport: self.spec.transport,
            router: self.spec.router,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|pair| pair.address),
            remote: self.rtp.remote,
            rtcp_remote: self.rtcp.and_then(|pair| pair.remote),
            app_data: self.spec.app_data.clone(),
        }
    }

    /// The answer to the command that created it.
    pub fn created(&self, request: RequestId) -> Event {
        let srtp = self.spec.srtp.zip(self.key.clone());
        Event::PlainTransportCreated {
            request,
            transport: self.spec.transport,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|pair| pair.address),
            srtp: srtp.map(|(profile, key)| SrtpParameters { profile, key }),
        }
    }

    /// Classifies the sender of a datagram on the socket for RTP or for RTCP.
    pub fn classify(&self, is_rtcp_port: bool, remote: SocketAddr) -> Sender {
        let pair = if is_rtcp_port { self.rtcp } else { Some(self.rtp) };
        match pair.map(|pair| pair.remote) {
            Some(Some(known)) if known == remote => Sender::Peer,
            // RTCP has another port, but the same host.
            Some(None) if is_rtcp_port && self.rtp.remote.is_some_and(|rtp| rtp.ip() == remote.ip()) => {
                Sender::Candidate
            }
            Some(None) if !is_rtcp_port => Sender::Candidate,
            _ => Sender::Unknown,
        }
    }
}

/// The sender of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The peer.
    Peer,
    /// The peer is not known yet. This is the peer if the datagram is valid.
    Candidate,
    /// Not the peer.
    Unknown,
}

/// The address with the next port, for RTCP (RFC 3550 §11). `None` after the last port.
pub fn next_port(rtp: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
}

/// The profile of the SRTP library.
pub fn library_profile(profile: SrtpProfile) -> srtp::Profile {
    match profile {
        SrtpProfile::AesCm128HmacSha1_80 => srtp::Profile::AesCm128HmacSha1_80,
        SrtpProfile::AeadAes128Gcm => srtp::Profile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => srtp::Profile::AeadAes256Gcm,
    }
}

/// `None` if its length does not match the profile.
pub fn master_key(profile: SrtpProfile, key: &SrtpKey) -> Option<MasterKey> {
    let profile = library_profile(profile);
    let (key, salt) = key.0.split_at_checked(profile.key_len())?;
    MasterKey::new(profile, key, salt)
}

/// The length of a key, for an error message.
pub fn key_len_text(profile: SrtpProfile) -> String {
    let library = library_profile(profile);
    format!("a key for {profile:?} has {} bytes, its salt included", library.key_len() + library.salt_len())
}

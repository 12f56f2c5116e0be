//! The state of a plain transport: its sockets, its peer and its keys.

use control::{
    ConnectPlainTransport, CreatePlainTransport, Event, RequestId, SnapshotItem, SrtpKey, SrtpParameters,
    SrtpProfile,
};
use machine::{LocalId, Path, Rng};
use srtp::MasterKey;
use std::net::SocketAddr;

/// What a plain transport has instead of ICE and DTLS.
#[derive(Debug)]
pub struct Plain {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: CreatePlainTransport,
    /// The command that told its peer: tells a repetition from a contradiction.
    pub connected: Option<ConnectPlainTransport>,
    /// For RTP, and for RTCP if that has no port of its own.
    pub rtp: AddressPair,
    /// For RTCP.
    pub rtcp: Option<AddressPair>,
    /// The key we send with.
    pub key: Option<SrtpKey>,
}

/// A socket of ours and who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct AddressPair {
    /// Our socket.
    pub local: LocalId,
    /// As the peer is told.
    pub address: SocketAddr,
    /// The peer, once it is known.
    pub remote: Option<SocketAddr>,
}

impl AddressPair {
    /// Both ends, once the peer is known.
    pub fn path(&self) -> Option<Path> {
        Some(Path { local: self.local, remote: self.remote? })
    }
}

impl Plain {
    /// A transport whose peer is not known yet.
    pub fn new(
        create: CreatePlainTransport,
        address: SocketAddr,
        ears: (LocalId, Option<LocalId>),
        rng: &mut Rng,
    ) -> Self {
        let way = |local, address| AddressPair { local, address, remote: None };
        // The first of the two is even, and so not the last there is.
        let next = next_port(address).unwrap_or(address);
        let key = create.srtp.map(|profile| {
            let profile = library_profile(profile);
            let mut key = vec![0; profile.key_len() + profile.salt_len()];
            rng.fill(&mut key);
            SrtpKey(key)
        });
        Self {
            connected: None,
            rtp: way(ears.0, address),
            rtcp: ears.1.map(|local| way(local, next)),
            key,
            spec: create,
        }
    }

    /// The way for RTP, once the peer is known.
    pub fn path(&self) -> Option<Path> {
        self.rtp.path()
    }

    /// The way for RTCP, once the peer is known.
    pub fn rtcp_path(&self) -> Option<Path> {
        self.rtcp.unwrap_or(self.rtp).path()
    }

    /// The numbers of its sockets.
    pub fn ears(&self) -> impl Iterator<Item = LocalId> {
        [Some(self.rtp), self.rtcp].into_iter().flatten().map(|way| way.local)
    }

    /// As a snapshot tells it.
    pub fn snapshot_item(&self) -> SnapshotItem {
        SnapshotItem::PlainTransport {
            transport: self.spec.transport,
            router: self.spec.router,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|way| way.address),
            remote: self.rtp.remote,
            rtcp_remote: self.rtcp.and_then(|way| way.remote),
            app_data: self.spec.app_data.clone(),
        }
    }

    /// The answer to the command that made it.
    pub fn created(&self, request: RequestId) -> Event {
        let srtp = self.spec.srtp.zip(self.key.clone());
        Event::PlainTransportCreated {
            request,
            transport: self.spec.transport,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|way| way.address),
            srtp: srtp.map(|(profile, key)| SrtpParameters { profile, key }),
        }
    }

    /// How a datagram from there, on the socket for RTP or for RTCP, is to be taken.
    pub fn judge(&self, is_rtcp_port: bool, remote: SocketAddr) -> Sender {
        let way = if is_rtcp_port { self.rtcp } else { Some(self.rtp) };
        match way.map(|way| way.remote) {
            Some(Some(known)) if known == remote => Sender::Peer,
            // RTCP has another port, but comes from the same host.
            Some(None) if is_rtcp_port && self.rtp.remote.is_some_and(|rtp| rtp.ip() == remote.ip()) => {
                Sender::Candidate
            }
            Some(None) if !is_rtcp_port => Sender::Candidate,
            _ => Sender::Stranger,
        }
    }
}

/// Who a datagram is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The peer.
    Peer,
    /// The peer is not known yet. This is the peer if the datagram is good.
    Candidate,
    /// Not the peer.
    Stranger,
}

/// The address with the next port, where RTCP is (RFC 3550 §11). `None` after the last port.
pub fn next_port(rtp: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
}

/// The profile, as the SRTP library names it.
pub fn library_profile(profile: SrtpProfile) -> srtp::Profile {
    match profile {
        SrtpProfile::AesCm128HmacSha1_80 => srtp::Profile::AesCm128HmacSha1_80,
        SrtpProfile::AeadAes128Gcm => srtp::Profile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => srtp::Profile::AeadAes256Gcm,
    }
}

/// `None` if it has not the length of the profile.
pub fn master_key(profile: SrtpProfile, key: &SrtpKey) -> Option<MasterKey> {
    let profile = library_profile(profile);
    let (key, salt) = key.0.split_at_checked(profile.key_len())?;
    MasterKey::new(profile, key, salt)
}

/// How long a key has to be.
pub fn key_len_text(profile: SrtpProfile) -> String {
    let library = library_profile(profile);
    format!("a key for {profile:?} has {} bytes, its salt included", library.key_len() + library.salt_len())
}

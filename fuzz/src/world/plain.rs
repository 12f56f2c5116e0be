//! Plain transports, from the view of their controller and their peers: nothing is accepted from or sent to
//! an unknown address, and sent packets can be decrypted with the reported key.

use std::collections::HashMap;
use std::net::SocketAddr;

use control::{
    Command, ConnectPlainTransport, Counter, CreatePlainTransport, Event, SnapshotItem, SrtpKey,
    SrtpParameters, SrtpProfile, TransportId,
};
use leat_tests::SocketsOnDemand;
use machine::{LocalId, Path};
use srtp::{Inbound, MasterKey, Outbound, Profile};
use stun::Demux;

use super::{ENGINE_IP, Keys, World};

/// The sockets that the shard has requested, and their transports.
pub(crate) struct Plain {
    pub(crate) sockets: SocketsOnDemand,
    peers: HashMap<TransportId, PlainPeer>,
    /// The source of the datagram that the shard is handling.
    heard: Option<(LocalId, SocketAddr)>,
}

impl Default for Plain {
    fn default() -> Self {
        Self { sockets: SocketsOnDemand::new(ENGINE_IP.into()), peers: HashMap::new(), heard: None }
    }
}

/// A plain transport in the world's model.
struct PlainPeer {
    comedia: bool,
    rtp: LocalId,
    rtcp: Option<LocalId>,
    /// The only address for each socket, once set or learned.
    known: HashMap<LocalId, SocketAddr>,
    /// The engine's key.
    theirs: Option<SrtpParameters>,
    is_connected: bool,
    keys: Option<Keys>,
}

impl PlainPeer {
    fn has(&self, local: LocalId) -> bool {
        self.rtp == local || self.rtcp == Some(local)
    }
}

/// Any key is valid if it has the length of its profile.
pub(crate) fn key(profile: SrtpProfile) -> SrtpKey {
    let profile = library_profile(profile);
    SrtpKey(vec![7; profile.key_len() + profile.salt_len()])
}

fn library_profile(profile: SrtpProfile) -> Profile {
    match profile {
        SrtpProfile::AesCm128HmacSha1_80 => Profile::AesCm128HmacSha1_80,
        SrtpProfile::AeadAes128Gcm => Profile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => Profile::AeadAes256Gcm,
    }
}

fn master_key(srtp: &SrtpParameters) -> MasterKey {
    let profile = library_profile(srtp.profile);
    let (key, salt) = srtp.key.0.split_at(profile.key_len());
    MasterKey::new(profile, key, salt).expect("a key that was granted has the right length")
}

impl World {
    pub(crate) fn is_plain(&self, transport: TransportId) -> bool {
        self.plain.peers.contains_key(&transport)
    }

    /// A driver's actions for a shard.
    pub(crate) fn carry_out_orders(&mut self) {
        self.plain.sockets.carry_out_orders(self.now, &mut self.shard, &mut self.sink);
    }

    /// A datagram arrives on a socket of a plain transport: on the one for RTCP, if it has one and that is
    /// selected.
    pub(crate) fn send_plain(&mut self, transport: TransportId, from: Path, is_rtcp: bool, bytes: &[u8]) {
        let Some(peer) = self.plain.peers.get(&transport) else { return };
        let (local, port) = match peer.rtcp {
            // From the port after that of RTP, unless another one was set.
            Some(rtcp) if is_rtcp => (rtcp, from.remote.port() + 1),
            _ => (peer.rtp, from.remote.port()),
        };
        self.receive_plain(local, SocketAddr::new(from.remote.ip(), port), bytes);
    }

    fn receive_plain(&mut self, local: LocalId, remote: SocketAddr, bytes: &[u8]) {
        // Its router may have been closed without a report.
        if !self.plain.sockets.open().contains_key(&local) {
            return;
        }
        let accepted = |world: &Self| {
            let counters = world.shard.counters();
            counters.value(Counter::RtpIn) + counters.value(Counter::RtcpIn)
        };
        let may_be_accepted = self.plain.peers.values().any(|peer| {
            peer.has(local)
                && match peer.known.get(&local) {
                    Some(known) => *known == remote,
                    None => peer.comedia,
                }
        });
        let before = accepted(self);
        self.plain.heard = Some((local, remote));
        self.receive(Path { local, remote }, bytes);
        self.plain.heard = None;
        assert!(
            may_be_accepted || accepted(self) == before,
            "{remote} is unknown to {local:?}, but was accepted"
        );
    }

    /// An event about a plain transport.
    pub(crate) fn on_plain_event(&mut self, event: &Event, asked: Option<&Command>) {
        match (event, asked) {
            (Event::PlainTransportCreated { .. }, Some(Command::CreatePlainTransport(create))) => {
                self.plain.on_created(event, create);
            }
            (Event::Done { .. }, Some(Command::ConnectPlainTransport(connect))) => {
                self.plain.on_connected(connect)
            }
            (Event::PlainTransportTuple { transport, remote, rtcp_remote }, _) => {
                let (local, from) = self.plain.heard.expect("an address is learned from a datagram");
                let peer = self.plain.peers.get_mut(transport).expect("a transport that exists");
                assert!(peer.comedia && peer.has(local), "{event:?}");
                let learned = if local == peer.rtp { Some(*remote) } else { *rtcp_remote };
                assert_eq!(learned, Some(from), "{event:?}");
                assert_eq!(peer.known.insert(local, from), None, "learned twice: {event:?}");
                assert_eq!(peer.known.get(&peer.rtp), Some(remote));
            }
            (Event::TransportClosed { transport, .. }, _) => {
                self.plain.peers.remove(transport);
            }
            (Event::Snapshot { item, .. }, _) => self.plain.on_shown(item, self.picture.is_outdated()),
            (Event::SnapshotEnd { .. }, _) => {
                let picture = &self.picture;
                self.plain.peers.retain(|transport, _| picture.has_transport(*transport));
                let sockets = self.plain.peers.values().map(|peer| 1 + usize::from(peer.rtcp.is_some()));
                assert_eq!(
                    self.plain.sockets.open().len(),
                    sockets.sum::<usize>(),
                    "a socket has no transport"
                );
            }
            _ => {}
        }
    }

    /// The shard sends from a socket of a plain transport.
    pub(crate) fn look_at_plain(&mut self, path: Path, bytes: &mut [u8]) {
        assert!(self.plain.sockets.open().contains_key(&path.local), "{path:?} is closed");
        let mut peers = self.plain.peers.iter_mut();
        let Some((transport, peer)) = peers.find(|(_, peer)| peer.has(path.local)) else {
            panic!("{path:?} has no transport");
        };
        match peer.known.get(&path.local) {
            // An address learned without a controller is in the next one's snapshot.
            None if self.picture.is_outdated() => assert!(peer.comedia, "sent without a peer: {bytes:02x?}"),
            known => assert_eq!(known, Some(&path.remote), "sent to an unknown address: {bytes:02x?}"),
        }
        let is_rtcp = stun::demux(bytes) == Demux::Rtcp;
        let own = peer.rtcp.filter(|_| is_rtcp).unwrap_or(peer.rtp);
        assert_eq!(path.local, own, "by the other socket: {bytes:02x?}");
        let cipher = bytes.to_vec();
        let plain = match &mut peer.keys {
            None => bytes,
            Some(keys) => {
                let opened = if is_rtcp {
                    keys.inbound.unprotect_rtcp(bytes)
                } else {
                    keys.inbound.unprotect_rtp(bytes)
                };
                match opened {
                    Ok(plain) => {
                        keys.opened.insert(cipher);
                        plain
                    }
                    // The identical packet again, at the peer's request.
                    Err(_) if !is_rtcp && keys.opened.contains(&cipher) => return,
                    Err(discard) => panic!("{transport} cannot open {cipher:02x?}: {discard:?}"),
                }
            }
        };
        if is_rtcp {
            rtcp::Compound::new(plain).expect("the sent packet is RTCP");
            return;
        }
        let packet = rtp::Packet::new(plain).expect("the sent packet is RTP");
        if let Some(keys) = &mut peer.keys {
            keys.note_opened(packet.ssrc(), packet.seq());
        }
        self.picture.check_sent(*transport, packet.ssrc(), packet.pt());
        self.tally.plain_heard += 1;
    }
}

impl Plain {
    /// The peer's key, if any.
    pub(crate) fn keys(&mut self, transport: TransportId) -> Option<&mut Keys> {
        self.peers.get_mut(&transport)?.keys.as_mut()
    }

    /// The same, to look at.
    pub(crate) fn keys_of(&self, transport: TransportId) -> Option<&Keys> {
        self.peers.get(&transport)?.keys.as_ref()
    }

    fn on_created(&mut self, event: &Event, create: &CreatePlainTransport) {
        let Event::PlainTransportCreated { transport, address, rtcp_address, srtp, .. } = event else {
            return;
        };
        assert_eq!((srtp.is_some(), rtcp_address.is_none()), (create.srtp.is_some(), create.rtcp_mux));
        let at = |address: SocketAddr| {
            let mut open = self.sockets.open().iter();
            *open.find(|(_, open)| **open == address).expect("a socket that is open").0
        };
        let (rtp, rtcp) = (at(*address), rtcp_address.map(at));
        self.peers.entry(*transport).or_insert_with(|| PlainPeer {
            comedia: create.comedia,
            rtp,
            rtcp,
            known: HashMap::new(),
            theirs: srtp.clone(),
            is_connected: false,
            keys: None,
        });
    }

    /// A snapshot shows the reported state; or, after a time without a controller, learned addresses.
    fn on_shown(&mut self, item: &SnapshotItem, is_outdated: bool) {
        let SnapshotItem::PlainTransport { transport, remote, rtcp_remote, .. } = item else { return };
        let peer = self.peers.get_mut(transport).expect("only created objects are shown");
        for (local, shown) in [(Some(peer.rtp), remote), (peer.rtcp, rtcp_remote)] {
            let Some(local) = local else { continue };
            match (peer.known.get(&local), shown) {
                (None, Some(shown)) if is_outdated && peer.comedia => _ = peer.known.insert(local, *shown),
                (known, shown) => assert_eq!(known, shown.as_ref(), "{transport} at {local:?}"),
            }
        }
    }

    fn on_connected(&mut self, connect: &ConnectPlainTransport) {
        let peer = self.peers.get_mut(&connect.transport).expect("only existing transports are connected");
        if std::mem::replace(&mut peer.is_connected, true) {
            return;
        }
        let next = |rtp: SocketAddr| SocketAddr::new(rtp.ip(), rtp.port() + 1);
        peer.known.extend(connect.remote.map(|remote| (peer.rtp, remote)));
        peer.known.extend(peer.rtcp.zip(connect.rtcp_remote.or_else(|| connect.remote.map(next))));
        if let (Some(ours), Some(theirs)) = (&connect.srtp, &peer.theirs) {
            let profile = library_profile(ours.profile);
            let inbound = Inbound::new(profile, &master_key(theirs));
            peer.keys = Some(Keys::new(inbound, Outbound::new(profile, &master_key(ours))));
        }
    }
}

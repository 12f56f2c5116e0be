//! The first part of a peer: ICE and DTLS until there are keys, and then SRTP and data. Its owner decides what is
//! sent, and checks what arrives: benches, and tests that send packets that no browser would.
//!
//! Like [`Peer`](crate::Peer) it does no I/O, but it is called, not driven: datagrams in and out are plain
//! bytes.

use crate::peer::{Agent, Channels, Secure};
use control::IceParameters;
use dtls::{Certificate, Endpoint, Fingerprint, Settings};
use machine::{Instant, Rng};
use srtp::Profile;
use stun::Demux;

/// A peer with methods.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    secure: Option<Secure>,
    certificate: Certificate,
    engine: Fingerprint,
    dtls: Settings,
    to_send: Vec<Vec<u8>>,
    channels: Channels,
}

/// The type of a datagram from the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An answer to a check, or a part of a handshake.
    Handshake,
    /// An RTP packet, decrypted.
    Rtp(Vec<u8>),
    /// An RTCP compound packet, decrypted.
    Rtcp(Vec<u8>),
}

impl Client {
    /// Starts checks at `now`, with the engine's credentials and its certificate's fingerprint.
    pub fn new(
        now: Instant,
        ice: &IceParameters,
        engine: Fingerprint,
        certificate: Certificate,
        dtls: Settings,
        mut rng: Rng,
    ) -> Self {
        let channels = Channels::new(rng.fork());
        let agent = Agent::new(now, ice, rng);
        Self { agent, secure: None, certificate, engine, dtls, to_send: Vec::new(), channels }
    }

    /// From the beginning it is the DTLS server.
    pub fn be_dtls_server(&mut self, now: Instant) {
        self.secure = Some(Secure::new(Endpoint::server(&self.dtls, &self.certificate, self.engine, now)));
    }

    /// Whether there are keys.
    pub fn is_connected(&self) -> bool {
        self.profile().is_some()
    }

    /// Whether the engine has keys too: there are keys, and no message of the handshake must be repeated. A
    /// client of DTLS 1.3 has keys one flight before the engine, which acknowledges that flight (RFC 9147
    /// §7).
    pub fn is_acknowledged(&self) -> bool {
        self.is_connected() && self.secure.as_ref().is_some_and(|secure| secure.next_timeout().is_none())
    }

    /// The SRTP profile, once connected.
    pub fn profile(&self) -> Option<Profile> {
        self.secure.as_ref().and_then(Secure::profile)
    }

    /// Its ICE agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Its ICE agent, to change it.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// A datagram from the engine. `Err` describes a fault.
    pub fn on_datagram(&mut self, now: Instant, bytes: &[u8]) -> Result<Received, String> {
        match stun::demux(bytes) {
            Demux::Stun => self.on_answer(now, bytes)?,
            Demux::Dtls => {
                let secure = self.secure.as_mut().ok_or("DTLS before ICE has succeeded")?;
                secure.on_datagram(now, bytes)?;
                self.to_send.extend(secure.drain());
            }
            Demux::Rtp => return Ok(Received::Rtp(self.secure()?.unprotect_rtp(bytes)?)),
            Demux::Rtcp => return Ok(Received::Rtcp(self.secure()?.unprotect_rtcp(bytes)?)),
            other => return Err(format!("the engine sends {other:?}")),
        }
        Ok(Received::Handshake)
    }

    /// The datagrams to send at `now`: due checks, and those of the handshake.
    pub fn poll(&mut self, now: Instant) -> Result<Vec<Vec<u8>>, String> {
        if let Some(secure) = &mut self.secure {
            secure.on_timeout(now)?;
            self.to_send.extend(secure.drain());
        }
        if let Some(secure) = &mut self.secure {
            // In benches the engine is always the server.
            self.channels.drive(now, secure, false);
            self.to_send.extend(secure.drain());
        }
        self.to_send.extend(self.agent.check(now));
        Ok(std::mem::take(&mut self.to_send))
    }

    /// When [`poll`](Self::poll) next has a datagram without new input.
    pub fn next_timeout(&self) -> Option<Instant> {
        let handshake = self.secure.as_ref().and_then(Secure::next_timeout);
        let timers = [self.agent.next_timeout(), handshake, self.channels.next_timeout()];
        timers.into_iter().flatten().min()
    }

    /// Encrypts an RTP packet. Panics before there are keys.
    pub fn protect_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        self.secure().expect("media is sent once connected").protect_rtp(packet)
    }

    /// Encrypts an RTCP compound packet. Panics before there are keys.
    pub fn protect_rtcp(&mut self, compound: &[u8]) -> Vec<u8> {
        self.secure().expect("media is sent once connected").protect_rtcp(compound)
    }

    /// Its data channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Its data channels, to change them.
    pub fn channels_mut(&mut self) -> &mut Channels {
        &mut self.channels
    }

    /// Encrypts a packet of SCTP that no association has made: there must be no data channels. Panics before there
    /// are keys.
    pub fn protect_data(&mut self, now: Instant, packet: &[u8]) -> Vec<Vec<u8>> {
        let secure = self.secure().expect("data is sent once connected");
        secure.send(now, packet);
        secure.drain()
    }

    /// The packets of SCTP that have arrived, decrypted. There must be no data channels.
    pub fn take_data(&mut self) -> Vec<Vec<u8>> {
        self.secure.as_mut().map(Secure::take_records).unwrap_or_default()
    }

    fn on_answer(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        self.agent.on_answer(now, bytes)?;
        if self.agent.is_connected() && self.secure.is_none() {
            let endpoint = Endpoint::client(&self.dtls, &self.certificate, self.engine, now);
            self.to_send.extend(self.secure.insert(Secure::new(endpoint)).drain());
        }
        Ok(())
    }

    fn secure(&mut self) -> Result<&mut Secure, String> {
        self.secure.as_mut().ok_or_else(|| "media before ICE has succeeded".to_owned())
    }
}

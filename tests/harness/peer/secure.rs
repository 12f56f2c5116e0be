//! DTLS, and SRTP by the published implementation with the keys it makes.

use dtls::{Connected, Endpoint, Output};
use machine::Instant;
use oracle_srtp::context::Context;
use oracle_srtp::protection_profile::ProtectionProfile;
use srtp::{MasterKey, Profile};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The DTLS and SRTP part of a peer.
pub struct Secure {
    endpoint: Endpoint,
    timeout: Option<Instant>,
    contexts: Option<Contexts>,
    /// Data that has arrived and is not taken.
    records: Vec<Vec<u8>>,
    /// Datagrams that are not taken.
    datagrams: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

struct Contexts {
    profile: Profile,
    inbound: Context,
    outbound: Context,
}

impl Secure {
    /// With `endpoint`, of either role.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeout: None,
            contexts: None,
            records: Vec::new(),
            datagrams: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Whether the handshake is done.
    pub fn is_connected(&self) -> bool {
        self.contexts.is_some()
    }

    /// The SRTP profile, once connected.
    pub fn profile(&self) -> Option<Profile> {
        self.contexts.as_ref().map(|contexts| contexts.profile)
    }

    /// The next call of [`on_timeout`](Self::on_timeout).
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// The handshake's timer.
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), String> {
        if self.timeout.is_some_and(|timeout| timeout <= now) {
            self.timeout = None;
            self.endpoint.on_timeout(now).map_err(|failed| format!("DTLS failed: {failed}"))?;
        }
        Ok(())
    }

    /// A datagram of DTLS.
    pub fn on_datagram(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        self.endpoint.on_datagram(now, bytes).map_err(|failed| format!("DTLS failed: {failed}"))
    }

    /// Closes DTLS.
    pub fn close(&mut self, now: Instant) {
        // A failed endpoint cannot close.
        let _ = self.endpoint.close(now);
    }

    /// Data of the peer.
    pub fn take_records(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.records)
    }

    /// Encrypts data. The datagram is among those of the next [`drain`](Self::drain).
    pub fn send(&mut self, now: Instant, record: &[u8]) {
        self.endpoint.send(now, record).expect("connected, and drained after each record");
        self.datagrams = self.drain();
    }

    /// The datagrams to send.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = std::mem::take(&mut self.datagrams);
        loop {
            match self.endpoint.poll(&mut self.buffer) {
                Output::Datagram(bytes) => datagrams.push(bytes.to_vec()),
                Output::Connected(connected) => self.contexts = Some(Contexts::new(&connected)),
                Output::ApplicationData(record) => self.records.push(record.to_vec()),
                Output::Closed => {}
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return datagrams;
                }
                Output::Idle => {
                    self.timeout = None;
                    return datagrams;
                }
            }
        }
    }

    /// Encrypts an RTP packet.
    pub fn protect_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        let contexts = self.contexts.as_mut().expect("media is sent once connected");
        contexts.outbound.encrypt_rtp(packet).expect("our own packets are well-formed").to_vec()
    }

    /// Encrypts an RTCP compound packet.
    pub fn protect_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let contexts = self.contexts.as_mut().expect("media is sent once connected");
        contexts.outbound.encrypt_rtcp(packet).expect("our own packets are well-formed").to_vec()
    }

    /// Decrypts an SRTP packet.
    pub fn unprotect_rtp(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.unprotect("SRTP", |context| context.decrypt_rtp(packet).map(|plain| plain.to_vec()))
    }

    /// Decrypts an SRTCP packet.
    pub fn unprotect_rtcp(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.unprotect("SRTCP", |context| context.decrypt_rtcp(packet).map(|plain| plain.to_vec()))
    }

    /// The published implementation panics on some malformed packets; here that is a fault too.
    fn unprotect(
        &mut self,
        what: &str,
        decrypt: impl FnOnce(&mut Context) -> Result<Vec<u8>, oracle_srtp::Error>,
    ) -> Result<Vec<u8>, String> {
        let contexts = self.contexts.as_mut().ok_or_else(|| format!("{what} arrived before the keys"))?;
        match catch_unwind(AssertUnwindSafe(|| decrypt(&mut contexts.inbound))) {
            Ok(plain) => plain.map_err(|error| format!("{what} cannot be decrypted: {error}")),
            Err(_) => Err(format!("{what} makes the published implementation panic")),
        }
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("profile", &self.profile()).finish_non_exhaustive()
    }
}

impl Contexts {
    fn new(connected: &Connected) -> Self {
        Self {
            profile: connected.profile,
            inbound: context(&connected.inbound),
            outbound: context(&connected.outbound),
        }
    }
}

/// Without its replay window: the sink counts duplicates.
fn context(key: &MasterKey) -> Context {
    let profile = match key.profile() {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    Context::new(key.key(), key.salt(), profile, None, None)
        .expect("DTLS gives keys of the profile's lengths")
}

//! The values of TURN's attributes, read and written (RFC 8656 §18, RFC 6062 §6.2).

use crate::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, CHANNEL_NUMBER, CONNECTION_ID, DATA, DONT_FRAGMENT,
    EVEN_PORT, LIFETIME, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, USERHASH, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::key::PasswordAlgorithm;
use crate::{Message, Writer};
use std::net::SocketAddr;

/// REQUESTED-TRANSPORT: UDP, by its IP protocol number.
pub const UDP: u8 = 17;
/// REQUESTED-TRANSPORT: TCP (RFC 6062), by its IP protocol number.
pub const TCP: u8 = 6;

/// An address family, with the numbers of REQUESTED-ADDRESS-FAMILY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// 1.
    V4,
    /// 2.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    /// `None` for any other number, and for a value that is not four bytes long.
    fn read(value: &[u8]) -> Option<Self> {
        match value {
            [1, _, _, _] => Some(Self::V4),
            [2, _, _, _] => Some(Self::V6),
            _ => None,
        }
    }
}

/// Each returns `None` if the attribute is missing, and `Some(None)` if its value does not have the RFC's
/// form.
impl<'a> Message<'a> {
    /// LIFETIME, seconds.
    pub fn lifetime(&self) -> Option<Option<u32>> {
        Some(self.attribute(LIFETIME)?.try_into().ok().map(u32::from_be_bytes))
    }

    /// CHANNEL-NUMBER; it need not be valid.
    pub fn channel_number(&self) -> Option<Option<u16>> {
        let value = self.attribute(CHANNEL_NUMBER)?;
        Some(<[u8; 4]>::try_from(value).ok().map(|[high, low, _, _]| u16::from_be_bytes([high, low])))
    }

    /// REQUESTED-TRANSPORT: [`UDP`], [`TCP`] or another.
    pub fn requested_transport(&self) -> Option<Option<u8>> {
        Some(<[u8; 4]>::try_from(self.attribute(REQUESTED_TRANSPORT)?).ok().map(|value| value[0]))
    }

    /// REQUESTED-ADDRESS-FAMILY.
    pub fn requested_address_family(&self) -> Option<Option<Family>> {
        self.attribute(REQUESTED_ADDRESS_FAMILY).map(Family::read)
    }

    /// ADDITIONAL-ADDRESS-FAMILY.
    pub fn additional_address_family(&self) -> Option<Option<Family>> {
        self.attribute(ADDITIONAL_ADDRESS_FAMILY).map(Family::read)
    }

    /// EVEN-PORT: whether the next port is to be reserved.
    pub fn even_port(&self) -> Option<Option<bool>> {
        Some(<[u8; 1]>::try_from(self.attribute(EVEN_PORT)?).ok().map(|[value]| value & 0x80 != 0))
    }

    /// Whether DONT-FRAGMENT is there.
    pub fn dont_fragment(&self) -> bool {
        self.attribute(DONT_FRAGMENT).is_some()
    }

    /// RESERVATION-TOKEN.
    pub fn reservation_token(&self) -> Option<Option<[u8; 8]>> {
        Some(self.attribute(RESERVATION_TOKEN)?.try_into().ok())
    }

    /// Every XOR-PEER-ADDRESS, of which CreatePermission may have several.
    pub fn xor_peer_addresses(&self) -> impl Iterator<Item = Option<SocketAddr>> + Clone + use<'a> {
        let message = *self;
        let peers = self.attributes().filter(|attribute| attribute.kind == XOR_PEER_ADDRESS);
        peers.map(move |attribute| message.address(attribute.value))
    }

    /// The first XOR-PEER-ADDRESS.
    pub fn xor_peer_address(&self) -> Option<Option<SocketAddr>> {
        self.xor_peer_addresses().next()
    }

    /// XOR-RELAYED-ADDRESS, of which a dual allocation has two.
    pub fn xor_relayed_addresses(&self) -> impl Iterator<Item = Option<SocketAddr>> + use<'a> {
        let message = *self;
        let relayed = self.attributes().filter(|attribute| attribute.kind == XOR_RELAYED_ADDRESS);
        relayed.map(move |attribute| message.address(attribute.value))
    }

    /// DATA.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    /// USERHASH.
    pub fn userhash(&self) -> Option<Option<[u8; 32]>> {
        Some(self.attribute(USERHASH)?.try_into().ok())
    }

    /// PASSWORD-ALGORITHM; `Some(None)` also for an unregistered one, or with parameters, which no registered
    /// one has.
    pub fn password_algorithm(&self) -> Option<Option<PasswordAlgorithm>> {
        let known = [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256];
        let value = self.attribute(PASSWORD_ALGORITHM)?;
        Some(known.into_iter().find(|algorithm| value == password_algorithm(*algorithm)))
    }

    /// CONNECTION-ID.
    pub fn connection_id(&self) -> Option<Option<u32>> {
        Some(self.attribute(CONNECTION_ID)?.try_into().ok().map(u32::from_be_bytes))
    }
}

fn password_algorithm(algorithm: PasswordAlgorithm) -> [u8; 4] {
    let [high, low] = algorithm.number().to_be_bytes();
    [high, low, 0, 0]
}

impl Writer<'_> {
    /// XOR-RELAYED-ADDRESS.
    pub fn xor_relayed_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored_address(XOR_RELAYED_ADDRESS, address)
    }

    /// XOR-PEER-ADDRESS.
    pub fn xor_peer_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored_address(XOR_PEER_ADDRESS, address)
    }

    /// LIFETIME, seconds.
    pub fn lifetime(&mut self, seconds: u32) -> &mut Self {
        self.attribute(LIFETIME, &seconds.to_be_bytes())
    }

    /// CHANNEL-NUMBER.
    pub fn channel_number(&mut self, number: u16) -> &mut Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    /// REQUESTED-TRANSPORT.
    pub fn requested_transport(&mut self, protocol: u8) -> &mut Self {
        self.attribute(REQUESTED_TRANSPORT, &[protocol, 0, 0, 0])
    }

    /// REQUESTED-ADDRESS-FAMILY.
    pub fn requested_address_family(&mut self, family: Family) -> &mut Self {
        self.attribute(REQUESTED_ADDRESS_FAMILY, &[family.number(), 0, 0, 0])
    }

    /// ADDITIONAL-ADDRESS-FAMILY.
    pub fn additional_address_family(&mut self, family: Family) -> &mut Self {
        self.attribute(ADDITIONAL_ADDRESS_FAMILY, &[family.number(), 0, 0, 0])
    }

    /// ADDRESS-ERROR-CODE, without a phrase.
    pub fn address_error_code(&mut self, family: Family, code: u16) -> &mut Self {
        self.attribute(ADDRESS_ERROR_CODE, &[family.number(), 0, (code / 100) as u8, (code % 100) as u8])
    }

    /// EVEN-PORT, and whether the next port is to be reserved.
    pub fn even_port(&mut self, reserves_next: bool) -> &mut Self {
        self.attribute(EVEN_PORT, &[u8::from(reserves_next) << 7])
    }

    /// RESERVATION-TOKEN.
    pub fn reservation_token(&mut self, token: [u8; 8]) -> &mut Self {
        self.attribute(RESERVATION_TOKEN, &token)
    }

    /// PASSWORD-ALGORITHMS, the preferred first.
    pub fn password_algorithms(&mut self, algorithms: [PasswordAlgorithm; 2]) -> &mut Self {
        self.attribute(PASSWORD_ALGORITHMS, algorithms.map(password_algorithm).as_flattened())
    }

    /// PASSWORD-ALGORITHM.
    pub fn password_algorithm(&mut self, algorithm: PasswordAlgorithm) -> &mut Self {
        self.attribute(PASSWORD_ALGORITHM, &password_algorithm(algorithm))
    }

    /// CONNECTION-ID.
    pub fn connection_id(&mut self, id: u32) -> &mut Self {
        self.attribute(CONNECTION_ID, &id.to_be_bytes())
    }
}

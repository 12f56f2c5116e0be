//! Plain transports: addresses and SRTP keys, which signaling carries for want of ICE and DTLS.

use crate::proto::{ConnectPlainTransport, CreatePlainTransport, SrtpParameters};
use crate::request_error::RequestError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::{IpFamily, SrtpKey, SrtpProfile};
use std::net::{IpAddr, SocketAddr};

/// Every suite by its name in SDP (RFC 4568 §6.2, RFC 7714 §14.2).
const SUITES: [(&str, SrtpProfile); 3] = [
    ("AES_CM_128_HMAC_SHA1_80", SrtpProfile::AesCm128HmacSha1_80),
    ("AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
    ("AEAD_AES_256_GCM", SrtpProfile::AeadAes256Gcm),
];

/// On what kind of address the engine is to listen.
pub fn family(create: &CreatePlainTransport) -> Result<IpFamily, RequestError> {
    match create.family.as_str() {
        "" | "ipv4" => Ok(IpFamily::V4),
        "ipv6" => Ok(IpFamily::V6),
        _ => Err(RequestError::bad("family must be \"ipv4\" or \"ipv6\"")),
    }
}

/// The suite that is wanted; `None` for none.
pub fn suite(name: &str) -> Result<Option<SrtpProfile>, RequestError> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = SUITES.iter().find(|(known, _)| *known == name);
    let wanted = || {
        RequestError::bad(format!(
            "the SRTP suite must be one of {}",
            SUITES.map(|(name, _)| name).join(", ")
        ))
    };
    found.map(|(_, profile)| Some(*profile)).ok_or_else(wanted)
}

/// The key of the other side.
pub fn srtp(parameters: &SrtpParameters) -> Result<control::SrtpParameters, RequestError> {
    let profile = suite(&parameters.crypto_suite)?
        .ok_or_else(|| RequestError::bad("srtpParameters.cryptoSuite is missing"))?;
    let key = STANDARD.decode(&parameters.key_base64).map_err(|_| {
        RequestError::bad("srtpParameters.keyBase64 must be master key and salt in base64 (RFC 4568 §6.1)")
    })?;
    Ok(control::SrtpParameters { profile, key: SrtpKey(key) })
}

/// The engine's key, for the client.
pub fn srtp_message(parameters: &control::SrtpParameters) -> SrtpParameters {
    let (name, _) = SUITES
        .iter()
        .find(|(_, profile)| *profile == parameters.profile)
        .expect("every profile is in the table");
    SrtpParameters { crypto_suite: (*name).into(), key_base64: STANDARD.encode(&parameters.key.0) }
}

/// Where the program is: for RTP, and for RTCP if that was said. Nothing with comedia.
pub fn remotes(
    connect: &ConnectPlainTransport,
) -> Result<(Option<SocketAddr>, Option<SocketAddr>), RequestError> {
    if connect.address.is_empty() {
        if connect.port != 0 || connect.rtcp_port.is_some() {
            return Err(RequestError::bad("a port needs an address"));
        }
        return Ok((None, None));
    }
    let ip: IpAddr =
        connect.address.parse().map_err(|_| RequestError::bad("address must be an IPv4 or IPv6 address"))?;
    let at = |what: &str, port: u32| match u16::try_from(port) {
        Ok(port @ 1..) => Ok(SocketAddr::new(ip, port)),
        _ => Err(RequestError::bad(format!("{what} must be 1 to 65535"))),
    };
    Ok((Some(at("port", connect.port)?), connect.rtcp_port.map(|port| at("rtcpPort", port)).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_told_and_read_by_the_names_of_sdp() {
        for (name, profile) in SUITES {
            assert_eq!(suite(name).expect("known"), Some(profile));
            let ours = control::SrtpParameters { profile, key: SrtpKey(vec![7; 30]) };
            assert_eq!(srtp(&srtp_message(&ours)).expect("read back"), ours);
        }
        assert_eq!(suite("").expect("none is wanted"), None);
        let refused = suite("AES_CM_128_HMAC_SHA1_32").expect_err("not spoken");
        assert!(refused.to_string().contains("AEAD_AES_256_GCM"), "{refused}");
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let parameters = |crypto_suite: &str, key_base64: &str| SrtpParameters {
            crypto_suite: crypto_suite.into(),
            key_base64: key_base64.into(),
        };
        assert!(srtp(&parameters("", "AAAA")).is_err());
        assert!(srtp(&parameters("AEAD_AES_128_GCM", "not base64!")).is_err());
    }

    #[test]
    fn addresses_are_read_with_their_ports() {
        let connect = |address: &str, port, rtcp_port| ConnectPlainTransport {
            address: address.into(),
            port,
            rtcp_port,
            ..Default::default()
        };
        let at = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
        assert_eq!(remotes(&connect("", 0, None)).expect("comedia"), (None, None));
        assert_eq!(
            remotes(&connect("192.0.2.1", 5_004, Some(5_009))).expect("both"),
            (at("192.0.2.1:5004"), at("192.0.2.1:5009"))
        );
        assert_eq!(
            remotes(&connect("2001:db8::1", 5_004, None)).expect("one"),
            (at("[2001:db8::1]:5004"), None)
        );
        for (address, port, rtcp_port) in [
            ("", 1, None),
            ("", 0, Some(1)),
            ("example.com", 1, None),
            ("192.0.2.1", 0, None),
            ("192.0.2.1", 65_536, None),
            ("192.0.2.1", 1, Some(0)),
        ] {
            assert!(remotes(&connect(address, port, rtcp_port)).is_err(), "{address} {port} {rtcp_port:?}");
        }
    }
}

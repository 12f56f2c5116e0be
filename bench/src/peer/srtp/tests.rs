use super::*;
use oracle_srtp::context::Context as Other;
use oracle_srtp::protection_profile::ProtectionProfile;

const EXPORTED: [u8; 56] = {
    let mut bytes = [0; 56];
    let mut at = 0;
    while at < 56 {
        bytes[at] = (at * 37 + 11) as u8;
        at += 1;
    }
    bytes
};

fn other(ours: bool) -> Other {
    let (key, salt) =
        if ours { (&EXPORTED[..16], &EXPORTED[32..44]) } else { (&EXPORTED[16..32], &EXPORTED[44..]) };
    Other::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None).unwrap()
}

fn rtp(seq: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7];
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&[0x5a; 100]);
    packet
}

#[test]
fn our_packets_are_readable_by_another_implementation() {
    let (keys, mut other) = (Keys::exported_to_client(&EXPORTED), other(true));
    for index in [65_530u64, 65_535, 65_536, 65_540] {
        let mut packet = rtp(index as u16);
        keys.sender.protect_rtp(&mut packet, 12, 7, index);
        assert_eq!(other.decrypt_rtp(&packet).unwrap(), rtp(index as u16), "{index}");
    }
    let plain = [&[0x80, 201, 0, 1, 0, 0, 0, 7][..], &[0x81, 203, 0, 1, 0, 0, 0, 7]].concat();
    let mut packet = plain.clone();
    keys.sender.protect_rtcp(&mut packet, 3);
    assert_eq!(other.decrypt_rtcp(&packet).unwrap(), plain);
}

#[test]
fn packets_of_another_implementation_are_read_and_changed_ones_refused() {
    let (keys, mut other) = (Keys::exported_to_client(&EXPORTED), other(false));
    let sealed = other.encrypt_rtp(&rtp(500)).unwrap();
    let mut packet = sealed.to_vec();
    assert_eq!(keys.receiver.unprotect_rtp(&mut packet, 12, 7, 500), Some(100));
    assert_eq!(packet[..112], rtp(500));
    for at in 0..sealed.len() {
        let mut changed = sealed.to_vec();
        changed[at] ^= 4;
        assert_eq!(keys.receiver.unprotect_rtp(&mut changed, 12, 7, 500), None, "byte {at}");
    }
    let plain = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7];
    let sealed = other.encrypt_rtcp(&plain).unwrap();
    let mut packet = sealed.to_vec();
    assert_eq!(keys.receiver.unprotect_rtcp(&mut packet), Some(16));
    assert_eq!(packet[..16], plain);
    for len in 0..sealed.len() {
        assert_eq!(keys.receiver.unprotect_rtcp(&mut sealed[..len].to_vec()), None, "{len} bytes");
    }
}

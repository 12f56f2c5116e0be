//! Two ends with one key, and an attacker between them.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use srtp::limits::{REPLAY_WINDOW, SSRCS_MAX};
use srtp::{Discard, Inbound, MasterKey, Outbound, Profile};

/// The longest packet of the tests.
const ROOM: usize = 2000;

fn ends(profile: Profile) -> (Outbound, Inbound) {
    let bytes: Vec<u8> = (7..).take(32).collect();
    let key = MasterKey::new(profile, &bytes[..profile.key_len()], &bytes[..profile.salt_len()]).unwrap();
    (Outbound::new(profile, &key), Inbound::new(profile, &key))
}

/// An RTP packet of one CSRC and one extension word, protected.
fn rtp(outbound: &Outbound, ssrc: u32, index: u64, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x91, 0xe0];
    header.extend_from_slice(&(index as u16).to_be_bytes());
    header.extend_from_slice(&[0, 0, 0, 1]);
    header.extend_from_slice(&ssrc.to_be_bytes());
    header.extend_from_slice(&[0xc5; 4]);
    header.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    let mut packet = vec![0xa5; ROOM];
    packet[..header.len()].copy_from_slice(&header);
    let len = outbound.protect_rtp((index >> 16) as u32, header.len(), payload, &mut packet).unwrap();
    packet.truncate(len);
    packet
}

/// A receiver report, protected.
fn rtcp(outbound: &mut Outbound, ssrc: u32) -> Vec<u8> {
    let mut compound = vec![0x80, 201, 0, 1];
    compound.extend_from_slice(&ssrc.to_be_bytes());
    compound.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let mut packet = vec![0xa5; ROOM];
    let len = outbound.protect_rtcp(&compound, &mut packet).unwrap();
    packet.truncate(len);
    packet
}

/// Works on a copy, so that the packet can be tried again.
fn unprotect_rtp_copy(inbound: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, Discard> {
    inbound.unprotect_rtp(&mut packet.to_vec()).map(|plain| plain.to_vec())
}

fn unprotect_rtcp_copy(inbound: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, Discard> {
    inbound.unprotect_rtcp(&mut packet.to_vec()).map(|plain| plain.to_vec())
}

#[test]
fn sizes_match_the_profile() {
    for profile in Profile::ALL {
        let (mut outbound, _) = ends(profile);
        assert_eq!(rtp(&outbound, 1, 1, b"four").len(), 24 + 4 + profile.rtp_overhead());
        assert_eq!(rtcp(&mut outbound, 1).len(), 20 + profile.rtcp_overhead());
    }
}

#[test]
fn the_payload_is_encrypted_and_the_header_is_not() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = ends(profile);
        let payload = [0x77; 64];
        let packet = rtp(&outbound, 5, 5, &payload);
        assert!(!packet.windows(8).any(|window| window == [0x77; 8]));
        let plain = unprotect_rtp_copy(&mut inbound, &packet).unwrap();
        assert_eq!(plain[..24], packet[..24]);
        assert_eq!(plain[24..], payload);
        let packet = rtcp(&mut outbound, 5);
        assert_eq!(unprotect_rtcp_copy(&mut inbound, &packet).unwrap()[..8], packet[..8]);
    }
}

#[test]
fn a_packet_is_accepted_once() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = ends(profile);
        let (media, report) = (rtp(&outbound, 1, 9, b"media"), rtcp(&mut outbound, 1));
        assert!(unprotect_rtp_copy(&mut inbound, &media).is_ok());
        assert!(unprotect_rtcp_copy(&mut inbound, &report).is_ok());
        for _ in 0..3 {
            assert_eq!(unprotect_rtp_copy(&mut inbound, &media), Err(Discard::Replayed));
            assert_eq!(unprotect_rtcp_copy(&mut inbound, &report), Err(Discard::Replayed));
        }
    }
}

/// Every single changed bit of a packet: it is refused, and afterwards the context still accepts exactly what
/// it accepted before.
#[test]
fn a_changed_bit_is_refused_and_changes_no_state() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = ends(profile);
        assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 100, b"first")).is_ok());
        assert!(unprotect_rtcp_copy(&mut inbound, &rtcp(&mut outbound, 1)).is_ok());
        let next = rtp(&outbound, 1, 101, b"a payload of some length");
        let report = rtcp(&mut outbound, 1);
        let before = format!("{inbound:?}");
        for bit in 0..next.len() * 8 {
            let mut bent = next.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect_rtp_copy(&mut inbound, &bent).is_err(), "{profile:?}: bit {bit}");
        }
        for bit in 0..report.len() * 8 {
            let mut bent = report.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect_rtcp_copy(&mut inbound, &bent).is_err(), "{profile:?}: bit {bit}");
        }
        assert_eq!(format!("{inbound:?}"), before, "there is no new source");
        assert!(
            unprotect_rtp_copy(&mut inbound, &next).is_ok(),
            "no index was recorded and no counter changed"
        );
        assert!(unprotect_rtcp_copy(&mut inbound, &report).is_ok());
    }
}

#[test]
fn a_cut_packet_is_refused_and_changes_no_state() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = ends(profile);
        let (media, report) = (rtp(&outbound, 1, 100, b"payload"), rtcp(&mut outbound, 1));
        for len in 0..media.len() {
            assert!(unprotect_rtp_copy(&mut inbound, &media[..len]).is_err(), "{profile:?}: {len} bytes");
        }
        for len in 0..report.len() {
            assert!(unprotect_rtcp_copy(&mut inbound, &report[..len]).is_err(), "{profile:?}: {len} bytes");
        }
        assert!(unprotect_rtp_copy(&mut inbound, &media).is_ok());
        assert!(unprotect_rtcp_copy(&mut inbound, &report).is_ok());
    }
}

#[test]
fn a_header_longer_than_the_packet_is_refused() {
    for profile in Profile::ALL {
        let (_, mut inbound) = ends(profile);
        // Fifteen CSRCs; an extension of 65535 words; an extension with a truncated header.
        for (len, first, extension) in [(80, 0x8f, 0), (80, 0x90, u16::MAX), (13, 0x90, 0)] {
            let mut packet = vec![0; len];
            packet[0] = first;
            if len > 16 {
                packet[14..16].copy_from_slice(&extension.to_be_bytes());
            }
            assert_eq!(unprotect_rtp_copy(&mut inbound, &packet), Err(Discard::TooShort));
        }
        assert_eq!(unprotect_rtp_copy(&mut inbound, &[0x40; 80]), Err(Discard::NotRtp));
        assert_eq!(unprotect_rtcp_copy(&mut inbound, &[0x40; 80]), Err(Discard::NotRtp));
    }
}

#[test]
fn unencrypted_rtcp_is_refused() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = ends(profile);
        let mut packet = rtcp(&mut outbound, 1);
        let word = match profile {
            Profile::AesCm128HmacSha1_80 => packet.len() - 14,
            _ => packet.len() - 4,
        };
        packet[word] &= 0x7f;
        assert_eq!(unprotect_rtcp_copy(&mut inbound, &packet), Err(Discard::NotEncrypted));
    }
}

#[test]
fn the_roll_over_counter_follows_in_both_directions() {
    for profile in Profile::ALL {
        let (outbound, mut inbound) = ends(profile);
        // Around both ends of the first wrap, with late packets, then far on.
        for index in [0xfff0, 0xffff, 0x1_0002, 0xfffe, 0x1_0000, 0x1_8000, 0x1_fff0, 0x2_0001, 0x1_ffff] {
            let packet = rtp(&outbound, 1, index, b"payload");
            assert!(unprotect_rtp_copy(&mut inbound, &packet).is_ok(), "{profile:?}: index {index:#x}");
        }
        // The same sequence number one wrap later or earlier is another packet, which is not authentic now.
        assert_eq!(
            unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 0x3_0002, b"")),
            Err(Discard::AuthFailed)
        );
        assert_eq!(
            unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 0x1_0002, b"")),
            Err(Discard::AuthFailed)
        );
    }
}

#[test]
fn source_whose_packets_before_the_first_wrap_were_lost_is_accepted() {
    for profile in Profile::ALL {
        let (outbound, mut inbound) = ends(profile);
        let mut take =
            |index: u64| unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, index, b"payload")).map(|_| ());
        assert_eq!(take(0x1_0007), Ok(()), "{profile:?}");
        // A late packet comes from before the wrap.
        assert_eq!((take(0xfffe), take(0x1_0005), take(0x1_0007)), (Ok(()), Ok(()), Err(Discard::Replayed)));
        for index in [0x1_7000, 0x1_f000, 0x2_0000] {
            assert_eq!(take(index), Ok(()), "{index:x}");
        }
        // Two lost wraps are too many, and a second attempt does not make a forgery authentic.
        let mut take = |ssrc, index, bent| {
            let mut packet = rtp(&outbound, ssrc, index, b"payload");
            packet[13] ^= bent;
            unprotect_rtp_copy(&mut inbound, &packet).map(|_| ())
        };
        assert_eq!(take(2, 0x2_0007, 0), Err(Discard::AuthFailed));
        assert_eq!(
            (take(3, 0x1_0007, 1), take(3, 7, 1)),
            (Err(Discard::AuthFailed), Err(Discard::AuthFailed))
        );
        assert_eq!(take(3, 7, 0), Ok(()), "{profile:?}: and changes no state");
    }
}

#[test]
fn first_packet_beyond_the_bound_must_have_a_counter_of_zero() {
    for profile in Profile::ALL {
        let (outbound, mut inbound) = ends(profile);
        let long = [7; srtp::limits::FIRST_LEN_MAX];
        assert_eq!(
            unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 0x1_0007, &long)),
            Err(Discard::AuthFailed)
        );
        assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 7, &long)).is_ok());
    }
}

#[test]
fn packets_older_than_the_window_are_not_decrypted() {
    for profile in Profile::ALL {
        let (outbound, mut inbound) = ends(profile);
        let newest = 5000;
        assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, newest, b"")).is_ok());
        let oldest = newest - (REPLAY_WINDOW - 1);
        assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, oldest, b"")).is_ok());
        assert_eq!(
            unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, oldest - 1, b"")),
            Err(Discard::TooOld)
        );
    }
}

/// A stream that starts at 3 has no packets before its counter's first wrap.
#[test]
fn no_packet_is_older_than_the_first_wrap() {
    let (outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 3, b"")).is_ok());
    assert_eq!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, 0xffff, b"")), Err(Discard::TooOld));
}

#[test]
fn forged_sources_are_not_stored() {
    for profile in Profile::ALL {
        let (outbound, mut inbound) = ends(profile);
        for ssrc in 0..2 * SSRCS_MAX as u32 {
            let mut packet = rtp(&outbound, ssrc, 1, b"payload");
            *packet.last_mut().unwrap() ^= 1;
            assert_eq!(unprotect_rtp_copy(&mut inbound, &packet), Err(Discard::AuthFailed));
        }
        assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 9999, 1, b"payload")).is_ok());
    }
}

/// Beyond the bound the source that has been silent longest is retired, and its highest index is kept:
/// filling the table does not make a context accept a recorded packet again.
#[test]
fn full_table_retires_a_source_and_accepts_none_of_its_packets_again() {
    let (mut outbound, mut inbound) = ends(Profile::AeadAes128Gcm);
    let recorded: Vec<_> = (0..SSRCS_MAX as u32)
        .map(|ssrc| (rtp(&outbound, ssrc, 1, b"old"), rtcp(&mut outbound, ssrc)))
        .collect();
    for (media, report) in &recorded {
        assert!(unprotect_rtp_copy(&mut inbound, media).is_ok());
        assert!(unprotect_rtcp_copy(&mut inbound, report).is_ok());
    }
    assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 9999, 1, b"new")).is_ok());
    assert!(unprotect_rtcp_copy(&mut inbound, &rtcp(&mut outbound, 9999)).is_ok());
    let is_refused = |taken| matches!(taken, Err(Discard::Replayed | Discard::TooOld));
    for (media, report) in &recorded {
        assert!(
            is_refused(unprotect_rtp_copy(&mut inbound, media))
                && is_refused(unprotect_rtcp_copy(&mut inbound, report))
        );
    }
    assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 7, 2, b"known")).is_ok());
}

#[test]
fn keys_of_another_direction_do_not_decrypt() {
    for profile in Profile::ALL {
        let (mut outbound, _) = ends(profile);
        let key =
            MasterKey::new(profile, &[9; 32][..profile.key_len()], &[9; 14][..profile.salt_len()]).unwrap();
        let mut other = Inbound::new(profile, &key);
        assert_eq!(
            unprotect_rtp_copy(&mut other, &rtp(&outbound, 1, 1, b"payload")),
            Err(Discard::AuthFailed)
        );
        assert_eq!(unprotect_rtcp_copy(&mut other, &rtcp(&mut outbound, 1)), Err(Discard::AuthFailed));
    }
}

#[test]
fn a_slot_that_is_too_small_is_unchanged() {
    for profile in Profile::ALL {
        let (mut outbound, _) = ends(profile);
        let payload = [1; 40];
        let needed = 12 + payload.len() + profile.rtp_overhead();
        for len in 0..needed {
            let mut slot = vec![0xa5; len];
            assert_eq!(outbound.protect_rtp(0, 12, &payload, &mut slot), None);
            assert!(slot.iter().all(|byte| *byte == 0xa5));
        }
        assert_eq!(outbound.protect_rtp(0, 12, &payload, &mut vec![0xa5; needed]), Some(needed));
        assert_eq!(outbound.protect_rtp(0, 11, &payload, &mut [0xa5; 100]), None, "that is not a header");
        assert_eq!(outbound.protect_rtp(0, usize::MAX, &payload, &mut [0xa5; 100]), None);

        let compound = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let needed = compound.len() + profile.rtcp_overhead();
        for len in 0..needed {
            let mut slot = vec![0xa5; len];
            assert_eq!(outbound.protect_rtcp(&compound, &mut slot), None);
            assert!(slot.iter().all(|byte| *byte == 0xa5));
        }
        assert_eq!(outbound.protect_rtcp(&compound[..7], &mut [0xa5; 100]), None, "that is not a header");
        assert_eq!(outbound.rtcp_index(), 0, "no index was used");
    }
}

#[test]
#[should_panic(expected = "its own profile")]
fn a_key_for_another_profile_panics() {
    let key = MasterKey::new(Profile::AeadAes128Gcm, &[0; 16], &[0; 12]).unwrap();
    let _ = Inbound::new(Profile::AeadAes256Gcm, &key);
}

fn profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(&Profile::ALL[..])
}

proptest! {
    #[test]
    fn protected_packets_can_be_unprotected(
        profile in profile(),
        ssrc: u32,
        roc: u32,
        seq: u16,
        payload in prop::collection::vec(any::<u8>(), 0..1200),
        compound in prop::collection::vec(any::<u8>(), 8..400),
        header_len in prop::sample::select(vec![12_usize, 20, 28, 72]),
    ) {
        let (mut outbound, mut inbound) = ends(profile);
        // The receiver starts at counter 0 or 1.
        let roc = roc % 2;
        let mut slot = vec![0xa5; ROOM];
        slot[0] = 0x80 | ((header_len - 12) / 4) as u8;
        slot[2..4].copy_from_slice(&seq.to_be_bytes());
        slot[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let header = slot[..header_len].to_vec();
        let len = outbound.protect_rtp(roc, header_len, &payload, &mut slot).unwrap();
        prop_assert!(slot[len..].iter().all(|byte| *byte == 0xa5), "nothing is written after the packet");
        let plain = inbound.unprotect_rtp(&mut slot[..len]).unwrap();
        prop_assert_eq!(&plain[..header_len], &header[..]);
        prop_assert_eq!(&plain[header_len..], &payload[..]);

        let mut compound = compound;
        compound[0] = 0x80;
        let mut slot = vec![0xa5; ROOM];
        let len = outbound.protect_rtcp(&compound, &mut slot).unwrap();
        prop_assert!(slot[len..].iter().all(|byte| *byte == 0xa5));
        prop_assert_eq!(inbound.unprotect_rtcp(&mut slot[..len]).unwrap(), &compound[..]);
    }

    /// Delivers a stream in any order, with repetitions: the accepted packets are those of a model that
    /// stores every index.
    #[test]
    fn any_order_is_accepted_as_by_a_model(
        profile in profile(),
        start in 0..0x8000_u64,
        steps in prop::collection::vec(-1500..1500_i64, 1..60),
    ) {
        let (outbound, mut inbound) = ends(profile);
        let mut seen = std::collections::BTreeSet::from([start]);
        prop_assert!(unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, start, b"x")).is_ok());
        let mut index = start;
        for step in steps {
            index = index.saturating_add_signed(step);
            let highest = *seen.last().unwrap();
            let expected = if index + REPLAY_WINDOW <= highest {
                Err(Discard::TooOld)
            } else if seen.insert(index) {
                Ok(())
            } else {
                Err(Discard::Replayed)
            };
            let verdict = unprotect_rtp_copy(&mut inbound, &rtp(&outbound, 1, index, b"x")).map(|_| ());
            prop_assert_eq!(verdict, expected, "index {}", index);
        }
    }

    #[test]
    fn any_bytes_do_not_panic(profile in profile(), mut bytes in prop::collection::vec(any::<u8>(), 0..200), version: bool) {
        let (_, mut inbound) = ends(profile);
        if version && let Some(first) = bytes.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        prop_assert!(unprotect_rtp_copy(&mut inbound, &bytes).is_err());
        prop_assert!(unprotect_rtcp_copy(&mut inbound, &bytes).is_err());
    }
}

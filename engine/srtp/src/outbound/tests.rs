use super::*;
use crate::Inbound;
use crate::hex::packets;

/// Whole packets from master keys, in both directions: the files name their origin.
fn assert_whole(key: &MasterKey, [rtp, srtp]: [&[u8]; 2], [rtcp, srtcp]: [&[u8]; 2]) {
    let profile = key.profile();
    let mut outbound = Outbound::new(profile, key);
    let mut inbound = Inbound::new(profile, key);

    let mut packet = [0xa5; 100];
    packet[..12].copy_from_slice(&rtp[..12]);
    let len = outbound.protect_rtp(0, 12, &rtp[12..], &mut packet).expect("it fits");
    assert_eq!(packet[..len], *srtp);
    assert_eq!(inbound.unprotect_rtp(&mut packet[..len]).expect("authentic"), rtp);

    outbound.resume_rtcp_at(1);
    let mut packet = [0xa5; 100];
    let len = outbound.protect_rtcp(rtcp, &mut packet).expect("it fits");
    assert_eq!(packet[..len], *srtcp);
    assert_eq!(inbound.unprotect_rtcp(&mut packet[..len]).expect("authentic"), rtcp);
}

#[test]
fn computes_whole_packets_with_aes_cm() {
    let key = MasterKey::new(
        Profile::AesCm128HmacSha1_80,
        &0xe1f9_7a0d_3e01_8be0_d64f_a32c_06de_4139_u128.to_be_bytes(),
        &0x0ec6_75ad_498a_feeb_b696_0b3a_abe6_u128.to_be_bytes()[2..],
    )
    .expect("the lengths fit");
    let [rtp, srtp] = packets(include_str!("../../../../tests/vectors/rfc3711/rtp.hex"));
    let [rtcp, srtcp] = packets(include_str!("../../../../tests/vectors/rfc3711/rtcp.hex"));
    assert_whole(&key, [&rtp, &srtp], [&rtcp, &srtcp]);
}

#[test]
fn computes_whole_packets_with_aes_gcm() {
    let (key, salt): (Vec<u8>, Vec<u8>) = ((0..16).collect(), (0xa0..0xac).collect());
    let key = MasterKey::new(Profile::AeadAes128Gcm, &key, &salt).expect("the lengths fit");
    let [rtp, srtp, rtcp, srtcp] = packets(include_str!("../../../../tests/vectors/rfc7714/whole-128.hex"));
    assert_whole(&key, [&rtp, &srtp], [&rtcp, &srtcp]);
}

#[test]
fn the_last_index_is_used_and_none_after_it() {
    let key = MasterKey::new(Profile::AeadAes128Gcm, &[1; 16], &[2; 12]).expect("the lengths fit");
    let mut outbound = Outbound::new(Profile::AeadAes128Gcm, &key);
    let mut inbound = Inbound::new(Profile::AeadAes128Gcm, &key);
    outbound.resume_rtcp_at(RTCP_INDEX_MAX);
    let compound = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let mut packet = [0xa5; 28];
    let len = outbound.protect_rtcp(&compound, &mut packet).expect("one more");
    assert_eq!(inbound.unprotect_rtcp(&mut packet[..len]).expect("authentic"), compound);
    assert_eq!(outbound.protect_rtcp(&compound, &mut packet), None);
    outbound.resume_rtcp_at(0);
    assert_eq!(outbound.protect_rtcp(&compound, &mut packet), None, "an index is never used twice");
}

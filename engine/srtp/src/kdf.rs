//! Session keys from the master key (RFC 3711 §4.3, RFC 7714 §11), with a key derivation rate of zero:
//! derived once.

use crate::MasterKey;
use crate::cipher::ctr;
use zeroize::Zeroize;

/// The purpose of a derived key (RFC 3711 §4.3.2).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The first `N` bytes (at most 32) of the label's key stream.
///
/// The salt of the AEAD profiles is two bytes shorter than AES-CM's; it is padded with zeros (RFC 7714 §11),
/// so the label is at the same byte.
pub(crate) fn derive<const N: usize>(master: &MasterKey, label: Label) -> Derived<N> {
    let mut iv = [0; 16];
    iv[..master.salt().len()].copy_from_slice(master.salt());
    iv[7] ^= label as u8;
    let mut derived = Derived([0; N]);
    ctr::Key::new(master.key()).apply(iv, &mut derived.0);
    iv.zeroize();
    derived
}

/// A derived key, wiped when dropped.
pub(crate) struct Derived<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Drop for Derived<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use crate::hex::packets;

    /// RFC 3711 appendix B.3.
    #[test]
    fn derives_the_keys_of_the_rfc() {
        let master = MasterKey::new(
            Profile::AesCm128HmacSha1_80,
            &0xe1f9_7a0d_3e01_8be0_d64f_a32c_06de_4139_u128.to_be_bytes(),
            &0x0ec6_75ad_498a_feeb_b696_0b3a_abe6_u128.to_be_bytes()[2..],
        )
        .expect("the lengths fit");
        let keys = include_str!("../../../tests/vectors/rfc3711/b3-session-keys.hex");
        let [keys] = packets(keys);
        assert_eq!(derive::<16>(&master, Label::RtpEncryption).0, keys[..16]);
        assert_eq!(derive::<14>(&master, Label::RtpSalt).0, keys[16..30]);
        assert_eq!(derive::<20>(&master, Label::RtpAuthentication).0, keys[30..]);
    }
}

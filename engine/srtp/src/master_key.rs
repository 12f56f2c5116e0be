//! Master key and salt of one direction (RFC 3711 §3.2.1), as exported by DTLS (RFC 5764 §4.2).

use crate::Profile;
use std::fmt;
use zeroize::Zeroize;

/// The longest master key: of AES-256.
const KEY_MAX: usize = 32;
/// The longest master salt: of AES-CM.
const SALT_MAX: usize = 14;

/// A secret: never printed, erased when dropped.
#[derive(Clone)]
pub struct MasterKey {
    profile: Profile,
    key: [u8; KEY_MAX],
    salt: [u8; SALT_MAX],
}

impl MasterKey {
    /// `None` if the lengths do not match the profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return None;
        }
        let mut this = Self { profile, key: [0; KEY_MAX], salt: [0; SALT_MAX] };
        this.key[..key.len()].copy_from_slice(key);
        this.salt[..salt.len()].copy_from_slice(salt);
        Some(this)
    }

    /// Splits the key material exported by DTLS: the client's key, the server's, the client's salt, the
    /// server's (RFC 5764 §4.2). Returns the client's and the server's; `None` if the length does not match
    /// the profile.
    pub fn pair_from_exported(profile: Profile, exported: &[u8]) -> Option<(Self, Self)> {
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        if exported.len() != 2 * (key_len + salt_len) {
            return None;
        }
        let (keys, salts) = exported.split_at(2 * key_len);
        let client = Self::new(profile, &keys[..key_len], &salts[..salt_len])?;
        let server = Self::new(profile, &keys[key_len..], &salts[salt_len..])?;
        Some((client, server))
    }

    /// The profile of the key.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The key, with the profile's length.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.profile.key_len()]
    }

    /// The salt, with the profile's length.
    pub fn salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?})", self.profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_material_is_split_in_the_order_of_rfc_5764() {
        let material: Vec<u8> = (0..88).collect();
        for profile in Profile::ALL {
            let (k, s) = (profile.key_len(), profile.salt_len());
            let exported = &material[..2 * (k + s)];
            let (client, server) = MasterKey::pair_from_exported(profile, exported).expect("the length fits");
            assert_eq!(client.key(), &exported[..k]);
            assert_eq!(server.key(), &exported[k..2 * k]);
            assert_eq!(client.salt(), &exported[2 * k..2 * k + s]);
            assert_eq!(server.salt(), &exported[2 * k + s..]);
            assert!(MasterKey::pair_from_exported(profile, &exported[1..]).is_none());
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = MasterKey::new(Profile::AeadAes128Gcm, &[0xab; 16], &[0xcd; 12]).expect("the lengths fit");
        assert_eq!(format!("{key:?}"), "MasterKey(AeadAes128Gcm)");
    }
}

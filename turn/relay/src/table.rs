//! Hash tables whose keys strangers choose: the hash is keyed, so that they cannot make keys collide.

use machine::Rng;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A table over what clients choose.
pub(crate) type Table<K, V> = HashMap<K, V, Keyed>;

/// SipHash behind 128 secret bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed([u64; 2]);

impl Keyed {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self([rng.next_u64(), rng.next_u64()])
    }
}

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.iter().for_each(|half| hasher.write_u64(*half));
        hasher
    }
}

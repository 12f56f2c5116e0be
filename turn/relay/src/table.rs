//! Hash tables with keys chosen by clients: the hash is keyed, so that clients cannot cause collisions.

use machine::Rng;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A table with keys that clients choose.
pub(crate) type Table<K, V> = HashMap<K, V, Keyed>;

/// SipHash with a secret key of 128 bits.
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

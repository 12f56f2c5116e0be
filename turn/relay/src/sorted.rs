//! A small map in one sorted list, for per-packet lookups among few entries.

/// Sorted keys with their values. The caller bounds their number.
#[derive(Debug)]
pub(crate) struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Sorted<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.0.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Inserts, or replaces an existing value.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.0.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_the_standard_map() {
        proptest::proptest!(|(steps in proptest::collection::vec((0..16u8, 0..200u8), 0..200))| {
            let (mut sorted, mut map) = (Sorted::default(), BTreeMap::new());
            for (key, value) in steps {
                if value < 20 {
                    sorted.retain(|_, kept| *kept >= 100);
                    map.retain(|_, kept| *kept >= 100);
                } else {
                    sorted.insert(key, value);
                    map.insert(key, value);
                }
                for key in 0..16 {
                    assert_eq!(sorted.get(&key), map.get(&key));
                }
                assert_eq!(sorted.len(), map.len());
            }
        });
    }
}

//! Dense slots with a generation: objects are found by index, and a stale reference finds nothing.

/// Identifies an object in [`Slots`]: its index, and the generation that distinguishes it from earlier
/// objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    index: u32,
    generation: u32,
}

impl Slot {
    /// The dense index; unique among live objects, reused after removal.
    pub fn index(self) -> u32 {
        self.index
    }

    /// As a number, for code that only stores it.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// From [such a number](Self::to_bits).
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A table of `T` whose slots are reused.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    /// Of unused entries.
    first_generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), first_generation: 0 }
    }
}

impl<T> Slots<T> {
    /// Inserts the value of `make`, which gets its slot.
    pub fn insert_with(&mut self, make: impl FnOnce(Slot) -> T) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: self.first_generation, value: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[index as usize];
        let slot = Slot { index, generation: entry.generation };
        entry.value = Some(make(slot));
        slot
    }

    /// An empty table in which no slot of this one is valid.
    pub fn successor(&self) -> Self {
        let generations = self.entries.iter().map(|entry| entry.generation);
        let last = generations.max().unwrap_or(self.first_generation);
        Self { first_generation: last.wrapping_add(1), ..Self::default() }
    }

    /// Removes the object; all copies of its slot then find nothing.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let entry =
            self.entries.get_mut(slot.index as usize).filter(|entry| entry.generation == slot.generation)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot.index);
        Some(value)
    }

    /// The object, if it exists.
    pub fn find(&self, slot: Slot) -> Option<&T> {
        self.entries
            .get(slot.index as usize)
            .filter(|entry| entry.generation == slot.generation)
            .and_then(|entry| entry.value.as_ref())
    }

    /// The object's memory, to be prefetched, without checking whether it exists.
    pub fn place(&self, slot: Slot) -> Option<&impl Sized> {
        self.entries.get(slot.index as usize)
    }

    /// The object, if it exists.
    pub fn find_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.entries
            .get_mut(slot.index as usize)
            .filter(|entry| entry.generation == slot.generation)
            .and_then(|entry| entry.value.as_mut())
    }

    /// The slot of the object at `index`, if there is one.
    pub fn slot_at(&self, index: u32) -> Option<Slot> {
        let entry = self.entries.get(index as usize)?;
        entry.value.is_some().then_some(Slot { index, generation: entry.generation })
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// All objects, by index.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let slot = Slot { index: index as u32, generation: entry.generation };
            entry.value.as_ref().map(|value| (slot, value))
        })
    }

    /// One past the highest index in use now or before.
    pub fn end(&self) -> u32 {
        self.entries.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_slot_finds_nothing_after_reuse() {
        let mut slots = Slots::default();
        let first = slots.insert_with(|_| "first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert_with(|_| "second");
        assert_eq!(second.index(), first.index());
        assert_eq!(slots.find(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.find(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn no_slot_of_a_table_is_valid_in_its_successor() {
        let mut slots = Slots::default();
        let mut named = Vec::new();
        for round in 0..3 {
            named.extend((0..4).map(|_| slots.insert_with(|_| round)));
            slots.remove(named[round]);
            slots.remove(named[4 * round + 3]);
            slots = slots.successor();
            let own: Vec<Slot> = (0..4).map(|_| slots.insert_with(|_| round)).collect();
            assert!(named.iter().all(|slot| slots.find(*slot).is_none()), "round {round}");
            named.extend(own);
        }
    }
}

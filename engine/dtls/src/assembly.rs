//! Handshake messages put together from fragments that anyone can have written.
//!
//! Fragments of two senders may carry the same numbers. They are kept apart where they contradict each other, and what has been put
//! together wrongly only costs its place: the genuine sender repeats its flight.

use crate::record::Fragment;
use std::collections::VecDeque;

/// The messages of one kind and number: those that are whole, and those of which parts are missing.
#[derive(Debug)]
pub(crate) struct Assembly {
    len_max: usize,
    count_max: usize,
    partial: VecDeque<Partial>,
    /// Bodies, the newest last. No two are equal.
    whole: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    /// For each byte whether it is there.
    has: Vec<bool>,
    missing: usize,
}

impl Assembly {
    /// For messages of at most `len_max` bytes, and `count_max` of them in either state. What is oldest makes room.
    pub(crate) fn new(len_max: usize, count_max: usize) -> Self {
        Self { len_max, count_max, partial: VecDeque::new(), whole: VecDeque::new() }
    }

    /// Takes a fragment in. Whether a message has become whole by it, which then is the newest.
    pub(crate) fn absorb(&mut self, fragment: &Fragment<'_>) -> bool {
        if fragment.message_len > self.len_max {
            return false;
        }
        if fragment.body.len() == fragment.message_len {
            return self.complete(fragment.body.to_vec());
        }
        let at = match self.partial.iter().rposition(|partial| partial.fits(fragment)) {
            Some(at) => at,
            None => {
                if self.partial.len() >= self.count_max {
                    self.partial.pop_front();
                }
                self.partial.push_back(Partial::new(fragment.message_len));
                self.partial.len() - 1
            }
        };
        self.partial[at].add(fragment);
        if self.partial[at].missing > 0 {
            return false;
        }
        self.partial.remove(at).is_some_and(|partial| self.complete(partial.bytes))
    }

    /// Whole messages, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &[u8]> {
        self.whole.iter().rev().map(Vec::as_slice)
    }

    /// A message that comes again is the newest again.
    fn complete(&mut self, body: Vec<u8>) -> bool {
        if let Some(at) = self.whole.iter().position(|whole| *whole == body) {
            self.whole.remove(at);
        } else if self.whole.len() >= self.count_max {
            self.whole.pop_front();
        }
        self.whole.push_back(body);
        true
    }
}

impl Partial {
    fn new(len: usize) -> Self {
        Self { bytes: vec![0; len], has: vec![false; len], missing: len }
    }

    /// Whether it is of the same length and says nothing else where both say something.
    fn fits(&self, fragment: &Fragment<'_>) -> bool {
        self.bytes.len() == fragment.message_len && {
            let range = fragment.offset..fragment.offset + fragment.body.len();
            let known = self.bytes[range.clone()].iter().zip(&self.has[range]);
            known.zip(fragment.body).all(|((byte, has), new)| !has || byte == new)
        }
    }

    fn add(&mut self, fragment: &Fragment<'_>) {
        for (at, byte) in (fragment.offset..).zip(fragment.body) {
            self.missing -= usize::from(!self.has[at]);
            self.has[at] = true;
            self.bytes[at] = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(message_len: usize, offset: usize, body: &[u8]) -> Fragment<'_> {
        Fragment { kind: 1, seq: 0, message_len, offset, body }
    }

    fn newest(assembly: &Assembly) -> Option<&[u8]> {
        assembly.newest_first().next()
    }

    #[test]
    fn fragments_in_any_order_become_the_message() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut assembly = Assembly::new(100, 3);
            for (count, at) in order.into_iter().enumerate() {
                let is_whole = assembly.absorb(&fragment(9, at * 3, &b"onetwosix"[at * 3..at * 3 + 3]));
                assert_eq!(is_whole, count == 2);
            }
            assert_eq!(newest(&assembly), Some(&b"onetwosix"[..]));
        }
    }

    #[test]
    fn a_forged_fragment_does_not_keep_the_genuine_message_from_becoming_whole() {
        let mut assembly = Assembly::new(100, 3);
        // The genuine sender repeats both of its fragments as often as it needs.
        assert!(!assembly.absorb(&fragment(6, 0, b"ABC")));
        assert!(!assembly.absorb(&fragment(6, 0, b"xyz")), "contradicts: kept apart");
        assert!(assembly.absorb(&fragment(6, 3, b"DEF")), "becomes whole with one of them");
        assert!(!assembly.absorb(&fragment(6, 0, b"ABC")) || newest(&assembly) == Some(b"ABCDEF"));
        assembly.absorb(&fragment(6, 3, b"DEF"));
        assert!(assembly.newest_first().any(|whole| whole == b"ABCDEF"));
    }

    #[test]
    fn nothing_grows_beyond_its_bounds() {
        let mut assembly = Assembly::new(8, 2);
        assert!(!assembly.absorb(&fragment(9, 0, b"123456789")));
        for round in 0..20_u8 {
            assembly.absorb(&fragment(8, 0, &[round; 4]));
            assembly.absorb(&fragment(2, 0, &[round; 2]));
        }
        assert_eq!((assembly.partial.len(), assembly.whole.len()), (2, 2));
        assert_eq!(newest(&assembly), Some(&[19, 19][..]));
        assert!(assembly.absorb(&fragment(0, 0, b"")), "an empty message is whole at once");
    }
}

//! Reassembly of handshake messages from fragments that are not authenticated.
//!
//! Fragments of two senders may have the same numbers. They are kept apart if they contradict each other, and
//! a wrongly assembled message only uses a place: the genuine sender repeats its flight.

use crate::record::Fragment;
use std::collections::VecDeque;

/// The messages of one type and number: complete ones, and incomplete ones.
#[derive(Debug)]
pub(crate) struct Assembly {
    len_max: usize,
    count_max: usize,
    partial: VecDeque<Partial>,
    /// Bodies, the newest last; all different.
    whole: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    /// For each byte whether it has been received.
    has: Vec<bool>,
    missing: usize,
}

impl Assembly {
    /// For messages of at most `len_max` bytes, and `count_max` complete and as many incomplete ones. The
    /// oldest is replaced.
    pub(crate) fn new(len_max: usize, count_max: usize) -> Self {
        Self { len_max, count_max, partial: VecDeque::new(), whole: VecDeque::new() }
    }

    /// Adds a fragment. True if it completes a message, which then is the newest.
    pub(crate) fn add(&mut self, fragment: &Fragment<'_>) -> bool {
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

    /// Complete messages, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &[u8]> {
        self.whole.iter().rev().map(Vec::as_slice)
    }

    /// A repeated message becomes the newest again.
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

    /// Whether it has the same length and no received byte differs.
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
    fn fragments_in_any_order_complete_the_message() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut assembly = Assembly::new(100, 3);
            for (count, at) in order.into_iter().enumerate() {
                let is_whole = assembly.add(&fragment(9, at * 3, &b"onetwosix"[at * 3..at * 3 + 3]));
                assert_eq!(is_whole, count == 2);
            }
            assert_eq!(newest(&assembly), Some(&b"onetwosix"[..]));
        }
    }

    #[test]
    fn a_forged_fragment_does_not_prevent_the_genuine_message() {
        let mut assembly = Assembly::new(100, 3);
        // The genuine sender can repeat both of its fragments.
        assert!(!assembly.add(&fragment(6, 0, b"ABC")));
        assert!(!assembly.add(&fragment(6, 0, b"xyz")), "contradicts: kept apart");
        assert!(assembly.add(&fragment(6, 3, b"DEF")), "is completed by one of them");
        assert!(!assembly.add(&fragment(6, 0, b"ABC")) || newest(&assembly) == Some(b"ABCDEF"));
        assembly.add(&fragment(6, 3, b"DEF"));
        assert!(assembly.newest_first().any(|whole| whole == b"ABCDEF"));
    }

    #[test]
    fn nothing_grows_beyond_its_bounds() {
        let mut assembly = Assembly::new(8, 2);
        assert!(!assembly.add(&fragment(9, 0, b"123456789")));
        for round in 0..20_u8 {
            assembly.add(&fragment(8, 0, &[round; 4]));
            assembly.add(&fragment(2, 0, &[round; 2]));
        }
        assert_eq!((assembly.partial.len(), assembly.whole.len()), (2, 2));
        assert_eq!(newest(&assembly), Some(&[19, 19][..]));
        assert!(assembly.add(&fragment(0, 0, b"")), "an empty message is complete at once");
    }
}

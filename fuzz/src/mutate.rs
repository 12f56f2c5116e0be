//! A small mutator, so that a plain `cargo test` on stable also tests inputs beyond the corpus. It has no
//! coverage guidance and is no substitute for `make fuzz`; it is deterministic, so its findings are
//! reproducible.

/// Makes inputs from inputs. The same seed makes the same ones.
pub struct Mutator {
    state: u64,
}

/// Numbers at which code often branches.
const EDGES: [u32; 14] =
    [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// The longest generated input: a datagram on an Ethernet, and some more.
pub const LEN_MAX: usize = 2048;

impl Mutator {
    /// A mutator with a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15 }
    }

    /// A changed copy of one of `corpus`, sometimes with a part of another; random bytes without a corpus.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = match corpus {
            [] => Vec::new(),
            _ => corpus[self.below(corpus.len())].clone(),
        };
        for _ in 0..=self.below(6) {
            self.change(&mut input, corpus);
        }
        input.truncate(LEN_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        match self.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.next_u64() as u8,
            2 if at < input.len() => input[at] = input[at].wrapping_add([1, 255, 4, 252][self.below(4)]),
            3 => self.write_edge(input, at),
            4 => input.truncate(at),
            5 => {
                let end = at + self.below((input.len() - at).min(16) + 1);
                input.drain(at..end);
            }
            6 => {
                let fresh: Vec<u8> = (0..=self.below(16)).map(|_| self.next_u64() as u8).collect();
                input.splice(at..at, fresh);
            }
            7 => {
                let end = at + self.below((input.len() - at).min(64) + 1);
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            8 if !corpus.is_empty() => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.push(self.next_u64() as u8),
        }
    }

    /// Writes one of [`EDGES`] as one, two or four bytes.
    fn write_edge(&mut self, input: &mut [u8], at: usize) {
        let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
        let width = [1, 2, 4][self.below(3)];
        if let Some(field) = input.get_mut(at..at + width) {
            field.copy_from_slice(&edge[4 - width..]);
        }
    }

    /// A number below `bound`, which is above zero. The bias of the remainder does not matter here.
    fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() >> 16) as usize % bound
    }

    /// Steele, Lea and Flood's SplitMix64 (2014).
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

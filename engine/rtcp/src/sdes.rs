//! Source descriptions, bye_packets and application packets (RFC 3550 §6.5 to §6.7).

use rtp::Ssrc;

use crate::u32_at;

/// A source description: one chunk per source.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    pub(crate) count: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> Sdes<'a> {
    /// The chunks, in order.
    pub fn chunks(&self) -> ChunkIter<'a> {
        ChunkIter { left: self.count, rest: self.body }
    }

    /// The canonical name of a source, if present.
    pub fn cname(&self, ssrc: Ssrc) -> Option<&'a [u8]> {
        self.chunks().find(|chunk| chunk.ssrc == ssrc)?.cname()
    }

    pub(crate) fn is_valid(&self) -> bool {
        let mut rest = self.body;
        for _ in 0..self.count {
            let Some((_, after)) = split_chunk(rest) else { return false };
            rest = after;
        }
        true
    }
}

/// Iterates over the chunks of an [`Sdes`].
#[derive(Clone, Debug)]
pub struct ChunkIter<'a> {
    left: u8,
    rest: &'a [u8],
}

impl<'a> Iterator for ChunkIter<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (chunk, rest) = split_chunk(self.rest)?;
        self.rest = rest;
        Some(chunk)
    }
}

impl std::iter::FusedIterator for ChunkIter<'_> {}

/// The description of one source.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    items: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The items, in order.
    pub fn items(&self) -> ItemIter<'a> {
        ItemIter { rest: self.items }
    }

    /// The canonical name, which the streams of one participant share.
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items().find(|item| item.kind == CNAME).map(|item| item.text)
    }
}

/// Iterates over the items of a [`Chunk`].
#[derive(Clone, Debug)]
pub struct ItemIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ItemIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let (item, rest) = split_item(self.rest)?;
        self.rest = rest;
        Some(item)
    }
}

impl std::iter::FusedIterator for ItemIter<'_> {}

/// One item of a source description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// 1 is the canonical name, 2 the user's name, and so on (RFC 3550 §12.2).
    pub kind: u8,
    /// UTF-8 by the RFC, but unchecked.
    pub text: &'a [u8],
}

/// Splits off one chunk: SSRC, items, then at least one zero byte up to the next multiple of four. Bodies
/// begin at such a multiple.
fn split_chunk(body: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let (ssrc, items) = body.split_first_chunk::<4>()?;
    let mut rest = items;
    while *rest.first()? != 0 {
        rest = split_item(rest)?.1;
    }
    let items_len = items.len() - rest.len();
    let after = items.get((items_len + 1).next_multiple_of(4)..)?;
    Some((Chunk { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), items: &items[..items_len] }, after))
}

/// Splits off one item: kind, length, text.
fn split_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let ([kind, len], rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((Item { kind: *kind, text }, rest))
}

/// A BYE: sources that have ended.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    pub(crate) count: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> Bye<'a> {
    /// The sources that leave.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + 'a {
        self.body[..self.ssrcs_len()].chunks_exact(4).map(|word| Ssrc(u32_at(word, 0)))
    }

    /// The reason, if present: text for people, unchecked.
    pub fn reason(&self) -> Option<&'a [u8]> {
        let (len, text) = self.body[self.ssrcs_len()..].split_first()?;
        text.get(..usize::from(*len))
    }

    pub(crate) fn is_valid(&self) -> bool {
        match self.body.get(self.ssrcs_len()..) {
            None => false,
            Some([]) => true,
            Some([len, text @ ..]) => text.len() >= usize::from(*len),
        }
    }

    fn ssrcs_len(&self) -> usize {
        4 * usize::from(self.count)
    }
}

/// An application-defined packet.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    pub(crate) subtype: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> App<'a> {
    /// Five bits that extend the name.
    pub fn subtype(&self) -> u8 {
        self.subtype
    }

    /// Who sent it.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The application's name, four ASCII characters, unchecked.
    pub fn name(&self) -> [u8; 4] {
        u32_at(self.body, 4).to_be_bytes()
    }

    /// The application's data.
    pub fn data(&self) -> &'a [u8] {
        &self.body[8..]
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() >= 8
    }
}

/// The item kind of the canonical name (RFC 3550 §6.5.1).
pub(crate) const CNAME: u8 = 1;

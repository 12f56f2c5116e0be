//! The statistics page of a worker: sections of counters, each behind its length.
//!
//! ```text
//! number of sections │ length │ counters of the first section │ length │ counters of the second section │ …
//! ```
//!
//! A new version adds counters at the end of a section, and sections at the end of the page. A reader that
//! does not know them skips them; a reader that expects more finds nothing there.

/// A section of the page, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// [`Counter`](crate::Counter)s of the shard.
    Counters,
    /// [`Discard`](crate::Discard)s of the shard.
    Discards,
    /// The worker's loop: turns, ns spent busy, ns of the longest turn, ns since the engine's epoch.
    Loop,
    /// Datagrams lost by the worker's sockets.
    Sockets,
    /// TCP connections and their frames.
    Connections,
    /// Mailboxes to other workers.
    Mailboxes,
}

/// Sections of this version.
pub const SECTIONS: usize = Section::Mailboxes as usize + 1;

/// Words that a page needs for this number of counters in all sections.
pub const fn words(counters: usize) -> usize {
    1 + SECTIONS + counters
}

/// Words of a page: twice those that are in use.
#[cfg(not(feature = "next-protocol"))]
pub fn capacity() -> usize {
    CAPACITY
}

/// Words of a page: twice those that are in use, and twice as many again in the next version.
#[cfg(feature = "next-protocol")]
pub fn capacity() -> usize {
    if crate::next::is_next() { 2 * CAPACITY } else { CAPACITY }
}

/// Words of a page in this version.
pub const CAPACITY: usize = 256;

/// Writes a page, replacing what was in `page`.
pub fn write(sections: [&[u64]; SECTIONS], page: &mut Vec<u64>) {
    page.clear();
    page.push(SECTIONS as u64);
    for section in sections {
        #[cfg(feature = "next-protocol")]
        let section = &section.iter().copied().chain(additional_counter()).collect::<Vec<_>>()[..];
        page.push(section.len() as u64);
        page.extend_from_slice(section);
    }
}

/// The counter that the next version adds to every section.
#[cfg(feature = "next-protocol")]
fn additional_counter() -> Option<u64> {
    crate::next::is_next().then_some(crate::next::VALUE)
}

/// The counters of a section. It is empty if the page does not have the section, or is not valid.
pub fn section(page: &[u64], section: Section) -> &[u64] {
    let Some((count, mut rest)) = page.split_first() else { return &[] };
    for index in 0..=section as u64 {
        let Some((len, counters)) = rest.split_first().filter(|_| index < *count) else { return &[] };
        let Some((counters, others)) =
            usize::try_from(*len).ok().and_then(|len| counters.split_at_checked(len))
        else {
            return &[];
        };
        if index == section as u64 {
            return counters;
        }
        rest = others;
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Section; SECTIONS] = [
        Section::Counters,
        Section::Discards,
        Section::Loop,
        Section::Sockets,
        Section::Connections,
        Section::Mailboxes,
    ];

    #[test]
    fn each_section_is_read_as_it_was_written() {
        let mut page = vec![7; 3];
        write([&[1, 2], &[], &[3], &[4, 5, 6], &[7], &[8]], &mut page);
        assert_eq!(page.len(), words(8));
        let read: Vec<&[u64]> = ALL.iter().map(|one| section(&page, *one)).collect();
        assert_eq!(read, [&[1, 2][..], &[], &[3], &[4, 5, 6], &[7], &[8]]);
        // The unused words of the page change nothing.
        page.resize(CAPACITY, 0);
        assert_eq!(section(&page, Section::Sockets), [4, 5, 6]);
    }

    #[test]
    fn a_page_of_an_older_version_has_fewer_counters_and_sections() {
        let older = [2, 1, 10, 2, 20, 21, 0, 0];
        assert_eq!(section(&older, Section::Counters), [10]);
        assert_eq!(section(&older, Section::Discards), [20, 21]);
        assert!(ALL[2..].iter().all(|one| section(&older, *one).is_empty()));
    }

    #[test]
    fn an_invalid_page_has_empty_sections() {
        for page in [&[][..], &[6], &[6, 2, 1], &[6, u64::MAX, 1, 2], &[0, 1, 2], &[u64::MAX]] {
            assert!(ALL.iter().all(|one| section(page, *one).is_empty()), "{page:?}");
        }
    }
}

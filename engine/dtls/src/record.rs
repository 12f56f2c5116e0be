//! Records of a datagram and fragments of handshake messages, as far as they can be read without keys (RFC
//! 6347 §4.1, §4.2.2, RFC 9147 §4). Checked views: nothing is copied, nothing panics.

/// A record, as far as its header is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// Epoch 0: not authenticated.
    Plain {
        /// The content type.
        kind: u8,
        /// Its content.
        body: &'a [u8],
    },
    /// A later epoch: encrypted. All of its bytes.
    Protected(&'a [u8]),
}

/// Content types (RFC 5246 §6.2.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
const CHANGE_CIPHER_SPEC: u8 = 20;

/// Bytes of a record's header in epoch 0 and in DTLS 1.2.
pub(crate) const HEADER_LEN: usize = 13;

/// Bytes of a fragment's header.
pub(crate) const FRAGMENT_HEADER_LEN: usize = 12;

/// Splits a datagram into records. Bytes after a malformed record are ignored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (record, rest) = split(self.0)?;
        self.0 = rest;
        Some(record)
    }
}

fn split(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let first = *bytes.first()?;
    if first & 0xe0 == 0x20 {
        return Some(split_unified(first, bytes));
    }
    let header = bytes.get(..HEADER_LEN)?;
    let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let (record, rest) = bytes.split_at_checked(HEADER_LEN + len)?;
    let is_plain = header[3..5] == [0, 0];
    let body = &record[HEADER_LEN..];
    let record = if is_plain { Record::Plain { kind: first, body } } else { Record::Protected(record) };
    Some((record, rest))
}

/// The header of RFC 9147 §4: `001CSLEE`, sequence number of one or two bytes, perhaps a length. Without a
/// length the record extends to the end.
fn split_unified(first: u8, bytes: &[u8]) -> (Record<'_>, &[u8]) {
    let all = (Record::Protected(bytes), &bytes[bytes.len()..]);
    if first & 0x04 == 0 {
        return all;
    }
    let at = 1 + if first & 0x08 == 0 { 1 } else { 2 };
    let Some(len) = bytes.get(at..at + 2) else { return all };
    let end = at + 2 + usize::from(u16::from_be_bytes([len[0], len[1]]));
    match bytes.split_at_checked(end) {
        Some((record, rest)) => (Record::Protected(record), rest),
        None => all,
    }
}

/// A fragment of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// The type of the message (RFC 5246 §7.4).
    pub kind: u8,
    /// The number of the message.
    pub seq: u16,
    /// Bytes of the whole message, without header.
    pub message_len: usize,
    /// Its offset in the message. It does not extend beyond the message.
    pub offset: usize,
    /// Its bytes.
    pub body: &'a [u8],
}

/// Types of handshake messages.
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Splits the content of a record into fragments. Bytes after a malformed fragment are ignored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragments<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let header = self.0.get(..FRAGMENT_HEADER_LEN)?;
        let u24 = |at: usize| {
            usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2])
        };
        let (message_len, offset, len) = (u24(1), u24(6), u24(9));
        let (body, rest) = self.0[FRAGMENT_HEADER_LEN..].split_at_checked(len)?;
        if offset + len > message_len {
            return None;
        }
        self.0 = rest;
        let seq = u16::from_be_bytes([header[4], header[5]]);
        Some(Fragment { kind: header[0], seq, message_len, offset, body })
    }
}

/// Whether a datagram begins with a ClientHello, or a part of one: only a client sends it.
pub fn is_client_hello(datagram: &[u8]) -> bool {
    let Some(Record::Plain { kind: HANDSHAKE, body }) = Records(datagram).next() else { return false };
    Fragments(body).next().is_some_and(|fragment| fragment.kind == CLIENT_HELLO)
}

/// A whole message with one header, as in transcripts (RFC 6347 §4.2.6).
pub(crate) fn message(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut message = Vec::with_capacity(FRAGMENT_HEADER_LEN + body.len());
    message.push(kind);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(&[0; 3]);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(body);
    message
}

/// Appends a record of epoch 0.
pub(crate) fn push_plain(datagram: &mut Vec<u8>, kind: u8, number: u64, body: &[u8]) {
    datagram.extend_from_slice(&[kind, 0xfe, 0xfd]);
    // The first two bytes are the epoch; a handshake does not reach 2^48 records.
    datagram.extend_from_slice(&number.to_be_bytes());
    datagram.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    datagram.extend_from_slice(body);
}

/// Appends ChangeCipherSpec.
pub(crate) fn push_change_cipher_spec(datagram: &mut Vec<u8>, number: u64) {
    push_plain(datagram, CHANGE_CIPHER_SPEC, number, &[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        push_plain(&mut record, kind, 7, body);
        record
    }

    #[test]
    fn a_datagram_is_split_into_its_records() {
        let mut later = plain(HANDSHAKE, b"finished");
        later[4] = 1;
        let unified = [0x2c, 0, 1, 0, 2, 0xaa, 0xbb];
        let without_length = [0x28, 0, 1, 0xcc, 0xdd];
        let datagram = [&plain(HANDSHAKE, b"hello")[..], &later, &unified, &without_length].concat();
        let records: Vec<_> = Records(&datagram).collect();
        assert_eq!(
            records,
            [
                Record::Plain { kind: HANDSHAKE, body: b"hello" },
                Record::Protected(&later),
                Record::Protected(&unified),
                Record::Protected(&without_length),
            ]
        );
    }

    #[test]
    fn a_truncated_record_is_ignored() {
        let datagram = [plain(HANDSHAKE, b"one"), plain(ALERT, b"two")].concat();
        for end in 0..datagram.len() {
            let records: Vec<_> = Records(&datagram[..end]).collect();
            assert_eq!(records.len(), usize::from(end >= HEADER_LEN + 3), "cut at {end}");
        }
        // A length beyond the end in an encrypted record: the library decides.
        assert_eq!(Records(&[0x2c, 0, 1, 0xff, 0xff, 1]).count(), 1);
        assert_eq!(Records(&[0x2c]).count(), 1);
    }

    #[test]
    fn fragments_beyond_their_message_are_ignored() {
        let whole = message(CLIENT_HELLO, 3, b"body");
        let expected = Fragment { kind: CLIENT_HELLO, seq: 3, message_len: 4, offset: 0, body: b"body" };
        assert_eq!(Fragments(&whole).collect::<Vec<_>>(), [expected]);
        for end in 0..whole.len() {
            assert_eq!(Fragments(&whole[..end]).count(), 0, "cut at {end}");
        }
        let mut beyond = whole.clone();
        beyond[8] = 1;
        assert_eq!(Fragments(&beyond).count(), 0);
        assert_eq!(Fragments(&[whole.clone(), whole].concat()).count(), 2);
    }
}

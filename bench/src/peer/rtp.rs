//! RTP headers (RFC 3550 §5.1) and their extensions (RFC 8285), read and written.

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The SSRC of the stream.
    pub ssrc: u32,
    /// Sequence number.
    pub seq: u16,
    /// Payload type.
    pub pt: u8,
    /// In units of the payload's clock.
    pub timestamp: u32,
    /// Bytes up to the payload.
    pub len: usize,
    /// Bytes before the extensions, if there are any.
    extensions_at: Option<usize>,
    has_padding: bool,
}

impl Header {
    /// Parses a header. `None` if it is cut short or of another version.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let mut len = 12 + 4 * usize::from(fixed[0] & 15);
        let extensions_at = (fixed[0] & 0x10 != 0).then_some(len + 4);
        if extensions_at.is_some() {
            let words = packet.get(len + 2..len + 4)?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        (len <= packet.len()).then_some(Self {
            ssrc: word(8),
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            pt: fixed[1] & 0x7f,
            timestamp: word(4),
            len,
            extensions_at,
            has_padding: fixed[0] & 0x20 != 0,
        })
    }

    /// The value of an extension of this packet.
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let start = self.extensions_at?;
        let is_one_byte = match packet.get(start - 4..start - 2)? {
            [0xbe, 0xde] => true,
            [0x10, low] if low >> 4 == 0 => false,
            _ => return None,
        };
        let mut rest = packet.get(start..self.len)?;
        while let [first, tail @ ..] = rest {
            let (found, len, behind) = match (is_one_byte, *first) {
                (_, 0) => {
                    rest = tail;
                    continue;
                }
                (true, first) => (first >> 4, usize::from(first & 15) + 1, tail),
                (false, first) => {
                    let [len, behind @ ..] = tail else { return None };
                    (first, usize::from(*len), behind)
                }
            };
            let (value, next) = behind.split_at_checked(len)?;
            if found == id {
                return Some(value);
            }
            rest = next;
        }
        None
    }

    /// The payload of the opened `packet` without its padding. `None` if the padding is longer than there is.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let payload = packet.get(self.len..)?;
        let padding = if self.has_padding { usize::from(*payload.last()?) } else { 0 };
        payload.len().checked_sub(padding).map(|len| &payload[..len])
    }
}

/// The fields of a header to be written.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Payload type.
    pub pt: u8,
    /// Last packet of a frame.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// In units of the payload's clock.
    pub timestamp: u32,
    /// The SSRC of the stream.
    pub ssrc: u32,
}

/// Appends a header with one-byte extensions: ids from 1 to 14, values of 1 to 16 bytes.
pub fn write(packet: &mut Vec<u8>, fields: Fields, extensions: &[(u8, &[u8])]) {
    packet.extend_from_slice(&[0x80 | if extensions.is_empty() { 0 } else { 0x10 }]);
    packet.push(fields.pt | if fields.marker { 0x80 } else { 0 });
    packet.extend_from_slice(&fields.seq.to_be_bytes());
    packet.extend_from_slice(&fields.timestamp.to_be_bytes());
    packet.extend_from_slice(&fields.ssrc.to_be_bytes());
    if extensions.is_empty() {
        return;
    }
    let len: usize = extensions.iter().map(|(_, value)| 1 + value.len()).sum();
    packet.extend_from_slice(&[0xbe, 0xde]);
    packet.extend_from_slice(&(len.div_ceil(4) as u16).to_be_bytes());
    for (id, value) in extensions {
        packet.push(id << 4 | (value.len() - 1) as u8);
        packet.extend_from_slice(value);
    }
    packet.resize(packet.len() + len.next_multiple_of(4) - len, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields =
        Fields { pt: 96, marker: true, seq: 0xfffe, timestamp: 0x0102_0304, ssrc: 0xdead_beef };

    fn packet() -> Vec<u8> {
        let mut packet = Vec::new();
        write(&mut packet, FIELDS, &[(1, b"0"), (3, &[7, 9])]);
        packet.extend_from_slice(b"payload");
        packet
    }

    #[test]
    fn written_values_are_read_back() {
        let packet = packet();
        let header = Header::read(&packet).unwrap();
        assert_eq!((header.ssrc, header.seq, header.pt), (FIELDS.ssrc, FIELDS.seq, 96));
        assert_eq!((header.timestamp, packet[1] >> 7), (FIELDS.timestamp, 1));
        assert_eq!(header.extension(&packet, 1), Some(&b"0"[..]));
        assert_eq!(header.extension(&packet, 3), Some(&[7, 9][..]));
        assert_eq!(header.extension(&packet, 2), None);
        assert_eq!(header.payload(&packet), Some(&b"payload"[..]));
    }

    #[test]
    fn another_implementation_reads_it_too() {
        use oracle_util::marshal::Unmarshal;
        let packet = oracle_rtp::packet::Packet::unmarshal(&mut &packet()[..]).unwrap();
        assert_eq!(packet.header.sequence_number, FIELDS.seq);
        assert_eq!(packet.header.get_extension(3).unwrap()[..], [7, 9]);
        assert_eq!(packet.payload[..], b"payload"[..]);
    }

    #[test]
    fn two_byte_extensions_and_padding_are_read() {
        let mut packet = vec![0xb0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0x10, 0, 0, 2];
        packet.extend_from_slice(&[0, 5, 2, 0xaa, 0xbb, 9, 0, 0]);
        packet.extend_from_slice(&[b'x', 0, 0, 3]);
        let header = Header::read(&packet).unwrap();
        assert_eq!(header.extension(&packet, 5), Some(&[0xaa, 0xbb][..]));
        assert_eq!(header.payload(&packet), Some(&b"x"[..]));
        *packet.last_mut().unwrap() = 200;
        assert_eq!(header.payload(&packet), None, "more padding than payload");
    }

    #[test]
    fn every_length_cut_short_is_read_or_refused() {
        let packet = packet();
        for len in 0..packet.len() {
            let cut = &packet[..len];
            if let Some(header) = Header::read(cut) {
                assert!(header.len <= len);
                let _ = (header.extension(cut, 3), header.payload(cut));
            }
        }
    }
}

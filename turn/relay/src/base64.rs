//! Base64 (RFC 4648 §4), only what nonces and minted passwords need: encoding into a given buffer.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The encoded length of this many bytes, with padding.
pub(crate) const fn encoded_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// Writes `bytes` to the start of `into`, which must have [`encoded_len`] bytes, and returns the encoded
/// text.
pub(crate) fn encode<'a>(bytes: &[u8], into: &'a mut [u8]) -> &'a [u8] {
    let into = &mut into[..encoded_len(bytes.len())];
    for (group, digits) in bytes.chunks(3).zip(into.chunks_exact_mut(4)) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in digits.iter_mut().enumerate() {
            let index = bits >> (18 - 6 * at) & 63;
            *digit = if at <= group.len() { DIGITS[index as usize] } else { b'=' };
        }
    }
    into
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_are_encoded_correctly() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            let mut buffer = [0xa5; 16];
            assert_eq!(encode(bytes.as_bytes(), &mut buffer), text.as_bytes());
        }
    }
}

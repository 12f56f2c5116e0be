//! Reads the files of `tests/vectors`, for tests.

/// The packets of a file: groups of lines with hexadecimal digits, separated by comment lines.
pub(crate) fn packets<const N: usize>(text: &str) -> [Vec<u8>; N] {
    let mut packets = vec![Vec::new()];
    for line in text.lines() {
        if line.starts_with('#') {
            packets.push(Vec::new());
            continue;
        }
        let digits: Vec<u32> = line.chars().filter_map(|c| c.to_digit(16)).collect();
        let bytes = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8);
        packets.last_mut().expect("there is a packet").extend(bytes);
    }
    packets.retain(|packet| !packet.is_empty());
    packets.try_into().expect("the number of packets that the test expects")
}

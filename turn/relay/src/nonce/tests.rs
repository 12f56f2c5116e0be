use super::*;

fn path(remote: &str) -> Path {
    Path { local: LocalId(0), remote: remote.parse().expect("an address") }
}

#[test]
fn a_nonce_is_valid_for_an_hour_for_its_client_at_its_server() {
    let mut rng = Rng::from_number(1);
    let nonces = Nonces::new(true, &mut rng);
    let other_server = Nonces::new(true, &mut rng);
    let client = path("192.0.2.1:4000");
    // The nonce contains only the low bits of the second, which repeat within a day.
    for seconds in [7, 1_000_000, 0xffff, 0x1_0000, u64::from(u32::MAX)] {
        let now = Instant::EPOCH + Duration::from_secs(seconds);
        for (form, len) in [(Form::Featured, 25), (Form::Plain, 12)] {
            let made = nonces.make(now, client, form);
            let nonce = made.as_bytes();
            assert_eq!(nonce.len(), len);
            assert_eq!(nonce.starts_with(b"obMatJos2wAAA"), form == Form::Featured);
            assert!(nonces.is_good(now, client, nonce));
            assert!(nonces.is_good(now + NONCE_LIFETIME, client, nonce));
            for age in [NONCE_LIFETIME.as_secs() + 1, 1 << 16, (1 << 16) + 9, 1 << 17] {
                assert!(!nonces.is_good(now + Duration::from_secs(age), client, nonce), "{age} s old");
            }
            assert!(!nonces.is_good(now - Duration::from_secs(1), client, nonce), "made in the future");
            for other in ["192.0.2.1:4001", "192.0.2.2:4000", "[2001:db8::1]:4000"] {
                assert!(!nonces.is_good(now, path(other), nonce));
            }
            assert!(!nonces.is_good(now, Path { local: LocalId(1), ..client }, nonce));
            assert!(!other_server.is_good(now, client, nonce), "of another server");
        }
    }
}

#[test]
fn over_tcp_a_nonce_is_valid_for_all_connections_of_its_client() {
    let nonces = Nonces::new(true, &mut Rng::from_number(4));
    let now = Instant::EPOCH + Duration::from_secs(1_000_000);
    let over = |local, remote| Path { local, ..path(remote) };
    let made = nonces.make(now, over(LocalId::tcp(0), "192.0.2.1:4000"), Form::Featured);
    let nonce = made.as_bytes();
    assert!(nonces.is_good(now, over(LocalId::tcp(1), "192.0.2.1:4001"), nonce));
    assert!(!nonces.is_good(now, over(LocalId::tcp(0), "192.0.2.2:4000"), nonce));
    assert!(!nonces.is_good(now, path("192.0.2.1:4000"), nonce), "over UDP");
}

#[test]
fn no_bit_of_a_nonce_can_be_changed() {
    let nonces = Nonces::new(false, &mut Rng::from_number(2));
    let (now, client) = (Instant::EPOCH + Duration::from_secs(9_999), path("192.0.2.1:4000"));
    for form in [Form::Featured, Form::Plain] {
        let made = nonces.make(now, client, form);
        let nonce = made.as_bytes();
        for bit in 0..nonce.len() * 8 {
            let mut bent = nonce.to_vec();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.is_good(now, client, &bent), "bit {bit}");
        }
        // The shorter form equals the last twelve characters of the longer one.
        for len in (0..nonce.len()).filter(|len| *len != STAMP_LEN) {
            assert!(!nonces.is_good(now, client, &nonce[..len]));
        }
    }
}

/// A thousand nonces of different clients have a thousand different codes, in which every bit is one as
/// often as zero.
#[test]
fn nonces_look_random() {
    const BITS: usize = 8 * MAC_LEN;
    let nonces = Nonces::new(false, &mut Rng::from_number(3));
    let mut ones = [0_u32; 6 * STAMP_LEN];
    for port in 1..=1_000 {
        let client = Path { local: LocalId(0), remote: ([192, 0, 2, 1], port).into() };
        let nonce = nonces.make(Instant::EPOCH, client, Form::Plain);
        for (at, digit) in nonce.as_bytes().iter().enumerate() {
            let value = value(*digit).expect("a digit");
            (0..6).for_each(|bit| ones[at * 6 + bit] += u32::from(value >> (5 - bit) & 1));
        }
    }
    let code = &ones[8 * SECONDS_LEN..][..BITS];
    // 1000 coin tosses are within 5 standard deviations of the mean except once in two million times.
    assert!(code.iter().all(|count| (421..=579).contains(count)), "{ones:?}");
}

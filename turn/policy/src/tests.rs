use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn public_addresses_are_admitted() {
    let policy = Policy::default();
    for public in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "223.255.255.255",
        "2600::1",
        "2a00:1450:4001::1",
        "2001:200::1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "::ffff:0:8.8.8.8",
        "2600::5efe:8.8.8.8",
        "2002:808:808:1:200:5efe:808:404",
    ] {
        assert!(policy.admits_host(ip(public)), "{public}");
        assert!(policy.admits(SocketAddr::new(ip(public), 9)), "{public}");
    }
}

#[test]
fn own_addresses_are_refused_in_every_notation() {
    let policy = Policy { own: vec![ip("8.8.8.8"), ip("2600::1")], ..Policy::default() };
    for own in ["8.8.8.8", "2600::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8"] {
        assert!(!policy.admits_host(ip(own)), "{own}");
    }
    assert!(policy.admits_host(ip("8.8.4.4")));
}

#[test]
fn interface_addresses_count_as_own_in_every_notation() {
    let interfaces = ["8.8.8.8", "2600::1", "9.9.9.9", "8.8.8.8"].map(ip).into_iter().collect();
    let policy = Policy { interfaces, ..Policy::default() };
    for own in ["8.8.8.8", "9.9.9.9", "2600::1", "64:ff9b::8.8.8.8", "2002:909:909::1", "2600::5efe:8.8.8.8"]
    {
        assert!(!policy.admits_host(ip(own)), "{own}");
    }
    assert!(["8.8.4.4", "2600::2"].into_iter().all(|other| policy.admits_host(ip(other))));
    let allowed = vec!["9.9.9.9:7000".parse().expect("an exception")];
    let policy = Policy { allowed, ..policy };
    let admits = |peer: &str| policy.admits(peer.parse().expect("an address"));
    assert!(admits("9.9.9.9:7000") && !admits("9.9.9.9:6379") && !admits("8.8.8.8:7000"));
}

#[test]
fn allowed_peers_only_refuses_all_other_peers() {
    let allowed = vec!["203.0.113.7:7000-7007".parse().expect("an exception")];
    let policy = Policy { allowed, allowed_only: true, ..Policy::default() };
    let admits = |peer: &str| policy.admits(peer.parse().expect("an address"));
    assert!(admits("203.0.113.7:7000") && admits("203.0.113.7:7007"));
    for peer in [
        "203.0.113.7:7008",
        "203.0.113.8:7000",
        "8.8.8.8:7000",
        "[2600::1]:7000",
        "[64:ff9b::cb00:7107]:7000",
    ] {
        assert!(!admits(peer), "{peer}");
    }
    assert!(!policy.admits_host(ip("8.8.8.8")) && !policy.admits_host(ip("2600::1")));
}

#[test]
fn an_exception_allows_only_the_peers_that_it_names() {
    let policy = Policy {
        allowed: ["127.0.0.1:7000-7001", "10.1.0.0/16", "[::1]:7000", "fd00::5"]
            .map(|text| text.parse().expect("an exception"))
            .to_vec(),
        own: vec![ip("127.0.0.1")],
        ..Policy::default()
    };
    for (peer, may) in [
        ("127.0.0.1:7000", true),
        ("127.0.0.1:7001", true),
        ("127.0.0.1:7002", false),
        ("127.0.0.1:6379", false),
        ("127.0.0.2:7000", false),
        ("10.1.2.3:1", true),
        ("10.2.0.0:1", false),
        ("[::1]:7000", true),
        ("[::1]:7001", false),
        ("[::ffff:127.0.0.1]:7000", false),
        ("[::127.0.0.1]:7000", false),
        ("[fd00::5]:1", true),
        ("[fd00::6]:1", false),
    ] {
        assert_eq!(policy.admits(peer.parse().expect("an address")), may, "{peer}");
    }
    assert!(policy.admits_host(ip("127.0.0.1")));
    assert!(!policy.admits_host(ip("127.0.0.2")));
}

#[test]
fn invalid_exceptions_are_reported() {
    for text in [
        "",
        "host",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.1:0",
        "10.0.0.1:9-8",
        "10.0.0.1:9-",
        "1.2.3",
        "10.0.0.0/8:9",
    ] {
        let error = text.parse::<Allowed>().expect_err(text);
        assert!(error.to_string().contains("expected ADDRESS"));
    }
    assert_eq!("10.0.0.0/8".parse::<Allowed>().expect("one").to_string(), "10.0.0.0/8 ports 1-65535");
}

/// Compared numerically, not bytewise: each network's first and last address are inside, and their
/// neighbours are not.
#[test]
fn networks_have_exact_bounds() {
    for network in REFUSED_V4.iter().chain(REFUSED_V6).chain([&PUBLIC_V6]) {
        match network.ip {
            IpAddr::V4(first) => {
                let (first, last) = (
                    first.to_bits(),
                    first.to_bits() | u32::MAX.checked_shr(network.prefix_len).unwrap_or(0),
                );
                let has = |bits: u32| network.contains(IpAddr::V4(Ipv4Addr::from_bits(bits)));
                assert!(has(first) && has(last));
                assert!(first.checked_sub(1).is_none_or(|before| !has(before)));
                assert!(last.checked_add(1).is_none_or(|after| !has(after)));
            }
            IpAddr::V6(first) => {
                let (first, last) = (first.to_bits(), first.to_bits() | u128::MAX >> network.prefix_len);
                let has = |bits: u128| network.contains(IpAddr::V6(Ipv6Addr::from_bits(bits)));
                assert!(has(first) && has(last) && !has(first - 1) && !has(last + 1));
            }
        }
    }
}

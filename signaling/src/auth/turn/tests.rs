use super::*;

#[test]
fn credential_is_the_same_as_in_coturn() {
    let turn = TurnServer::new(
        vec!["turn:192.0.2.1:3478?transport=udp".into()],
        "north\nolder\n",
        Duration::from_secs(918),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let server = turn.ice_server("user", Duration::from_secs(1_433_895_000));
    assert_eq!(server.username, "1433895918:user");
    // printf '%s' 1433895918:user | openssl dgst -sha1 -hmac north -binary | base64
    assert_eq!(server.credential, "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
}

#[test]
fn only_turn_urls_are_accepted() {
    for url in [
        "turn:a:1",
        "turn:a",
        "turn:[::1]:3478?transport=tcp",
        "turns:turn.example.org:443?transport=tcp",
        "turn:192.0.2.1:65535",
        "turn:[2001:db8::1]",
        "turn:xn--mhle-0ra.example:3478",
    ] {
        assert!(is_turn(url), "{url}");
    }
    for url in [
        "",
        "stun:a:1",
        "turn:",
        "turn://a",
        "turn:a?transport=sctp",
        "turns:a?transport=udp",
        "http://a",
        "turn:a:99999",
        "turn:a:65536",
        "turn:a:0",
        "turn:a:",
        "turn:a:+1",
        "turn:a:3478:3478",
        "turn:2001:db8::1",
        "turn:2001:db8::1:3478",
        "turn:[2001:db8::1",
        "turn:[2001:db8::1]3478",
        "turn:[192.0.2.1]:3478",
        "turn:[::g]:3478",
        "turn:192.0.2.256:3478",
        "turn:192.0.2:3478",
        "turn:-a:3478",
        "turn:a_b:3478",
        "turn:a..b:3478",
        "turn:a b:3478",
        "turn:u@a:3478",
        "turn:a/b",
    ] {
        let error = TurnServer::new(vec![url.into()], "s", Duration::ZERO)
            .err()
            .unwrap_or_else(|| panic!("{url} was taken"));
        assert!(error.to_string().contains("expected turn:HOST:PORT"), "{error}");
    }
    for (text, url) in [
        ("2001:db8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("192.0.2.1", "192.0.2.1"),
        ("turn.example.org", "turn.example.org"),
    ] {
        assert_eq!(host(text).as_deref(), Ok(url));
        assert!(is_turn(&format!("turn:{url}:3478?transport=udp")), "{url}");
    }
    for text in [
        "",
        "a:3478",
        "192.0.2.1:3478",
        "[2001:db8::1]:3478",
        "2001:db8::g",
        "turn:a",
        "192.0.2.256",
        "a/b",
        "a b",
    ] {
        assert!(host(text).is_err(), "{text}");
    }
    let many = vec!["turn:a".to_owned(); TURN_URLS_MAX + 1];
    assert_eq!(
        TurnServer::new(many, "s", Duration::ZERO).err(),
        Some(TurnServerError::TooMany(TURN_URLS_MAX + 1))
    );
    assert_eq!(
        TurnServer::new(vec!["turn:a".into()], " \n", Duration::ZERO).err(),
        Some(TurnServerError::NoSecret)
    );
}

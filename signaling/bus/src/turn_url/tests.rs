use super::*;

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
        assert!(url.parse::<TurnUrl>().is_ok(), "{url}");
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
        let error = url.parse::<TurnUrl>().expect_err(url);
        assert!(error.contains("expected turn:HOST:PORT"), "{error}");
    }
}

#[test]
fn hosts_are_names_or_addresses_in_the_form_for_a_url() {
    for (text, url) in [
        ("2001:db8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("192.0.2.1", "192.0.2.1"),
        ("turn.example.org", "turn.example.org"),
    ] {
        assert_eq!(url_host(text).as_deref(), Ok(url));
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
        assert!(url_host(text).is_err(), "{text}");
    }
}

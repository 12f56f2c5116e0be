use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| {
        (header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    lines.iter().map(line).collect()
}

fn from(origins: &AllowedOrigins, origin: &str, host: &str) -> bool {
    origins.allows(&headers(&[("origin", origin), ("host", host)]), false)
}

#[test]
fn origin_has_a_scheme_and_a_host_and_no_path() {
    for (text, wanted) in [
        ("https://app.example.org", "https://app.example.org:443"),
        ("http://LOCALHOST:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("*", "*"),
    ] {
        assert_eq!(text.parse::<AllowedOrigin>().map(|it| it.to_string()), Ok(wanted.into()));
    }
    for text in [
        "",
        "app.example.org",
        "https://",
        "https://a/",
        "https://a/b",
        "ws://a",
        "null",
        "https://u@a",
        "https://a:b",
        "https://a?b",
    ] {
        assert_eq!(text.parse::<AllowedOrigin>(), Err(InvalidOrigin), "{text}");
    }
}

#[test]
fn only_own_pages_and_listed_origins_are_allowed() {
    let origins = AllowedOrigins::new(vec!["https://app.example.org".parse().expect("an origin")], false);
    for (origin, host) in [
        ("https://meet.example.org", "meet.example.org"),
        ("https://meet.example.org", "meet.example.org:443"),
        ("http://meet.example.org", "meet.example.org:80"),
        ("https://meet.example.org:8443", "Meet.example.org:8443"),
        ("http://[::1]:7080", "[::1]:7080"),
        ("https://app.example.org", "meet.example.org"),
        ("https://app.example.org:443", "127.0.0.1:7080"),
    ] {
        assert!(from(&origins, origin, host), "{origin} at {host}");
    }
    for (origin, host) in [
        ("https://evil.example", "meet.example.org"),
        ("http://app.example.org", "meet.example.org"),
        ("https://app.example.org:444", "meet.example.org"),
        ("https://meet.example.org", "meet.example.org:8443"),
        ("https://app.example.org.evil.example", "meet.example.org"),
        ("http://localhost:3000", "meet.example.org"),
        ("null", "meet.example.org"),
        ("", "meet.example.org"),
    ] {
        assert!(!from(&origins, origin, host), "{origin} at {host}");
    }
    assert!(origins.allows(&headers(&[("host", "meet.example.org")]), false), "no page at all");
    assert!(from(&AllowedOrigins::new(vec![AllowedOrigin::Any], false), "null", "a"));
    let development = AllowedOrigins::new(Vec::new(), true);
    assert!(from(&development, "http://localhost:3000", "127.0.0.1:7080"));
    assert!(!from(&development, "https://evil.example", "127.0.0.1:7080"));
}

#[test]
fn forwarded_host_counts_only_behind_a_trusted_proxy() {
    let lines = [
        ("origin", "https://meet.example.org"),
        ("host", "127.0.0.1:7080"),
        ("x-forwarded-host", "meet.example.org"),
    ];
    let headers = headers(&lines);
    assert!(AllowedOrigins::default().allows(&headers, true));
    assert!(!AllowedOrigins::default().allows(&headers, false));
}

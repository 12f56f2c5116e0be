use super::*;

#[test]
fn addresses_of_clients_are_redacted_in_every_form() {
    for (text, shown) in [
        ("192.0.2.7", "[redacted]"),
        ("192.0.2.7:443", "[redacted]"),
        ("from 192.0.2.7: refused", "from [redacted]: refused"),
        ("It was 192.0.2.7.", "It was [redacted]."),
        ("2001:db8::1", "[redacted]"),
        ("[2001:db8::1]:443", "[[redacted]]:443"),
        ("::ffff:192.0.2.7 and fe80::1%eth0", "[redacted] and [redacted]"),
        ("peer:192.0.2.7:443", "peer:[redacted]:443"),
        ("Some(192.0.2.7)", "Some([redacted])"),
        ("10.0.0.0/8", "[redacted]/8"),
        ("candidate:1 1 udp 21 192.0.2.7 5 typ host", "candidate:1 1 udp 21 [redacted] 5 typ host"),
        ("127.0.0.1", "[redacted]"),
    ] {
        assert_eq!(ClientAddresses::Redacted.redact("error", text), shown);
        assert_eq!(ClientAddresses::Shown.redact("error", text), text);
    }
}

#[test]
fn text_that_is_no_address_remains() {
    for text in [
        "0.0.0.0:7080 and [::]:7080",
        "std::io::Error at src/lib.rs:12:34",
        "05:36:24, version 1.2.3, 4a:5b:6c",
        "in 1.5 s, 12:, a: b",
        "Größe 5 µm",
        "",
    ] {
        assert_eq!(ClientAddresses::Redacted.redact("message", text), text);
    }
}

#[test]
fn own_addresses_and_names_of_the_application_are_shown() {
    for field in ["address", "announced", "roomId", "userId"] {
        assert_eq!(ClientAddresses::Redacted.redact(field, "192.0.2.7"), "192.0.2.7");
    }
    for field in ["clientAddress", "client", "message"] {
        assert_eq!(ClientAddresses::Redacted.redact(field, "192.0.2.7"), "[redacted]");
    }
}

#[test]
fn tokens_and_passwords_are_redacted() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln";
    for (text, clean) in [
        (format!("join with {jwt} failed"), "join with [redacted] failed".to_owned()),
        (format!("(https://h/?room=r#token={jwt})"), "(https://h/?room=r#token=[redacted])".to_owned()),
        (format!("jwt:x{jwt}"), "jwt:x[redacted]".to_owned()),
        ("Authorization: Bearer abc.def next".into(), "Authorization: Bearer [redacted] next".into()),
        ("authorization: basic YTpi".into(), "authorization: basic [redacted]".into()),
        ("?access_token=abc&Password=1".into(), "?access_token=[redacted]".into()),
        (
            "JoinRoom { token: \"abc\", room: \"r\" }".into(),
            "JoinRoom { token: \"[redacted]\", room: \"r\" }".into(),
        ),
        ("{\"credential\":\"a+b/c=\"}".into(), "{\"credential\":\"[redacted]\"}".into()),
        ("{\\\"password\\\":\"x\"}".into(), "{\\\"password\\\":\"[redacted]\"}".into()),
        ("secret=\"a b c\" basic d".into(), "secret=\"[redacted] [redacted] [redacted]\" basic d".into()),
        ("ice_pwd: Some(\"x\")".into(), "ice_pwd: Some(\"[redacted]\")".into()),
        ("a=ice-pwd:x eyJ is no token".into(), "a=ice-pwd:[redacted] eyJ is no token".into()),
        ("postgres://leat:choose@h/db".into(), "postgres://leat:[redacted]@h/db".into()),
        ("an invalid token: it has expired".into(), "an invalid token: it has expired".into()),
        ("--secret-file: needs a token".into(), "--secret-file: needs a token".into()),
        ("nats://h:4222, ada@h".into(), "nats://h:4222, ada@h".into()),
        ("".into(), "".into()),
    ] {
        assert_eq!(without_secrets(&text), clean);
    }
}

use super::*;
use crate::peer::Local;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=group:BUNDLE a v\r\na=ice-lite\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\na=ice-ufrag:uf\r\n\
        a=ice-pwd:pw\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=ssrc:5 cname:c\r\n\
        a=candidate:1 1 tcp 9 127.0.0.1 9 typ host tcptype active\r\na=candidate:2 1 udp 9 127.0.0.1 4000 typ host\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v\r\na=rtcp-fb:96 nack\r\na=extmap:4/sendonly \
        http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=ssrc-group:FID 7 8\r\n\
        a=ssrc:7 cname:c\r\na=ssrc:8 cname:c\r\n";

fn me(local: &Local) -> Me<'_> {
    Me { local, fingerprint: "CC:DD", has_data: false }
}

fn local() -> Local {
    Local { ufrag: "our-ufrag".into(), pwd: "our-pwd".into() }
}

#[test]
fn an_offer_is_parsed() {
    let offer = Description::read(OFFER);
    let remote = offer.remote().unwrap();
    assert_eq!(
        (remote.address.to_string().as_str(), &*remote.ufrag, &*remote.pwd),
        ("127.0.0.1:4000", "uf", "pw")
    );
    assert_eq!(remote.fingerprint, "AA:BB");
    let feed = Feed { track: 0x20, codec: Codec::Vp8, name: String::new() };
    let incoming = offer.incoming("v", &feed).unwrap();
    assert_eq!(
        (incoming.ssrc, incoming.rtx_ssrc, incoming.transport_cc_id, incoming.nack),
        (7, Some(8), Some(4), true)
    );
    assert!(offer.incoming("x", &feed).is_err());
}

#[test]
fn an_answer_takes_every_section_and_carries_our_transport() {
    let answer = Description::read(&Description::read(OFFER).answer(me(&local())));
    assert_eq!(answer.media.len(), 2);
    for (section, mid) in answer.media.iter().zip(["a", "v"]) {
        for line in [
            &*format!("a=mid:{mid}"),
            "a=recvonly",
            "a=setup:active",
            "a=ice-ufrag:our-ufrag",
            "a=fingerprint:sha-256 CC:DD",
        ] {
            assert!(section.iter().any(|has| has == line), "{line} in {section:?}");
        }
    }
}

#[test]
fn a_description_without_a_transport_is_an_error_that_names_what_is_missing() {
    let error = Description::read(&OFFER.replace("a=ice-pwd:pw\r\n", "")).remote().unwrap_err();
    assert!(error.to_string().contains("a=ice-pwd"), "{error}");
    assert!(Description::read("").remote().is_err());
}

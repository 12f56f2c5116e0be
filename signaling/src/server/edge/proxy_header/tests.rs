use super::*;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [&SIGNATURE[..], &[command, family], &len, rest].concat()
}

/// The result for a connection on which these pieces arrive, and the bytes that are left over.
async fn arriving(pieces: &[&[u8]]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connect");
    client.set_nodelay(true).expect("a socket");
    let (server, _) = listener.accept().await.expect("accept");
    let mut first = Vec::new();
    let sent = async {
        for piece in pieces {
            client.write_all(piece).await.expect("send");
            tokio::task::yield_now().await;
        }
        client.shutdown().await.expect("end");
    };
    let (source, ()) = tokio::join!(read(&server, &mut first), sent);
    (source, first)
}

const V4: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 1, 0xcb, 0x20, 0x1b, 0xa8];

#[tokio::test]
async fn header_is_read_and_the_bytes_after_it_are_not() {
    let extensions = [&V4[..], &[4, 0, 1, 0xff]].concat();
    for whole in [header(0x21, 0x11, &V4), header(0x21, 0x11, &extensions)] {
        let request = b"GET / HTTP/1.1\r\n";
        for cut in [0, 1, 12, 16, 20, whole.len()] {
            let (before, after) = whole.split_at(cut);
            let (source, first) = arriving(&[before, after, request]).await;
            assert_eq!(source.expect("valid"), Some("203.0.113.7".parse().expect("an address")), "{cut}");
            assert!(first.is_empty(), "nothing beyond the header is read");
        }
    }
    let v6 = [&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets()[..], &[0; 20]].concat();
    let (source, _) = arriving(&[&header(0x21, 0x21, &v6)]).await;
    assert_eq!(source.expect("valid"), Some("2001:db8::1".parse().expect("an address")));
}

#[tokio::test]
async fn connection_without_a_header_keeps_all_its_bytes() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\r\n\r\nGET", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"] {
        let (source, first) = arriving(&[bytes]).await;
        assert_eq!(source.expect("no header"), None);
        assert!(!first.is_empty() && bytes.starts_with(&first), "{first:?}");
    }
    for local in [
        header(0x20, 0x00, &[]),
        header(0x20, 0x11, &V4),
        header(0x21, 0x00, &[]),
        header(0x21, 0x31, &[0; 216]),
    ] {
        let (source, first) = arriving(&[&local]).await;
        assert_eq!((source.expect("valid"), first.len()), (None, 0));
    }
}

#[tokio::test]
async fn invalid_header_ends_the_connection() {
    let v1 = header(0x11, 0x11, &V4);
    let short = header(0x21, 0x11, &V4[..11]);
    let long = header(0x21, 0x11, &[0; REST_LEN_MAX + 1]);
    let cut = &header(0x21, 0x11, &V4)[..20];
    for bytes in [&v1[..], &short, &long, cut, &SIGNATURE] {
        let (source, _) = arriving(&[bytes]).await;
        source.expect_err("invalid");
    }
}

#[test]
fn random_header_does_not_panic() {
    proptest!(|(command: u8, family: u8, rest in proptest::collection::vec(any::<u8>(), 0..60))| {
        let _ = source(&header(command, family, &rest));
        let _ = source(&rest);
    });
}

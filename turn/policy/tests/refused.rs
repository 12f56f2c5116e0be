//! The table of addresses: what the policy refuses in any notation, also if a program reads the text itself.

mod notations;

use notations::{PUBLIC, REFUSED};
use policy::Policy;
use std::net::{IpAddr, SocketAddr};

#[test]
fn no_address_of_the_table_is_admitted_without_an_exception() {
    let policy = Policy::default();
    for text in REFUSED {
        let ip: IpAddr = text.parse().expect("an address");
        assert!(!policy.admits_host(ip) && !policy.admits(SocketAddr::new(ip, 443)), "{text}");
    }
    for text in PUBLIC {
        assert!(policy.admits(SocketAddr::new(text.parse().expect("an address"), 443)), "{text}");
    }
}

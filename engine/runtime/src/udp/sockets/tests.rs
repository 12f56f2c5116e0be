use super::*;

fn bind(addresses: &[&str]) -> Result<Sockets, BindError> {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().expect("an address")).collect();
    Sockets::bind(&addresses, &SocketOptions::default())
}

#[test]
fn sockets_of_both_families_are_bound_and_report_their_buffers() {
    let other = if bind(&["[::1]:0"]).is_ok() { "[::1]:0" } else { "127.0.0.2:0" };
    let sockets = bind(&["127.0.0.1:0", other]).expect("loopback");
    assert_eq!(sockets.len(), 2);
    for local in [LocalId(0), LocalId(1)] {
        assert_ne!(sockets.local_addr(local).expect("bound").port(), 0);
        let buffers = sockets.buffers(local).expect("bound");
        assert!(buffers.receive > 0 && buffers.send > 0);
    }
    assert_eq!(sockets.local_addr(LocalId(2)), None);
}

#[test]
fn a_buffer_below_the_requested_size_is_a_shortage_that_names_its_sysctl() {
    // The minimum of the kernel is well above one byte, and no host grants the largest number.
    let found = |receive_buffer_bytes, send_buffer_bytes| -> Vec<_> {
        let options = SocketOptions { receive_buffer_bytes, send_buffer_bytes, ..SocketOptions::default() };
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().expect("an address")], &options);
        shortages(&sockets.expect("loopback").sockets, &options)
            .map(|shortage| (shortage.buffer, shortage.sysctl))
            .collect()
    };
    const FAR: usize = i32::MAX as usize;
    assert_eq!(found(1, 1), []);
    assert_eq!(found(FAR, 1), [("receive", "net.core.rmem_max")]);
    assert_eq!(found(1, FAR), [("send", "net.core.wmem_max")]);
}

#[test]
fn a_port_bound_for_ipv6_is_free_for_ipv4() {
    let Ok(first) = bind(&["[::]:0"]) else {
        return eprintln!("skipped: this host has no IPv6");
    };
    let port = first.local_addr(LocalId(0)).expect("bound").port();
    bind(&[&format!("0.0.0.0:{port}")]).expect("the same port over IPv4");
}

#[test]
fn a_udp_port_in_use_is_an_error_that_names_port_and_address() {
    let first = bind(&["127.0.0.1:0"]).expect("loopback");
    let port = first.local_addr(LocalId(0)).expect("bound").port();
    let error = bind(&[&format!("127.0.0.1:{port}")]).expect_err("in use");
    assert_eq!(
        error.to_string(),
        format!("UDP port {port} on 127.0.0.1 is in use by another process: stop it, or choose another port")
    );
}

#[test]
fn a_foreign_address_and_a_wrong_number_of_addresses_are_errors() {
    assert!(matches!(bind(&["192.0.2.1:0"]), Err(BindError::NotLocal(_))));
    assert!(matches!(bind(&[]), Err(BindError::Count(0))));
    assert!(matches!(bind(&["127.0.0.1:0"; SOCKETS_MAX + 1]), Err(BindError::Count(_))));
}

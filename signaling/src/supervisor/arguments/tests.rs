use super::*;
use clap::Parser;

fn up(flags: &str) -> cli::UpOptions {
    let flags = ["leat", "up"].into_iter().chain(flags.split_whitespace());
    let cli::LeatCommand::Up(up) = cli::Leat::parse_from(flags).command else { panic!("the command is up") };
    up
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// The result on a machine with these addresses.
fn plan(flags: &str, announced: &[&str], own: &[&str]) -> TurnAddresses {
    let (options, own) = (up(flags), ips(own));
    let listen_ips = listen_ips(&options);
    let announced_ips = of_families(&listen_ips, ips(announced).into_iter());
    let own_address = |is_ipv6| own.iter().copied().find(|ip| ip.is_ipv6() == is_ipv6);
    plan_turn(&options, &listen_ips, &announced_ips, own_address, |ip| ip == IpAddr::from([203, 0, 113, 7]))
}

#[test]
fn turn_server_relays_from_an_address_of_the_machine_or_does_not_start() {
    let any = "--listen-ip 0.0.0.0";
    let announced = &["203.0.113.7", "2001:db8::7"][..];
    let addresses = |relay: &str| TurnAddresses {
        listen_ips: ips(&["0.0.0.0"]),
        relay_ips: ips(&[relay]),
        announced_ips: ips(&["203.0.113.7"]),
        ..TurnAddresses::default()
    };
    // Of a name with addresses of both families, only the family that is listened on is announced.
    assert_eq!(plan(any, announced, &["10.0.0.5", "2001:db8::5"]), addresses("10.0.0.5"));
    assert_eq!(plan(&format!("{any} --relay-ip 10.0.0.9"), announced, &["10.0.0.5"]), addresses("10.0.0.9"));
    // Without a default route: the announced address, if the machine has it.
    assert_eq!(plan(any, announced, &[]), addresses("203.0.113.7"));
    assert_eq!(plan(any, &["203.0.113.8"], &[]), TurnAddresses::default());
    // Only IPv6 has an address to relay from.
    let both = plan("--listen-ip 0.0.0.0 --listen-ip ::", &["203.0.113.8"], &["2001:db8::5"]);
    assert_eq!((both.listen_ips, both.relay_ips), (ips(&["::"]), ips(&["2001:db8::5"])));
    let named = announced_ips(&up("--listen-ip 127.0.0.1 --announced-ip localhost"));
    assert_eq!(named, ips(&["127.0.0.1"]), "the hosts file often has ::1 as well");
    // A specific listening address needs no relay address.
    let one = plan("--listen-ip 192.0.2.1", &[], &["10.0.0.5"]);
    assert_eq!((one.listen_ips, one.relay_ips), (ips(&["192.0.2.1"]), Vec::new()));
}

#[test]
fn turn_server_may_relay_to_the_engine_only() {
    for (shared, ports) in [("", "7000-7007"), (" --rtc-shared-port", "7000-7000")] {
        let options =
            up(&format!("--listen-ip 192.0.2.1 --rtc-port 7000 --workers 8 --turn-port 3478{shared}"));
        let addresses = TurnAddresses { port: 3478, ..plan("--listen-ip 192.0.2.1", &[], &[]) };
        let arguments = turn_arguments(&options, &addresses, Format::Json);
        let arguments: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let allowed: Vec<_> =
            arguments.windows(2).filter(|pair| pair[0] == "--allow-peer").map(|pair| pair[1]).collect();
        assert_eq!(allowed, [format!("192.0.2.1:{ports}")]);
        assert!(arguments.contains(&"--allowed-peers-only"));
        let of_engine = engine_arguments(&options, std::path::Path::new("/run/socket"), Format::Json);
        assert_eq!(of_engine.contains(&"--rtc-shared-port".into()), !shared.is_empty());
    }
}

#[test]
fn options_of_webhooks_are_passed_on_except_the_urls() {
    let options = up("--webhook-url https://a/s3cret --webhook-secret-file new --webhook-secret-file old \
         --webhook-event room.closed --webhook-allow 10.0.0.0/8 --webhook-allow [fd00::5]:7000-7001");
    let arguments = signaling_arguments(&options, None, Path::new("control.sock"), Format::Json);
    let arguments: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let of = |option: &str| -> Vec<&str> {
        arguments.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]).collect()
    };
    assert_eq!(of("--webhook-secret-file"), ["new", "old"]);
    assert_eq!(of("--webhook-event"), ["room.closed"]);
    assert_eq!(of("--webhook-allow"), ["10.0.0.0/8", "[fd00::5]:7000-7001"]);
    assert!(!arguments.iter().any(|argument| argument.contains("s3cret")));
}

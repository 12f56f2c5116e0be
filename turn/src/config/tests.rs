use super::*;

fn config(options: &str) -> Result<Config, BadConfig> {
    let arguments = format!("leat-turn --user a:b {options}");
    Config::read(&arguments.split_whitespace().map(OsString::from).collect::<Vec<_>>())
}

#[test]
fn each_worker_has_its_own_ports() {
    let config =
        config("--workers 2 --listen-ip 127.0.0.1 --port 4000 --relay-ports 5001-5010").expect("valid");
    let [first, second] = &config.workers[..] else { panic!("two workers") };
    assert_eq!(first.listen, ["127.0.0.1:4000".parse().expect("an address")]);
    assert_eq!(second.listen, ["127.0.0.1:4001".parse().expect("an address")]);
    assert_eq!((first.relay.ports.clone(), second.relay.ports.clone()), (5002..=5005, 5006..=5009));
    assert!(first.listen_tls.is_empty(), "there is no certificate");
    assert_eq!(config.settings.families, [true, false]);
    assert_eq!(config.settings.policy.own, ["127.0.0.1".parse::<IpAddr>().expect("an address"); 2]);
}

#[test]
fn clients_cannot_reach_the_bus_through_the_relay() {
    let bus = ["9.9.9.9:4222", "[2600::9]:4222"].map(|address| address.parse().expect("an address"));
    let without = config("--listen-ip 127.0.0.1").expect("valid").settings.policy;
    assert!(bus.iter().all(|address| without.admits(*address)), "public addresses");
    let options = "--listen-ip 127.0.0.1 --nats nats://u:p@9.9.9.9:4222,tls://[2600::9]:4222";
    let policy = config(options).expect("valid").settings.policy;
    assert!(!bus.iter().any(|address| policy.admits(*address)));
}

#[test]
fn invalid_options_are_reported_with_the_expected_value() {
    for (options, wanted) in [
        ("--listen-ip 0.0.0.0", "--listen-ip 0.0.0.0 is not an address a peer can send to: give --relay-ip"),
        ("--listen-ip 127.0.0.1 --listen-ip 127.0.0.1", "--listen-ip 127.0.0.1 is given twice"),
        (
            "--relay-ip 127.0.0.1 --relay-ip 127.0.0.2",
            "--relay-ip has two addresses of the family of 127.0.0.2",
        ),
        ("--listen-ip 127.0.0.1 --announced-ip 2001:db8::1", "needs a --relay-ip of the same family"),
        ("--workers 3 --port 65534", "the last needs port 65536"),
        ("--workers 2 --relay-ports 5000-5002", "too few for 2 workers"),
        ("--allowed-peers-only", "add --allow-peer"),
        ("--certificate x.pem", "--certificate needs --private-key too"),
        ("--private-key x.pem", "--private-key needs --certificate too"),
        ("--secret-file /nowhere", "--turn-secret-file /nowhere: cannot read it"),
        ("--config /nowhere", "--config /nowhere"),
        ("--relay-ports 9", "a range is two ports"),
        ("--user ab", "a user is a name and a password"),
        ("--lifetime-max 10", "10 is not in 600..=3600"),
        ("--nats http://127.0.0.1", "expected nats://HOST:PORT"),
        ("--nats nats://127.0.0.1:1 --nats-credentials /nowhere", "/nowhere: cannot use these credentials"),
        ("--announce turn:a", "--announce needs --nats too"),
        ("--nats nats://127.0.0.1:1 --announce turn:a", "--announce needs --turn-secret-file too"),
        ("--announce http://a", "expected turn:HOST:PORT"),
        ("--region e.u", "a region is 1 to 32 letters"),
    ] {
        let error = leat_log::chain(&config(options).expect_err(options));
        assert!(error.contains(wanted), "{options}: {error}");
    }
    let none = Config::read(&["leat-turn".into()]).expect_err("none").to_string();
    assert!(none.contains("no credentials configured"), "{none}");
}

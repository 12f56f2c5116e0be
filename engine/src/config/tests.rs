use super::*;
use clap::Parser;
use control::Protocol;

fn config(flags: &str) -> Result<Config, BadConfig> {
    let flags = format!("leat-engine --control-socket /run/leat.sock --workers 2 {flags}");
    Config::try_from(&Cli::try_parse_from(flags.split_whitespace()).expect("well-formed flags"))
}

fn candidates(flags: &str) -> Result<Vec<String>, BadConfig> {
    let text = |candidate: &Candidate| match candidate.protocol {
        Protocol::Udp => candidate.address.to_string(),
        Protocol::Tcp => format!("tcp {}", candidate.address),
    };
    Ok(config(flags)?.workers[1].candidates.iter().map(text).collect())
}

#[test]
fn each_worker_has_its_own_port() {
    let config = config("--rtc-port 5000 --listen-ip 127.0.0.1").expect("valid");
    assert_eq!(config.workers[0].listen, ["127.0.0.1:5000".parse().expect("an address")]);
    assert_eq!(config.workers[1].listen, ["127.0.0.1:5001".parse().expect("an address")]);
}

/// `candidates.golden` contains flags and, under each, the candidates of the second worker. Operators
/// must be informed of a change of it.
#[test]
fn candidates_match_the_golden_file() {
    let golden = include_str!("../../tests/candidates.golden");
    let shapes = golden.lines().filter_map(|line| line.strip_prefix("$ "));
    let printed = |flags: &str| {
        let lines = candidates(flags).expect("valid").into_iter().map(|candidate| format!("  {candidate}\n"));
        format!("$ {flags}\n{}", lines.collect::<String>())
    };
    assert_eq!(shapes.map(printed).collect::<String>(), golden);
}

#[test]
fn each_worker_has_its_own_ports_for_plain_transports() {
    let ports =
        |flags| config(flags).map(|config| config.workers.into_iter().map(|worker| worker.plain.ports));
    let shares = |flags| ports(flags).expect("valid").collect::<Vec<_>>();
    assert_eq!(shares(""), [10_000..=10_999, 11_000..=11_999]);
    assert_eq!(shares("--plain-ports 5001-5010"), [5002..=5005, 5006..=5009]);
    assert_eq!(shares("--plain-ports 65532-65535"), [65_532..=65_533, 65_534..=65_535]);
    let too_few = config("--plain-ports 5001-5004").expect_err("too few");
    assert!(too_few.to_string().contains("--plain-ports 5001-5004 are too few for 2 workers"));
    for malformed in ["5000", "5001-5000", "0-9", "a-b", "1-65536"] {
        let flags = ["leat-engine", "--control-socket", "/run/leat.sock", "--plain-ports", malformed];
        assert!(Cli::try_parse_from(flags).is_err(), "{malformed}");
    }
}

#[test]
fn plain_transports_listen_at_the_addresses_they_announce() {
    let places = |flags| {
        let worker = config(flags).expect("valid").workers.swap_remove(0);
        (worker.plain.ips, worker.plain_ips)
    };
    let ips =
        |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect::<Vec<IpAddr>>();
    assert_eq!(
        places("--listen-ip fe80::1 --listen-ip 0.0.0.0 --announced-ip 203.0.113.7"),
        (ips(&["0.0.0.0"]), ips(&["203.0.113.7"]))
    );
    assert_eq!(places("--listen-ip 10.0.0.5"), (ips(&["10.0.0.5"]), ips(&["10.0.0.5"])));
}

#[test]
fn listens_on_loopback_of_every_available_family_by_default() {
    assert_eq!(candidates("").expect("valid")[0], "127.0.0.1:7001");
}

#[test]
fn host_name_resolves_to_addresses_of_listening_families() {
    let v4 = "--listen-ip 127.0.0.7 --announced-ip localhost --rtc-tcp-port 0";
    assert_eq!(candidates(v4), Ok(vec!["127.0.0.1:7001".to_owned()]));
    assert_eq!(
        candidates(&format!("{v4} --announced-ip 203.0.113.7")),
        Ok(vec!["127.0.0.1:7001".to_owned(), "203.0.113.7:7001".to_owned()])
    );
    let text = |flags| config(flags).expect_err("the name does not exist").to_string();
    assert!(
        text("--listen-ip 127.0.0.1 --announced-ip leat.invalid").contains("leat.invalid cannot be resolved")
    );
    let parses = |host| {
        let flags = ["leat-engine", "--control-socket", "/run/leat.sock", "--announced-ip", host];
        Cli::try_parse_from(flags).is_ok()
    };
    assert!(["203.0.113.7", "::1", "media.example.org", "sfu-1", "x1.y2"].into_iter().all(parses));
    let long = format!("{}.org", "a".repeat(64));
    for malformed in ["", "203.0.113", "1.2.3.4.5", "a..b", "-a", "a-", "a_b", "http://a", "[::1]", &long] {
        assert!(!parses(malformed), "{malformed}");
    }
}

#[test]
fn checks_announced_addresses_that_are_not_listening_addresses() {
    let checked = |flags| config(flags).expect("valid").to_check;
    let flags = "--listen-ip 10.0.0.5 --announced-ip 203.0.113.7 --announced-ip 10.0.0.5";
    assert_eq!(checked(flags), [] as [IpAddr; 0]);
    assert_eq!(checked(&format!("{flags} --check-announced")), [IpAddr::from([203, 0, 113, 7])]);
}

#[test]
fn listens_on_the_given_tcp_port_or_not_at_all() {
    let listens = |flags| config(flags).expect("valid").workers[1].listen_tcp.clone();
    let here = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
    assert_eq!(listens("--listen-ip 127.0.0.1"), here(7001));
    assert_eq!(listens("--listen-ip 127.0.0.1 --rtc-tcp-port 443"), here(444));
    assert_eq!(listens("--listen-ip 127.0.0.1 --rtc-tcp-port 0"), []);
}

#[test]
fn the_consent_timeout_is_thirty_seconds_by_default_and_off_at_zero() {
    let timeout = |flags| config(flags).expect("valid").consent_timeout.map(|timeout| timeout.as_secs());
    assert_eq!(timeout(""), Some(sfu::limits::ICE_CONSENT_TIMEOUT.as_secs()));
    assert_eq!(timeout("--consent-timeout 60"), Some(60));
    assert_eq!(timeout("--consent-timeout 0"), None);
    for wrong in ["1", "9", "3601", "x"] {
        let flags = ["leat-engine", "--control-socket", "/run/leat.sock", "--consent-timeout", wrong];
        let error = Cli::try_parse_from(flags).expect_err(wrong).to_string();
        assert!(error.contains("--consent-timeout"), "{error}");
    }
}

#[test]
fn reports_contradicting_flags() {
    let text = |flags| config(flags).expect_err("a contradiction").to_string();
    let many: Vec<String> = (1..=17).map(|last| format!("--announced-ip 203.0.113.{last}")).collect();
    let many = format!("--listen-ip 127.0.0.1 {}", many.join(" "));
    assert!(text("--listen-ip 0.0.0.0").contains("--announced-ip"));
    let twice = "--listen-ip ::1 --listen-ip 127.0.0.1 --listen-ip 127.0.0.1";
    assert!(text(twice).contains("--listen-ip 127.0.0.1 is given twice"));
    let shared =
        config("--rtc-port 65535 --rtc-shared-port --rtc-tcp-port 0 --listen-ip 127.0.0.1").expect("valid");
    assert!(shared.workers.iter().all(|worker| worker.listen[0].port() == 65_535));
    let many_workers = "leat-engine --control-socket /run/leat.sock --workers 65 --rtc-shared-port";
    let cli = Cli::try_parse_from(many_workers.split_whitespace()).expect("well-formed flags");
    assert!(Config::try_from(&cli).expect_err("too many").to_string().contains("at most 64 workers"));
    assert!(text("--rtc-port 65535").contains("--rtc-port 65535 leaves no room for 2 workers"));
    assert!(text("--rtc-tcp-port 65535").contains("--rtc-tcp-port 65535 leaves no room for 2 workers"));
    assert!(text("--rtc-tcp-port 0 --no-udp-candidates").contains("disable both UDP and TCP"));
    assert!(text(&many).contains("17 addresses to announce"));
    assert!(text("--announced-ip 169.254.1.1").contains("169.254.1.1"));
    assert!(text("--listen-ip 127.0.0.1 --announced-ip 2001:db8::1").contains("--listen-ip"));
    assert_eq!(
        candidates("--listen-ip 127.0.0.1 --listen-ip fe80::1 --rtc-tcp-port 0").expect("valid"),
        ["127.0.0.1:7001"]
    );
}

use super::*;

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn report(server: &str, of: &str, allocations: u32) -> TurnReport {
    TurnReport {
        version: TurnReport::VERSION,
        server: server.to_owned(),
        region: region(of),
        urls: vec![format!("turn:{server}.example:3478").parse().expect("a URL")],
        secrets: vec!["north".to_owned()],
        allocations,
        capacity: 100,
        state: ServerState::Up,
    }
}

fn register(reports: &[TurnReport], now: Instant) -> TurnRegister {
    let mut register = TurnRegister::default();
    reports.iter().for_each(|report| register.hear(report.clone(), now));
    register
}

fn choose(register: &mut TurnRegister, of: Option<&str>) -> Option<String> {
    let of = of.map(region);
    let urls = register.choose(of.as_ref(), "north")?;
    urls[0].strip_prefix("turn:")?.strip_suffix(".example:3478").map(str::to_owned)
}

#[test]
fn the_region_counts_first_and_then_the_allocations() {
    let now = Instant::now();
    let reports = [report("a", "eu", 50), report("b", "eu", 20), report("c", "us", 1)];
    let mut register = register(&reports, now);
    assert_eq!(choose(&mut register, Some("eu")).as_deref(), Some("b"));
    assert_eq!(choose(&mut register, Some("us")).as_deref(), Some("c"));
    assert_eq!(choose(&mut register, Some("asia")).as_deref(), Some("c"), "none there: the least loaded");
    assert_eq!(choose(&mut register, None).as_deref(), Some("c"));
}

#[test]
fn clients_between_two_reports_are_spread() {
    let mut register = register(&[report("a", "eu", 0), report("b", "eu", 0)], Instant::now());
    let chosen: Vec<_> = (0..10).filter_map(|_| choose(&mut register, None)).collect();
    assert_eq!(chosen.iter().filter(|server| *server == "a").count(), 5, "{chosen:?}");
}

#[test]
fn full_draining_and_foreign_servers_are_not_chosen() {
    let full = TurnReport { capacity: 3, ..report("a", "eu", 3) };
    let draining = TurnReport { state: ServerState::Draining, ..report("b", "eu", 0) };
    let foreign = TurnReport { secrets: vec!["south".to_owned()], ..report("c", "eu", 0) };
    let mut register = register(&[full, draining, foreign], Instant::now());
    assert_eq!(choose(&mut register, Some("eu")), None);
    assert_eq!(register.reports().count(), 3);
}

#[test]
fn a_server_is_gone_after_three_missed_reports_or_at_its_end() {
    let now = Instant::now();
    let mut register = register(&[report("a", "eu", 0), report("b", "eu", 0)], now);
    register.expire(true, now + TURN_REPORT_INTERVAL * TURN_REPORTS_MISSED_MAX);
    assert_eq!(register.reports().count(), 2, "the third may still be on its way");
    register.hear(report("b", "eu", 1), now + TURN_REPORT_INTERVAL);
    register.expire(true, now + silence_max());
    assert_eq!(choose(&mut register, None).as_deref(), Some("b"));
    assert_eq!(register.reports().count(), 1);
    register.hear(TurnReport { state: ServerState::Ended, ..report("b", "eu", 0) }, now);
    assert_eq!(register.reports().count(), 0);
}

#[test]
fn while_the_bus_is_away_all_servers_stay() {
    let now = Instant::now();
    let mut register = register(&[report("a", "eu", 0)], now);
    let much_later = now + Duration::from_secs(3_600);
    register.expire(false, much_later);
    register.expire(true, much_later + TURN_REPORT_INTERVAL);
    assert_eq!(register.reports().count(), 1, "it has time to report after the return of the bus");
    register.expire(true, much_later + silence_max());
    assert_eq!(register.reports().count(), 0);
}

#[test]
fn reports_beyond_the_bounds_are_ignored() {
    let good = report("a", "eu", 0);
    assert_eq!(TurnReport::from_json(&good.to_json()), Some(good.clone()));
    let text = String::from_utf8(good.to_json()).expect("text");
    for (from, to) in [
        ("\"eu\"", "\"e u\""),
        ("turn:a.example:3478", "http://a.example"),
        ("\"server\":\"a\"", "\"server\":\"\""),
        ("[\"north\"]", "[\"a\",\"b\",\"c\"]"),
        ("\"capacity\":100", "\"capacity\":-1"),
        ("\"up\"", "\"resting\""),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        assert_eq!(TurnReport::from_json(text.replace(from, to).as_bytes()), None, "{to}");
    }
    let many = TurnReport { urls: vec![good.urls[0].clone(); TURN_URLS_MAX + 1], ..good };
    assert_eq!(TurnReport::from_json(&many.to_json()), None);
    let added = text.replacen('{', "{\"later\":{\"field\":1},", 1);
    assert!(TurnReport::from_json(added.as_bytes()).is_some(), "unknown fields are ignored");
}

#[test]
fn servers_beyond_the_bound_are_ignored() {
    let now = Instant::now();
    let mut register = TurnRegister::default();
    (0..=TURN_SERVERS_MAX).for_each(|index| register.hear(report(&format!("s{index}"), "eu", 0), now));
    assert_eq!(register.reports().count(), TURN_SERVERS_MAX);
}

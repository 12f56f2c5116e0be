use super::*;
use machine::LocalId;
use stun::{Integrity, PasswordAlgorithm, TransactionId};

const TIMEOUT: Option<Duration> = Some(limits::ICE_CONSENT_TIMEOUT);

struct Check {
    use_candidate: bool,
    controlled: bool,
    /// Types of additional empty attributes.
    others: Vec<u16>,
    /// MESSAGE-INTEGRITY-SHA256 comes before MESSAGE-INTEGRITY.
    sha256: bool,
    pwd: Vec<u8>,
    ufrag: Vec<u8>,
}

impl Check {
    fn of(ice: &Ice) -> Self {
        Self {
            use_candidate: false,
            controlled: false,
            others: Vec::new(),
            sha256: false,
            pwd: ice.credentials.pwd.to_vec(),
            ufrag: ice.credentials.ufrag.to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0xa5; 4096];
        let mut writer =
            Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([3; 12])).expect("fits");
        let mut username = self.ufrag.clone();
        username.extend_from_slice(b":peer");
        writer.username(&username).priority(1);
        if self.use_candidate {
            writer.use_candidate();
        }
        if self.controlled {
            writer.ice_controlled(1);
        } else {
            writer.ice_controlling(1);
        }
        for kind in &self.others {
            writer.attribute(*kind, &[]);
        }
        if self.sha256 {
            // With any key: a lite agent only has one for MESSAGE-INTEGRITY.
            let parts = [&b"a"[..], b"b", b"c"];
            writer.integrity(&Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha256));
        }
        let len = writer.integrity(&Key::short_term(&self.pwd)).fingerprint().finish().expect("it all fits");
        out.truncate(len);
        out
    }

    fn send(&self, ice: &mut Ice, now: Instant, from: Path) -> Result<(Answer, Accepted), Discard> {
        let bytes = self.bytes();
        let message = Message::new(&bytes).expect("well-formed");
        let ufrag = local_ufrag(&message).ok_or(Discard::StunUnknownUser)?;
        ice.on_check(now, from, false, &ufrag, &message)
    }
}

fn path(port: u16) -> Path {
    Path { local: LocalId(0), remote: ([192, 0, 2, 1], port).into() }
}

fn tcp(port: u16) -> Path {
    Path { local: LocalId::tcp(0), ..path(port) }
}

fn at_millis(millis: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(millis)
}

fn at(secs: u64) -> Instant {
    Instant::EPOCH + Duration::from_secs(secs)
}

#[test]
fn the_first_valid_pair_is_used_until_one_is_nominated() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let mut check = Check::of(&ice);
    check.send(&mut ice, at(1), path(1)).expect("authentic");
    check.send(&mut ice, at(1), path(2)).expect("authentic");
    assert_eq!((ice.selected(), ice.state(at(1))), (Some(path(1)), IceState::Connected));
    check.use_candidate = true;
    check.send(&mut ice, at(1), path(2)).expect("authentic");
    assert_eq!((ice.selected(), ice.state(at(1))), (Some(path(2)), IceState::Completed));
}

#[test]
fn a_check_with_the_wrong_password_changes_nothing() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let mut check = Check::of(&ice);
    check.pwd[0] ^= 1;
    assert_eq!(check.send(&mut ice, at(1), path(1)), Err(Discard::StunUnauthenticated));
    assert_eq!((ice.selected(), ice.paths().count()), (None, 0));
    assert!(!ice.is_expired(at(1_000), TIMEOUT));
}

#[test]
fn a_peer_in_the_controlled_role_gets_a_role_conflict() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check { controlled: true, ..Check::of(&ice) };
    let (answer, accepted) = check.send(&mut ice, at(1), path(1)).expect("authentic");
    assert_eq!((answer, accepted), (Answer::RoleConflict, Accepted::default()));
}

/// The unknown types in the answer to a check.
fn unknown_in_answer(check: &Check) -> Vec<u16> {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check {
        ufrag: ice.ufrag().to_vec(),
        pwd: ice.credentials.pwd.to_vec(),
        others: check.others.clone(),
        ..*check
    };
    let bytes = check.bytes();
    let message = Message::new(&bytes).expect("well-formed");
    let ufrag = ice.ufrag();
    let (answer, accepted) = ice.on_check(at(1), path(1), false, &ufrag, &message).expect("authentic");
    assert_eq!((answer, accepted, ice.selected()), (Answer::UnknownAttributes, Accepted::default(), None));
    let mut out = [0xa5; limits::STUN_ANSWER_LEN_MAX];
    let len = ice.write_answer(answer, &ufrag, path(1), &message, &mut out).expect("it fits");
    let answer = Message::new(&out[..len]).expect("well-formed");
    assert!(answer.verify_integrity(&ice.credentials.key));
    assert_eq!(answer.error_code(), Some((420, "Unknown Attribute")));
    let listed = answer.attribute(stun::attribute::UNKNOWN_ATTRIBUTES).expect("a 420 lists them");
    listed.as_chunks().0.iter().map(|kind| u16::from_be_bytes(*kind)).collect()
}

#[test]
fn every_unknown_comprehension_required_attribute_is_listed() {
    let check = Check::of(&Ice::new(None, &mut Rng::from_number(1)));
    // The one in the middle may be ignored.
    let others = vec![0x7001, 0x8fff, 0x0017, 0x7003];
    assert_eq!(unknown_in_answer(&Check { others, ..check }), [0x7001, 0x0017, 0x7003]);
    let check = Check::of(&Ice::new(None, &mut Rng::from_number(1)));
    let others: Vec<u16> = (0x4000..0x4000 + 900).collect();
    let listed = unknown_in_answer(&Check { others: others.clone(), ..check });
    assert_eq!(listed, others[..limits::UNKNOWN_ATTRIBUTES_MAX], "up to the bound");
}

#[test]
fn a_check_with_sha256_integrity_first_is_valid() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check { sha256: true, use_candidate: true, ..Check::of(&ice) };
    let (answer, accepted) = check.send(&mut ice, at(1), path(1)).expect("authentic");
    assert_eq!((answer, accepted.valid, ice.selected()), (Answer::Success, Some(path(1)), Some(path(1))));
    let mut forged = Check { sha256: true, ..Check::of(&ice) };
    forged.pwd[0] ^= 1;
    assert_eq!(forged.send(&mut ice, at(1), path(2)), Err(Discard::StunUnauthenticated));
}

#[test]
fn silence_first_disconnects_then_expires() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check { use_candidate: true, ..Check::of(&ice) };
    check.send(&mut ice, at(100), path(1)).expect("authentic");
    assert_eq!(ice.state(at(114)), IceState::Completed);
    assert_eq!(ice.next_timeout(at(114), TIMEOUT), Some(at(115)));
    assert_eq!(ice.state(at(115)), IceState::Disconnected);
    assert_eq!(ice.next_timeout(at(115), TIMEOUT), Some(at(130)));
    assert!(!ice.is_expired(at(129), TIMEOUT) && ice.is_expired(at(130), TIMEOUT));
    // A shorter timeout precedes the state that it would otherwise reach; without a timeout that state is
    // the last change.
    assert_eq!(ice.next_timeout(at(101), Some(Duration::from_secs(10))), Some(at(110)));
    assert!(!ice.is_expired(at(1_000_000), None));
    assert_eq!((ice.next_timeout(at(114), None), ice.next_timeout(at(115), None)), (Some(at(115)), None));
}

#[test]
fn media_renews_consent_and_its_pair() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let nomination = Check { use_candidate: true, ..Check::of(&ice) };
    nomination.send(&mut ice, at(1), path(1)).expect("authentic");
    for second in 2..100 {
        assert!(!ice.on_media(at(second), path(1)));
    }
    assert_eq!(ice.state(at(100)), IceState::Completed);
    Check::of(&ice).send(&mut ice, at(100), path(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(1)), "media still uses it");
    assert!(ice.uses(at(113), path(1)) && !ice.uses(at(114), path(1)));
    assert!(!ice.is_expired(at(129), TIMEOUT) && ice.is_expired(at(130), TIMEOUT));
    assert!(ice.on_media(at(129), path(1)), "it was disconnected");
    assert_eq!(ice.state(at(129)), IceState::Completed);
    assert!(!ice.is_expired(at(158), TIMEOUT) && ice.is_expired(at(159), TIMEOUT));
}

#[test]
fn a_check_from_a_path_of_another_transport_changes_nothing() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check { use_candidate: true, ..Check::of(&ice) };
    let bytes = check.bytes();
    let message = Message::new(&bytes).expect("well-formed");
    let ufrag = local_ufrag(&message).expect("ours");
    assert_eq!(ice.on_check(at(1), path(1), true, &ufrag, &message), Err(Discard::StunPathHeld));
    assert_eq!((ice.selected(), ice.paths().count(), ice.state(at(1))), (None, 0, IceState::New));
}

#[test]
fn a_peer_that_nominates_once_is_followed_to_its_new_address() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let nomination = Check { use_candidate: true, ..Check::of(&ice) };
    nomination.send(&mut ice, at(1), path(1)).expect("authentic");
    let consent = Check::of(&ice);
    consent.send(&mut ice, at(6), path(1)).expect("authentic");
    consent.send(&mut ice, at(7), path(2)).expect("another pair that is checked too");
    assert_eq!(ice.selected(), Some(path(1)), "checked a second ago");
    consent.send(&mut ice, at(13), path(2)).expect("authentic");
    assert_eq!((ice.selected(), ice.state(at(13))), (Some(path(2)), IceState::Completed));
}

#[test]
fn a_restart_keeps_the_old_pair_until_the_new_one_works() {
    let mut rng = Rng::from_number(1);
    let mut ice = Ice::new(None, &mut rng);
    let old = Check { use_candidate: true, ..Check::of(&ice) };
    old.send(&mut ice, at(1), path(1)).expect("authentic");
    ice.restart(&mut rng);
    let new = Check::of(&ice);
    old.send(&mut ice, at(2), path(1)).expect("the old credentials are still valid");
    assert_eq!(ice.selected(), Some(path(1)));
    let (_, accepted) = new.send(&mut ice, at(3), path(2)).expect("authentic");
    assert_eq!(
        (accepted.valid, accepted.retired),
        (Some(path(2)), None),
        "valid, but the peer may not know yet"
    );
    assert_eq!(ice.selected(), Some(path(1)));
    old.send(&mut ice, at(3), path(1)).expect("the old credentials are still valid");
    let new = Check { use_candidate: true, ..new };
    let (_, accepted) = new.send(&mut ice, at(3), path(2)).expect("authentic");
    assert_eq!(accepted.retired.map(|ufrag| ufrag.to_vec()), Some(old.ufrag.clone()));
    assert_eq!(ice.selected(), Some(path(2)));
    assert_eq!(old.send(&mut ice, at(4), path(1)), Err(Discard::StunUnknownUser));
}

#[test]
fn a_restart_without_nomination_leaves_a_stale_pair() {
    let mut rng = Rng::from_number(1);
    let mut ice = Ice::new(None, &mut rng);
    let old = Check { use_candidate: true, ..Check::of(&ice) };
    old.send(&mut ice, at(1), path(1)).expect("authentic");
    ice.restart(&mut rng);
    let new = Check::of(&ice);
    new.send(&mut ice, at(2), path(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(1)));
    new.send(&mut ice, at(8), path(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(2)), "the old one was last checked seven seconds ago");
}

#[test]
fn a_restart_may_move_from_udp_to_tcp_at_once() {
    let mut rng = Rng::from_number(1);
    let mut ice = Ice::new(None, &mut rng);
    Check { use_candidate: true, ..Check::of(&ice) }.send(&mut ice, at(1), path(1)).expect("authentic");
    ice.restart(&mut rng);
    Check { use_candidate: true, ..Check::of(&ice) }.send(&mut ice, at(1), tcp(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(tcp(2)));
}

#[test]
fn udp_is_preferred_to_tcp_while_it_works() {
    // Without a nomination: UDP as soon as it is valid.
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check::of(&ice);
    check.send(&mut ice, at(1), tcp(1)).expect("authentic");
    assert_eq!(ice.selected(), Some(tcp(1)));
    check.send(&mut ice, at(1), path(2)).expect("authentic");
    check.send(&mut ice, at(1), tcp(1)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(2)));
    // A peer that nominates everything it checks means the best pair.
    let nomination = Check { use_candidate: true, ..Check::of(&ice) };
    for nominated in [tcp(1), path(2), tcp(1)] {
        nomination.send(&mut ice, at(2), nominated).expect("authentic");
    }
    assert_eq!(ice.selected(), Some(path(2)));
    // A peer that has changed to TCP is followed, although it still checks the UDP pair.
    check.send(&mut ice, at_millis(3_400), path(2)).expect("authentic");
    nomination.send(&mut ice, at_millis(3_499), tcp(1)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(2)));
    nomination.send(&mut ice, at_millis(3_500), tcp(1)).expect("authentic");
    check.send(&mut ice, at_millis(3_600), path(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(tcp(1)));
    nomination.send(&mut ice, at_millis(3_700), path(2)).expect("authentic");
    assert_eq!(ice.selected(), Some(path(2)), "and back at once");
}

#[test]
fn when_a_connection_closes_the_best_pair_with_consent_is_selected() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check::of(&ice);
    let nomination = Check { use_candidate: true, ..Check::of(&ice) };
    check.send(&mut ice, at(1), path(1)).expect("authentic");
    check.send(&mut ice, at(20), path(2)).expect("authentic");
    check.send(&mut ice, at(39), tcp(3)).expect("authentic");
    nomination.send(&mut ice, at(40), tcp(4)).expect("authentic");
    assert_eq!((ice.selected(), ice.state(at(40))), (Some(tcp(4)), IceState::Completed));
    for (closed, next) in [(tcp(4), Some(path(2))), (path(2), Some(tcp(3))), (tcp(3), None)] {
        ice.forget(at(40), closed, TIMEOUT);
        assert_eq!(ice.selected(), next, "after {closed:?}; the first pair has lost its consent");
    }
    assert_eq!(ice.state(at(40)), IceState::Disconnected);
    assert!(!ice.is_expired(at(69), TIMEOUT) && ice.is_expired(at(70), TIMEOUT));
    check.send(&mut ice, at(41), tcp(5)).expect("authentic");
    assert_eq!((ice.selected(), ice.state(at(41))), (Some(tcp(5)), IceState::Connected));
}

#[test]
fn two_restarts_in_a_row_keep_the_working_credentials() {
    let mut rng = Rng::from_number(1);
    let mut ice = Ice::new(None, &mut rng);
    let works = Check::of(&ice);
    works.send(&mut ice, at(1), path(1)).expect("authentic");
    assert_eq!(ice.restart(&mut rng), None);
    let unseen = ice.ufrag();
    assert_eq!(ice.restart(&mut rng), Some(unseen));
    works.send(&mut ice, at(2), path(1)).expect("still serves");
}

#[test]
fn the_table_of_pairs_is_bounded_and_keeps_the_selected_one() {
    let mut ice = Ice::new(None, &mut Rng::from_number(1));
    let check = Check::of(&ice);
    for port in 1..=100 {
        check.send(&mut ice, at(1), path(port)).expect("authentic");
    }
    assert_eq!(ice.paths().count(), limits::PAIRS_PER_TRANSPORT_MAX);
    assert_eq!(ice.selected(), Some(path(1)));
}

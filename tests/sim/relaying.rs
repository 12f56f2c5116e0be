//! The TURN server on bad networks: repeated requests, lost, duplicated or late datagrams, expiry with
//! datagrams in transit, and one user that requests everything.

use leat_tests::{Answered, ClientId, FarId, MS, ReceivedDatagram, RelayWorld, SEC};
use machine::Instant;
use relay::{Counter, End, Event, Quotas};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use stun::{Message, Method, Writer};

const CHANNEL: u16 = 0x4000;

/// A client with an allocation and a channel to a peer.
fn talking(world: &mut RelayWorld) -> (ClientId, FarId, SocketAddr) {
    let (client, far) = (world.client("u"), world.far());
    let relayed = world.allocate(client).expect("an answer").relayed();
    assert_eq!(code(world.bind(client, CHANNEL, far)), 0);
    (client, far, relayed)
}

#[track_caller]
fn code(answered: Option<Answered>) -> u16 {
    answered.expect("an answer").code
}

/// A payload that begins like RTP, so that a link may reorder it.
fn numbered(number: u32) -> Vec<u8> {
    [&[0x80, 111][..], &number.to_be_bytes(), &[number as u8; 94]].concat()
}

fn number(received: &ReceivedDatagram) -> u32 {
    let bytes = received.bytes[2..6].try_into().unwrap();
    assert_eq!(received.bytes, numbered(u32::from_be_bytes(bytes)), "it arrives as it was sent");
    u32::from_be_bytes(bytes)
}

#[test]
fn repeated_requests_are_answered_again_without_further_effects() {
    let (mut again, mut twice) = (0, 0);
    for seed in 0..40 {
        let mut world = RelayWorld::new(seed, &["u"], Quotas::default());
        let (client, far) = (world.client("u"), world.far());
        world.client_link(client).loss(0.3).duplicate(0.3).delay(30 * MS).jitter(40 * MS);
        let Some(allocated) = world.allocate(client) else {
            // Seven transmissions with a third lost each way: hardly one of forty worlds.
            continue;
        };
        assert_eq!(allocated.code, 0, "{world}");
        again += allocated.sendings - 1 - allocated.renewals;
        world.run_for(2 * SEC);
        for later in world.later_answers(client, allocated.id) {
            let message = Message::new(&later).unwrap();
            let relayed = message.xor_relayed_addresses().next().flatten();
            assert_eq!(relayed, Some(allocated.relayed()), "{world}: the same answer every time");
            twice += 1;
        }
        assert_eq!((world.count(Counter::Allocations), world.sockets()), (1, 1), "{world}");
        assert_eq!(world.count(Counter::AllocationsCreated), 1, "{world}");
        for granted in [world.permit(client, far), world.bind(client, CHANNEL, far)].into_iter().flatten() {
            assert_eq!(granted.code, 0, "{world}");
        }
        // The first answer may be lost: then the second one reports that there is no allocation (RFC 8656
        // §8.3).
        if let Some(ended) = world.refresh(client, 0) {
            assert!(matches!(ended.code, 0 | 437), "{world}: {}", ended.code);
        }
        world.run_for(2 * SEC);
        assert_eq!((world.count(Counter::Allocations), world.sockets()), (0, 0), "{world}");
        let ends =
            world.events.iter().filter(|event| matches!(event, Event::Ended { end: End::Released, .. }));
        assert_eq!(ends.count(), 1, "{world}");
    }
    assert!(again > 20 && twice > 20, "{again} sent again, {twice} answered again: the network was too good");
}

/// The relay loses nothing, adds nothing, and keeps the order: missing, duplicated or late datagrams are
/// caused by the links.
#[test]
fn datagrams_are_relayed_without_additional_loss() {
    for seed in 0..5 {
        let mut world = RelayWorld::new(seed, &["u"], Quotas::default());
        let (client, far, relayed) = talking(&mut world);
        let silent = world.far();
        assert_eq!(code(world.permit(client, silent)), 0);
        world.client_link(client).loss(0.05).duplicate(0.02).reorder(0.02, 3).delay(20 * MS).jitter(5 * MS);
        world.far_link(far).loss(0.05).duplicate(0.02).reorder(0.02, 3).delay(20 * MS).jitter(5 * MS);
        world.far_link(silent).delay(20 * MS);
        let (lost_before, _) = world.lost_and_carried();
        const SENT: u32 = 5_000;
        for sent in 0..SENT {
            world.send(client, CHANNEL, &numbered(sent));
            world.reply(far, relayed, &numbered(sent));
            if sent % 10 == 0 {
                world.indicate(client, silent, &numbered(sent));
                world.reply(silent, relayed, &numbered(sent));
            }
            world.run_for(2 * MS);
        }
        world.run_for(2 * SEC);
        let (lost, _) = world.lost_and_carried();
        assert!(lost - lost_before > 800, "{world}: {} lost", lost - lost_before);
        let (there, back) = (world.received_by_far(far), world.received_by_client(client));
        let by_indication: Vec<&ReceivedDatagram> =
            back.iter().filter(|received| received.from.is_some()).collect();
        assert!(by_indication.iter().all(|received| received.from == Some(world.address(silent))), "{world}");
        assert!(there.iter().all(|received| received.from == Some(relayed)), "{world}");
        let by_channel: Vec<&ReceivedDatagram> =
            back.iter().filter(|received| received.from.is_none()).collect();
        for received in [there.iter().collect::<Vec<_>>(), by_channel] {
            let mut times: BTreeMap<u32, u32> = BTreeMap::new();
            received.iter().for_each(|received| *times.entry(number(received)).or_default() += 1);
            assert!(times.keys().all(|number| *number < SENT), "{world}: nothing is made up");
            // Two links lose 5 % each, and duplicate 2 % each.
            let share = times.len() as f64 / f64::from(SENT);
            assert!((0.88..0.93).contains(&share), "{world}: {share} came");
            assert!(times.values().all(|times| *times <= 4), "{world}");
            assert!(times.values().any(|times| *times > 1), "{world}: some arrive twice");
            assert!(received.is_sorted_by_key(|received| received.at));
            assert!(!received.is_sorted_by_key(|received| number(received)), "{world}: some are overtaken");
        }
        // Every datagram that reached it was relayed.
        let (to_peers, to_clients) =
            (world.count(Counter::ToPeersPackets), world.count(Counter::ToClientsPackets));
        assert!(to_peers as usize >= there.len() + world.received_by_far(silent).len(), "{world}");
        assert!(to_clients as usize >= back.len(), "{world}");
        let refused = [Counter::NoPermission, Counter::NoChannel, Counter::Malformed, Counter::TxFull];
        assert_eq!(refused.map(|counter| world.count(counter)), [0; 4], "{world}");
    }
}

/// An allocation lasts exactly its lifetime: a refresh that arrives a moment before extends it, one a moment
/// later does not.
#[test]
fn a_refresh_in_transit_when_the_lifetime_ends_is_too_late() {
    for (lead, is_saved) in [(201 * MS, true), (199 * MS, false)] {
        let mut world = RelayWorld::new(1, &["u"], Quotas::default());
        let (client, far) = (world.client("u"), world.far());
        world.client_link(client).delay(200 * MS);
        let allocated = world.allocate(client).expect("an answer");
        // Its lifetime started when the relay answered, one transit time ago.
        let ends_at = world.now() + 600 * SEC - 200 * MS;
        world.run_for(ends_at.saturating_since(world.now()) - lead);
        let refreshed = world.refresh(client, 600).expect("an answer");
        assert_eq!(refreshed.code, if is_saved { 0 } else { 437 }, "{lead:?} before the end");
        assert_eq!(world.sockets(), usize::from(is_saved));
        let bound = code(world.bind(client, CHANNEL, far));
        assert_eq!(bound, if is_saved { 0 } else { 437 });
        if is_saved {
            world.reply(far, allocated.relayed(), &numbered(7));
            world.run_for(SEC);
            assert_eq!(world.received_by_client(client).len(), 1);
        }
    }
}

/// Refreshed early enough, an allocation survives any network that a call survives.
#[test]
fn refreshes_a_minute_before_the_end_survive_heavy_loss() {
    for seed in 0..10 {
        let mut world = RelayWorld::new(seed, &["u"], Quotas::default());
        let (client, _, _) = talking(&mut world);
        world.client_link(client).bursts(0.05, 10.0).loss(0.2).delay(100 * MS).jitter(100 * MS);
        for _ in 0..12 {
            world.run_for(540 * SEC);
            // As browsers do: an unanswered refresh is repeated as a new request.
            let refreshed = (0..2).find_map(|_| world.refresh(client, 600));
            assert_eq!(code(refreshed), 0, "{world}");
        }
        assert_eq!(world.count(Counter::AllocationsExpired), 0, "{world}");
        assert_eq!(world.sockets(), 1, "{world}");
    }
}

/// A permission ends after five minutes, a channel after ten, also with datagrams in transit; binding again
/// renews both.
#[test]
fn permissions_and_channels_expire_on_time_during_a_call() {
    let mut world = RelayWorld::new(3, &["u"], Quotas::default());
    let (client, far, relayed) = talking(&mut world);
    world.client_link(client).delay(40 * MS);
    world.far_link(far).delay(10 * MS);
    let bound_at = world.now();
    let mut sent = 0;
    let mut talk_until = |world: &mut RelayWorld, end: Instant| {
        while world.now() < end {
            world.send(client, CHANNEL, &numbered(sent));
            world.reply(far, relayed, &numbered(sent));
            sent += 1;
            world.run_for(100 * MS);
        }
    };
    talk_until(&mut world, bound_at + 310 * SEC);
    let permission_ends = bound_at + 300 * SEC;
    // The relay is 40 ms from the client and 10 ms from the peer.
    let last_there = world.received_by_far(far).last().unwrap().at;
    assert!((permission_ends - 100 * MS..permission_ends + 11 * MS).contains(&last_there), "{world}");
    let last_back = world.received_by_client(client).last().unwrap().at;
    assert!((permission_ends - 60 * MS..permission_ends + 41 * MS).contains(&last_back), "{world}");
    assert!(world.count(Counter::NoPermission) > 150);

    // The channel still exists: a permission alone restores both directions, with the same number.
    assert_eq!(code(world.permit(client, far)), 0);
    let permitted_at = world.now();
    talk_until(&mut world, permitted_at + 5 * SEC);
    assert!(world.received_by_far(far).len() > 40 && world.received_by_client(client).len() > 40);

    world.run_for((bound_at + 590 * SEC).saturating_since(world.now()));
    assert_eq!(code(world.refresh(client, 1_200)), 0);
    assert_eq!(code(world.permit(client, far)), 0);
    talk_until(&mut world, bound_at + 610 * SEC);
    let channel_ends = bound_at + 600 * SEC;
    let last_there = world.received_by_far(far).last().unwrap().at;
    assert!((channel_ends - 100 * MS..channel_ends + 11 * MS).contains(&last_there), "{world}");
    // The peer's datagrams still arrive, now in Data indications.
    let back = world.received_by_client(client);
    let (by_channel, indicated): (Vec<&ReceivedDatagram>, Vec<&ReceivedDatagram>) =
        back.iter().partition(|received| received.from.is_none());
    assert!(by_channel.iter().all(|received| received.at < channel_ends + 41 * MS), "{world}");
    assert!(
        indicated.len() > 80 && indicated.iter().all(|received| received.from == Some(world.address(far)))
    );
    // One in a tenth of a second was received.
    let gaps = back.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at));
    assert!(gaps.max().unwrap() <= 101 * MS, "{world}");

    assert_eq!(code(world.bind(client, CHANNEL, far)), 0);
    world.send(client, CHANNEL, &numbered(sent));
    world.run_for(SEC);
    assert!(world.received_by_far(far).iter().any(|received| number(received) == sent));
}

/// Nonces are valid for an hour. A longer call gets another one with a refresh, without an interruption.
#[test]
fn a_stale_nonce_does_not_interrupt_a_call() {
    for seed in 0..5 {
        let mut world = RelayWorld::new(seed, &["u"], Quotas::default());
        let (client, far, relayed) = talking(&mut world);
        world.client_link(client).loss(0.1).delay(50 * MS);
        let (mut renewals, mut sent) = (0, 0);
        // An hour and a half, a renewal every four minutes, a datagram each way every second.
        for _ in 0..22 {
            for _ in 0..240 {
                world.send(client, CHANNEL, &numbered(sent));
                world.reply(far, relayed, &numbered(sent));
                sent += 1;
                world.run_for(SEC);
            }
            for renewed in [world.refresh(client, 600), world.bind(client, CHANNEL, far)] {
                let renewed = renewed.expect("an answer");
                assert_eq!(renewed.code, 0, "{world}");
                renewals += renewed.renewals;
            }
        }
        assert_eq!(renewals, 1, "{world}: within an hour and a half one is due");
        assert_eq!(world.count(Counter::StaleNonces) > 0, renewals > 0, "{world}");
        for received in [world.received_by_far(far), world.received_by_client(client)] {
            let share = received.len() as f64 / f64::from(sent);
            assert!((0.88..0.92).contains(&share), "{world}: {share} of them, with 10 % lost");
        }
    }
}

/// A user that takes everything it can get, from every source address, leaves the pool to the others; and an
/// empty pool is reported and refilled.
#[test]
fn one_user_that_requests_every_port_does_not_block_others() {
    let quotas = Quotas { allocations_per_user: 12, ports_per_user: 16, ..Quotas::default() };
    let mut world = RelayWorld::new(9, &["greedy", "u", "v", "w"], quotas);
    world.pool = 24;
    let far = world.far();
    let speaker = world.client("u");
    let relayed = world.allocate(speaker).expect("an answer").relayed();
    assert_eq!(code(world.bind(speaker, CHANNEL, far)), 0);

    let even = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::UDP).even_port(true);
    let mut greedy = BTreeMap::new();
    for attempt in 0..60 {
        let client = world.client("greedy");
        world.client_link(client).loss(0.1).duplicate(0.1).delay(10 * MS);
        let answered = match attempt % 2 {
            0 => world.ask(client, Method::ALLOCATE, even),
            _ => world.allocate(client),
        };
        *greedy.entry(code(answered)).or_insert(0) += 1;
        // During this, another user sends.
        world.send(speaker, CHANNEL, &numbered(attempt));
        world.reply(far, relayed, &numbered(attempt));
        world.run_for(10 * MS);
    }
    assert!(world.sockets() <= 1 + 16, "{world}: {} ports", world.sockets());
    assert!(greedy[&0] <= 12 && greedy[&486] >= 48, "{greedy:?}");
    assert_eq!(
        (world.received_by_far(far).len(), world.received_by_client(speaker).len()),
        (60, 60),
        "{world}"
    );

    // The others get theirs, until the host itself has no port left; that has a different error.
    let mut others = Vec::new();
    let mut codes = Vec::new();
    for nth in 0..10 {
        let client = world.client(if nth % 2 == 0 { "v" } else { "w" });
        codes.push(code(world.allocate(client)));
        others.push(client);
    }
    // Of 24 the speaker has one, and the greedy its 16.
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 7, "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, 0 | 508)), "{codes:?}");
    assert_eq!(code(world.refresh(others[0], 0)), 0);
    let late = world.client("w");
    assert_eq!(code(world.allocate(late)), 0, "a released port can be used again");
}

//! The controller is lost: media continues, and unclaimed objects are closed after the grace period.

use control::{Closed, Command, Event, SnapshotItem};
use leat_tests::{MS, SEC, Track, World};
use std::time::Duration;

const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// Alice publishes, Bob consumes; and there is another, empty router.
fn call(seed: u64) -> (World, control::ConsumerId, control::RouterId) {
    let mut world = World::with_grace_period(seed, GRACE_PERIOD);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(25 * MS);
    world.link(bob).delay(25 * MS);
    let other = world.create_router();
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(500_000));
    let view = world.subscribe(bob, camera);
    world.run_for(2 * SEC);
    (world, view, other)
}

/// Closings with this reason, by what closed.
fn closings(world: &World, reason: Closed) -> Vec<String> {
    let reported = world.events().iter().filter_map(|(_, event)| match event {
        Event::RouterClosed { router, closed } if *closed == reason => Some(format!("router {router}")),
        Event::TransportClosed { transport, closed } if *closed == reason => {
            Some(format!("transport {transport}"))
        }
        Event::ProducerClosed { producer, closed } if *closed == reason => {
            Some(format!("producer {producer}"))
        }
        Event::ConsumerClosed { consumer, closed } if *closed == reason => {
            Some(format!("consumer {consumer}"))
        }
        _ => None,
    });
    reported.collect()
}

fn routers(world: &mut World) -> Vec<control::RouterId> {
    let routers = world.snapshot().into_iter().filter_map(|item| match item {
        SnapshotItem::Router { router, .. } => Some(router),
        _ => None,
    });
    routers.collect()
}

#[test]
fn unclaimed_routers_are_closed_after_the_grace_period_and_not_before() {
    let (mut world, view, other) = call(111);
    world.lose_controller();
    let lost_at = world.now();
    world.run_for(5 * SEC);
    // A controller that dies again does not extend the grace period of routers that it never claimed.
    world.lose_controller();
    world.demand(Command::ClaimRouter { router: other });
    world.run_for(5 * SEC - 10 * MS);
    assert_eq!(closings(&world, Closed::Abandoned), Vec::<String>::new(), "{world}");
    let last = world.sink(view).frames().last().expect("there were frames before").at;
    assert!(world.now().saturating_since(last) < 100 * MS, "{world}: the picture stands still");
    assert_eq!((world.sink(view).freezes(), world.sink(view).missing()), (0, 0), "{world}");

    world.run_for(20 * MS);
    assert!(world.now() > lost_at + GRACE_PERIOD);
    let mut closed = closings(&world, Closed::Abandoned);
    let count = closed.len();
    closed.sort_unstable();
    closed.dedup();
    assert_eq!((count, closed.len()), (5, 5), "{world}: {closed:?}");
    assert_eq!(routers(&mut world), [other], "{world}");
    assert_eq!(world.snapshot().len(), 1, "{world}");
    let received = world.sink(view).packets().len();
    world.run_for(SEC);
    assert!(world.sink(view).packets().len() < received + 10, "{world}: media flows from beyond");
    world.assert_sound();
}

#[test]
fn claimed_routers_continue_unchanged() {
    let (mut world, view, other) = call(112);
    let before = world.snapshot();
    world.lose_controller();
    world.run_for(3 * SEC);
    assert_eq!(world.snapshot(), before, "{world}");
    for router in [world.router(), other] {
        world.demand(Command::ClaimRouter { router });
    }
    world.run_for(30 * SEC);
    assert_eq!(world.snapshot(), before, "{world}");
    world.assert_sound();
    assert_eq!((world.sink(view).freezes(), world.sink(view).missing()), (0, 0), "{world}");
}

#[test]
fn answers_and_events_of_the_old_controller_are_not_sent_to_the_new_one() {
    let (mut world, _, _) = call(113);
    world.lose_controller();
    let events_before = world.events().len();
    let items = world.snapshot();
    let reported: Vec<Event> =
        world.events()[events_before..].iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(reported.len(), items.len() + 1, "{world}: {reported:?}");
    assert_eq!(items.len(), 6, "{world}: two routers, two transports, a producer, a consumer");
}

#[test]
fn app_data_set_later_is_returned_to_the_next_controller() {
    let (mut world, _, _) = call(114);
    let of = |world: &mut World| -> Vec<(control::TransportId, control::AppData)> {
        let items = world.snapshot().into_iter();
        items
            .filter_map(|item| match item {
                SnapshotItem::Transport { transport, app_data, .. } => Some((transport, app_data)),
                _ => None,
            })
            .collect()
    };
    let mut expected = of(&mut world);
    expected[0].1 = control::AppData(b"fewer rights".to_vec());
    let (transport, app_data) = expected[0].clone();
    world.demand(Command::SetAppData { transport, app_data });
    world.lose_controller();
    assert_eq!(of(&mut world), expected, "{world}");
}

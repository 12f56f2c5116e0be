//! Engine and controller whose protocol versions differ: one apart they work together, with media, both ways;
//! further apart they refuse each other.
//!
//! A process is one of the next version if the environment says so (`control::next`): it then writes a field
//! more in every record, and counters more on a larger statistics page.

use crate::PATIENCE;
use crate::call::{CONSUMER, Call, Family, ROUTER, candidate, create_router};
use crate::caller::{Caller, certificate};
use crate::child::{ControllerProcess, Version};
use crate::controller::Controller;
use crate::engine::{Engine, binary, command, free_ports, socket_path};
use control::{Command, Event, Refusal, Request, RequestId};
use dtls::Fingerprint;
use shm::{AttachError, RefusalReason};
use std::fs::{self, File};
use std::path::Path;
use std::process;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn start(version: Version) -> Engine {
    let (port, socket) = (free_ports(), socket_path());
    let mut command = command(port, &socket);
    // Long enough to attach and claim on a busy machine.
    version.of(&mut command).args(["--workers", "1", "--grace-period", "15"]);
    Engine::start_by(command, port, socket)
}

/// A controller makes a call and is killed, and another one takes the call over. Media flows all the time.
fn media_flows_through_a_take_over(engine_version: Version, first: Version, second: Version) {
    let engine = start(engine_version);
    let mut process = ControllerProcess::start_as(first, &engine.socket, &certificate().fingerprint());
    let [mut publisher, mut subscriber] = [0, 1].map(|of| {
        let Event::TransportCreated { ice, fingerprint, candidates, .. } = &process.created[of] else {
            panic!("{:?}", process.created[of])
        };
        let candidate = candidate(candidates, Family::udp(), engine.port);
        Caller::new(candidate, ice, Fingerprint(*fingerprint))
    });
    publisher.connect();
    subscriber.connect();
    let mut call = Call::of(publisher, subscriber);
    call.publish(20);
    process.kill();
    call.publish(20);
    let mut process = ControllerProcess::take_over_as(second, &engine.socket);
    call.publish(20);
    process.kill();
    // And the call is controlled by a third one.
    let mut controller = engine.attach();
    let built = "leat-engine is built with the feature leat-control/next-protocol";
    assert_eq!(controller.engine_version(), engine_version.number(), "{built}");
    call.publish(20);
    controller.demand(Command::ClaimRouter { router: ROUTER });
    controller.demand(Command::CloseConsumer { consumer: CONSUMER });
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    assert_eq!(call.subscriber.receive_for(crate::SILENCE), []);
}

#[test]
fn a_newer_controller_takes_over_the_call_of_an_older_one_at_an_older_engine() {
    media_flows_through_a_take_over(Version::Current, Version::Current, Version::Next);
}

#[test]
fn an_older_controller_takes_over_the_call_of_a_newer_one_at_an_older_engine() {
    media_flows_through_a_take_over(Version::Current, Version::Next, Version::Current);
}

#[test]
fn an_older_and_then_a_newer_controller_control_a_call_at_a_newer_engine() {
    media_flows_through_a_take_over(Version::Next, Version::Current, Version::Next);
}

/// Runs signaling, which only attaches here: rooms and their media are those of the tests above.
fn signaling_attaches(engine_version: Version, signaling_version: Version) {
    let engine = start(engine_version);
    let log = engine.socket.with_extension("signaling.log");
    let mut command = process::Command::new(binary("leat-signaling"));
    signaling_version.of(&mut command).args(["--http", "127.0.0.1:0", "--log", "text", "--control-socket"]);
    let file = File::create(&log).unwrap();
    command.arg(&engine.socket).env("LEAT_LOG", "info").env_remove("LEAT_SECRET");
    let mut process = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let attached = format!("engine={} signaling={}", engine_version.number(), signaling_version.number());
    let is_attached = await_text(&log, &attached);
    // An attachment that ends is logged.
    sleep(Duration::from_secs(1));
    let _ = process.kill();
    let _ = process.wait();
    let text = fs::read_to_string(&log).unwrap();
    let _ = fs::remove_file(&log);
    assert!(is_attached && text.matches("attached to an engine").count() == 1, "no {attached:?}: {text}");
    let both = format!("controller={} engine={}", signaling_version.number(), engine_version.number());
    assert!(engine.log().contains(&both), "no {both:?}: {}", engine.log());
}

fn await_text(path: &Path, text: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if fs::read_to_string(path).unwrap().contains(text) {
            return true;
        }
        sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn newer_signaling_attaches_to_an_older_engine() {
    signaling_attaches(Version::Current, Version::Next);
}

#[test]
fn older_signaling_attaches_to_a_newer_engine() {
    signaling_attaches(Version::Next, Version::Current);
}

#[test]
fn a_newer_controllers_unknown_command_is_refused_and_its_unknown_field_is_skipped() {
    let engine = start(Version::Current);
    let mut controller = Controller::try_attach(&engine.socket, Version::Next.number()).unwrap();
    let id = RequestId(77);
    let mut record = Vec::new();
    Request { id, command: create_router(ROUTER) }.encode(&mut record);
    record.extend([1, 2, 3]);
    controller.push(&record);
    assert_eq!(controller.answer(Some(id)), Event::Done { request: id });
    record[8] = 200;
    controller.push(&record);
    let Event::Refused { refusal, text, .. } = controller.answer(Some(id)) else { panic!("not refused") };
    let expected = format!("protocol version {} has no command 200", control::PROTOCOL_VERSION);
    assert_eq!(refusal, Refusal::BadRecord);
    assert!(text.as_str().ends_with(&expected), "{text:?}");
    assert_eq!(controller.snapshot().len(), 1);
}

#[test]
fn a_controller_further_apart_is_refused_with_both_versions() {
    let own = control::PROTOCOL_VERSION;
    for (engine, refused) in
        [(Version::Current, own + 2), (Version::Current, own - 1), (Version::Next, own + 3)]
    {
        let running = start(engine);
        let Err(AttachError::Refused(refusal)) = Controller::try_attach(&running.socket, refused) else {
            panic!("{refused} was not refused")
        };
        assert_eq!(refusal.reason, RefusalReason::ProtocolVersion);
        let both = format!("the controller has protocol version {refused}, this engine {}", engine.number());
        assert!(refusal.sentence.contains(&both), "{refusal}");
        // The engine serves others.
        running.attach();
    }
}

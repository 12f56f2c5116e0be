//! Invalid commands: each gets a refusal with a reason, and has no effect.

use crate::call::{
    CONSUMER, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, consume, create_router, create_transport, produce,
};
use crate::controller::Controller;
use crate::engine::Engine;
use control::{
    AppData, Command, ConsumerId, Event, Produce, ProducerId, Refusal, Request, RequestId, RouterId, Text,
    TransportId,
};

/// The text of this refusal. Panics if it is not a refusal.
#[track_caller]
fn refused(answer: Event, why: Refusal) -> String {
    let Event::Refused { refusal, text, .. } = answer else { panic!("not refused: {answer:?}") };
    assert_eq!(refusal, why, "{text:?}");
    assert!(text.as_str().split(' ').count() > 3, "{text:?} is no sentence");
    text.as_str().to_owned()
}

/// A room with a transport that sends a track and one that receives it.
fn furnish(controller: &mut Controller) {
    controller.demand(create_router(ROUTER));
    for transport in [PUBLISHING, SUBSCRIBING] {
        controller.request(create_transport(ROUTER, transport));
    }
    controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
    controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
}

#[test]
fn unknown_ids_are_refused_by_name_and_change_nothing() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    furnish(&mut controller);
    let before = controller.snapshot();

    let (router, transport) = (RouterId(0xdead), TransportId(0xdead));
    let (producer, consumer) = (ProducerId(0xdead), ConsumerId(0xdead));
    for command in [
        Command::CloseRouter { router },
        Command::ClaimRouter { router },
        create_transport(router, transport),
        Command::ConnectTransport { transport, fingerprint: [0; 32] },
        Command::RestartIce { transport },
        Command::CloseTransport { transport },
        Command::Produce(produce(transport, ProducerId(5))),
        Command::PauseProducer { producer },
        Command::ResumeProducer { producer },
        Command::CloseProducer { producer },
        Command::Consume(consume(transport, PRODUCER, ConsumerId(5))),
        Command::Consume(consume(SUBSCRIBING, producer, ConsumerId(5))),
        Command::PauseConsumer { consumer },
        Command::ResumeConsumer { consumer },
        Command::CloseConsumer { consumer },
        Command::RequestKeyframe { consumer },
    ] {
        let text = refused(controller.request(command), Refusal::NotFound);
        assert!(text.contains("dead"), "{text:?} does not name the id");
    }
    assert_eq!(controller.snapshot(), before);
    assert_eq!(controller.notifications(), []);
}

#[test]
fn a_repeated_command_succeeds_and_another_one_with_its_id_is_refused() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    furnish(&mut controller);
    let before = controller.snapshot();

    controller.demand(create_router(ROUTER));
    let created = [0, 1].map(|_| match controller.request(create_transport(ROUTER, PUBLISHING)) {
        Event::TransportCreated { ice, .. } => ice,
        other => panic!("{other:?}"),
    });
    assert_eq!(created[0], created[1]);
    controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
    controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));

    let other = AppData(b"other".to_vec());
    let of_another_mid = Produce { mid: Some(Text::new("1")), ..produce(PUBLISHING, PRODUCER) };
    let mut with_another_ssrc = consume(SUBSCRIBING, PRODUCER, CONSUMER);
    with_another_ssrc.ssrc += 1;
    for command in [
        Command::CreateRouter { router: ROUTER, app_data: other },
        create_transport(ROUTER, PUBLISHING).with_other_app_data(),
        Command::Produce(of_another_mid),
        Command::Consume(with_another_ssrc),
    ] {
        refused(controller.request(command), Refusal::Exists);
    }
    assert_eq!(controller.snapshot(), before);
}

trait WithOtherAppData {
    fn with_other_app_data(self) -> Self;
}

impl WithOtherAppData for Command {
    fn with_other_app_data(self) -> Self {
        let Command::CreateTransport(mut create) = self else { panic!("a transport") };
        create.app_data = AppData(b"other".to_vec());
        Command::CreateTransport(create)
    }
}

#[test]
fn invalid_parameters_are_refused_with_a_reason() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    furnish(&mut controller);
    let before = controller.snapshot();

    let spoilt = |spoil: fn(&mut Produce)| {
        let mut produce = produce(PUBLISHING, ProducerId(5));
        produce.mid = Some(Text::new("5"));
        produce.encodings[0].ssrc = Some(5);
        spoil(&mut produce);
        produce
    };
    let cases: [(Produce, &str); 6] = [
        (spoilt(|produce| produce.codecs.clear()), "codec"),
        (spoilt(|produce| produce.codecs[0].clock_rate_hz = 0), "clock rate"),
        (spoilt(|produce| produce.codecs[0].pt = 72), "payload type 72"),
        (spoilt(|produce| produce.mid = Some(Text::new("seventeen bytes!!"))), "MID"),
        (spoilt(|produce| produce.mid = Some(Text::new("0"))), "MID"),
        (spoilt(|produce| produce.encodings.clear()), "encoding"),
    ];
    for (produce, names) in cases {
        let text = refused(controller.request(Command::Produce(produce)), Refusal::Invalid);
        assert!(text.contains(names), "{text:?} does not name {names}");
    }
    assert_eq!(controller.snapshot(), before);
}

#[test]
fn malformed_records_are_answered_and_have_no_effect() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut sound = Vec::new();
    let id = RequestId(0x0123_4567_89ab_cdef);
    Request { id, command: create_router(ROUTER) }.encode(&mut sound);

    // Too short, cut anywhere: without its number it is answered without one.
    for len in 0..sound.len() {
        controller.push(&sound[..len]);
        let text = refused(controller.answer((len >= 8).then_some(id)), Refusal::BadRecord);
        assert!(text.contains("truncated"), "{text:?}");
    }
    // Too long.
    controller.push(&[&sound[..], &[0]].concat());
    assert!(refused(controller.answer(Some(id)), Refusal::BadRecord).contains("1 bytes follow"));
    let longest = vec![0xff; shm::limits::RECORD_BYTES_MAX];
    controller.push(&[&sound[..8], &longest[8..]].concat());
    assert!(refused(controller.answer(Some(id)), Refusal::BadRecord).contains("255"));
    // A command that this version does not know.
    let mut unknown = sound.clone();
    unknown[8] = 0xee;
    controller.push(&unknown);
    assert!(refused(controller.answer(Some(id)), Refusal::BadRecord).contains("has no command 238"));
    // A list that claims more elements than possible.
    let mut claims = sound.clone();
    let at = 8 + 1 + 8;
    claims[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    controller.push(&claims);
    assert!(refused(controller.answer(Some(id)), Refusal::BadRecord).contains("bound"));

    assert_eq!(controller.snapshot(), []);
    assert!(!controller.is_detached(), "a bad record is no bad ring");
    controller.push(&sound);
    assert_eq!(controller.answer(Some(id)), Event::Done { request: id });
}

//! Unknown tags, and lengths beyond their bounds.

use control::{
    AppData, Candidate, Closed, Command, ConnectPlainTransport, Consume, ConsumerId, CreateTransport,
    DecodeError, Encoding, Event, Extension, ExtensionKind, IceParameters, Layers, Produce, ProducerId,
    Request, RequestId, RouterId, SrtpKey, SrtpParameters, SrtpProfile, Text, TransportId, fixtures, limits,
};

fn encoded(command: Command) -> Vec<u8> {
    let mut record = Vec::new();
    Request { id: RequestId(3), command }.encode(&mut record);
    record
}

fn refusal(record: &[u8]) -> DecodeError {
    let (id, error) = Request::decode(record).expect_err("refused");
    assert_eq!(id, Some(RequestId(3)));
    error
}

fn create_router(app_data_len: usize) -> Vec<u8> {
    encoded(Command::CreateRouter { router: RouterId(1), app_data: AppData(vec![7; app_data_len]) })
}

/// The largest track that the engine accepts.
fn produce(codecs: usize, extensions: usize) -> Produce {
    let codec = fixtures::vp8(96, 97);
    let label = || Some(Text::new("x".repeat(16)));
    Produce {
        mid: label(),
        codecs: vec![codec; codecs],
        encodings: vec![
            Encoding {
                rid: label(),
                ssrc: Some(1),
                rtx_ssrc: Some(2),
                max_bitrate_bps: Some(3),
                ..Encoding::SINGLE
            };
            limits::LIST_LEN_MAX
        ],
        extensions: vec![Extension { kind: ExtensionKind::Mid, id: 1 }; extensions],
        app_data: AppData(vec![7; limits::APP_DATA_LEN_MAX]),
        ..fixtures::produce(TransportId(1), ProducerId(1), codec)
    }
}

#[test]
fn unknown_tags_are_named() {
    for tag in 37..=u8::MAX {
        let mut record = encoded(Command::Snapshot);
        record[8] = tag;
        assert_eq!(refusal(&record), DecodeError::UnknownTag { what: "command", tag });
    }
    for tag in 23..=u8::MAX {
        let mut record = vec![tag];
        record.extend([0; 8]);
        assert_eq!(Event::decode(&record), Err(DecodeError::UnknownTag { what: "event", tag }));
    }
    let mut record = Vec::new();
    Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned }.encode(&mut record);
    *record.last_mut().expect("the closing reason") = 9;
    assert_eq!(Event::decode(&record), Err(DecodeError::UnknownTag { what: "closing reason", tag: 9 }));
    let address = "192.0.2.1:7000".parse().expect("an address");
    Event::TransportCreated {
        request: RequestId(1),
        transport: TransportId(1),
        ice: IceParameters { ufrag: Text::default(), pwd: Text::default() },
        fingerprint: [0; 32],
        candidates: vec![Candidate::tcp(address)],
    }
    .encode(&mut record);
    *record.last_mut().expect("the protocol") = 2;
    assert_eq!(Event::decode(&record), Err(DecodeError::UnknownTag { what: "protocol", tag: 2 }));
}

#[test]
fn a_boolean_is_zero_or_one() {
    let mut record = encoded(Command::Produce(Produce { app_data: AppData::default(), ..produce(1, 1) }));
    // Before the length of the empty app data.
    let at = record.len() - 5;
    assert_eq!(record[at], 0);
    record[at] = 2;
    assert_eq!(refusal(&record), DecodeError::UnknownTag { what: "boolean", tag: 2 });
}

#[test]
fn app_data_has_a_bound() {
    let max = limits::APP_DATA_LEN_MAX;
    assert!(Request::decode(&create_router(max)).is_ok());
    let error = refusal(&create_router(max + 1));
    assert_eq!(error, DecodeError::TooLong { what: "app data", len: max + 1, max });
}

/// A claimed length is checked before memory is allocated for it.
#[test]
fn a_claimed_length_is_checked_before_allocation() {
    let mut record = create_router(0);
    let at = record.len() - 4;
    record[at..].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = refusal(&record);
    assert!(matches!(error, DecodeError::TooLong { what: "app data", .. }), "{error}");
}

#[test]
fn lists_have_a_bound() {
    let max = limits::LIST_LEN_MAX;
    assert!(Request::decode(&encoded(Command::Produce(produce(max, max)))).is_ok());
    let error = refusal(&encoded(Command::Produce(produce(max + 1, 0))));
    assert_eq!(error, DecodeError::TooLong { what: "list", len: max + 1, max });
    let error = refusal(&encoded(Command::Produce(produce(1, max + 1))));
    assert_eq!(error, DecodeError::TooLong { what: "list", len: max + 1, max });
}

#[test]
fn keys_have_a_bound_and_are_not_printed() {
    let max = limits::SRTP_KEY_LEN_MAX;
    let connect = |len| {
        let key = SrtpKey(vec![0xab; len]);
        let srtp = Some(SrtpParameters { profile: SrtpProfile::AeadAes128Gcm, key });
        let transport = TransportId(1);
        Command::ConnectPlainTransport(ConnectPlainTransport {
            transport,
            remote: None,
            rtcp_remote: None,
            srtp,
        })
    };
    assert!(Request::decode(&encoded(connect(max))).is_ok());
    let error = refusal(&encoded(connect(max + 1)));
    assert_eq!(error, DecodeError::TooLong { what: "key", len: max + 1, max });
    assert!(format!("{:?}", connect(30)).contains("SrtpKey(30 bytes)"));
}

#[test]
fn texts_have_a_bound_and_are_cut_to_it_between_characters() {
    let max = limits::TEXT_LEN_MAX;
    assert_eq!(Text::new("x".repeat(max)).as_str().len(), max);
    let cut = Text::new("€".repeat(max));
    assert_eq!(cut.as_str().len(), max / 3 * 3);
    assert!(cut.as_str().chars().all(|char| char == '€'));

    let mut record = Vec::new();
    Event::Refused { request: None, refusal: control::Refusal::Limit, text: Text::new("x".repeat(max)) }
        .encode(&mut record);
    assert!(Event::decode(&record).is_ok());
    // Tag, absent request, refusal; then the text's length.
    let len = (max + 1) as u16;
    record[3..5].copy_from_slice(&len.to_le_bytes());
    record.push(b'x');
    let error = Event::decode(&record).expect_err("too long");
    assert_eq!(error, DecodeError::TooLong { what: "text", len: max + 1, max });
}

#[test]
fn a_text_is_utf8() {
    let mut record = Vec::new();
    Event::Refused { request: None, refusal: control::Refusal::Limit, text: Text::new("ab") }
        .encode(&mut record);
    *record.last_mut().expect("the text") = 0xff;
    assert_eq!(Event::decode(&record), Err(DecodeError::NotText));
}

#[test]
fn the_largest_records_fit_the_ring() {
    let largest = encoded(Command::Produce(produce(limits::LIST_LEN_MAX, limits::LIST_LEN_MAX)));
    assert!(largest.len() <= limits::RECORD_LEN_MAX, "{}", largest.len());
    let app_data = AppData(vec![7; limits::APP_DATA_LEN_MAX]);
    let create =
        CreateTransport { router: RouterId(1), transport: TransportId(1), app_data: app_data.clone() };
    assert!(encoded(Command::CreateTransport(create)).len() <= limits::RECORD_LEN_MAX);
    let consume = Consume {
        mid: Some(Text::new("x".repeat(16))),
        codecs: produce(limits::LIST_LEN_MAX, 0).codecs,
        rtx_ssrc: Some(2),
        cname: Text::new("x".repeat(limits::TEXT_LEN_MAX)),
        extensions: produce(0, limits::LIST_LEN_MAX).extensions,
        preferred_layers: Some(Layers { spatial: 2, temporal: 2 }),
        app_data,
        ..fixtures::consume(TransportId(1), ProducerId(1), ConsumerId(1), fixtures::vp8(96, 97), 1)
    };
    assert!(encoded(Command::Consume(consume)).len() <= limits::RECORD_LEN_MAX);
}

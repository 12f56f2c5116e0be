//! Plain RTP and SRTP with unmodified ffmpeg and GStreamer: their media is received by the other program, by
//! themselves and by a WebRTC peer; media of other senders is not.

use crate::SILENCE;
use crate::call::{
    CONSUMER, Family, PRODUCER, PUBLISHING, RECEIVED_PT, RECEIVED_SSRC, ROUTER, SUBSCRIBING, consume,
    create_router, join, loopback, produce,
};
use crate::controller::Controller;
use crate::engine::Engine;
use crate::program::{Program, TextFile, base64};
use control::{
    Codec, CodecParameters, Command, ConnectPlainTransport, Consume, ConsumerId, Counter, Counters,
    CreatePlainTransport, Discard, Event, IpFamily, Kind, Produce, ProducerId, SrtpKey, SrtpParameters,
    SrtpProfile, Text, TransportId, fixtures,
};
use oracle_rtp::packet::Packet;
use oracle_util::marshal::{Marshal, Unmarshal};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Frames of video that a receiver must decode: with a keyframe every 15, some of each type.
const FRAMES: usize = 40;

/// One kind of media, with its numbers in both directions and all its ids.
#[derive(Clone, Copy, Debug)]
struct Media {
    kind: Kind,
    codec: Codec,
    clock_rate_hz: u32,
    sent_pt: u8,
    received_pt: u8,
    ids: u64,
}

const VIDEO: Media = Media {
    kind: Kind::Video,
    codec: Codec::Vp8,
    clock_rate_hz: 90_000,
    sent_pt: 96,
    received_pt: 101,
    ids: 1_000,
};

const AUDIO: Media = Media {
    kind: Kind::Audio,
    codec: Codec::Opus,
    clock_rate_hz: 48_000,
    sent_pt: 97,
    received_pt: 102,
    ids: 2_000,
};

const H264: Media = Media { codec: Codec::H264, ids: 3_000, ..VIDEO };

impl Media {
    fn codec(self, pt: u8) -> CodecParameters {
        fixtures::codec(self.codec, pt)
    }

    /// Identified by its payload type: these programs choose their SSRC themselves.
    fn produce(self) -> Produce {
        fixtures::produce(TransportId(self.ids), ProducerId(self.ids), self.codec(self.sent_pt))
    }

    fn consume(self) -> Consume {
        Consume {
            producer: ProducerId(self.ids),
            codecs: vec![self.codec(self.received_pt)],
            ssrc: self.ids as u32,
            cname: Text::new("plain"),
            ..consume(TransportId(self.ids + 1), ProducerId(self.ids), ConsumerId(self.ids))
        }
    }

    /// A source, and its destination; without a known source port on loopback, its address is learned from
    /// its first packet.
    fn source(
        self,
        controller: &mut Controller,
        port: Option<u16>,
        srtp: Option<SrtpParameters>,
    ) -> SocketAddr {
        let profile = srtp.as_ref().map(|srtp| srtp.profile);
        let transport = TransportId(self.ids);
        let create = CreatePlainTransport { comedia: port.is_none(), srtp: profile, ..create(transport) };
        let (address, _) = make(controller, create);
        let remote = port.map(|port| SocketAddr::new(loopback(), port));
        let connect = ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp };
        controller.demand(Command::ConnectPlainTransport(connect));
        controller.demand(Command::Produce(self.produce()));
        address
    }

    /// A sink, whose receiver listens on this port of loopback: the key of its media.
    fn sink(
        self,
        controller: &mut Controller,
        port: u16,
        srtp: Option<SrtpParameters>,
    ) -> Option<SrtpParameters> {
        let profile = srtp.as_ref().map(|srtp| srtp.profile);
        let transport = TransportId(self.ids + 1);
        let (_, ours) = make(controller, CreatePlainTransport { srtp: profile, ..create(transport) });
        let remote = Some(SocketAddr::new(loopback(), port));
        let connect = ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp };
        controller.demand(Command::ConnectPlainTransport(connect));
        controller.demand(Command::Consume(self.consume()));
        ours
    }
}

fn create(transport: TransportId) -> CreatePlainTransport {
    CreatePlainTransport {
        router: ROUTER,
        transport,
        family: if loopback().is_ipv4() { IpFamily::V4 } else { IpFamily::V6 },
        rtcp_mux: false,
        comedia: false,
        srtp: None,
        app_data: Default::default(),
    }
}

fn make(controller: &mut Controller, create: CreatePlainTransport) -> (SocketAddr, Option<SrtpParameters>) {
    match controller.request(Command::CreatePlainTransport(create)) {
        Event::PlainTransportCreated { address, srtp, .. } => (address, srtp),
        other => panic!("{other:?}"),
    }
}

/// An engine with its own ports for plain transports, and a room in it.
fn start() -> (Engine, Controller) {
    let first = free_ports(16);
    let engine = Engine::start_with(&["--workers", "1", "--plain-ports", &format!("{first}-{}", first + 15)]);
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    (engine, controller)
}

/// Adjacent free ports on loopback, the first of them even; above those of the engines themselves.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 50) as u16 * 160;
    let is_free = |port: &u16| UdpSocket::bind((loopback(), *port)).is_ok();
    (0..500)
        .map(|_| 24_000 + (start + 16 * NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000)
        .find(|first| (*first..first + count).all(|port| is_free(&port)))
        .expect("some of 8000 ports are free")
}

/// The receiving ffmpeg: decodes this number of video and audio frames, writes a line for each, and ends on
/// any error.
fn ffmpeg_receiver(sdp: &TextFile, [video, audio]: [usize; 2]) -> Program {
    let sdp = sdp.0.display();
    Program::start(&format!(
        "ffmpeg -hide_banner -nostats -loglevel warning -xerror -err_detect explode \
         -protocol_whitelist file,udp,rtp,srtp -i {sdp} -frames:v {video} -frames:a {audio} -f framecrc -"
    ))
}

/// The sending ffmpeg: a moving picture and a tone, in real time, for longer than any test listens.
fn ffmpeg_sender(video: &str, audio: &str) -> Program {
    ffmpeg_sender_for(30, video, audio)
}

/// The same for this number of seconds.
fn ffmpeg_sender_for(seconds: u32, video: &str, audio: &str) -> Program {
    Program::start(&format!(
        "ffmpeg -hide_banner -nostats -loglevel warning \
         -re -f lavfi -i testsrc2=size=320x240:rate=30:duration={seconds} \
         -re -f lavfi -i sine=sample_rate=48000:duration={seconds} \
         -map 0:v -c:v libvpx -deadline realtime -cpu-used 8 -g 15 -b:v 400k -payload_type 96 -f rtp {video} \
         -map 1:a -c:a libopus -ac 2 -payload_type 97 -f rtp {audio}"
    ))
}

/// An SDP for receivers on these ports. Each `a=crypto` line belongs to one of them.
fn sdp(video: u16, audio: u16, crypto: Option<[String; 2]>) -> TextFile {
    let profile = if crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let [of_video, of_audio] = crypto.unwrap_or_default();
    let ip = format!("IP{} {}", if loopback().is_ipv4() { 4 } else { 6 }, loopback());
    let text = format!(
        "v=0\no=- 0 0 IN {ip}\ns=leat\nc=IN {ip}\nt=0 0\n\
         m=video {video} {profile} 101\na=rtpmap:101 VP8/90000\n{of_video}\
         m=audio {audio} {profile} 102\na=rtpmap:102 opus/48000/2\n{of_audio}"
    );
    TextFile::new("sdp", &text)
}

/// A receiver has decoded everything without an error.
fn assert_received(receiver: Program, expected: [usize; 2]) {
    let (frames, complaints) = receiver.finish();
    for (stream, expected) in ["0,", "1,"].into_iter().zip(expected) {
        let count = frames.lines().filter(|line| line.starts_with(stream)).count();
        assert_eq!(count, expected, "stream {stream} {complaints}");
    }
    // Whether a decoder found an error.
    let is_fault = |line: &&str| {
        ["error", "rror ", "corrupt", "missed", "Discarding"].iter().any(|word| line.contains(word))
    };
    let faults: Vec<_> = complaints.lines().filter(is_fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

fn has_clean_ingress(counters: &Counters) -> bool {
    let refused =
        [Discard::RtpMalformed, Discard::RtpUnroutable, Discard::RtpUnknownPt, Discard::RtcpMalformed];
    refused.iter().all(|discard| counters.discarded(*discard) == 0)
}

#[test]
fn media_of_ffmpeg_is_played_by_another_ffmpeg() {
    let (_engine, mut controller) = start();
    let port = free_ports(8);
    let from = port + 4;
    let video = VIDEO.source(&mut controller, Some(from), None);
    let audio = AUDIO.source(&mut controller, Some(from + 2), None);
    VIDEO.sink(&mut controller, port, None);
    AUDIO.sink(&mut controller, port + 2, None);
    let sdp = sdp(port, port + 2, None);
    let mut receiver = ffmpeg_receiver(&sdp, [FRAMES; 2]);
    receiver.await_listening(loopback(), port + 3);
    let way =
        |to: SocketAddr, from: u16| format!("rtp://{to}?localrtpport={from}&localrtcpport={}", from + 1);
    let _sender = ffmpeg_sender(&way(video, from), &way(audio, from + 2));
    assert_received(receiver, [FRAMES; 2]);
    // The sender's clocks have arrived too, by RTCP on a separate port.
    let counters = controller.await_counters(|counters| counters.value(Counter::RtcpIn) >= 2);
    assert!(has_clean_ingress(&counters), "{counters:?}");
    assert_eq!(counters.discarded(Discard::PlainStranger), 0);
}

/// ffmpeg is started four times in a row for two seconds each, with these options for its RTP, and one
/// receiver plays all of it. Each start has the same ports again.
fn play_four_starts(comedia: bool, options: &str) {
    let (_engine, mut controller) = start();
    let port = free_ports(8);
    let from = port + 4;
    let port_if_known = |port: u16| (!comedia).then_some(port);
    let video = VIDEO.source(&mut controller, port_if_known(from), None);
    let audio = AUDIO.source(&mut controller, port_if_known(from + 2), None);
    VIDEO.sink(&mut controller, port, None);
    AUDIO.sink(&mut controller, port + 2, None);
    let sdp = sdp(port, port + 2, None);
    // Sixty video and a hundred audio frames per start: this many arrive only if all four are received,
    // nearly from their start.
    let expected = [220, 360];
    let mut receiver = ffmpeg_receiver(&sdp, expected);
    receiver.await_listening(loopback(), port + 3);
    let way = |to: SocketAddr, from: u16| {
        format!("{options} rtp://{to}?localrtpport={from}&localrtcpport={}", from + 1)
    };
    for _ in 0..4 {
        ffmpeg_sender_for(2, &way(video, from), &way(audio, from + 2)).finish();
    }
    assert_received(receiver, expected);
    let counters = controller.await_counters(|counters| counters.value(Counter::RtpIn) >= 4 * (60 + 100));
    assert!(has_clean_ingress(&counters), "{counters:?}");
    // With comedia the first report of either track comes before the address is known.
    let strangers = if comedia { 2 } else { 0 };
    assert!(counters.discarded(Discard::PlainStranger) <= strangers, "{counters:?}");
}

#[test]
fn ffmpeg_started_four_times_continues_with_a_configured_address() {
    play_four_starts(false, "");
}

#[test]
fn ffmpeg_started_four_times_continues_with_comedia() {
    play_four_starts(true, "");
}

#[test]
fn ffmpeg_started_four_times_with_the_same_ssrc_continues() {
    play_four_starts(false, "-ssrc 7");
}

#[test]
fn srtp_passes_from_one_ffmpeg_to_another_and_other_senders_are_dropped() {
    let (_engine, mut controller) = start();
    let port = free_ports(4);
    let profile = SrtpProfile::AesCm128HmacSha1_80;
    let key = |byte: u8| SrtpParameters { profile, key: SrtpKey((byte..byte + 30).collect()) };
    let (video_key, audio_key) = (key(10), key(60));
    let video = VIDEO.source(&mut controller, None, Some(video_key.clone()));
    let audio = AUDIO.source(&mut controller, None, Some(audio_key.clone()));
    // Receivers send with keys too, of which we only see reports.
    let crypto = [(VIDEO, port, key(110)), (AUDIO, port + 2, key(160))].map(|(media, port, theirs)| {
        let ours = media.sink(&mut controller, port, Some(theirs)).expect("the engine has a key");
        format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\n", base64(&ours.key.0))
    });
    let sdp = sdp(port, port + 2, Some(crypto));
    let mut receiver = ffmpeg_receiver(&sdp, [FRAMES; 2]);
    receiver.await_listening(loopback(), port + 3);

    // The first sender to either is an attacker without the key.
    let impostor = UdpSocket::bind((loopback(), 0)).unwrap();
    for seq in 1..=5 {
        let packet = plain_packet(VIDEO.sent_pt, seq);
        impostor.send_to(&packet, video).unwrap();
        impostor.send_to(&packet, audio).unwrap();
    }
    let refused = |counters: &Counters| {
        counters.discarded(Discard::SrtpUnauthenticated) == 10 && counters.value(Counter::RtpIn) == 0
    };
    controller.await_counters(refused);

    let output = |address: SocketAddr, key: &SrtpParameters| {
        let key = base64(&key.key.0);
        format!("-srtp_out_suite AES_CM_128_HMAC_SHA1_80 -srtp_out_params {key} srtp://{address}")
    };
    let _sender = ffmpeg_sender(&output(video, &video_key), &output(audio, &audio_key));
    assert_received(receiver, [FRAMES; 2]);
    let counters = controller.await_counters(|counters| counters.value(Counter::RtpIn) >= 2 * FRAMES as u64);
    assert!(has_clean_ingress(&counters), "{counters:?}");
    assert_eq!(counters.discarded(Discard::SrtpReplayed), 0);
}

/// Forwards the RTP of a sender of H.264, but its parameter sets only once, like encoders that send them at
/// their start.
fn pass_parameter_sets_once(sender: &UdpSocket, out: &UdpSocket, to: SocketAddr) {
    let mut buffer = [0; 2048];
    let mut passed = [false; 32];
    let mut seq = 100u16;
    while let Ok((len, _)) = sender.recv_from(&mut buffer) {
        // Single NAL units: the type is in the byte after the header.
        let kind = usize::from(buffer[12] & 0x1f);
        if matches!(kind, 7 | 8) && std::mem::replace(&mut passed[kind], true) {
            continue;
        }
        buffer[2..4].copy_from_slice(&seq.to_be_bytes());
        seq = seq.wrapping_add(1);
        if out.send_to(&buffer[..len], to).is_err() {
            return;
        }
    }
}

#[test]
fn late_receiver_of_h264_with_parameter_sets_sent_once_decodes_it() {
    let (_engine, mut controller) = start();
    let port = free_ports(8);
    let (from, between) = (port + 4, port + 6);
    let source = H264.source(&mut controller, Some(from), None);
    let bind = |port: u16| {
        let socket = UdpSocket::bind((loopback(), port)).unwrap();
        socket.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        socket
    };
    // The sender's RTCP is dropped.
    let (sender, out, _rtcp) = (bind(between), bind(from), bind(between + 1));
    std::thread::spawn(move || pass_parameter_sets_once(&sender, &out, source));
    let _sender = Program::start(&format!(
        "ffmpeg -hide_banner -nostats -loglevel warning -re -f lavfi -i testsrc2=size=320x240:rate=30:duration=60 \
         -c:v libx264 -preset ultrafast -tune zerolatency -x264-params slice-max-size=1100 -g 15 -b:v 400k -pix_fmt yuv420p \
         -payload_type 96 -rtpflags h264_mode0 -f rtp rtp://{}:{between}",
        url_host()
    ));
    // Some keyframes without parameter sets have passed, and the one with them is not cached any more.
    controller.await_counters(|counters| counters.value(Counter::RtpIn) >= 200);
    let ip = format!("IP{} {}", if loopback().is_ipv4() { 4 } else { 6 }, loopback());
    // The receiver has no other source of parameter sets (`sprop-parameter-sets`).
    let sdp = TextFile::new(
        "sdp",
        &format!(
            "v=0\no=- 0 0 IN {ip}\ns=leat\nc=IN {ip}\nt=0 0\n\
             m=video {port} RTP/AVP 101\na=rtpmap:101 H264/90000\na=fmtp:101 packetization-mode=1\n"
        ),
    );
    let mut receiver = ffmpeg_receiver(&sdp, [FRAMES, FRAMES]);
    receiver.await_listening(loopback(), port + 1);
    H264.sink(&mut controller, port, None);
    let (frames, complaints) = receiver.finish();
    let count = frames.lines().filter(|line| line.starts_with("0,")).count();
    assert_eq!(count, FRAMES, "{complaints}");
}

/// Loopback as URLs have it.
fn url_host() -> String {
    match loopback() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn plain_packet(pt: u8, seq: u16) -> Vec<u8> {
    let mut packet = crate::caller::audio_packet(seq);
    packet.header.payload_type = pt;
    packet.marshal().unwrap().to_vec()
}

/// The receiving part of a GStreamer pipeline: decodes this number of frames, then ends.
fn gstreamer_receiver(port: u16, media: Media, decoder: &str, frames: usize) -> Program {
    let (kind, name) = match media.kind {
        Kind::Video => ("video", "VP8"),
        Kind::Audio => ("audio", "OPUS"),
    };
    let (clock_rate, pt) = (media.clock_rate_hz, media.received_pt);
    Program::start(&format!(
        "gst-launch-1.0 -q udpsrc address={} port={port} \
         caps=application/x-rtp,media={kind},encoding-name={name},clock-rate={clock_rate},payload={pt} \
         ! rtpjitterbuffer ! {decoder} ! fakesink num-buffers={frames}",
        loopback()
    ))
}

#[test]
fn media_of_gstreamer_is_played_by_another_gstreamer() {
    let (_engine, mut controller) = start();
    let port = free_ports(4);
    let [video, audio] = [VIDEO, AUDIO].map(|media| media.source(&mut controller, None, None).port());
    VIDEO.sink(&mut controller, port, None);
    AUDIO.sink(&mut controller, port + 2, None);
    let receivers = [
        gstreamer_receiver(port, VIDEO, "rtpvp8depay ! vp8dec", FRAMES),
        gstreamer_receiver(port + 2, AUDIO, "rtpopusdepay ! opusdec", FRAMES),
    ];
    let receivers = receivers.into_iter().zip([port, port + 2]).map(|(mut receiver, port)| {
        receiver.await_listening(loopback(), port);
        receiver
    });
    let receivers: Vec<Program> = receivers.collect();
    // With RTCP, as in its manual: from other ports than RTP.
    let host = loopback();
    let way = |session: u8, port: u16| {
        format!(
            "rtp.send_rtp_src_{session} ! udpsink host={host} port={port} \
             rtp.send_rtcp_src_{session} ! udpsink host={host} port={} sync=false async=false",
            port + 1
        )
    };
    let _sender = Program::start(&format!(
        "gst-launch-1.0 -q rtpbin name=rtp \
         videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay pt=96 ! rtp.send_rtp_sink_0 {} \
         audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97 ! rtp.send_rtp_sink_1 {}",
        way(0, video),
        way(1, audio)
    ));
    receivers.into_iter().for_each(assert_decoded);
    let counters = controller.await_counters(|counters| counters.value(Counter::RtcpIn) >= 2);
    assert!(has_clean_ingress(&counters), "{counters:?}");
    assert_eq!(counters.discarded(Discard::PlainStranger), 0);
}

/// A receiving pipeline has ended without an error of a depayloader or a decoder.
fn assert_decoded(receiver: Program) {
    let (_, complaints) = receiver.finish();
    let is_fault = |line: &&str| ["ERROR", "depay", "dec"].iter().any(|word| line.contains(word));
    let faults: Vec<_> = complaints.lines().filter(is_fault).collect();
    assert!(faults.is_empty(), "{complaints}");
}

/// GStreamer is started four times in a row for two seconds each, and one receiver of each kind plays all of
/// it.
#[test]
fn gstreamer_started_four_times_continues() {
    let (_engine, mut controller) = start();
    let port = free_ports(8);
    let from = port + 4;
    let video = VIDEO.source(&mut controller, Some(from), None).port();
    let audio = AUDIO.source(&mut controller, Some(from + 2), None).port();
    VIDEO.sink(&mut controller, port, None);
    AUDIO.sink(&mut controller, port + 2, None);
    // Of sixty video and a hundred audio frames per start.
    let receivers = [
        gstreamer_receiver(port, VIDEO, "rtpvp8depay ! vp8dec", 220),
        gstreamer_receiver(port + 2, AUDIO, "rtpopusdepay ! opusdec", 360),
    ];
    let receivers = receivers.into_iter().zip([port, port + 2]).map(|(mut receiver, port)| {
        receiver.await_listening(loopback(), port);
        receiver
    });
    let receivers: Vec<Program> = receivers.collect();
    let host = loopback();
    for _ in 0..4 {
        let sender = Program::start(&format!(
            "gst-launch-1.0 -q \
             videotestsrc is-live=true pattern=ball num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1 \
             ! vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay pt=96 \
             ! udpsink host={host} port={video} bind-port={from} \
             audiotestsrc is-live=true num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000 \
             ! opusenc ! rtpopuspay pt=97 ! udpsink host={host} port={audio} bind-port={}",
            from + 2
        ));
        sender.finish();
    }
    receivers.into_iter().for_each(assert_decoded);
    let counters = controller.await_counters(|counters| counters.value(Counter::RtpIn) >= 4 * (60 + 100));
    assert!(has_clean_ingress(&counters), "{counters:?}");
    assert_eq!(counters.discarded(Discard::PlainStranger), 0);
}

#[test]
fn a_browser_receives_ffmpeg_and_is_received_outside() {
    let (engine, mut controller) = start();
    let source = AUDIO.source(&mut controller, None, None);
    let mut caller = join(&engine, &mut controller, SUBSCRIBING, Family::udp());
    let consume = Consume { transport: SUBSCRIBING, ..consume(SUBSCRIBING, ProducerId(AUDIO.ids), CONSUMER) };
    controller.demand(Command::Consume(consume));
    caller.connect();
    let _sender = Program::start(&format!(
        "ffmpeg -hide_banner -nostats -loglevel warning -re -f lavfi -i sine=sample_rate=48000:duration=30 \
         -c:a libopus -ac 2 -payload_type 97 -f rtp rtp://{source}"
    ));
    let packets = caller.receive(50);
    for pair in packets.windows(2) {
        let [before, after] = [&pair[0].header, &pair[1].header];
        assert_eq!((after.payload_type, after.ssrc), (RECEIVED_PT, RECEIVED_SSRC));
        assert_eq!(after.sequence_number, before.sequence_number.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(960), "20 ms of Opus");
    }

    // And back: the browser's audio arrives at an unencrypted receiver outside.
    let outside = UdpSocket::bind((loopback(), 0)).unwrap();
    outside.set_read_timeout(Some(crate::PATIENCE)).unwrap();
    let transport = TransportId(AUDIO.ids + 1);
    let (address, _) = make(&mut controller, CreatePlainTransport { rtcp_mux: true, ..create(transport) });
    let remote = outside.local_addr().ok();
    let connect = ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp: None };
    controller.demand(Command::ConnectPlainTransport(connect));
    let mut publisher = join(&engine, &mut controller, PUBLISHING, Family::udp());
    controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
    let codecs = vec![AUDIO.codec(AUDIO.received_pt)];
    controller.demand(Command::Consume(Consume { producer: PRODUCER, codecs, ..AUDIO.consume() }));
    publisher.connect();
    let mut buffer = [0; 2048];
    for seq in 500..520 {
        publisher.publish(&crate::caller::audio_packet(seq));
        let (len, from) = outside.recv_from(&mut buffer).unwrap();
        let packet = Packet::unmarshal(&mut &buffer[..len]).unwrap();
        assert_eq!((from, packet.header.payload_type), (address, AUDIO.received_pt));
        assert_eq!(packet.payload[..], crate::caller::payload(seq));
    }
}

#[test]
fn media_injected_by_a_third_host_is_dropped() {
    let (_engine, mut controller) = start();
    let bind = |ip: IpAddr| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        socket
    };
    // All of 127/8 belongs to this host; IPv6 has one address, so the third host is another port.
    let elsewhere = if loopback().is_ipv4() { IpAddr::from([127, 0, 0, 2]) } else { loopback() };
    let [sender, neighbour, third, receiver] = [loopback(), loopback(), elsewhere, loopback()].map(bind);
    let transport = TransportId(AUDIO.ids);
    let (source, _) = make(&mut controller, CreatePlainTransport { rtcp_mux: true, ..create(transport) });
    controller.demand(Command::Produce(AUDIO.produce()));
    AUDIO.sink(&mut controller, receiver.local_addr().unwrap().port(), None);
    let inject = || {
        for seq in 1..=10 {
            neighbour.send_to(&plain_packet(AUDIO.sent_pt, seq), source).unwrap();
            third.send_to(&plain_packet(AUDIO.sent_pt, seq), source).unwrap();
        }
    };
    inject();
    let connect =
        ConnectPlainTransport { transport, remote: sender.local_addr().ok(), rtcp_remote: None, srtp: None };
    controller.demand(Command::ConnectPlainTransport(connect));
    inject();
    let mut buffer = [0; 2048];
    for seq in 100..110 {
        sender.send_to(&plain_packet(AUDIO.sent_pt, seq), source).unwrap();
        inject();
        let (len, _) = receiver.recv_from(&mut buffer).unwrap();
        let packet = Packet::unmarshal(&mut &buffer[..len]).unwrap();
        assert_eq!(packet.payload[..], crate::caller::payload(seq));
    }
    let counters =
        controller.await_counters(|counters| counters.discarded(Discard::PlainStranger) == 12 * 20);
    assert_eq!((counters.value(Counter::RtpIn), counters.value(Counter::RtpOut)), (10, 10));
    receiver.set_read_timeout(Some(SILENCE)).unwrap();
    // Reports may still come; media does not.
    while let Ok((len, _)) = receiver.recv_from(&mut buffer) {
        assert!(len > 1 && (192..224).contains(&buffer[1]), "{:?}", &buffer[..len]);
    }
}

#[test]
fn ports_are_reused_and_can_be_exhausted() {
    let first = free_ports(4);
    let engine = Engine::start_with(&["--workers", "1", "--plain-ports", &format!("{first}-{}", first + 3)]);
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let ports = [0, 1].map(|nth| make(&mut controller, create(TransportId(nth))).0.port());
    assert_eq!(ports, [first, first + 2]);
    let third = Command::CreatePlainTransport(create(TransportId(2)));
    let Event::Refused { text, .. } = controller.request(third.clone()) else { panic!("there is no port") };
    assert!(text.as_str().contains("port"), "{text:?}");
    controller.demand(Command::CloseTransport { transport: TransportId(0) });
    let deadline = std::time::Instant::now() + crate::PATIENCE;
    while UdpSocket::bind((loopback(), first)).is_err() {
        assert!(std::time::Instant::now() < deadline, "the port is not free again");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(controller.request(third), Event::PlainTransportCreated { .. }));
}

use super::*;

fn at(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(10_000 + ms)
}

/// A packet every 20 ms of this level.
fn on_audio_level(voice: &mut Voice, ms: std::ops::Range<u64>, level_dbov: u8) {
    ms.step_by(20).for_each(|ms| voice.on_level(at(ms), level_dbov));
}

#[test]
fn levels_are_converted_and_rounded() {
    for level in 0..=127 {
        assert_eq!(Loudness::from_level(level).dbov(), -(level as i8));
    }
    assert_eq!(Loudness::from_level(255).dbov(), -127);
    assert_eq!(Loudness(127).dbov(), -127);
    assert_eq!(Loudness(128).dbov(), -126);
}

#[test]
fn speech_is_counted_on_every_scale() {
    let mut voice = Voice::new();
    on_audio_level(&mut voice, 0..2_000, 90);
    assert_eq!((voice.medium(), voice.long(), voice.is_active()), (0, 0, false));
    on_audio_level(&mut voice, 2_000..2_200, 30);
    assert_eq!((voice.medium(), voice.long(), voice.is_active()), (10, 10, true));
    assert_eq!(voice.loudness().dbov(), -30);
    on_audio_level(&mut voice, 2_200..4_000, 30);
    assert_eq!((voice.medium(), voice.long()), (MEDIUM_SLOTS, LONG_SLOTS));
}

#[test]
fn a_gap_is_one_packet_long_and_then_silence() {
    let mut voice = Voice::new();
    on_audio_level(&mut voice, 0..1_000, 30);
    voice.catch_up(at(1_020));
    assert_eq!(voice.medium(), MEDIUM_SLOTS, "the packet may be one of 60 ms");
    voice.catch_up(at(1_220));
    assert_eq!(voice.medium(), 10 - 2 + 2);
    assert!(voice.loudness() > Loudness::db(50) && voice.loudness() < Loudness::db(97));
    voice.catch_up(at(60_000));
    assert_eq!((voice.long(), voice.loudness()), (0, Loudness(0)));
}

#[test]
fn long_and_short_packets_count_the_same() {
    let mut by_packet_len = [10, 20, 40, 60].map(|step| {
        let mut voice = Voice::new();
        (0..1_200).step_by(step).for_each(|ms| voice.on_level(at(ms), 30));
        voice.catch_up(at(1_199));
        (voice.medium(), voice.long())
    });
    by_packet_len.sort_unstable();
    assert_eq!(by_packet_len, [(20, 60); 4]);
}

#[test]
fn constant_noise_becomes_the_floor_and_speech_does_not() {
    let mut fan = Voice::new();
    on_audio_level(&mut fan, 0..10_000, 50);
    assert_eq!(fan.long(), 0);
    // Words of half a second, pauses of a fifth.
    let mut speech = Voice::new();
    for word in 0..20 {
        on_audio_level(&mut speech, word * 700..word * 700 + 500, 30);
        on_audio_level(&mut speech, word * 700 + 500..word * 700 + 700, 75);
    }
    assert!(speech.long() >= 35, "{}", speech.long());
}

#[test]
fn late_packets_change_no_older_slot() {
    let mut voice = Voice::new();
    on_audio_level(&mut voice, 0..400, 90);
    voice.on_level(at(300), 30);
    assert_eq!(voice.medium(), 1, "the newest slot is active");
}

use super::*;
use machine::Rng;
use std::collections::BTreeSet;

/// Simulated voices, one packet every 20 ms, and the forwarded ones.
struct Room {
    ms: u64,
    voices: Vec<Voice>,
    loudest: Loudest<usize>,
    forwarded: BTreeSet<usize>,
    /// Forwarded packets per producer, and how often a place was lost.
    packets: Vec<u64>,
    losses: u64,
}

impl Room {
    fn new(voices: usize, places: u8) -> Self {
        Self {
            ms: 0,
            voices: vec![Voice::new(); voices],
            loudest: Loudest::new(places),
            forwarded: BTreeSet::new(),
            packets: vec![0; voices],
            losses: 0,
        }
    }

    fn run(&mut self, ms: u64, mut level: impl FnMut(u64, usize) -> u8) {
        let end = self.ms + ms;
        while self.ms < end {
            let now = Instant::EPOCH + Duration::from_millis(self.ms);
            for key in 0..self.voices.len() {
                self.voices[key].on_level(now, level(self.ms, key));
                let voices = &mut self.voices;
                if !self.forwarded.contains(&key) {
                    let voice = voices[key];
                    let admission = self.loudest.admit(now, key, &voice, |holder| {
                        voices[holder].catch_up(now);
                        Some(voices[holder])
                    });
                    match admission {
                        Admission::Refused => continue,
                        Admission::Admitted => {}
                        Admission::InsteadOf(other) => {
                            assert!(self.forwarded.remove(&other));
                            self.losses += 1;
                        }
                    }
                    self.forwarded.insert(key);
                }
                self.packets[key] += 1;
            }
            assert!(self.forwarded.len() <= self.loudest.len_max);
            self.ms += 20;
        }
    }
}

#[test]
fn a_new_speaker_is_forwarded_from_its_first_packet() {
    let mut room = Room::new(100, 3);
    room.run(2_000, |_, _| 90);
    for turn in 0..50usize {
        let speaker = 50 + turn % 50;
        let before = room.packets[speaker];
        room.run(2_000, |_, key| if key == speaker { 30 } else { 90 });
        assert_eq!(room.packets[speaker] - before, 100, "turn {turn}");
    }
}

#[test]
fn a_place_is_kept_in_pauses_between_words() {
    let mut room = Room::new(10, 3);
    // Three speak in turns of words, seven make a short noise at any time.
    let mut rng = Rng::from_number(5);
    room.run(3_000, |ms, key| if key < 3 && ms % 1_500 < 700 { 30 } else { 90 });
    let losses = room.losses;
    room.run(60_000, |ms, key| match key {
        0..3 if ms % 1_500 < 700 => 30,
        3.. if rng.chance(0.05) => 20,
        _ => 90,
    });
    assert_eq!(room.losses, losses, "a place was lost in a pause");
}

#[test]
fn the_clearly_loudest_of_many_speakers_are_forwarded() {
    let mut room = Room::new(10, 3);
    // The quiet ones are first.
    room.run(3_000, |_, key| if key < 5 { 45 } else { 90 });
    room.run(5_000, |_, key| {
        if key < 5 {
            45
        } else if key < 8 {
            25
        } else {
            90
        }
    });
    assert_eq!(room.forwarded, BTreeSet::from([5, 6, 7]));
}

#[test]
fn equally_loud_speakers_do_not_alternate() {
    let mut rng = Rng::from_number(7);
    let mut room = Room::new(8, 3);
    room.run(60_000, |_, _| 30 + rng.below(5) as u8);
    assert_eq!(room.losses, 0);
}

#[test]
fn the_place_of_a_closed_producer_is_free() {
    let mut loudest = Loudest::new(1);
    let now = Instant::EPOCH + Duration::from_secs(1);
    let mut speaking = Voice::new();
    speaking.on_level(now, 20);
    assert_eq!(loudest.admit(now, 1, &speaking, |_| None), Admission::Admitted);
    assert_eq!(loudest.admit(now, 2, &speaking, |_| Some(speaking)), Admission::Refused);
    assert_eq!(loudest.admit(now, 2, &speaking, |_| None), Admission::InsteadOf(1));
    loudest.retain(|holder| holder != 2);
    assert_eq!(loudest.admit(now, 3, &Voice::new(), |_| None), Admission::Admitted);
}

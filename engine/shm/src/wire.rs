//! The two messages of the handshake, as bytes. Both begin the same way in every version (the magic, then the
//! versions), so that any controller can read a refusal.
//!
//! ```text
//! Hello    magic u64 | layout version u32 | protocol version u32
//! Answer   magic u64 | layout version u32 | protocol version u32 | reason u32 | sentence bytes u32
//!          | workers u32 | reserved u32 | engine epoch u64 | region bytes u64 | sentence
//! ```
//!
//! All numbers are little-endian. Reason 0 is a welcome: the descriptors come with its first byte.

use crate::layout::{LAYOUT_VERSION, MAGIC};
use crate::limits::SENTENCE_BYTES_MAX;
use std::fmt;

/// Bytes of a hello.
pub(crate) const HELLO_BYTES: usize = 16;
/// Bytes of an answer without its sentence.
pub(crate) const ANSWER_BYTES: usize = 48;

/// The first message of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) magic: u64,
    pub(crate) layout_version: u32,
    pub(crate) protocol_version: u32,
}

impl Hello {
    pub(crate) fn new(protocol_version: u32) -> Self {
        Self { magic: MAGIC, layout_version: LAYOUT_VERSION, protocol_version }
    }

    pub(crate) fn encode(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&self.magic.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.layout_version.to_le_bytes());
        bytes[12..].copy_from_slice(&self.protocol_version.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HELLO_BYTES]) -> Self {
        Self {
            magic: u64_at(bytes, 0),
            layout_version: u32_at(bytes, 8),
            protocol_version: u32_at(bytes, 12),
        }
    }

    /// Why an engine with `protocol_version` cannot serve this controller, if so.
    pub(crate) fn objection(self, protocol_version: u32) -> Option<Refusal> {
        if self.magic != MAGIC {
            return Some(Refusal::new(
                RefusalReason::NotAController,
                "what connected does not speak the attach protocol".into(),
            ));
        }
        if self.layout_version != LAYOUT_VERSION {
            let sentence = format!(
                "the controller knows ring layout {}, this engine {LAYOUT_VERSION}: run the same release of both",
                self.layout_version
            );
            return Some(Refusal::new(RefusalReason::LayoutVersion, sentence));
        }
        if self.protocol_version != protocol_version {
            let sentence = format!(
                "the controller speaks command protocol {}, this engine {protocol_version}: run the same release of both",
                self.protocol_version
            );
            return Some(Refusal::new(RefusalReason::ProtocolVersion, sentence));
        }
        None
    }
}

/// Why the engine refused a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The first bytes are not those of the attach protocol.
    NotAController,
    /// Another ring layout ([`LAYOUT_VERSION`]).
    LayoutVersion,
    /// Another version of the commands.
    ProtocolVersion,
    /// Another controller is attached. Try again after it has detached.
    Busy,
    /// The hello did not arrive in time.
    TooSlow,
    /// The engine could not create a region; check its memory and descriptor limits.
    EngineFault,
    /// An unknown reason; the text explains it.
    Other(u32),
}

impl RefusalReason {
    const KNOWN: [Self; 6] = [
        Self::NotAController,
        Self::LayoutVersion,
        Self::ProtocolVersion,
        Self::Busy,
        Self::TooSlow,
        Self::EngineFault,
    ];

    /// The number in the message; never 0, which is a welcome.
    fn code(self) -> u32 {
        match self {
            Self::NotAController => 1,
            Self::LayoutVersion => 2,
            Self::ProtocolVersion => 3,
            Self::Busy => 4,
            Self::TooSlow => 5,
            Self::EngineFault => 6,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u32) -> Self {
        Self::KNOWN.into_iter().find(|known| known.code() == code).unwrap_or(Self::Other(code))
    }
}

/// The engine's refusal, with a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the program.
    pub reason: RefusalReason,
    /// For people.
    pub sentence: String,
}

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, sentence: String) -> Self {
        Self { reason, sentence }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// The engine's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Welcome { workers: u16, engine_epoch: u64, region_bytes: u64 },
    Refused(Refusal),
}

impl Answer {
    pub(crate) fn encode(&self, protocol_version: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES + SENTENCE_BYTES_MAX);
        let (code, sentence, workers, epoch, region) = match self {
            Self::Welcome { workers, engine_epoch, region_bytes } => {
                (0, "", u32::from(*workers), *engine_epoch, *region_bytes)
            }
            Self::Refused(refusal) => (refusal.reason.code(), cut(&refusal.sentence), 0, 0, 0),
        };
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        for number in [LAYOUT_VERSION, protocol_version, code, sentence.len() as u32, workers, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&epoch.to_le_bytes());
        bytes.extend_from_slice(&region.to_le_bytes());
        bytes.extend_from_slice(sentence.as_bytes());
        bytes
    }

    /// `None` while `bytes` is an incomplete answer.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some(fixed) = bytes.first_chunk::<ANSWER_BYTES>() else {
            return Ok(None);
        };
        if u64_at(fixed, 0) != MAGIC {
            return Err("what listens there does not speak the attach protocol");
        }
        let code = u32_at(fixed, 16);
        if code != 0 {
            let len = u32_at(fixed, 20) as usize;
            if len > SENTENCE_BYTES_MAX {
                return Err("the engine's refusal is longer than any refusal may be");
            }
            let Some(sentence) = bytes.get(ANSWER_BYTES..ANSWER_BYTES + len) else {
                return Ok(None);
            };
            let sentence = String::from_utf8_lossy(sentence).into_owned();
            return Ok(Some(Self::Refused(Refusal::new(RefusalReason::from_code(code), sentence))));
        }
        if u32_at(fixed, 8) != LAYOUT_VERSION {
            return Err("the engine welcomes with another ring layout than was asked for");
        }
        let workers =
            u16::try_from(u32_at(fixed, 24)).map_err(|_| "the engine claims more workers than possible")?;
        Ok(Some(Self::Welcome { workers, engine_epoch: u64_at(fixed, 32), region_bytes: u64_at(fixed, 40) }))
    }
}

/// The longest beginning of `sentence` that can be sent.
fn cut(sentence: &str) -> &str {
    &sentence[..sentence.floor_char_boundary(SENTENCE_BYTES_MAX)]
}

/// The little-endian word at a constant offset inside a message of fixed length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_round_trip_and_every_prefix_is_incomplete() {
        let busy = Refusal::new(RefusalReason::Busy, "another controller is attached".into());
        for answer in [
            Answer::Welcome { workers: 3, engine_epoch: 0x0123_4567_89AB_CDEF, region_bytes: 1 << 33 },
            Answer::Refused(busy),
            Answer::Refused(Refusal::new(RefusalReason::Other(77), String::new())),
        ] {
            let bytes = answer.encode(9);
            assert_eq!(Answer::decode(&bytes), Ok(Some(answer)));
            for len in 0..bytes.len() {
                assert_eq!(Answer::decode(&bytes[..len]), Ok(None), "{len} bytes");
            }
        }
    }

    #[test]
    fn a_hello_is_sixteen_bytes_and_round_trips() {
        let hello = Hello { magic: MAGIC, layout_version: 5, protocol_version: 0xA5A5_0001 };
        assert_eq!(&hello.encode()[..8], b"LEATRING");
        assert_eq!(Hello::decode(&hello.encode()), hello);
    }

    #[test]
    fn an_objection_names_both_versions() {
        assert_eq!(Hello::new(4).objection(4), None);
        let refusal = Hello::new(3).objection(4).expect("another protocol");
        assert_eq!(refusal.reason, RefusalReason::ProtocolVersion);
        assert!(refusal.sentence.contains("protocol 3") && refusal.sentence.contains("engine 4"));
        let other_layout = Hello { layout_version: 77, ..Hello::new(4) };
        let refusal = other_layout.objection(4).expect("another layout");
        assert_eq!(refusal.reason, RefusalReason::LayoutVersion);
        assert!(refusal.sentence.contains("77"));
    }

    #[test]
    fn a_long_sentence_is_cut_at_a_character() {
        let refusal = Refusal::new(RefusalReason::EngineFault, "é".repeat(SENTENCE_BYTES_MAX));
        let bytes = Answer::Refused(refusal).encode(1);
        let Ok(Some(Answer::Refused(back))) = Answer::decode(&bytes) else { panic!("a refusal") };
        assert_eq!(back.sentence, "é".repeat(SENTENCE_BYTES_MAX / 2));
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400))| {
            let _ = Answer::decode(&bytes);
            let mut ours = Answer::Welcome { workers: 1, engine_epoch: 1, region_bytes: 1 }.encode(1);
            ours.truncate(8);
            ours.extend(bytes);
            let _ = Answer::decode(&ours);
        });
    }
}

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
use crate::limits::{SENTENCE_BYTES_MAX, VERSION_SKEW_MAX};
use crate::versions::Versions;
use std::borrow::Cow;
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

    /// Why an engine of these versions cannot serve this controller, if so.
    pub(crate) fn objection(self, versions: Versions) -> Option<Refusal> {
        if self.magic != MAGIC {
            return Some(Refusal::new(
                RefusalReason::NotAController,
                "the client does not use the attach protocol".into(),
            ));
        }
        if self.layout_version != LAYOUT_VERSION {
            let sentence = format!(
                "the controller uses ring layout {}, this engine {LAYOUT_VERSION}: run the same release of both",
                self.layout_version
            );
            return Some(Refusal::new(RefusalReason::LayoutVersion, sentence));
        }
        if !versions.accepts(self.protocol_version) {
            let sentence = format!(
                "the controller has protocol version {}, this engine {} (it accepts {versions}): install releases whose protocol versions differ by at most {VERSION_SKEW_MAX}",
                self.protocol_version, versions.own
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

    /// The answer and the protocol version of the engine. `None` while `bytes` is incomplete.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Self, u32)>, Cow<'static, str>> {
        let Some(fixed) = bytes.first_chunk::<ANSWER_BYTES>() else {
            return Ok(None);
        };
        if u64_at(fixed, 0) != MAGIC {
            return Err("the process at this socket is not an engine".into());
        }
        let (protocol_version, code) = (u32_at(fixed, 12), u32_at(fixed, 16));
        if code != 0 {
            let len = u32_at(fixed, 20) as usize;
            if len > SENTENCE_BYTES_MAX {
                return Err(format!("the engine's refusal exceeds {SENTENCE_BYTES_MAX} bytes").into());
            }
            let Some(sentence) = bytes.get(ANSWER_BYTES..ANSWER_BYTES + len) else {
                return Ok(None);
            };
            let sentence = String::from_utf8_lossy(sentence).into_owned();
            let refusal = Refusal::new(RefusalReason::from_code(code), sentence);
            return Ok(Some((Self::Refused(refusal), protocol_version)));
        }
        if u32_at(fixed, 8) != LAYOUT_VERSION {
            return Err("the engine answered with a different ring layout version".into());
        }
        let workers =
            u16::try_from(u32_at(fixed, 24)).map_err(|_| "the engine claims more workers than possible")?;
        let (engine_epoch, region_bytes) = (u64_at(fixed, 32), u64_at(fixed, 40));
        Ok(Some((Self::Welcome { workers, engine_epoch, region_bytes }, protocol_version)))
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
mod tests;

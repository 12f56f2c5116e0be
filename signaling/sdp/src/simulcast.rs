//! The simulcast line (RFC 8853 §5.1).

use crate::attribute::token;
use crate::limits::RIDS_MAX;

/// A RID in a simulcast line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RidChoice {
    /// The RID.
    pub rid: String,
    /// Paused at the start: `~` before the RID.
    pub is_paused: bool,
}

/// The streams of a section in each direction, the preferred alternative of each first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulcast {
    /// Streams that the author of the description sends.
    pub send: Vec<Vec<RidChoice>>,
    /// Streams that it receives.
    pub recv: Vec<Vec<RidChoice>>,
}

impl Simulcast {
    /// Reads the value of `a=simulcast`. `None` if the form is wrong.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        while let Some(direction) = words.next() {
            let streams = streams(words.next()?)?;
            let list = match direction {
                "send" => &mut found.send,
                "recv" => &mut found.recv,
                _ => return None,
            };
            if !list.is_empty() {
                return None;
            }
            *list = streams;
        }
        (found != Self::default()).then_some(found)
    }

    /// The preferred RID of each stream that the author sends.
    pub fn sent_rids(&self) -> impl Iterator<Item = &str> {
        self.send.iter().filter_map(|choices| choices.first()).map(|choice| choice.rid.as_str())
    }
}

fn streams(text: &str) -> Option<Vec<Vec<RidChoice>>> {
    // An older form had "rid=" before the list.
    let text = text.strip_prefix("rid=").unwrap_or(text);
    let mut count = 0;
    let mut choice = |text: &str| {
        count += 1;
        let rid = text.strip_prefix('~').unwrap_or(text);
        (count <= RIDS_MAX).then_some(())?;
        Some(RidChoice { rid: token(rid)?, is_paused: text.starts_with('~') })
    };
    text.split(';').map(|stream| stream.split(',').map(&mut choice).collect()).collect()
}

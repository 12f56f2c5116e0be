//! `media.yml`: the codecs of every room, and how clients encode.
//!
//! YAML 1.2, parsed by [saphyr] and checked key by key, so that an error names its line, its key and what is
//! expected. The names of codecs are defined in [`crate::ortc`].

use crate::limits;
use crate::ortc::{ScalabilityMode, scalability};
use control::limits::PLAYOUT_DELAY_MS_MAX;
use control::{Codec, PlayoutDelay};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use std::cmp::Reverse;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The content of `media.yml`. The default is the built-in file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// Video codecs of every room, the preferred first. Not empty, without duplicates.
    pub video_codecs: Vec<Codec>,
    /// Layers of cameras.
    pub scalability_mode: ScalabilityMode,
    /// Playout delay for receivers; `None`: their own choice.
    pub playout_delay: Option<PlayoutDelay>,
    /// Encoding of audio.
    pub opus: Opus,
    /// Every priority in the file is at most [`LOW_PRIORITY_MAX`]: the file may have been written when 1 was
    /// the first choice.
    pub has_only_low_priorities: bool,
}

/// `audio.opus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opus {
    /// Two channels.
    pub stereo: bool,
    /// Discontinuous transmission: hardly any packets during silence (RFC 6716 §2.1.9).
    pub dtx: bool,
}

/// The file is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaConfigError {
    /// Not YAML.
    #[error("line {line}: not YAML: {what}")]
    Syntax {
        /// From 1.
        line: usize,
        /// The error of the parser.
        what: String,
    },
    /// A key or its value is invalid.
    #[error("line {line}: {key} {value}: expected {expected}")]
    Value {
        /// From 1.
        line: usize,
        /// For example `video.codecs[0].name`.
        key: String,
        /// The value in the file.
        value: String,
        /// What is expected.
        expected: String,
    },
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaFileError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// The file is too long.
    #[error("it is longer than {} bytes", limits::MEDIA_FILE_BYTES_MAX)]
    TooLong,
    /// The content is invalid.
    #[error(transparent)]
    MediaConfigError(#[from] MediaConfigError),
}

const BUILT_IN: &str = include_str!("../../config/media.yml");

/// Names of codecs in the file.
const CODECS: [(&str, Codec); 4] =
    [("VP8", Codec::Vp8), ("VP9", Codec::Vp9), ("H264", Codec::H264), ("AV1", Codec::Av1)];

/// Maximum priority.
const PRIORITY_MAX: i64 = 1_000;

/// When 1 was the first choice, files numbered their four codecs from 1.
pub const LOW_PRIORITY_MAX: i64 = 10;

impl Default for MediaConfig {
    fn default() -> Self {
        let nothing = Self {
            video_codecs: vec![],
            scalability_mode: ScalabilityMode::SINGLE,
            playout_delay: None,
            opus: Opus { stereo: false, dtx: false },
            has_only_low_priorities: false,
        };
        nothing.overlaid_with(BUILT_IN).expect("the built-in media.yml is valid: a test parses it")
    }
}

impl MediaConfig {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, MediaFileError> {
        let mut text = String::new();
        let max = limits::MEDIA_FILE_BYTES_MAX;
        File::open(path)?.take(max + 1).read_to_string(&mut text)?;
        if text.len() as u64 > max {
            return Err(MediaFileError::TooLong);
        }
        Ok(Self::parse(&text)?)
    }

    /// Parses `text`; what it does not set stays as in the built-in file.
    pub fn parse(text: &str) -> Result<Self, MediaConfigError> {
        Self::default().overlaid_with(text)
    }

    fn overlaid_with(mut self, text: &str) -> Result<Self, MediaConfigError> {
        let documents = MarkedYaml::load_from_str(text).map_err(|error| MediaConfigError::Syntax {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        let root = match documents.as_slice() {
            // Only comments.
            [] => return Ok(self),
            [root] => root,
            [_, second, ..] => {
                let what = "a second document starts; expected one".to_owned();
                return Err(MediaConfigError::Syntax { line: second.span.start.line(), what });
            }
        };
        let root = Node { key: String::new(), line: 1, yaml: root };
        for (name, node) in root.entries(&["video", "audio"])? {
            match name {
                "video" => self.read_video(&node)?,
                _ => self.read_audio(&node)?,
            }
        }
        Ok(self)
    }

    fn read_video(&mut self, video: &Node<'_>) -> Result<(), MediaConfigError> {
        for (name, node) in video.entries(&["codecs", "scalabilityMode", "playoutDelay"])? {
            match name {
                "codecs" => {
                    let codecs = codecs(&node)?;
                    self.has_only_low_priorities =
                        codecs.iter().all(|(priority, _)| *priority <= LOW_PRIORITY_MAX);
                    self.video_codecs = codecs.into_iter().map(|(_, codec)| codec).collect();
                }
                "playoutDelay" => self.playout_delay = playout_delay(&node)?,
                _ => {
                    let mode = node.text().and_then(|text| text.parse().ok());
                    self.scalability_mode = mode.ok_or_else(|| node.invalid(scalability::EXPECTED))?;
                }
            }
        }
        Ok(())
    }

    fn read_audio(&mut self, audio: &Node<'_>) -> Result<(), MediaConfigError> {
        for (_, opus) in audio.entries(&["opus"])? {
            for (name, node) in opus.entries(&["stereo", "dtx"])? {
                let value = node.yaml.data.as_bool().ok_or_else(|| node.invalid("true or false"))?;
                match name {
                    "stereo" => self.opus.stereo = value,
                    _ => self.opus.dtx = value,
                }
            }
        }
        Ok(())
    }
}

/// Parses both bounds, or neither.
fn playout_delay(delay: &Node<'_>) -> Result<Option<PlayoutDelay>, MediaConfigError> {
    let max = PLAYOUT_DELAY_MS_MAX;
    let (mut least, mut most) = (None, None);
    for (name, node) in delay.entries(&["min", "max"])? {
        let within = |ms: i64| u16::try_from(ms).ok().filter(|ms| *ms <= max);
        let ms = node.yaml.data.as_integer().and_then(within);
        let ms =
            ms.ok_or_else(|| node.invalid(&format!("a whole number of milliseconds from 0 to {max}")))?;
        match name {
            "min" => least = Some(ms),
            _ => most = Some((ms, node)),
        }
    }
    match (least, most) {
        (None, None) => Ok(None),
        (Some(min_ms), Some((max_ms, _))) if min_ms <= max_ms => Ok(Some(PlayoutDelay { min_ms, max_ms })),
        (Some(_), Some((_, node))) => Err(node.invalid("no less than min")),
        (None, Some(_)) => Err(delay.missing("min", "milliseconds")),
        (Some(_), None) => Err(delay.missing("max", "milliseconds")),
    }
}

/// Parses the list of codecs, sorted by priority, the highest first; equal priorities keep the order of the
/// file.
fn codecs(list: &Node<'_>) -> Result<Vec<(i64, Codec)>, MediaConfigError> {
    let wanted = || list.invalid("a list of codecs, each with name and priority");
    let elements = list.yaml.data.as_vec().filter(|list| !list.is_empty()).ok_or_else(wanted)?;
    let mut found: Vec<(i64, Codec)> = Vec::new();
    for (index, yaml) in elements.iter().enumerate() {
        let element = Node { key: format!("{}[{index}]", list.key), line: yaml.span.start.line(), yaml };
        let (mut codec, mut priority) = (None, None);
        for (name, node) in element.entries(&["name", "priority"])? {
            match name {
                "name" => codec = Some(self::codec(&node, &found)?),
                _ => {
                    let number =
                        node.yaml.data.as_integer().filter(|number| (1..=PRIORITY_MAX).contains(number));
                    priority = Some(number.ok_or_else(|| node.invalid(&priority_wanted()))?);
                }
            }
        }
        let codec = codec.ok_or_else(|| element.missing("name", &names()))?;
        found.push((priority.ok_or_else(|| element.missing("priority", &priority_wanted()))?, codec));
    }
    found.sort_by_key(|(priority, _)| Reverse(*priority));
    Ok(found)
}

fn codec(node: &Node<'_>, before: &[(i64, Codec)]) -> Result<Codec, MediaConfigError> {
    let text = node.text().unwrap_or_default();
    let known = CODECS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let (_, codec) = known.ok_or_else(|| node.invalid(&names()))?;
    if before.iter().any(|(_, other)| other == codec) {
        return Err(node.invalid("each codec once"));
    }
    Ok(*codec)
}

fn names() -> String {
    format!("one of {}", CODECS.map(|(name, _)| name).join(", "))
}

fn priority_wanted() -> String {
    format!("a whole number from 1 to {PRIORITY_MAX}, the highest is preferred")
}

/// A value in the file, with its position.
struct Node<'a> {
    key: String,
    line: usize,
    yaml: &'a MarkedYaml<'a>,
}

impl<'a> Node<'a> {
    /// The entries of a mapping with only these keys; empty if there is no value.
    fn entries<'n>(&self, names: &[&'n str]) -> Result<Vec<(&'n str, Node<'a>)>, MediaConfigError> {
        let wanted = format!("a mapping with {}", names.join(" and "));
        let mapping = match &self.yaml.data {
            // A key whose values are all commented out.
            YamlData::Value(Scalar::Null) => return Ok(Vec::new()),
            YamlData::Mapping(mapping) => mapping,
            _ => return Err(self.invalid(&wanted)),
        };
        let entry = |(key, yaml): (&'a MarkedYaml<'a>, &'a MarkedYaml<'a>)| {
            let line = key.span.start.line();
            let name = names.iter().find(|name| key.data.as_str() == Some(name));
            let name = name.ok_or_else(|| MediaConfigError::Value {
                line,
                key: self.child(&plain(key)),
                value: "is not a key of this file".to_owned(),
                expected: names.join(" or "),
            })?;
            Ok((*name, Node { key: self.child(name), line, yaml }))
        };
        mapping.iter().map(entry).collect()
    }

    fn child(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    fn text(&self) -> Option<&str> {
        self.yaml.data.as_str()
    }

    /// The error for an unexpected value.
    fn invalid(&self, expected: &str) -> MediaConfigError {
        let key = if self.key.is_empty() { "the file".to_owned() } else { self.key.clone() };
        // A list starts below its key: its own line is more useful.
        let line = self.yaml.span.start.line().max(self.line);
        MediaConfigError::Value {
            line,
            key,
            value: format!("is {}", shown(self.yaml)),
            expected: expected.to_owned(),
        }
    }

    fn missing(&self, name: &str, expected: &str) -> MediaConfigError {
        let (line, key) = (self.line, self.child(name));
        MediaConfigError::Value { line, key, value: "is missing".to_owned(), expected: expected.to_owned() }
    }
}

/// A value, for an error message.
fn shown(yaml: &MarkedYaml<'_>) -> String {
    match &yaml.data {
        YamlData::Mapping(_) => "a mapping".to_owned(),
        YamlData::Sequence(list) if list.is_empty() => "an empty list".to_owned(),
        YamlData::Sequence(_) => "a list".to_owned(),
        YamlData::Value(Scalar::Null) => "empty".to_owned(),
        YamlData::Value(Scalar::String(_)) => format!("{:?}", plain(yaml)),
        _ => plain(yaml),
    }
}

/// The text of a scalar.
fn plain(yaml: &MarkedYaml<'_>) -> String {
    let text = match &yaml.data {
        YamlData::Value(Scalar::String(text)) => text.to_string(),
        YamlData::Value(Scalar::Boolean(value)) => value.to_string(),
        YamlData::Value(Scalar::Integer(value)) => value.to_string(),
        YamlData::Value(Scalar::FloatingPoint(value)) => value.to_string(),
        _ => "not a scalar".to_owned(),
    };
    text[..text.floor_char_boundary(SHOWN_LEN_MAX)].to_owned()
}

/// Length of a value in an error message.
const SHOWN_LEN_MAX: usize = 40;

#[cfg(test)]
mod tests;

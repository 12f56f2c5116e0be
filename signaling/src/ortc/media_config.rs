//! `media.yml`: the codecs of every room, and how clients are asked to encode.
//!
//! YAML 1.2 ([saphyr] reads it), checked key by key, so that a mistake is told with its line, its key and what belongs there. What the codecs'
//! names mean is [`crate::ortc`]'s business.

use crate::limits;
use crate::ortc::{ScalabilityMode, scalability};
use control::limits::PLAYOUT_DELAY_MS_MAX;
use control::{Codec, PlayoutDelay};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use std::cmp::Reverse;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What `media.yml` says. The default is the file that is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// Video codecs of every room, the preferred first. Never empty, none twice.
    pub video_codecs: Vec<Codec>,
    /// Layers of a camera.
    pub scalability_mode: ScalabilityMode,
    /// How long receivers are to hold frames back; `None`: as they like.
    pub playout_delay: Option<PlayoutDelay>,
    /// How to encode sound.
    pub opus: Opus,
    /// Every priority in the file is at most [`LOW_PRIORITY_MAX`]: it may be a file from when 1 was the first choice.
    pub has_only_low_priorities: bool,
}

/// `audio.opus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opus {
    /// Two channels.
    pub stereo: bool,
    /// Discontinuous transmission: next to nothing while nobody speaks (RFC 6716 §2.1.9).
    pub dtx: bool,
}

/// Something in the file that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaConfigError {
    /// It is no YAML.
    #[error("line {line}: not YAML: {what}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// In the parser's words.
        what: String,
    },
    /// A key or its value.
    #[error("line {line}: {key} {value}: expected {expected}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// For example `video.codecs[0].name`.
        key: String,
        /// What is there.
        value: String,
        /// What belongs there.
        expected: String,
    },
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum MediaFileError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// It is longer than a configuration can be.
    #[error("it is longer than {} bytes", limits::MEDIA_FILE_BYTES_MAX)]
    TooLong,
    /// What is in it makes no sense.
    #[error(transparent)]
    MediaConfigError(#[from] MediaConfigError),
}

const BUILT_IN: &str = include_str!("../../config/media.yml");

/// Names in the file.
const CODECS: [(&str, Codec); 4] =
    [("VP8", Codec::Vp8), ("VP9", Codec::Vp9), ("H264", Codec::H264), ("AV1", Codec::Av1)];

/// The greatest number a priority may be.
const PRIORITY_MAX: i64 = 1_000;

/// Files from when 1 was the first choice numbered their four codecs from 1 on.
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
        nothing.overlaid_with(BUILT_IN).expect("the built-in media.yml is sound: a test reads it")
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

    /// What `text` says, and the built-in file where it says nothing.
    pub fn parse(text: &str) -> Result<Self, MediaConfigError> {
        Self::default().overlaid_with(text)
    }

    fn overlaid_with(mut self, text: &str) -> Result<Self, MediaConfigError> {
        let documents = MarkedYaml::load_from_str(text).map_err(|error| MediaConfigError::Syntax {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        let root = match documents.as_slice() {
            // Nothing but comments.
            [] => return Ok(self),
            [root] => root,
            [_, second, ..] => {
                let what = "a second document begins; expected one".to_owned();
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

/// Both bounds, or nothing.
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

/// The list of codecs, the highest priority first; equal priorities stay in the order of the file.
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

/// A value in the file, and where it is.
struct Node<'a> {
    key: String,
    line: usize,
    yaml: &'a MarkedYaml<'a>,
}

impl<'a> Node<'a> {
    /// The entries of a mapping that has none but these keys; none if nothing is there.
    fn entries<'n>(&self, names: &[&'n str]) -> Result<Vec<(&'n str, Node<'a>)>, MediaConfigError> {
        let wanted = format!("a mapping with {}", names.join(" and "));
        let mapping = match &self.yaml.data {
            // A key with all its values commented out.
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

    /// The value is not what it should be.
    fn invalid(&self, expected: &str) -> MediaConfigError {
        let key = if self.key.is_empty() { "the file".to_owned() } else { self.key.clone() };
        // A list of more lines than its key is better found by where it begins.
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

/// A value as an operator recognises it.
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

/// A scalar's text; of anything else, what it is.
fn plain(yaml: &MarkedYaml<'_>) -> String {
    let text = match &yaml.data {
        YamlData::Value(Scalar::String(text)) => text.to_string(),
        YamlData::Value(Scalar::Boolean(value)) => value.to_string(),
        YamlData::Value(Scalar::Integer(value)) => value.to_string(),
        YamlData::Value(Scalar::FloatingPoint(value)) => value.to_string(),
        _ => "something that is no plain value".to_owned(),
    };
    text[..text.floor_char_boundary(SHOWN_LEN_MAX)].to_owned()
}

/// As much of a value as belongs into a message.
const SHOWN_LEN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_is_sound() {
        let config = MediaConfig::default();
        assert_eq!(config.video_codecs, [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1]);
        assert_eq!(config.scalability_mode.to_string(), "L3T3_KEY");
        assert_eq!(config.opus, Opus { stereo: false, dtx: true });
        assert!(!config.has_only_low_priorities);
        assert_eq!(MediaConfig::parse(BUILT_IN), Ok(config));
    }

    #[test]
    fn the_file_of_the_requirements_prefers_vp8_in_three_layers_and_stereo_without_dtx() {
        let text = include_str!("../../../tests/vectors/media/requirements.yml");
        let config = MediaConfig::parse(text).expect("sound");
        assert_eq!(config.video_codecs, [Codec::Vp8, Codec::H264]);
        assert_eq!(config.scalability_mode.to_string(), "L3T3");
        assert_eq!(config.opus, Opus { stereo: true, dtx: false });
        assert!(!config.has_only_low_priorities);
    }

    #[test]
    fn a_file_whose_priorities_are_all_low_is_marked() {
        let marked = |priorities: [u32; 2]| {
            let [first, second] = priorities;
            let text = format!(
                "video: {{codecs: [{{name: VP9, priority: {first}}}, {{name: VP8, priority: {second}}}]}}"
            );
            MediaConfig::parse(&text).expect("sound").has_only_low_priorities
        };
        assert_eq!([[1, 2], [10, 10], [1, 11], [100, 50]].map(marked), [true, true, false, false]);
        assert!(!MediaConfig::parse("audio: {opus: {stereo: true}}").expect("sound").has_only_low_priorities);
    }

    #[test]
    fn codecs_come_by_descending_priority_and_what_is_left_out_stays() {
        let text = "video:\n  codecs:\n  - {name: H264, priority: 30}\n  - name: av1\n    priority: 200\n  - {name: VP8, priority: 30}\n";
        let config = MediaConfig::parse(text).expect("sound");
        assert_eq!(config.video_codecs, [Codec::Av1, Codec::H264, Codec::Vp8]);
        let rest = MediaConfig { video_codecs: MediaConfig::default().video_codecs, ..config };
        assert_eq!(rest, MediaConfig::default());
        let opus = MediaConfig::parse("audio: {opus: {stereo: true}}").expect("sound").opus;
        assert_eq!(opus, Opus { stereo: true, dtx: true });
        let mode =
            MediaConfig::parse("video:\n  scalabilityMode: \"S2T1\"\n").expect("sound").scalability_mode;
        assert_eq!((mode.spatial_layers, mode.temporal_layers), (2, 1));
        let delay =
            MediaConfig::parse("video: {playoutDelay: {min: 0, max: 400}}").expect("sound").playout_delay;
        assert_eq!(delay, Some(PlayoutDelay { min_ms: 0, max_ms: 400 }));
        for nothing in
            ["video:\n  playoutDelay:\n", "", "# nothing\n", "---\n", "video:\naudio:\n  opus:\n", "{}"]
        {
            assert_eq!(MediaConfig::parse(nothing), Ok(MediaConfig::default()), "{nothing:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_line_key_value_and_what_belongs_there() {
        let with_codec = |codec: &str| {
            format!("# ours\nvideo:\n  codecs:\n    - name: VP8\n      priority: 1\n    - {codec}\n")
        };
        let cases = [
            (
                "video:\n  scalabilityMode: L9T9\n".to_owned(),
                "line 2: video.scalabilityMode is \"L9T9\": expected a scalability mode",
            ),
            ("video:\n  scalabilityMode: 3\n".to_owned(), "line 2: video.scalabilityMode is 3: expected"),
            (
                "video:\n  playoutDelay:\n    min: 100\n".to_owned(),
                "line 2: video.playoutDelay.max is missing: expected milliseconds",
            ),
            (
                "video:\n  playoutDelay:\n    min: 100\n    max: 90\n".to_owned(),
                "line 4: video.playoutDelay.max is 90: expected no less than min",
            ),
            (
                "video:\n  playoutDelay: {min: 0, max: 40951}\n".to_owned(),
                "line 2: video.playoutDelay.max is 40951: expected a whole number of milliseconds from 0 to 40950",
            ),
            (
                "\naudio:\n  opus:\n    dtx: yes\n".to_owned(),
                "line 4: audio.opus.dtx is \"yes\": expected true or false",
            ),
            (
                "audio:\n  opus:\n    stereo: 1".to_owned(),
                "line 3: audio.opus.stereo is 1: expected true or false",
            ),
            (
                "audio:\n  opus: loud".to_owned(),
                "line 2: audio.opus is \"loud\": expected a mapping with stereo and dtx",
            ),
            (
                "audio:\n  opus:\n    fec: true".to_owned(),
                "line 3: audio.opus.fec is not a key of this file: expected stereo or dtx",
            ),
            (
                "vidoe:\n  codecs: []".to_owned(),
                "line 1: vidoe is not a key of this file: expected video or audio",
            ),
            (
                "video:\n  codecs: []".to_owned(),
                "line 2: video.codecs is an empty list: expected a list of codecs",
            ),
            ("video:\n  codecs:\n".to_owned(), "line 2: video.codecs is empty: expected a list of codecs"),
            (
                "video:\n  codecs: VP8\n".to_owned(),
                "line 2: video.codecs is \"VP8\": expected a list of codecs",
            ),
            ("- video".to_owned(), "line 1: the file is a list: expected a mapping with video and audio"),
            ("hello".to_owned(), "line 1: the file is \"hello\": expected a mapping"),
            (
                with_codec("VP9"),
                "line 6: video.codecs[1] is \"VP9\": expected a mapping with name and priority",
            ),
            (
                with_codec("{name: H265, priority: 2}"),
                "line 6: video.codecs[1].name is \"H265\": expected one of VP8, VP9, H264, AV1",
            ),
            (
                with_codec("{name: vp8, priority: 2}"),
                "line 6: video.codecs[1].name is \"vp8\": expected each codec once",
            ),
            (
                with_codec("name: VP9"),
                "line 6: video.codecs[1].priority is missing: expected a whole number from 1 to 1000",
            ),
            (with_codec("priority: 1"), "line 6: video.codecs[1].name is missing: expected one of"),
            (
                with_codec("name: VP9\n      priority: high"),
                "line 7: video.codecs[1].priority is \"high\": expected a whole number",
            ),
            (with_codec("{name: VP9, priority: 0}"), "line 6: video.codecs[1].priority is 0: expected"),
            (with_codec("{name: VP9, priority: 1.5}"), "line 6: video.codecs[1].priority is 1.5: expected"),
            (
                with_codec("{name: VP9, priority: 2, bitrate: 1}"),
                "line 6: video.codecs[1].bitrate is not a key of this file",
            ),
            (with_codec("{name: VP9, priority: 2"), "line 7: not YAML"),
            ("video:\n\tcodecs: []".to_owned(), "line 2: not YAML"),
            ("video: {}\nvideo: {}".to_owned(), "line 2: not YAML: duplicated key"),
            ("video: {}\n---\naudio: {}".to_owned(), "line 3: not YAML: a second document begins"),
            ("video: *anchor".to_owned(), "line 1: not YAML"),
        ];
        for (text, wanted) in cases {
            let mistake = MediaConfig::parse(&text).expect_err(&text).to_string();
            assert!(mistake.starts_with(wanted), "{text:?} should say {wanted:?}: {mistake}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_or_not_there_is_not_read() {
        let path = std::env::temp_dir().join(format!("leat-media-{}.yml", std::process::id()));
        std::fs::write(&path, "#".repeat(limits::MEDIA_FILE_BYTES_MAX as usize + 1)).expect("our own file");
        let error = MediaConfig::read(&path).expect_err("too long").to_string();
        std::fs::write(&path, [0xff, 0xfe]).expect("our own file");
        let not_text = MediaConfig::read(&path).expect_err("not UTF-8");
        std::fs::remove_file(&path).expect("our own file");
        assert!(error.contains("65536 bytes"), "{error}");
        assert!(matches!(not_text, MediaFileError::Unreadable(_)));
        assert!(matches!(MediaConfig::read(&path), Err(MediaFileError::Unreadable(_))));
    }
}

use super::*;

#[test]
fn built_in_file_is_valid() {
    let config = MediaConfig::default();
    assert_eq!(config.video_codecs, [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1]);
    assert_eq!(config.scalability_mode.to_string(), "L3T3_KEY");
    assert_eq!(config.opus, Opus { stereo: false, dtx: true });
    assert!(!config.has_only_low_priorities);
    assert_eq!(MediaConfig::parse(BUILT_IN), Ok(config));
}

#[test]
fn requirements_file_prefers_vp8_with_three_layers_and_stereo_without_dtx() {
    let text = include_str!("../../../../tests/vectors/media/requirements.yml");
    let config = MediaConfig::parse(text).expect("valid");
    assert_eq!(config.video_codecs, [Codec::Vp8, Codec::H264]);
    assert_eq!(config.scalability_mode.to_string(), "L3T3");
    assert_eq!(config.opus, Opus { stereo: true, dtx: false });
    assert!(!config.has_only_low_priorities);
}

#[test]
fn file_with_only_low_priorities_is_marked() {
    let marked = |priorities: [u32; 2]| {
        let [first, second] = priorities;
        let text = format!(
            "video: {{codecs: [{{name: VP9, priority: {first}}}, {{name: VP8, priority: {second}}}]}}"
        );
        MediaConfig::parse(&text).expect("valid").has_only_low_priorities
    };
    assert_eq!([[1, 2], [10, 10], [1, 11], [100, 50]].map(marked), [true, true, false, false]);
    assert!(!MediaConfig::parse("audio: {opus: {stereo: true}}").expect("valid").has_only_low_priorities);
}

#[test]
fn codecs_are_sorted_by_priority_and_missing_keys_keep_their_defaults() {
    let text = "video:\n  codecs:\n  - {name: H264, priority: 30}\n  - name: av1\n    priority: 200\n  - {name: VP8, priority: 30}\n";
    let config = MediaConfig::parse(text).expect("valid");
    assert_eq!(config.video_codecs, [Codec::Av1, Codec::H264, Codec::Vp8]);
    let rest = MediaConfig { video_codecs: MediaConfig::default().video_codecs, ..config };
    assert_eq!(rest, MediaConfig::default());
    let opus = MediaConfig::parse("audio: {opus: {stereo: true}}").expect("valid").opus;
    assert_eq!(opus, Opus { stereo: true, dtx: true });
    let mode = MediaConfig::parse("video:\n  scalabilityMode: \"S2T1\"\n").expect("valid").scalability_mode;
    assert_eq!((mode.spatial_layers, mode.temporal_layers), (2, 1));
    let delay = MediaConfig::parse("video: {playoutDelay: {min: 0, max: 400}}").expect("valid").playout_delay;
    assert_eq!(delay, Some(PlayoutDelay { min_ms: 0, max_ms: 400 }));
    for nothing in
        ["video:\n  playoutDelay:\n", "", "# nothing\n", "---\n", "video:\naudio:\n  opus:\n", "{}"]
    {
        assert_eq!(MediaConfig::parse(nothing), Ok(MediaConfig::default()), "{nothing:?}");
    }
}

#[test]
fn error_names_line_key_value_and_what_is_expected() {
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
        ("video:\n  codecs: VP8\n".to_owned(), "line 2: video.codecs is \"VP8\": expected a list of codecs"),
        ("- video".to_owned(), "line 1: the file is a list: expected a mapping with video and audio"),
        ("hello".to_owned(), "line 1: the file is \"hello\": expected a mapping"),
        (with_codec("VP9"), "line 6: video.codecs[1] is \"VP9\": expected a mapping with name and priority"),
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
        ("video: {}\n---\naudio: {}".to_owned(), "line 3: not YAML: a second document starts"),
        ("video: *anchor".to_owned(), "line 1: not YAML"),
    ];
    for (text, wanted) in cases {
        let mistake = MediaConfig::parse(&text).expect_err(&text).to_string();
        assert!(mistake.starts_with(wanted), "{text:?} should contain {wanted:?}: {mistake}");
    }
}

#[test]
fn too_long_or_missing_file_is_refused() {
    let path = std::env::temp_dir().join(format!("leat-media-{}.yml", std::process::id()));
    std::fs::write(&path, "#".repeat(limits::MEDIA_FILE_BYTES_MAX as usize + 1)).expect("a temporary file");
    let error = MediaConfig::read(&path).expect_err("too long").to_string();
    std::fs::write(&path, [0xff, 0xfe]).expect("a temporary file");
    let not_text = MediaConfig::read(&path).expect_err("not UTF-8");
    std::fs::remove_file(&path).expect("a temporary file");
    assert!(error.contains("65536 bytes"), "{error}");
    assert!(matches!(not_text, MediaFileError::Unreadable(_)));
    assert!(matches!(MediaConfig::read(&path), Err(MediaFileError::Unreadable(_))));
}

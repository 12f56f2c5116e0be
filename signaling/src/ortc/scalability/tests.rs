use super::*;

#[test]
fn every_mode_of_the_table_is_parsed_and_formatted() {
    // The complete table of §6.
    let plain = ["L1T1", "L1T2", "L1T3"];
    let spatial = ["2T1", "2T2", "2T3", "3T1", "3T2", "3T3"];
    let key = spatial.map(|layers| format!("L{layers}_KEY"));
    let shift = ["L2T2_KEY_SHIFT", "L2T3_KEY_SHIFT", "L3T2_KEY_SHIFT", "L3T3_KEY_SHIFT"];
    let letters = ["L", "S"].iter().flat_map(|letter| {
        spatial.iter().flat_map(move |layers| [format!("{letter}{layers}"), format!("{letter}{layers}h")])
    });
    let all = (plain.iter().chain(&shift).map(|mode| (*mode).to_owned())).chain(key).chain(letters);
    let mut count = 0;
    for text in all {
        let mode: ScalabilityMode = text.parse().unwrap_or_else(|_| panic!("{text} is in the table"));
        assert_eq!(mode.to_string(), text);
        assert_eq!(mode.spatial_layers, text.as_bytes()[1] - b'0', "{text}");
        assert_eq!(mode.temporal_layers, text.as_bytes()[3] - b'0', "{text}");
        count += 1;
    }
    assert_eq!(count, 37);
}

#[test]
fn unknown_mode_is_refused() {
    for text in [
        "",
        "L",
        "L3",
        "L3T",
        "T3",
        "L0T1",
        "L4T1",
        "L1T4",
        "L1T0",
        "l3t3",
        "L3T3 ",
        " L3T3",
        "L3T3_key",
        "L3T3_",
        "L3T3_KEYS",
        "L3T3KEY",
        "S3T3_KEY",
        "L1T3_KEY",
        "L1T3h",
        "S1T3",
        "L3T1_KEY_SHIFT",
        "L33T3",
        "L3T33",
        "L3T3_KEY_KEY",
        "L3T3_SHIFT",
        "L3T3h_KEY",
        "L3T3h_KEY_SHIFT",
        "LéT3",
    ] {
        assert_eq!(text.parse::<ScalabilityMode>(), Err(UnknownMode), "{text:?}");
    }
}

#[test]
fn simulcast_is_formatted_as_spatial_layers() {
    assert_eq!(ScalabilityMode::simulcast(3, 2).to_string(), "L3T2");
    assert_eq!(ScalabilityMode::SINGLE.to_string(), "L1T1");
}

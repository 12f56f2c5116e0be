//! Replays every corpus on stable, and tests some mutations with a deterministic mutator.
//!
//! `LEAT_FUZZ_ITERATIONS` sets their number, for each target. A failing input is stored in
//! `target/fuzz/crashes`; its fix moves it to `fuzz/corpus/<target>` with a descriptive name.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use leat_fuzz::mutate::Mutator;
use leat_fuzz::{TARGETS, Target, known, oracle};

/// Inputs for a target of cost 1: about a second for the slowest.
const ITERATIONS: u64 = 20_000;

fn fuzz_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus of a target, by name, in the order of names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a readable file"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} has no corpus", target.name);
    inputs
}

/// Runs one input; stores it if it fails.
fn run(target: &Target, origin: &str, input: &[u8]) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        let folder = fuzz_folder().join("../target/fuzz/crashes");
        let path = folder.join(format!("{}-{}", target.name, origin.replace(' ', "-")));
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
        eprintln!("{}: {origin} fails; kept as {} ({kept:?}): {input:02x?}", target.name, path.display());
        panic::resume_unwind(panic);
    }
}

fn explore(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    let corpus = corpus(target);
    for (file, input) in &corpus {
        run(target, file, input);
        // Every truncation of a valid input can occur on a network.
        for len in 0..input.len().min(256) {
            run(target, &format!("{file} cut to {len}"), &input[..len]);
        }
    }
    let iterations: u64 = match std::env::var("LEAT_FUZZ_ITERATIONS") {
        Ok(text) => text.parse().expect("LEAT_FUZZ_ITERATIONS is a number"),
        Err(_) => ITERATIONS,
    };
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    for seed in 0..iterations.div_ceil(target.cost) {
        run(target, &format!("mutation {seed}"), &Mutator::new(seed).next(&inputs));
    }
}

/// One test per target, so that they run in parallel and fail by name.
macro_rules! explored {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            explore(stringify!($name));
        })*

        const EXPLORED: &[&str] = &[$(stringify!($name)),*];
    };
}
explored!(
    allocator,
    dependency_descriptor,
    dependency_stream,
    dtls_records,
    estimator,
    frames,
    http,
    layers,
    payloads,
    red,
    ring_memory,
    ring_records,
    rtcp,
    rtp,
    rtx,
    sctp,
    sctp_pair,
    sdp,
    sdp_fragment,
    shard,
    srtp,
    stun,
    turn,
    twcc,
    vp8
);

#[test]
fn every_target_is_explored_and_has_a_shim() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, EXPLORED);
    let mut shims: Vec<PathBuf> = fs::read_dir(fuzz_folder().join("fuzz_targets"))
        .expect("the folder of shims")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    shims.sort();
    let stems: Vec<_> =
        shims.iter().map(|path| path.file_stem().expect("a name").to_string_lossy()).collect();
    assert_eq!(stems, names);
}

#[test]
fn every_known_fault_of_an_oracle_is_still_there() {
    for (name, list) in [("rtp", known::RTP), ("rtcp", known::RTCP), ("stun", known::STUN)] {
        let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
        for (_, input) in corpus(target) {
            (target.run)(&input);
        }
        let explained = oracle::explained();
        for known in list {
            let is_there = explained.contains(&(known.conflict, known.reason));
            assert!(is_there, "no input of corpus/{name} shows this: {:?}, {}", known.conflict, known.reason);
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_input() {
    let corpus = [vec![1, 2, 3, 4], vec![5; 40]];
    for seed in 0..100 {
        assert_eq!(Mutator::new(seed).next(&corpus), Mutator::new(seed).next(&corpus));
    }
}

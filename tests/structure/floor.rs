//! The plan: the folder of each crate, its allowed dependencies, and the entries of the top level.
//!
//! The plan is a table of *allowed* edges: a crate that does not exist yet breaks nothing, an edge that is
//! missing here does. Development dependencies are free, because a test may use two crates of one floor. This
//! is *not* the scan of the sources: see [`crate::source`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};

/// One of our crates: its package, its folder, and the crates it may depend on.
pub struct CrateRule {
    /// The package's name.
    pub package: &'static str,
    /// Its folder, from the top of the tree.
    pub folder: &'static str,
    /// Our packages that it may have in `[dependencies]` or `[build-dependencies]`.
    pub may_depend_on: &'static [&'static str],
    /// A protocol: time, randomness and packets are arguments.
    pub is_machine: bool,
    /// May contain `unsafe`, each block behind a safe interface and with its reason.
    pub may_be_unsafe: bool,
}

const fn machine(
    package: &'static str,
    folder: &'static str,
    may_depend_on: &'static [&'static str],
) -> CrateRule {
    CrateRule { package, folder, may_depend_on, is_machine: true, may_be_unsafe: false }
}

const fn fenced(
    package: &'static str,
    folder: &'static str,
    may_depend_on: &'static [&'static str],
) -> CrateRule {
    CrateRule { package, folder, may_depend_on, is_machine: false, may_be_unsafe: true }
}

const fn top(
    package: &'static str,
    folder: &'static str,
    may_depend_on: &'static [&'static str],
) -> CrateRule {
    CrateRule { package, folder, may_depend_on, is_machine: false, may_be_unsafe: false }
}

/// Every package of the workspace, lowest floor first.
pub const PLAN: &[CrateRule] = &[
    // Lowest floor. RTCP uses RTP's types (SSRC, NTP time).
    machine("leat-machine", "engine/machine", &[]),
    machine("leat-rtp", "engine/rtp", &[]),
    machine("leat-stun", "engine/stun", &[]),
    machine("leat-rtcp", "engine/rtcp", &["leat-rtp"]),
    // Above it. DTLS exports SRTP's keys, and uses the bindings of BoringSSL.
    machine("leat-srtp", "engine/srtp", &["leat-rtp"]),
    fenced("leat-ssl", "engine/ssl", &[]),
    machine("leat-dtls", "engine/dtls", &["leat-machine", "leat-srtp", "leat-ssl"]),
    // Beside it: data channels, in records of DTLS that another crate carries.
    machine("leat-sctp", "engine/sctp", &["leat-machine"]),
    machine("leat-control", "engine/control", &[]),
    // The log of every binary.
    top("leat-log", "engine/log", &[]),
    // The options of every binary.
    top("leat-options", "engine/options", &["leat-log"]),
    fenced("leat-shm", "engine/shm", &[]),
    fenced("leat-runtime", "engine/runtime", &["leat-machine"]),
    // The page for Prometheus of engine and TURN server.
    top("leat-metrics", "engine/metrics", &["leat-runtime"]),
    // Common code of the processes of engine and TURN server.
    top("leat-host", "engine/host", &["leat-log", "leat-machine", "leat-runtime"]),
    // The machines of the servers.
    machine(
        "leat-sfu",
        "engine/sfu",
        &[
            "leat-control",
            "leat-dtls",
            "leat-machine",
            "leat-rtcp",
            "leat-rtp",
            "leat-sctp",
            "leat-srtp",
            "leat-stun",
        ],
    ),
    machine("leat-relay", "turn/relay", &["leat-dtls", "leat-machine", "leat-stun"]),
    // The binaries. Signaling only uses the engine's ring.
    top(
        "leat-engine",
        "engine",
        &[
            "leat-control",
            "leat-dtls",
            "leat-host",
            "leat-log",
            "leat-machine",
            "leat-metrics",
            "leat-options",
            "leat-runtime",
            "leat-sfu",
            "leat-shm",
        ],
    ),
    top("leat-bus", "signaling/bus", &[]),
    top("leat-sdp", "signaling/sdp", &[]),
    top("leat-stores", "signaling/stores", &[]),
    top(
        "leat-signaling",
        "signaling",
        &[
            "leat-bus",
            "leat-control",
            "leat-log",
            "leat-options",
            "leat-sdp",
            "leat-shm",
            "leat-stores",
            "leat-stun",
        ],
    ),
    top(
        "leat-turn",
        "turn",
        &[
            "leat-bus",
            "leat-dtls",
            "leat-host",
            "leat-log",
            "leat-machine",
            "leat-metrics",
            "leat-options",
            "leat-relay",
            "leat-runtime",
        ],
    ),
    // Measurements and tests may use everything below.
    // The load generator shares no code with the measured programs, so that no bug cancels itself out; the
    // basis of its micro benches does.
    top("leat-bench", "bench", &[]),
    top("leat-rig", "bench/rig", EVERYTHING),
    top("leat-fuzz", "fuzz", EVERYTHING),
    top("leat-tests", "tests", EVERYTHING),
];

const EVERYTHING: &[&str] = &[
    "leat-bench",
    "leat-bus",
    "leat-control",
    "leat-dtls",
    "leat-engine",
    "leat-host",
    "leat-log",
    "leat-rig",
    "leat-machine",
    "leat-metrics",
    "leat-options",
    "leat-relay",
    "leat-rtcp",
    "leat-rtp",
    "leat-runtime",
    "leat-sctp",
    "leat-sdp",
    "leat-sfu",
    "leat-shm",
    "leat-signaling",
    "leat-srtp",
    "leat-ssl",
    "leat-stores",
    "leat-stun",
    "leat-tests",
    "leat-turn",
];

/// The allowed entries at the top level of the tree.
pub const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "bench",
    "clippy.toml",
    "docs",
    "engine",
    "fuzz",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "signaling",
    "tests",
    "turn",
];

/// Packages for network, time and other external effects. A machine uses none of them.
const EXTERNAL_EFFECTS: &[&str] = &[
    "crossbeam-channel",
    "crossbeam-queue",
    "getrandom",
    "libc",
    "mio",
    "nix",
    "rand",
    "rustix",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

/// Other implementations of our protocols: oracles in fuzzers and tests, peers in benches. They panic on
/// malformed input, so no process that serves the network may contain them. By package: `webrtc-sdp`, a
/// parser of SDP, is not one of them.
const OTHER_IMPLEMENTATIONS: &[&str] = &[
    "dcsctp",
    "dtls",
    "interceptor",
    "rtc",
    "rtc-dtls",
    "rtc-ice",
    "rtc-rtcp",
    "rtc-rtp",
    "rtc-sctp",
    "rtc-shared",
    "rtc-srtp",
    "rtc-stun",
    "rtc-turn",
    "rtcp",
    "rtp",
    "srtp",
    "stun",
    "turn",
    "webrtc",
    "webrtc-data",
    "webrtc-dtls",
    "webrtc-ice",
    "webrtc-mdns",
    "webrtc-media",
    "webrtc-sctp",
    "webrtc-srtp",
    "webrtc-util",
];

/// The processes that serve the network.
const SERVERS: &[&str] = &["leat-engine", "leat-signaling", "leat-turn"];

/// The plan's entry for one of our packages.
pub fn rule(package: &str) -> Option<&'static CrateRule> {
    PLAN.iter().find(|rule| rule.package == package)
}

/// Everything in the workspace's metadata that the plan does not allow, one sentence each.
pub fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    let ours: BTreeSet<&str> = metadata.workspace_packages().iter().map(|p| p.name.as_str()).collect();
    for package in metadata.workspace_packages() {
        match rule(&package.name) {
            Some(rule) => {
                check_place(metadata, package, rule, &mut found);
                check_edges(package, rule, &ours, &mut found);
            }
            None => found.push(format!("{} is not on the floor plan", package.name)),
        }
    }
    if metadata.resolve.is_none() {
        found.push("cargo resolved no graph: dependencies cannot be checked".to_owned());
    }
    check_oracles_stay_out(metadata, &mut found);
    check_one_library_of_a_name(metadata, &mut found);
    found
}

fn check_place(metadata: &Metadata, package: &Package, rule: &CrateRule, found: &mut Vec<String>) {
    let expected = metadata.workspace_root.join(rule.folder).join("Cargo.toml");
    if package.manifest_path != expected {
        found.push(format!("{} lives in {}, not in {}", package.name, package.manifest_path, rule.folder));
    }
    // Library names are short, so that a path reads well: `rtp::Packet`.
    let short = package.name.trim_start_matches("leat-");
    let libraries = package.targets.iter().filter(|t| t.kind.iter().any(|k| k.to_string() == "lib"));
    for library in libraries.filter(|_| rule.is_machine || rule.may_be_unsafe) {
        if library.name != short {
            found.push(format!("the library of {} is called {}, not {short}", package.name, library.name));
        }
    }
}

fn check_edges(package: &Package, rule: &CrateRule, ours: &BTreeSet<&str>, found: &mut Vec<String>) {
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        if dependency.kind == DependencyKind::Development {
            continue;
        }
        if ours.contains(name) && !rule.may_depend_on.contains(&name) {
            found.push(format!("{} may not depend on {name}", package.name));
        }
        if rule.is_machine && EXTERNAL_EFFECTS.contains(&name) {
            found.push(format!("{} is a machine and may not use {name}", package.name));
        }
    }
}

/// The dependencies of a server.
fn check_oracles_stay_out(metadata: &Metadata, found: &mut Vec<String>) {
    let ours = metadata.workspace_packages().into_iter();
    for server in ours.filter(|p| SERVERS.contains(&p.name.as_str())) {
        let published = reached(metadata, server).into_iter().filter(|name| is_other_implementation(name));
        found.extend(published.map(|name| format!("{} reaches the published {name}", server.name)));
    }
}

/// OpenSSL and BoringSSL have libraries and functions of the same names: a program that links both calls the
/// wrong ones, and one that may find both links the wrong one. Cargo gives the tests of a package the search
/// paths of its development dependencies too.
fn check_one_library_of_a_name(metadata: &Metadata, found: &mut Vec<String>) {
    for package in metadata.workspace_packages() {
        let for_tests = package.dependencies.iter().filter(|dep| dep.kind == DependencyKind::Development);
        let for_tests = for_tests.filter_map(|dep| metadata.packages.iter().find(|p| p.name == dep.name));
        let reached: BTreeSet<_> =
            for_tests.chain([package]).flat_map(|package| reached(metadata, package)).collect();
        if reached.contains("openssl-sys") && reached.contains("boring-sys") {
            found.push(format!("{} links OpenSSL and BoringSSL", package.name));
        }
    }
}

/// The names of all packages that one is made of, along normal and build dependencies.
fn reached<'a>(metadata: &'a Metadata, package: &'a Package) -> BTreeSet<&'a str> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = nodes
        .map(|node| {
            let known = node.deps.iter().filter(|dep| {
                dep.dep_kinds.is_empty()
                    || dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            (&node.id, known.map(|dep| &dep.pkg).collect())
        })
        .collect();
    let mut seen = BTreeSet::from([&package.id]);
    let mut queue = VecDeque::from([&package.id]);
    while let Some(id) = queue.pop_front() {
        let next = edges.get(id).into_iter().flatten().copied();
        queue.extend(next.filter(|next| seen.insert(next)));
    }
    let packages = metadata.packages.iter().filter(|found| seen.contains(&found.id));
    packages.filter(|found| found.id != package.id).map(|found| found.name.as_str()).collect()
}

fn is_other_implementation(package: &str) -> bool {
    OTHER_IMPLEMENTATIONS.contains(&package)
}

/// Entries at the top level that the plan does not name.
pub fn strangers<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let unknown = entries.into_iter().filter(|entry| !TOP_LEVEL.contains(entry));
    unknown.map(|entry| format!("{entry} does not belong at the top level")).collect()
}

//! The structure of the tree: allowed dependencies of crates, the places of `unsafe`, forbidden APIs of
//! machines, and the entries at the top level. Each rule is also shown to fail, on a changed copy.

mod diagrams;
mod figures;
mod floor;
mod modules;
mod names;
mod promises;
mod protocol;
mod shard;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use floor::{CrateRule, PLAN};

/// The top of the tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent")
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        // The lock file is only read here: a test must not write into the tree.
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata describes the workspace")
}

/// The Rust sources of a rule, without those of crates inside its folder, and without test files.
fn sources(rule: &CrateRule) -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| !path.to_string_lossy().ends_with("tests.rs");
    sources_and_unit_tests(rule).into_iter().filter(is_source).collect()
}

fn sources_and_unit_tests(rule: &CrateRule) -> Vec<PathBuf> {
    let paths = files().iter().map(PathBuf::as_path);
    paths.filter(|path| is_source_of(rule, path)).map(|path| root().join(path)).collect()
}

/// Whether a path, from the top of the tree, is a Rust file of a rule.
fn is_source_of(rule: &CrateRule, path: &Path) -> bool {
    let folder = Path::new(rule.folder);
    let is_apart = |inner: &Path| {
        inner.ends_with("tests")
            || PLAN.iter().any(|other| other.package != rule.package && inner == Path::new(other.folder))
    };
    path.starts_with(folder)
        && path.extension().is_some_and(|extension| extension == "rs")
        && !path.ancestors().skip(1).take_while(|inner| *inner != folder).any(is_apart)
}

/// The paths of all files that git tracks, from the top of the tree; without git, of those that exist. So a
/// file that is not part of the tree breaks no rule.
fn files() -> &'static [PathBuf] {
    static FILES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let mut files = tracked().unwrap_or_else(existing);
        files.sort();
        files
    });
    &FILES
}

fn tracked() -> Option<Vec<PathBuf>> {
    let git = Command::new("git").args(["ls-files", "-z", "--cached"]).current_dir(root()).output();
    let output = git.ok().filter(|output| output.status.success())?;
    let paths = String::from_utf8(output.stdout).ok()?;
    // A file that was deleted and is not committed yet is still tracked.
    let paths = paths.split('\0').filter(|path| root().join(path).is_file());
    let paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    // A copy of the tree inside another repository has no tracked files.
    (!paths.is_empty()).then_some(paths)
}

fn existing() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a readable folder");
        for path in entries.map(|entry| entry.expect("a readable entry").path()) {
            let is_apart = [".git", "node_modules", "target"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !is_apart {
                folders.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root()).expect("a path in the tree").to_path_buf());
            }
        }
    }
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The entries at the top of the tree.
fn top_level() -> BTreeSet<String> {
    let first = |path: &PathBuf| Some(path.iter().next()?.to_string_lossy().into_owned());
    files().iter().filter_map(first).collect()
}

#[track_caller]
fn assert_clean(found: Vec<String>) {
    assert!(found.is_empty(), "the structure is not as planned:\n  {}", found.join("\n  "));
}

#[track_caller]
fn assert_found(found: &[String], part: &str) {
    assert!(found.iter().any(|sentence| sentence.contains(part)), "{part:?} was not found in {found:#?}");
}

#[test]
fn crates_depend_only_on_allowed_crates() {
    assert_clean(floor::violations(&metadata()));
}

#[test]
fn top_level_has_only_planned_entries() {
    let entries = top_level();
    assert!(entries.iter().any(|entry| entry == "Cargo.toml"), "the top level was not read: {entries:?}");
    assert_clean(floor::strangers(entries.iter().map(String::as_str)));
}

#[test]
fn sources_use_no_forbidden_api() {
    let mut found = Vec::new();
    for rule in PLAN {
        for path in sources(rule) {
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            if name != COUNTING_ALLOCATOR && name != WORK_METER && name != NEXT_PROTOCOL {
                found.extend(source::violations(rule, &name, &read(&path)));
            }
        }
    }
    assert_clean(found);
}

/// The one other file with `unsafe`: an allocator that counts for the benches is an `unsafe impl`.
const COUNTING_ALLOCATOR: &str = "bench/rig/src/counting.rs";

/// The one place of a protocol crate with thread-local state: it counts steps for tests, and does nothing in
/// a release build. As an argument it would be one more parameter of every function on the packet path.
const WORK_METER: &str = "engine/machine/src/meter.rs";

/// A file that is compiled only with the feature `next-protocol`, for tests: the environment selects the
/// protocol version of a process.
const NEXT_PROTOCOL: &str = "engine/control/src/next.rs";

#[test]
fn only_tests_enable_the_next_protocol_version() {
    let metadata = metadata();
    let mut enabled = Vec::new();
    for package in metadata.workspace_packages() {
        let dependencies = package.dependencies.iter();
        let users =
            dependencies.filter(|dependency| dependency.features.iter().any(|name| name == "next-protocol"));
        enabled.extend(users.map(|dependency| (package.name.to_string(), dependency.kind)));
    }
    assert_eq!(enabled, [("leat-tests".to_owned(), DependencyKind::Development)]);
}

/// The imports of a crate's modules.
fn modules_of(rule: &CrateRule) -> modules::Imports {
    let folder = root().join(rule.folder).join("src");
    let files = sources(rule);
    let files: Vec<(String, String)> = files
        .iter()
        .filter_map(|path| Some((path.strip_prefix(&folder).ok()?.to_str()?.to_owned(), read(path))))
        .collect();
    modules::imports(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

#[test]
fn modules_import_only_from_lower_floors_and_in_no_circle() {
    let mut found = Vec::new();
    for floors in modules::FLOORS {
        let rule = PLAN.iter().find(|rule| floors.sources == format!("{}/src", rule.folder));
        let imports = modules_of(rule.expect("a crate of the plan"));
        let count = imports.values().flatten().count();
        assert!(count > floors.floors.len(), "the imports of {} were not read", floors.sources);
        found.extend(modules::circles(&imports));
        found.extend(modules::climbs(&imports, floors));
    }
    assert_clean(found);
}

/// A file in a circle of imports cannot be read or changed alone.
#[test]
fn modules_of_no_crate_import_each_other_in_a_circle() {
    let circles = PLAN.iter().flat_map(|rule| {
        modules::circles(&modules_of(rule)).into_iter().map(|circle| format!("{}: {circle}", rule.folder))
    });
    assert_clean(circles.collect());
}

#[test]
fn stages_cannot_reach_the_whole_shard() {
    let rule = floor::rule("leat-sfu").expect("the SFU is on the plan");
    let folder = root().join(rule.folder).join("src");
    let (mut found, mut is_read) = (Vec::new(), false);
    for path in sources(rule) {
        let file = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
        let code = source::without_tests(&source::code_only(&read(&path)));
        is_read |= shard::defines(&code);
        found.extend(shard::violations(&file, &code));
    }
    assert!(is_read, "the definition of Shard was not read");
    assert_clean(found);
}

#[test]
fn a_stage_that_reaches_the_whole_shard_is_found() {
    let entry = |code: &str| shard::violations("shard/mod.rs", code);
    let stage = |code: &str| shard::violations("shard/close.rs", code);
    let closed = "pub struct Shard { objects: Objects } impl Machine for Shard { pub fn f() {} }";
    assert_clean(entry(closed));
    assert_found(&stage(closed), "shard/close.rs names Shard");
    for open in ["pub", "pub(crate)", "pub(super)"] {
        let code = format!("pub struct Shard {{ rng: Rng, {open} objects: Objects }}");
        assert_found(&entry(&code), "shard/mod.rs: Shard has an open field");
    }
    assert_found(&stage("impl<T> Machine for Stage<T> {}"), "shard/close.rs implements Machine");
    assert_found(&stage("impl machine::Machine for Stage {}"), "shard/close.rs implements Machine");
    assert_clean(stage("fn f(machine: &mut impl Machine) {}"));
    assert_found(&stage("table.insert_with(|| 1)"), "shard/close.rs adds an object outside of objects/");
    assert_clean(shard::violations("objects/add.rs", "table.insert_with(|| 1)"));
}

#[test]
fn a_source_belongs_to_the_innermost_crate_and_is_no_test() {
    let engine = floor::rule("leat-engine").expect("the engine is on the plan");
    let tests = floor::rule("leat-tests").expect("the tests are on the plan");
    let is_of = |rule, path: &str| is_source_of(rule, Path::new(path));
    assert!(is_of(engine, "engine/src/main.rs") && is_of(engine, "engine/src/endpoint/tests.rs"));
    assert!(!is_of(engine, "engine/sfu/src/lib.rs") && !is_of(engine, "engine/tests/options.rs"));
    assert!(!is_of(engine, "engine/Cargo.toml") && !is_of(engine, "turn/src/main.rs"));
    assert!(is_of(tests, "tests/sim/main.rs") && !is_of(tests, "tests/sim/tests/x.rs"));
}

#[test]
fn crates_forbid_unsafe_unless_listed() {
    let mut found = Vec::new();
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        // The crate of the counting allocator denies it, and allows it in that one file.
        let Some(rule) = floor::rule(&package.name).filter(|rule| rule.package != "leat-rig") else {
            continue;
        };
        for target in &package.targets {
            let is_crate_root = target.kind.iter().any(|kind| ["lib", "bin"].contains(&&*kind.to_string()));
            if is_crate_root && !source::forbids_unsafe(rule, &read(target.src_path.as_std_path())) {
                found.push(format!("{} does not say #![forbid(unsafe_code)]", target.src_path));
            }
        }
    }
    assert_clean(found);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut found = Vec::new();
    for package in metadata().workspace_packages() {
        let manifest = read(package.manifest_path.as_std_path());
        // A crate with `unsafe` has its own lints, because `unsafe` is not denied there but needs a reason.
        let is_fenced = floor::rule(&package.name).is_some_and(|rule| rule.may_be_unsafe);
        let has_its_own = is_fenced && manifest.contains("undocumented_unsafe_blocks");
        if !inherits_lints(&manifest) && !has_its_own {
            found.push(format!("{} has no `[lints] workspace = true`", package.manifest_path));
        }
    }
    assert_clean(found);
}

#[test]
fn files_are_short_and_without_open_tasks() {
    let mut found = Vec::new();
    for path in PLAN.iter().flat_map(sources) {
        let text = read(&path);
        found.extend(source::untidiness(&text).map(|untidy| format!("{} {untidy}", path.display())));
    }
    assert_clean(found);
}

#[test]
fn unit_tests_have_one_place() {
    let paths: Vec<PathBuf> = PLAN.iter().flat_map(sources_and_unit_tests).collect();
    let found = paths.iter().filter_map(|path| {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        source::misplaced_tests(&name, &read(path))
    });
    assert_clean(found.collect());
}

#[test]
fn misplaced_unit_tests_are_found() {
    let inline = |lines: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    f();\n".repeat(lines));
    assert_eq!(source::misplaced_tests("a.rs", &inline(57)), None);
    assert!(source::misplaced_tests("a.rs", &inline(58)).is_some());
    assert!(source::misplaced_tests("a_tests.rs", "").is_some());
    assert_eq!(source::misplaced_tests("a/tests.rs", &"f();\n".repeat(100)), None);
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = read(&root().join("docs/specification.md"));
    let turn = read(&root().join("docs/turn.md"));
    let (_, conformance) = turn.split_once("\n## Conformance\n").expect("the page has that table");
    let threats = read(&root().join("docs/threat-model.md"));
    let webhooks = read(&root().join("docs/webhooks.md"));
    let (_, webhooks) = webhooks.split_once("\n## Tests\n").expect("the page has that table");
    let pages = [&page, conformance, &threats, webhooks].map(promises::named);
    assert!(pages.iter().all(|rows| rows.len() >= 20), "the pages have rows");
    let broken = pages.into_iter().flatten().filter_map(|named| match named {
        Ok(named) if promises::has(&named, &read(&root().join(named.file))) => None,
        other => Some(format!("{other:?}")),
    });
    assert_clean(broken.collect());
}

#[test]
fn detects_a_promise_without_a_test() {
    let page = "| promise | test |\n| A | `b.rs: c` |\n| `A` | B |\n";
    let named = promises::named(page);
    assert_eq!(named[0], Ok(promises::Named { file: "b.rs", test: "c" }));
    assert_eq!(named[1], Err("| `A` | B |"));
    let named = promises::Named { file: "b.rs", test: "c" };
    assert!(promises::has(&named, "fn c() {}") && !promises::has(&named, "fn cd() {}"));
}

fn inherits_lints(manifest: &str) -> bool {
    manifest.split("\n[").any(|section| {
        section.starts_with("lints]") && section.lines().any(|line| line.replace(' ', "") == "workspace=true")
    })
}

// Each rule can fail.

/// A package of the workspace, to be changed.
fn package<'a>(metadata: &'a mut Metadata, name: &str) -> &'a mut Package {
    let found = metadata.packages.iter_mut().find(|p| p.name.as_str() == name);
    found.unwrap_or_else(|| panic!("{name} is in the workspace"))
}

/// Makes `from` depend on `to`, as a line in its manifest would.
fn doctor_edge(metadata: &mut Metadata, from: &str, to: &str, kind: DependencyKind) {
    let any = metadata.packages.iter().flat_map(|p| &p.dependencies).next();
    let mut edge = any.expect("there is a dependency").clone();
    edge.name = to.to_owned();
    edge.kind = kind;
    package(metadata, from).dependencies.push(edge);
}

#[test]
fn detects_a_forbidden_dependency() {
    for (from, to) in [
        ("leat-rtp", "leat-stun"),
        ("leat-machine", "leat-rtp"),
        ("leat-control", "leat-shm"),
        ("leat-dtls", "leat-sfu"),
        ("leat-runtime", "leat-sfu"),
        ("leat-signaling", "leat-sfu"),
        ("leat-signaling", "leat-rtp"),
        ("leat-engine", "leat-signaling"),
    ] {
        let mut changed = metadata();
        doctor_edge(&mut changed, from, to, DependencyKind::Normal);
        assert_found(&floor::violations(&changed), &format!("{from} may not depend on {to}"));
    }
}

#[test]
fn detects_a_wrong_edge_of_a_build_script_but_not_of_a_test() {
    let mut changed = metadata();
    doctor_edge(&mut changed, "leat-rtp", "leat-stun", DependencyKind::Build);
    assert_found(&floor::violations(&changed), "leat-rtp may not depend on leat-stun");

    let mut changed = metadata();
    doctor_edge(&mut changed, "leat-rtp", "leat-stun", DependencyKind::Development);
    assert_clean(floor::violations(&changed));
}

#[test]
fn detects_io_in_a_machine() {
    for world in ["mio", "tokio", "getrandom", "socket2"] {
        let mut changed = metadata();
        doctor_edge(&mut changed, "leat-sfu", world, DependencyKind::Normal);
        assert_found(&floor::violations(&changed), &format!("may not use {world}"));
    }
}

#[test]
fn detects_an_oracle_among_the_dependencies_of_a_server() {
    let mut changed = metadata();
    // Two steps below the engine, a third-party package is replaced by the published implementation.
    let victim = below(&changed, "leat-machine").expect("the machine contract uses a published package");
    for published in ["rtp", "rtcp", "stun", "dtls", "srtp", "webrtc-srtp", "rtc-dtls", "rtc", "interceptor"]
    {
        let name = parsed(published);
        changed.packages.iter_mut().find(|p| p.id == victim).expect("a known package").name = name;
        assert_found(&floor::violations(&changed), &format!("reaches the published {published}"));
    }
}

#[test]
fn detects_a_program_with_two_libraries_of_one_name() {
    let mut changed = metadata();
    // A package of the engine is replaced by OpenSSL.
    let victim = below(&changed, "leat-machine").expect("the machine contract uses a published package");
    let name = parsed("openssl-sys");
    changed.packages.iter_mut().find(|p| p.id == victim).expect("a known package").name = name;
    assert_found(&floor::violations(&changed), "leat-engine links OpenSSL and BoringSSL");
}

/// A third-party package among those that `package` depends on.
fn below(metadata: &Metadata, package: &str) -> Option<PackageId> {
    let id = &metadata.packages.iter().find(|p| p.name.as_str() == package)?.id;
    let node = metadata.resolve.as_ref()?.nodes.iter().find(|node| node.id == *id)?;
    node.dependencies.iter().find(|id| !metadata.workspace_members.contains(id)).cloned()
}

/// `cargo_metadata` creates package names only by deserialization.
fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().expect("a valid package name")
}

#[test]
fn detects_a_crate_in_the_wrong_folder() {
    let mut changed = metadata();
    package(&mut changed, "leat-stun").manifest_path =
        root().join("stun/Cargo.toml").try_into().expect("UTF-8");
    assert_found(&floor::violations(&changed), "leat-stun lives in");

    let mut changed = metadata();
    package(&mut changed, "leat-stun").targets[0].name = "leat_stun".to_owned();
    assert_found(&floor::violations(&changed), "the library of leat-stun is called leat_stun");

    let mut changed = metadata();
    package(&mut changed, "leat-stun").name = parsed("leat-helpers");
    assert_found(&floor::violations(&changed), "leat-helpers is not on the floor plan");
}

#[test]
fn detects_an_unplanned_top_level_entry() {
    assert_eq!(floor::strangers(["engine", "shared"]), ["shared does not belong at the top level"]);
}

#[test]
fn forbidden_words_are_found_in_code_only() {
    let machine = floor::rule("leat-sfu").expect("the SFU is on the plan");
    let fenced = floor::rule("leat-shm").expect("the rings are on the plan");
    let binary = floor::rule("leat-engine").expect("the engine is on the plan");
    let check = |rule, code| source::violations(rule, "x.rs", code);

    assert_found(&check(machine, "let s = std::net::UdpSocket::bind(a);"), "a socket");
    assert_found(&check(machine, "let now = Instant::now();"), "a clock read");
    assert_found(&check(machine, "use std::time::SystemTime;"), "a clock read");
    assert_found(&check(machine, "let mut r = rand::rng();"), "global randomness");
    assert_found(&check(machine, "let t = HashMap::new();"), "global randomness");
    assert_found(&check(machine, "getrandom::fill(&mut seed)"), "global randomness");
    assert_found(&check(machine, "struct S { m: Mutex<u8> }"), "something shared");
    assert_found(&check(machine, "unsafe { *p }"), "belongs in shm, ssl and runtime");
    assert_found(&check(binary, "unsafe fn f() {}"), "belongs in shm, ssl and runtime");

    assert_clean(check(binary, "let now = Instant::now();"));
    assert_clean(check(fenced, "unsafe { *p }"));
    assert_clean(check(machine, "// Instant::now would be wrong here"));
    assert_clean(check(machine, "/* a /* nested */ Mutex */ let x = \"Instant::now\";"));
    assert_clean(check(machine, "let x = r#\"say \"unsafe\" here\"#; let c = '\"'; let d = 'u';"));
    assert_clean(check(machine, "#![forbid(unsafe_code)] fn unsafely() {}"));
    assert_clean(check(machine, "#[cfg(test)] mod tests { fn f() { Instant::now(); } }"));
    // The code after a blanked item, and after a lifetime, is checked again.
    assert_found(&check(machine, "#[cfg(test)] mod tests { } fn f() { Instant::now(); }"), "a clock read");
    assert_found(&check(machine, "#[cfg(test)] use x::Y; fn f() { Instant::now(); }"), "a clock read");
    assert_found(&check(machine, "fn f<'a>(x: &'a u8) { unsafe { } }"), "belongs in shm");
    assert_found(&check(machine, "let c = '\\''; unsafe { }"), "belongs in shm");
}

#[test]
fn detects_a_circle_of_imports_and_an_import_to_a_higher_floor() {
    let sources = [
        ("lib.rs", "mod limits; mod shard; mod base;"),
        ("limits.rs", "use crate::base::{slots::Slot, clock};"),
        ("base/mod.rs", "pub mod slots; pub mod clock;"),
        ("base/slots.rs", "use super::clock::Clock;"),
        (
            "base/clock.rs",
            "#[cfg(test)] mod tests { use crate::shard::Shard; } fn f() { crate::base::slots::g() }",
        ),
        ("shard/mod.rs", "mod close; use close::close;"),
        ("shard/close.rs", "use crate::shard::Input; use super::Config; // use crate::stranger::X"),
        ("stranger.rs", ""),
    ];
    let imports = modules::imports(sources);
    assert_eq!(modules::circles(&imports), ["a circle of imports: base::clock, base::slots"]);
    let climbs = modules::climbs(&imports, &modules::FLOORS[0]);
    assert_found(&climbs, "limits imports base::clock");
    assert_found(&climbs, "limits imports base::slots");
    assert_found(&climbs, "stranger is on no floor");
    assert_eq!(climbs.len(), 3, "{climbs:#?}");
}

#[test]
fn detects_a_long_or_unfinished_file() {
    let check = |text: &str| source::untidiness(text).collect::<Vec<_>>();
    assert_found(&check(&"\n".repeat(901)), "has 901 lines");
    assert_found(&check(concat!("// TO", "DO: later")), "contains an open task");
    assert_found(&check("#[test]\n#[ignore = \"slow\"]\nfn f() {}"), "disables a test");
    assert_clean(check("// This comment names `#[ignore]`.\nfn f() {}"));
}

#[test]
fn detects_a_missing_unsafe_ban() {
    let machine = floor::rule("leat-rtp").expect("RTP is on the plan");
    assert!(source::forbids_unsafe(machine, "//! Views.\n#![forbid(unsafe_code)]\n"));
    assert!(!source::forbids_unsafe(machine, "//! Views.\n// #![forbid(unsafe_code)]\n"));
    assert!(inherits_lints("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"));
    assert!(!inherits_lints("[package]\nname = \"x\"\n\n[dependencies]\ny.workspace = true\n"));
}

/// The code of a crate, without comments, literals and tests.
fn code_of(package: &str) -> Vec<String> {
    let rule = floor::rule(package).expect("one of our packages");
    sources(rule).iter().map(|path| source::without_tests(&source::code_only(&read(path)))).collect()
}

#[test]
fn signaling_sends_every_command_and_reads_every_field_of_an_event() {
    let of = |file: &str, name: &str| {
        let variants = protocol::variants(name, &read(&root().join("engine/control/src").join(file)));
        assert!(variants.len() > 4, "{name} was not read");
        variants
    };
    let code = code_of("leat-signaling");
    let unused: BTreeSet<String> = [
        protocol::unsent("Command", &of("command.rs", "Command"), &code),
        protocol::unsent("StatsOf", &of("stats.rs", "StatsOf"), &code),
        protocol::unread("Event", &of("event.rs", "Event"), &code),
        protocol::unread("SnapshotItem", &of("event.rs", "SnapshotItem"), &code),
    ]
    .into_iter()
    .flatten()
    .collect();
    let listed = protocol::LATER.iter().map(|(name, _)| *name).chain(protocol::FOR_TESTS.iter().copied());
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert_clean(unused.difference(&listed).map(|name| format!("signaling does not use {name}")).collect());
    assert_clean(listed.difference(&unused).map(|name| format!("{name} is in use or gone")).collect());
}

#[test]
fn an_unused_command_and_an_unread_field_are_found() {
    let text =
        "pub enum Event { /// One.\n Done { request: RequestId, at: Vec<(u8, u8)> }, Gone(Why), End, }";
    let events = protocol::variants("Event", text);
    assert_eq!(events.keys().map(String::as_str).collect::<Vec<_>>(), ["Done", "End", "Gone"]);
    assert_eq!(events["Done"].iter().map(String::as_str).collect::<Vec<_>>(), ["at", "request"]);
    let commands = "pub enum Command { Open { id: Id, at: Option<u8> }, Close { id: Id }, }";
    let commands = protocol::variants("Command", commands);
    let code =
        ["f(Command::Open { id, at: None }); match e { Event::Done { request, at: _ } | Event::End => {} }"];
    let code = code.map(str::to_owned);
    assert_eq!(
        Vec::from_iter(protocol::unsent("Command", &commands, &code)),
        ["Command::Close", "Command::Open.at"]
    );
    assert_eq!(Vec::from_iter(protocol::unread("Event", &events, &code)), ["Event::Done.at", "Event::Gone"]);
}

#[test]
fn a_name_stands_for_one_type_in_a_crate() {
    let mut found = Vec::new();
    for rule in PLAN {
        let folder = root().join(rule.folder).join("src");
        let files: Vec<(String, String)> = sources(rule)
            .iter()
            .filter_map(|path| Some((path.strip_prefix(&folder).ok()?.to_str()?.to_owned(), read(path))))
            .collect();
        let types = names::defined(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        found.extend(names::repeated(rule.package, &types));
    }
    assert_clean(found);
}

#[test]
fn a_name_of_two_types_is_found() {
    let types = names::defined([
        ("vp8.rs", "pub struct Descriptor; struct Walk; #[cfg(test)] mod tests { struct Tx; }"),
        ("vp9.rs", "pub struct Descriptor<'a>(&'a u8); enum Walk {} struct Tx;"),
    ]);
    let found = names::repeated("leat-rtp", &types);
    assert_eq!(found, ["leat-rtp: Walk is the name of several types: vp8.rs, vp9.rs"]);
}

/// The constants of all crates.
fn constants() -> figures::Constants {
    let mut constants = figures::Constants::new();
    for path in PLAN.iter().flat_map(sources) {
        figures::read(&mut constants, &read(&path));
    }
    constants
}

#[test]
fn figures_of_the_documentation_agree_with_their_constants() {
    let constants = constants();
    let (mut found, mut checked) = (Vec::new(), 0);
    for entry in fs::read_dir(root().join("docs")).expect("docs/ is readable") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let page = read(&path);
            let figures = figures::named(&page);
            checked += figures.len();
            let faults = figures.iter().filter_map(|figure| figures::fault(figure, &constants));
            found.extend(faults.map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert_clean(found);
    assert!(checked >= 15, "only {checked} figures name their constant");
}

#[test]
fn a_wrong_figure_is_found() {
    let mut constants = figures::Constants::new();
    figures::read(&mut constants, "pub const QUEUE: usize = 2 * FRAME;\npub const FRAME: usize = 2 << 10;");
    figures::read(&mut constants, "const PAUSE: Duration = Duration::from_millis(1_500);");
    let faults = |page: &str| -> Vec<String> {
        figures::named(page).iter().filter_map(|figure| figures::fault(figure, &constants)).collect()
    };
    assert_clean(faults("At most 4 KiB (`QUEUE`), 1,500 ms (`PAUSE`) | 2,048 (`FRAME`) packets (`code`)."));
    assert_found(&faults("At most 5 KiB (`QUEUE`)."), "QUEUE");
    assert_found(&faults("After 1 s\n(`PAUSE`)."), "PAUSE");
    assert_found(&faults("8 (`GONE`)"), "no constant is called GONE");
}

/// Which of our crates depends on which, without development dependencies.
fn crate_edges(metadata: &Metadata) -> diagrams::Edges {
    let short = |name: &str| name.trim_start_matches("leat-").to_owned();
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let needs = |package: &Package| -> BTreeSet<String> {
        let needed = package.dependencies.iter().filter(|needed| needed.kind != DependencyKind::Development);
        needed
            .filter(|needed| ours.contains(needed.name.as_str()))
            .map(|needed| short(&needed.name))
            .collect()
    };
    packages.iter().map(|package| (short(&package.name), needs(package))).collect()
}

/// Which child of a module imports which; an empty `parent` is the root of the crate.
fn module_edges(package: &str, parent: &str) -> diagrams::Edges {
    let child = |module: &str| -> Option<String> {
        let inner =
            if parent.is_empty() { module } else { module.strip_prefix(parent)?.strip_prefix("::")? };
        inner.split("::").next().filter(|child| !child.is_empty()).map(str::to_owned)
    };
    let mut found = diagrams::Edges::new();
    for (module, imported) in modules_of(floor::rule(package).expect("one of our packages")) {
        let Some(from) = child(&module) else { continue };
        let to = imported.iter().filter_map(|imported| child(imported)).filter(|to| *to != from);
        found.entry(from.clone()).or_default().extend(to);
    }
    found
}

#[test]
fn diagrams_of_crates_and_modules_show_the_code() {
    let page = read(&root().join("docs/architecture.md"));
    let code = [
        ("crates", crate_edges(&metadata())),
        ("modules of leat-sfu", module_edges("leat-sfu", "")),
        ("modules of leat-runtime", module_edges("leat-runtime", "")),
        ("modules of leat-relay", module_edges("leat-relay", "")),
        ("modules of rooms", module_edges("leat-signaling", "rooms")),
    ];
    let mut found = Vec::new();
    for (title, code) in code {
        assert!(code.len() > 5, "the modules of {title} were not read");
        let drawn = diagrams::drawn(&page, title).unwrap_or_default();
        found.extend(diagrams::differences(title, &drawn, &code));
    }
    assert_clean(found);
}

#[test]
fn a_diagram_that_differs_from_the_code_is_found() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let code =
        diagrams::Edges::from([("a".to_owned(), set(&["b", "c"])), ("b".to_owned(), set(&["c", "d"]))]);
    let page = "## One\n```mermaid\nflowchart TD\n%% letters\na[First] --> b\nb --> c & e\n```\n a --> z";
    let drawn = diagrams::drawn(page, "letters").expect("it is there");
    let found = diagrams::differences("letters", &drawn, &code);
    assert_eq!(found, ["letters lacks b --> d", "letters has b --> e, the code has not"]);
    assert_eq!(diagrams::drawn(page, "numbers"), None);
}

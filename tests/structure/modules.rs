//! The modules inside a crate: no circle of imports, and imports only from a higher floor to a lower one.
//!
//! A module and its own children may import each other, because a `mod.rs` declares them. Test code is
//! ignored. This reads paths that begin with `crate` or `super`; it is *not* a parser (see
//! [`crate::source`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::source;

/// The floors of one crate, the lowest first. Modules of one floor do not import each other.
pub struct Floors {
    /// The folder of the crate's sources, from the top of the tree.
    pub sources: &'static str,
    /// The modules at the top of the crate.
    pub floors: &'static [&'static [&'static str]],
}

/// The crates whose modules have floors.
pub const FLOORS: &[Floors] = &[
    Floors {
        sources: "engine/sfu/src",
        floors: &[
            &["limits"],
            &["base", "packet"],
            &["bandwidth", "speakers", "pipe"],
            &["ingress", "transport"],
            &["egress"],
            &["objects"],
            &["shard"],
            &["containment"],
        ],
    },
    Floors {
        sources: "engine/runtime/src",
        floors: &[
            &["limits"],
            &["bind_error", "tokens"],
            &["clock", "latency", "mailbox", "sys"],
            &["memory", "udp"],
            &["steering", "tcp"],
            &["control", "tx"],
            &["worker"],
        ],
    },
    Floors {
        sources: "turn/relay/src",
        floors: &[
            &["base64", "bucket", "counters", "limits", "request_attributes", "sorted", "table"],
            &["credentials", "nonce", "policy", "relay_sockets", "throttle"],
            &["allocation", "quota", "request_context", "revoked"],
            &["peer_streams", "settings"],
            &["events"],
            &["allocations", "call"],
            &["authenticate", "respond", "traffic"],
            &["allocate", "permit", "refresh"],
            &["streams"],
            &["request"],
            &["relay"],
            &["dtls_relay"],
        ],
    },
    Floors {
        sources: "engine/host/src",
        floors: &[
            &["addresses", "descriptors", "end_guard", "panics", "ports", "start_error"],
            &["main_thread", "program"],
            &["workers"],
        ],
    },
    // Names without a module are reserved for the features that are planned next.
    Floors {
        sources: "signaling/src",
        floors: &[
            &["limits", "metrics", "request_error"],
            &["bus", "media_node", "protocol", "stores", "token_bucket"],
            &["auth", "cluster", "engine", "ortc", "presence"],
            &["sdp"],
            &["rooms"],
            &["api"],
            &["whip"],
            &["graphql"],
            &["server"],
            &["config"],
            &["admin", "supervisor"],
            &["operate"],
            &["bin"],
        ],
    },
    Floors {
        sources: "engine/shm/src",
        floors: &[
            &["doorbell", "limits", "sync"],
            &["layout", "ring", "seqlock", "versions"],
            &["region", "wire"],
            &["ends", "pending"],
            &["attach", "listener"],
        ],
    },
    Floors {
        sources: "engine/control/src",
        floors: &[
            &["limits", "next"],
            &["page", "version"],
            &["codec", "counters"],
            &["fault", "ids", "state"],
            &["dtls", "media", "pipe"],
            &["data", "plain", "stats"],
            &["command", "event"],
            &["fixtures"],
        ],
    },
    Floors {
        sources: "engine/src",
        floors: &[
            &["limits"],
            &["cli", "collector", "memory"],
            &["config", "endpoint"],
            &["self_ping"],
            &["engine"],
        ],
    },
    Floors {
        sources: "turn/src",
        floors: &[
            &["limits"],
            &["certificates", "cli", "ledger", "wall_clock"],
            &["control"],
            &["bus_thread", "collector", "interfaces"],
            &["config"],
            &["server"],
        ],
    },
    Floors {
        sources: "signaling/bus/src",
        floors: &[
            &["limits", "subject"],
            &["event", "message", "turn_url"],
            &["in_process", "nats"],
            &["transport"],
            &["revocations", "turn_register"],
        ],
    },
    Floors {
        sources: "engine/dtls/src",
        floors: &[
            &["limits"],
            &["certificate", "failed", "fingerprint", "record"],
            &["assembly", "candidate", "cookies", "ration", "settings"],
            &["guard"],
            &["endpoint"],
        ],
    },
    Floors {
        sources: "engine/sctp/src",
        floors: &[
            &["limits"],
            &["channel", "discard", "failed", "packet"],
            &["dcep", "handshake", "lane", "schedule"],
            &["guard"],
            &["link"],
            &["association"],
        ],
    },
];

/// The imports of each module, by its path inside the crate (`shard::close`; empty for the root).
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads the sources of a crate: their paths from its folder of sources, and their text.
pub fn imports<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Imports {
    let sources: Vec<(String, &str)> = sources.into_iter().map(|(path, text)| (module(path), text)).collect();
    let known: BTreeSet<&str> = sources.iter().map(|(module, _)| module.as_str()).collect();
    let imports_of = |module: &str, text: &str| {
        let code = source::without_tests(&source::code_only(text));
        let paths = paths(&code, module).into_iter();
        let found = paths.filter_map(|path| longest_known(&path, &known));
        found.filter(|found| !is_related(found, module)).map(str::to_owned).collect()
    };
    sources.iter().map(|(module, text)| (module.clone(), imports_of(module, text))).collect()
}

/// Every circle of imports, one sentence each.
pub fn circles(imports: &Imports) -> Vec<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (module.as_str(), reached(module, imports))).collect();
    let circle_of = |module: &str| -> Vec<&str> {
        let others = reached[module].iter().copied();
        others.filter(|other| reached.get(other).is_some_and(|back| back.contains(module))).collect()
    };
    let circles: BTreeSet<Vec<&str>> = reached.keys().map(|module| circle_of(module)).collect();
    let circles = circles.into_iter().filter(|circle| !circle.is_empty());
    circles.map(|circle| format!("a circle of imports: {}", circle.join(", "))).collect()
}

/// Every import that does not go down, one sentence each.
pub fn climbs(imports: &Imports, floors: &Floors) -> Vec<String> {
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let floor = |module: &str| floors.floors.iter().position(|floor| floor.contains(&module));
    let mut found = Vec::new();
    for (module, imported) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        let Some(own) = floor(&top(module)) else {
            found.push(format!("{}: {module} is on no floor", floors.sources));
            continue;
        };
        let others = imported.iter().filter(|other| top(other) != top(module));
        let above = others.filter(|other| floor(&top(other)).is_none_or(|floor| floor >= own));
        found.extend(above.map(|other| format!("{}: {module} imports {other}", floors.sources)));
    }
    found
}

fn reached<'a>(from: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = imports[from].iter().map(String::as_str).collect();
    while let Some(module) = next.pop() {
        if found.insert(module) {
            next.extend(imports.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    found
}

/// The module of a file.
fn module(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if ["lib", "main", "mod"].contains(&path) { String::new() } else { path.replace('/', "::") }
}

fn is_related(one: &str, other: &str) -> bool {
    let is_inside = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner == outer
            || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
    };
    is_inside(one, other) || is_inside(other, one)
}

fn longest_known<'a>(path: &[String], known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let prefixes = (1..=path.len()).rev().map(|len| path[..len].join("::"));
    prefixes.into_iter().find_map(|prefix| known.get(prefix.as_str()).copied())
}

/// The paths that begin with `crate` or `super`, from the root of the crate; a path with braces is several.
fn paths(code: &str, module: &str) -> Vec<Vec<String>> {
    let own: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut found = Vec::new();
    for (word, start) in [("crate::", 0), ("super::", own.len().saturating_sub(1))] {
        for (at, _) in code.match_indices(word) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let base: Vec<String> = own[..start].to_vec();
            let rest = &code[at + word.len()..];
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            let parts = rest[..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned);
            let base: Vec<String> = base.into_iter().chain(parts).collect();
            match rest[end..].strip_prefix('{').and_then(|list| list.split_once('}')) {
                Some((list, _)) if rest[..end].ends_with("::") || end == 0 => {
                    for name in list.split([',', '{']) {
                        let inner =
                            name.trim().split("::").filter(|part| !part.is_empty()).map(str::to_owned);
                        found.push(base.iter().cloned().chain(inner).collect());
                    }
                }
                _ => found.push(base),
            }
        }
    }
    found
}

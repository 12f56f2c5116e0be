//! The diagrams of `docs/architecture.md`: each shows exactly the imports that do not follow from others.

use std::collections::{BTreeMap, BTreeSet};

/// What imports what.
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// The edges `a --> b` of the Mermaid block whose first comment is `%% {title}`; the names are the ids of the
/// nodes. A word that Mermaid reserves has an underscore behind it: `call_`.
/// `None` if the page has no such block.
pub fn drawn(page: &str, title: &str) -> Option<Edges> {
    let (_, rest) = page.split_once(&format!("%% {title}\n"))?;
    let block = rest.split("```").next()?;
    let mut found = Edges::new();
    for line in block.lines().map(str::trim) {
        let ids = line.split("-->").map(|node| node.split(['[', '(']).next().unwrap_or_default().trim());
        let nodes: Vec<Vec<&str>> =
            ids.map(|ids| ids.split('&').map(|id| id.trim().trim_end_matches('_')).collect()).collect();
        if let [from, to] = &nodes[..] {
            for from in from {
                found.entry((*from).to_owned()).or_default().extend(to.iter().map(|to| (*to).to_owned()));
            }
        }
    }
    Some(found)
}

/// The edges that do not follow from others: of a → b, b → c and a → c, the last one goes.
pub fn reduced(edges: &Edges) -> Edges {
    let reached = |from: &str| {
        let mut found = BTreeSet::new();
        let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(node) = next.pop() {
            if found.insert(node.clone()) {
                next.extend(edges.get(node).into_iter().flatten());
            }
        }
        found
    };
    let direct = |to: &BTreeSet<String>| -> BTreeSet<String> {
        let further: BTreeSet<String> = to.iter().flat_map(|to| reached(to)).collect();
        to.difference(&further).cloned().collect()
    };
    edges.iter().map(|(from, to)| (from.clone(), direct(to))).collect()
}

/// How a diagram differs from the code, one sentence each.
pub fn differences(title: &str, drawn: &Edges, code: &Edges) -> Vec<String> {
    let flat = |edges: &Edges| -> BTreeSet<(String, String)> {
        edges.iter().flat_map(|(from, to)| to.iter().map(|to| (from.clone(), to.clone()))).collect()
    };
    let (drawn, code) = (flat(drawn), flat(&reduced(code)));
    let missing = code.difference(&drawn).map(|(from, to)| format!("{title} lacks {from} --> {to}"));
    let wrong =
        drawn.difference(&code).map(|(from, to)| format!("{title} has {from} --> {to}, the code has not"));
    missing.chain(wrong).collect()
}

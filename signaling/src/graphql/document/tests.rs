use super::*;
use serde_json::json;

fn check(query: &str) -> Result<(), String> {
    prepare(&mut Request::new(query)).map_err(|error| error.message)
}

/// `count` fragments; each spreads the next one this number of times.
fn fragments(count: usize, spreads: usize) -> String {
    let spread = |of: usize| format!("...f{of} ").repeat(spreads);
    let of = |n: usize| format!("fragment f{n} on Query {{ {} }} ", spread(n + 1));
    let all: String = (0..count - 1).map(of).collect();
    format!("{{ ...f0 }} {all} fragment f{} on Query {{ __typename }}", count - 1)
}

#[test]
fn expanded_fragments_are_counted() {
    assert_eq!(check(&fragments(9, 2)), Ok(()));
    for query in [fragments(14, 2), fragments(30, 2), fragments(30, 20), fragments(5, 100)] {
        assert!(check(&query).is_err_and(|text| text.contains("expanded")), "{query}");
        // Without a use as well.
        let unused = query.replacen("...f0", "__typename", 1);
        assert!(check(&unused).is_err_and(|text| text.contains("expanded")), "{unused}");
    }
    // Each of two operations is within the limit.
    let field = "__typename ".repeat(limits::GRAPHQL_NODES_MAX / 2);
    assert_eq!(check(&format!("query a {{ {field} }} query b {{ id }}")), Ok(()));
    assert!(check(&format!("query a {{ {field} }} query b {{ {field} id }}")).is_err());
}

#[test]
fn arguments_directives_and_values_count() {
    let spreads = "...f ".repeat(100);
    for part in ["a(b: [{}])", "a {}", "... {} { a }", "...g {}"] {
        let many = if part.contains('[') { "[1] ".repeat(30) } else { "@skip(if: true) ".repeat(30) };
        let fragment = part.replace("{}", &many);
        let query =
            format!("{{ {spreads} }} fragment f on Query {{ {fragment} }} fragment g on Query {{ a }}");
        assert!(check(&query).is_err_and(|text| text.contains("expanded")), "{query}");
        let once = query.replacen(&spreads, "...f", 1);
        assert_eq!(check(&once), Ok(()));
    }
    // A variable counts with its value, and its default value, at each use.
    let list = vec![0; 100];
    for variables in [json!({}), json!({ "x": list })] {
        let query = |uses: usize| format!("query a($x: [Int]) {{ {} }}", "a(b: $x) ".repeat(uses));
        let mut request = Request::new(query(100)).variables(Variables::from_json(variables.clone()));
        assert_eq!(prepare(&mut request).is_err(), variables["x"].is_array());
    }
    let default = format!("query a($x: [Int] = {list:?}) {{ {} }}", "a(b: $x) ".repeat(100));
    assert!(check(&default).is_err());
}

#[test]
fn fragments_in_a_circle_or_nested_too_deep_are_refused() {
    for circle in [
        "{ ...a } fragment a on Query { ...a }",
        "{ ...a } fragment a on Query { ...b } fragment b on Query { rooms { ...a } }",
        "{ __typename } fragment a on Query { ...b } fragment b on Query { ... { ...a } }",
    ] {
        assert!(check(circle).is_err_and(|text| text.contains("contains itself")), "{circle}");
    }
    assert_eq!(check(&fragments(limits::GRAPHQL_NESTING_MAX, 1)), Ok(()));
    let deep = fragments(limits::GRAPHQL_NESTING_MAX + 1, 1);
    assert!(check(&deep).is_err_and(|text| text.contains("nested")));
    // The first fragment is known before the second use of it is deeper.
    let known = format!("{{ ...f0 ... {{ ...f0 }} }} {}", deep_fragments());
    assert!(check(&known).is_err_and(|text| text.contains("nested")), "{known}");
    assert_eq!(check("{ ...unknown }"), Ok(()));
}

fn deep_fragments() -> String {
    fragments(limits::GRAPHQL_NESTING_MAX, 1).replacen("{ ...f0 }", "", 1)
}

#[test]
fn subscription_has_one_field() {
    let one = "presence(roomId: \"a\") { userId }";
    assert_eq!(check(&format!("subscription {{ {one} }}")), Ok(()));
    for two in [
        format!("subscription {{ a: {one} b: {one} }}"),
        format!("subscription {{ ... {{ {one} }} ...f }} fragment f on Subscription {{ {one} }}"),
        format!("query q {{ a }} subscription s {{ ...f ...f }} fragment f on Subscription {{ {one} }}"),
    ] {
        assert!(check(&two).is_err_and(|text| text.contains("one field")), "{two}");
    }
}

#[test]
fn lists_of_the_schema_count_by_their_length() {
    let names = |count: usize| (0..count).map(|n| format!("a{n}: name ")).collect::<String>();
    let of_types = |count| format!("{{ __schema {{ types {{ fields {{ {} }} }} }} }}", names(count));
    assert_eq!(check(&of_types(50)), Ok(()));
    assert!(check(&of_types(200)).is_err_and(|text| text.contains("schema")));
    let spread = "{ __schema { ...s } } fragment s on __Schema { types { ...t } } fragment t on __Type";
    assert_eq!(check(&format!("{spread} {{ fields {{ {} }} }}", names(50))), Ok(()));
    assert!(check(&format!("{spread} {{ fields {{ {} }} }}", names(200))).is_err());
}

use super::*;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Example {
    #[serde(deserialize_with = "whole::deserialize")]
    number: Option<u32>,
    #[serde(deserialize_with = "object")]
    inner: Option<Box<Example>>,
}

fn error(text: &str) -> (String, String) {
    let mut json = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, Example>(&mut json).expect_err("invalid");
    let problem = invalid(&error);
    let field = problem.errors.first().map(|error| error.field.clone()).unwrap_or_default();
    (field, problem.detail)
}

#[test]
fn error_names_the_field_and_the_expected_form() {
    assert_eq!(error(r#"{"number": 1.5}"#).0, "number");
    assert!(error(r#"{"number": "x"}"#).1.contains("expected a whole number"));
    let (field, detail) = error(r#"{"inner": {"colour": 1}}"#);
    assert_eq!(field, "inner.colour");
    assert!(detail.contains("unknown field") && detail.contains("number"), "{detail}");
    let (field, detail) = error(r#"{"inner": {"number": "x"}}"#);
    assert_eq!(field, "inner");
    assert!(detail.contains("number: invalid type"), "{detail}");
    assert_eq!(error(r#"{"inner": [1, null]}"#).0, "inner");
    assert_eq!(error(&format!("{{\"{}\": 1}}", "x".repeat(10_000))).0.len(), limits::API_FIELD_NAME_LEN_MAX);
}

#[test]
fn whole_numbers_have_several_forms() {
    for (text, number) in [("3", 3), ("3.0", 3), ("1e3", 1_000), ("4294967295", u32::MAX)] {
        let parsed: Example = serde_json::from_str(&format!("{{\"number\": {text}}}")).expect(text);
        assert_eq!(parsed.number, Some(number));
    }
    for text in ["-1", "4294967296", "1e10", "0.5", "\"3\"", "true"] {
        serde_json::from_str::<Example>(&format!("{{\"number\": {text}}}")).expect_err(text);
    }
}

#[test]
fn cursor_belongs_to_one_list() {
    let mut names = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let cursor = next_cursor(&mut names, 2, "rooms", |name| name);
    assert_eq!(names, ["a", "b"]);
    let query = PageQuery { limit: None, cursor };
    assert_eq!(query.after("rooms").expect("its cursor").as_deref(), Some("b"));
    query.after("users").expect_err("of another list");
    assert_eq!(next_cursor(&mut names, 2, "rooms", |name| name), None);
    let long = PageQuery { limit: Some(101), cursor: Some("A".repeat(limits::API_CURSOR_LEN_MAX + 1)) };
    long.after("rooms").expect_err("too long");
    long.limit().expect_err("more than the maximum");
    PageQuery { limit: Some(0), cursor: None }.limit().expect_err("none");
}

//! As much of JSON Schema (draft 2020-12) as the schemas in `tests/vectors` use. A keyword that is not known
//! here is an error, not ignored.

use serde_json::{Map, Value};

/// Why `value` does not match `schema`, with the place in it; `Ok` if it does.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    check_at("$", schema.as_object().ok_or("a schema is an object")?, value)
}

fn check_at(place: &str, schema: &Map<String, Value>, value: &Value) -> Result<(), String> {
    for (keyword, wanted) in schema {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => type_of(value) == wanted,
            "enum" => wanted.as_array().is_some_and(|values| values.contains(value)),
            "minimum" => {
                value.as_f64().is_none_or(|number| wanted.as_f64().is_some_and(|least| number >= least))
            }
            "minLength" => value
                .as_str()
                .is_none_or(|text| wanted.as_u64().is_some_and(|least| text.chars().count() as u64 >= least)),
            "required" => {
                let mut names = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                value.as_object().is_none_or(|object| names.all(|name| object.contains_key(name)))
            }
            "properties" => {
                let (Some(properties), Some(object)) = (wanted.as_object(), value.as_object()) else {
                    continue;
                };
                for (name, schema) in properties {
                    if let (Some(schema), Some(value)) = (schema.as_object(), object.get(name)) {
                        check_at(&format!("{place}.{name}"), schema, value)?;
                    }
                }
                true
            }
            "additionalProperties" if *wanted == Value::Bool(false) => {
                let known = schema.get("properties").and_then(Value::as_object);
                let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                value.as_object().is_none_or(|object| object.keys().all(is_known))
            }
            _ => return Err(format!("{place}: the keyword {keyword:?} is not known here")),
        };
        if !fits {
            return Err(format!("{place}: {value} does not match {keyword}: {wanted}"));
        }
    }
    Ok(())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_of_another_form_do_not_match_the_schema_of_logs() {
        let schema: Value = serde_json::from_str(include_str!("../vectors/log/schema.json")).expect("JSON");
        let good = json!({"timestamp": 1, "level": "info", "context": {"any": [1]}, "message": "m"});
        assert_eq!(check(&schema, &good), Ok(()));
        for (key, value) in [
            ("timestamp", json!("2026-11-22T00:00:00Z")),
            ("timestamp", json!(-1)),
            ("level", json!("INFO")),
            ("level", json!("trace")),
            ("context", json!(null)),
            ("context", json!({"peerId": 7})),
            ("message", json!(1)),
            ("error", json!(null)),
            ("error", json!("it broke")),
            ("error", json!({"name": "Error"})),
            ("error", json!({"name": "", "message": "m"})),
            ("error", json!({"name": "Error", "message": "m", "cause": "c"})),
            ("target", json!("signaling")),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            check(&schema, &bad).expect_err(&bad.to_string());
        }
        for missing in ["timestamp", "level", "context", "message"] {
            let mut bad = good.clone();
            bad.as_object_mut().expect("an object").remove(missing);
            check(&schema, &bad).expect_err(missing);
        }
    }

    #[test]
    fn an_unknown_keyword_is_an_error() {
        check(&json!({"pattern": "a"}), &json!("a")).expect_err("not known");
        check(&json!({"additionalProperties": {}}), &json!({})).expect_err("not known");
    }
}

//! The OpenAPI document as a page for people: plain HTML, without scripts and without files of other hosts.

use serde_json::Value;
use std::fmt::Write as _;

/// What the page may load: nothing but its own style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page.
pub(super) fn html(document: &Value) -> String {
    let mut page = String::from(HEAD);
    let info = &document["info"];
    let _ = writeln!(page, "<h1>{}</h1>\n<p>{}</p>", text(&info["title"]), text(&info["description"]));
    page.push_str("<p>Programs read <a href=\"openapi.json\">openapi.json</a>.</p>\n");
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "<h2>{}</h2>", text(&tag["description"]));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag["name"] {
                    write_operation(&mut page, path, method, operation);
                }
            }
        }
    }
    page.push_str("<h2>Objects</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        write_schema(&mut page, name, schema);
    }
    page.push_str("</main>\n</html>\n");
    page
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = writeln!(
        page,
        "<section>\n<h3 id=\"{id}\"><code><b>{method}</b> {path}</code></h3>\n<p>{summary}. {description}</p>",
        id = text(&operation["operationId"]),
        method = method.to_uppercase(),
        path = escape(path),
        summary = text(&operation["summary"]),
        description = text(&operation["description"]),
    );
    let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>Parameter</th><th>In</th><th>Form</th><th>Meaning</th></tr>\n");
        for parameter in parameters {
            let required = if parameter["required"] == true { ", required" } else { "" };
            let _ = writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}{required}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                form(&parameter["schema"]),
                text(&parameter["description"]),
            );
        }
        page.push_str("</table>\n");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = writeln!(page, "<p>Body: {}</p>", form(body));
    }
    page.push_str("<p>Answers:");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let schema = &response["content"]["application/json"]["schema"];
        let what = match (response["$ref"].is_string(), schema.is_null()) {
            (true, _) => "<a href=\"#Problem\">Problem</a>".to_owned(),
            (false, true) => text(&response["description"]),
            (false, false) => form(schema),
        };
        let _ = write!(page, " <code>{}</code> {what};", escape(status));
    }
    page.truncate(page.trim_end_matches(';').len());
    page.push_str("</p>\n</section>\n");
}

fn write_schema(page: &mut String, name: &str, schema: &Value) {
    let _ = writeln!(
        page,
        "<section>\n<h3 id=\"{name}\"><code>{name}</code></h3>\n<p>{}</p>",
        text(&schema["description"]),
        name = escape(name),
    );
    let Some(properties) = schema["properties"].as_object() else {
        let _ = writeln!(page, "<p>{}</p>\n</section>", form(schema));
        return;
    };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("<table><tr><th>Field</th><th>Form</th><th>Meaning</th></tr>\n");
    for (field, of) in properties {
        let optional = if required.contains(&field.as_str()) { "" } else { ", optional" };
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code></td><td>{}{optional}</td><td>{}</td></tr>",
            escape(field),
            form(of),
            text(&of["description"]),
        );
    }
    page.push_str("</table>\n</section>\n");
}

/// The form of a value in a few words.
fn form(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = escape(target.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let one_of = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if let Some(choices) = one_of {
        let choices = choices.iter().filter(|choice| choice["type"] != "null").map(form);
        return choices.collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| format!("<code>{}</code>", text(value)));
        return values.collect::<Vec<_>>().join(" or ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    let mut words = match kind.as_str() {
        Some("array") => format!("list of {}", form(&schema["items"])),
        _ => text(&kind),
    };
    for (key, word) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "of at least"),
        ("maxLength", "of at most"),
        ("maxItems", "of at most"),
        ("pattern", "like"),
    ] {
        if !schema[key].is_null() {
            let _ = write!(words, " {word} <code>{}</code>", text(&schema[key]));
        }
    }
    words
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Leat HTTP API</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 60rem; margin: auto; padding: 1rem; }
section { border-top: 1px solid #8886; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; border-top: 1px solid #8883; overflow-wrap: anywhere; }
code { font-size: 0.95em; }
</style>
<main>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_every_operation_and_loads_nothing() {
        let document = crate::api::document();
        let page = html(&document);
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("methods").keys() {
                let title = format!("<b>{}</b> {path}</code>", method.to_uppercase());
                assert_eq!(page.matches(&title).count(), 1, "{title}");
            }
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert_eq!(page.matches(&format!("id=\"{name}\"")).count(), 1, "{name}");
        }
        for forbidden in ["<script", "http://", "https://", "src=", "url("] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn text_of_the_document_is_no_markup() {
        let document = serde_json::json!({ "info": { "title": "<script>\"&" } });
        assert!(html(&document).contains("<h1>&lt;script&gt;&quot;&amp;</h1>"));
    }
}

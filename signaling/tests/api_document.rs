//! The OpenAPI document agrees with the server, its limits and its manual.

mod harness;

use harness::api::{ApiServer, basic};
use serde_json::Value;
use signaling::limits;
use stores::accounts::DEFAULT_PROJECT;
use stores::accounts::limits as account_limits;

/// Path, method and operation of each request.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    all.collect()
}

#[tokio::test]
async fn document_and_page_are_served_to_everyone() {
    let server = ApiServer::start("document").await;
    let document = server.send("GET", "/api/v1/openapi.json", "", None).await;
    assert_eq!(document.clone().ok(200), signaling::api::document());
    assert_eq!(document.json["openapi"], "3.1.0");
    let page = server.send("GET", "/api/v1/docs", "", None).await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.text.contains("<h1>Leat HTTP API</h1>"));
}

#[tokio::test]
async fn every_operation_exists_and_needs_authentication() {
    let server = ApiServer::start("operations").await;
    let key = basic(&server.key(DEFAULT_PROJECT).await);
    let document = signaling::api::document();
    let operations = operations(&document);
    assert!(operations.len() > 20, "{}", operations.len());
    for (path, method, operation) in operations {
        let url = path.replace("{room}", "r").replace("{id}", "0123456789abcdef").replace("{name}", "n");
        let method = method.to_uppercase();
        for authorization in ["", &key] {
            let answer = server.send(&method, &url, authorization, None).await;
            let is_described = operation["responses"].get(answer.status.to_string()).is_some();
            assert!(is_described, "{method} {path}: status {} is not in the document", answer.status);
            if authorization.is_empty() && operation["tags"][0] != "accounts" {
                assert_eq!(answer.status, 401, "{method} {path}");
            } else if method != "DELETE" {
                assert_ne!(answer.status, 405, "{method} {path}");
            }
        }
    }
}

/// The field of a schema.
fn field<'a>(document: &'a Value, schema: &str, field: &str) -> &'a Value {
    let found = &document["components"]["schemas"][schema]["properties"][field];
    assert!(found.is_object(), "{schema}.{field}");
    found
}

#[test]
fn bounds_of_the_document_are_the_limits_of_the_server() {
    let document = signaling::api::document();
    for (schema, name, bound, limit) in [
        ("NewToken", "room", "maxLength", limits::ROOM_LEN_MAX),
        ("NewToken", "user", "maxLength", limits::USER_LEN_MAX),
        ("NewToken", "name", "maxLength", limits::DISPLAY_NAME_LEN_MAX),
        ("NewToken", "ttlS", "maximum", limits::API_TOKEN_TTL_MAX.as_secs() as usize),
        ("TokenPermissions", "canPublishSources", "maxItems", limits::PUBLISH_SOURCES_MAX),
        ("RoomChange", "maxPeers", "maximum", limits::PEERS_PER_ROOM_MAX),
        ("NewUser", "name", "maxLength", account_limits::USER_LEN_MAX),
        ("NewUser", "password", "minLength", account_limits::PASSWORD_LEN_MIN),
        ("NewUser", "password", "maxLength", account_limits::PASSWORD_BYTES_MAX),
        ("UserChange", "password", "minLength", account_limits::PASSWORD_LEN_MIN),
        ("NewKey", "label", "maxLength", account_limits::LABEL_LEN_MAX),
        ("Login", "project", "maxLength", account_limits::PROJECT_LEN_MAX),
    ] {
        assert_eq!(field(&document, schema, name)[bound], limit, "{schema}.{name}");
    }
    let parameter = |name: &str| {
        let all =
            operations(&document).into_iter().flat_map(|(.., operation)| operation["parameters"].as_array());
        let found: Vec<&Value> = all.flatten().filter(|parameter| parameter["name"] == name).collect();
        assert!(!found.is_empty(), "{name}");
        found
    };
    for (name, bound, limit) in [
        ("limit", "maximum", limits::API_PAGE_MAX),
        ("cursor", "maxLength", limits::API_CURSOR_LEN_MAX),
        ("room", "maxLength", limits::ROOM_LEN_MAX),
        ("reason", "maxLength", limits::REASON_LEN_MAX),
        ("name", "maxLength", limits::USER_LEN_MAX),
        ("idempotency-key", "maxLength", limits::IDEMPOTENCY_KEY_LEN_MAX),
    ] {
        for parameter in parameter(name) {
            assert_eq!(parameter["schema"][bound], limit, "{parameter}");
        }
    }
    let page = include_str!("../../docs/api.md");
    for (text, limit) in [
        ("requests per second of one address", limits::API_REQUESTS_PER_ADDRESS_PER_SECOND as usize),
        ("characters of an `Idempotency-Key`", limits::IDEMPOTENCY_KEY_LEN_MAX),
    ] {
        assert!(page.contains(&format!("{limit} {text}")), "{limit} {text}");
    }
}

#[test]
fn manual_has_every_path_and_no_other() {
    let document = signaling::api::document();
    let page = include_str!("../../docs/api.md");
    let mut described = Vec::new();
    for (path, method, _) in operations(&document) {
        let row = format!("`{} {path}`", method.to_uppercase());
        assert_eq!(page.matches(&row).count(), 1, "{row} in docs/api.md");
        described.push(row);
    }
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split('|').nth(1).map(str::trim).unwrap_or_default();
        let is_request =
            ["`GET /", "`POST /", "`PATCH /", "`DELETE /"].iter().any(|start| cell.starts_with(start));
        assert!(!is_request || described.iter().any(|row| row == cell), "{cell} is not in the document");
    }
}

/// What a validator refuses: a response without a description, a reference to nothing, and a repeated operationId.
#[test]
fn document_is_complete() {
    let document = signaling::api::document();
    let mut ids = std::collections::BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}");
        assert!(ids.insert(operation["operationId"].to_string()), "{name}: {}", operation["operationId"]);
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let is_described = response["$ref"].is_string() || response["description"].is_string();
            assert!(is_described, "{name}: {status}");
        }
    }
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("inside of the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

//! The OpenAPI document, from the handlers of the routes. What all requests have in common is added here: errors,
//! authentication, and `Idempotency-Key`.

use super::accounts::AccountsApi;
use super::problem::{self, InvalidField, ProblemBody};
use super::service::ApiService;
use super::{audit_log, idempotency, keys, participants, room_list, stats, tokens, users};
use crate::limits;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The path of the document.
pub(super) const DOCUMENT: &str = "/api/v1/openapi.json";
/// The path of the page for people.
pub(super) const PAGE: &str = "/api/v1/docs";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Leat HTTP API",
        description = "Rooms and their participants, tokens, users, API keys and the audit log of one project. \
                       Unknown fields of requests are refused; answers may get further fields.",
        license(name = "MIT", identifier = "MIT"),
    ),
    components(schemas(ProblemBody, InvalidField)),
    security(("apiKey" = []), ("bearer" = [])),
    tags(
        (name = "rooms", description = "Rooms and their settings"),
        (name = "participants", description = "The participants of a room"),
        (name = "stats", description = "Numbers"),
        (name = "tokens", description = "Tokens for rooms"),
        (name = "users", description = "Accounts of people"),
        (name = "keys", description = "API keys of applications"),
        (name = "audit", description = "Who did what"),
        (name = "accounts", description = "Logging in"),
    )
)]
struct Base;

/// The routes that need authentication.
pub(super) fn guarded() -> OpenApiRouter<Arc<ApiService>> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(room_list::list_rooms))
        .routes(routes!(room_list::get_room, room_list::change_room, room_list::end_room))
        .routes(routes!(participants::list_participants))
        .routes(routes!(
            participants::get_participant,
            participants::change_participant,
            participants::remove_participant
        ))
        .routes(routes!(participants::mute_participant))
        .routes(routes!(stats::get_participant_stats))
        .routes(routes!(stats::get_stats))
        .routes(routes!(tokens::mint_token))
        .routes(routes!(users::list_users, users::add_user))
        .routes(routes!(users::get_user, users::change_user, users::delete_user))
        .routes(routes!(keys::list_keys, keys::add_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(audit_log::list_audit))
}

/// The OpenAPI document.
///
/// # Panics
///
/// If the document is not an object with paths, which the library guarantees.
pub fn document() -> Value {
    let (_, mut api) = guarded().split_for_parts();
    let (_, logins) = AccountsApi::routes().split_for_parts();
    api.merge(logins);
    if let Some(components) = &mut api.components {
        let scheme = |scheme, text: &str| {
            let mut http = Http::new(scheme);
            http.description = Some(text.to_owned());
            SecurityScheme::Http(http)
        };
        let key = "The id of an API key as user name, and its secret as password.";
        components.add_security_scheme("apiKey", scheme(HttpAuthScheme::Basic, key));
        let bearer = "The session of a login, or a token for a room.";
        components.add_security_scheme("bearer", scheme(HttpAuthScheme::Bearer, bearer));
    }
    let mut document = serde_json::to_value(&api).expect("plain JSON");
    let paths = document["paths"].as_object_mut().expect("an object");
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            describe(path, method, operation);
        }
    }
    document["components"]["responses"] = json!({ "Problem": {
        "description": "The request failed.",
        "headers": { "Retry-After": {
            "description": "Seconds after which the same request may succeed.",
            "schema": { "type": "integer", "minimum": 1 },
        } },
        "content": { problem::TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    } });
    document
}

/// Adds what the code around the handlers does.
fn describe(path: &str, method: &str, operation: &mut Value) {
    let is_login = operation["security"] == json!([{}]);
    let mut statuses = vec![400, 401, 429, 503];
    if !is_login {
        statuses.push(403);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if operation.get("requestBody").is_some() {
        // Nothing is found if the project was deleted meanwhile.
        statuses.extend([413, 404, 409]);
    }
    let is_about_login = operation["tags"] == json!(["accounts"]);
    if operation.get("requestBody").is_some() && !is_about_login {
        statuses.push(415);
    }
    let is_once = method == "post" && !is_about_login;
    if is_once {
        statuses.extend([409, 422]);
        let parameters = operation["parameters"].as_array_mut();
        let parameter = json!({
            "name": idempotency::HEADER.as_str(),
            "in": "header",
            "required": false,
            "description": "A value that this caller chooses for this request, for example a UUID. A second request with \
                            it gets the answer to the first, for an hour.",
            "schema": { "type": "string", "minLength": 1, "maxLength": limits::IDEMPOTENCY_KEY_LEN_MAX, "pattern": "^[!-~]+$" },
        });
        match parameters {
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
    }
    let responses = operation["responses"].as_object_mut().map(std::mem::take);
    let mut responses: Map<String, Value> = responses.unwrap_or_default();
    for status in statuses {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    operation["responses"] = responses.into();
}

//! The HTTP API: what each caller may do, what it does to rooms and accounts, and every limit.

mod harness;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use control::Command;
use harness::api::{ApiServer, PASSWORD, basic, bearer, token_for};
use harness::tokens::{admin, claims, enter, entry, keyring, resume, start, token, until};
use harness::{Signaling, join};
use serde_json::{Value, json};
use signaling::api::ApiService;
use signaling::api::accounts::ClientAddress;
use signaling::auth::token::Permissions;
use signaling::limits;
use signaling::proto::{self, ErrorCode, JoinRoom, signal::Payload};
use signaling::rooms::app_data::{TransportRecord, unpack};
use signaling::rooms::{Admission, Overrides, RoomKey};
use stores::accounts::{Actor, DEFAULT_PROJECT};
use tower::ServiceExt;

const ROOMS: &str = "/api/v1/rooms";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

#[tokio::test]
async fn rooms_and_participants_are_listed_in_pages() {
    let server = ApiServer::start("pages").await;
    let key = basic(&server.key(DEFAULT_PROJECT).await);
    assert_eq!(server.send("GET", ROOMS, &key, None).await.ok(200), json!({ "rooms": [] }));
    let mut clients = Vec::new();
    for (room, user) in [("b", "ada"), ("a", "ada"), ("c", "ada"), ("b", "bob"), ("b", "eve")] {
        clients.push(server.enter(room, user, Permissions::default()).await);
    }
    let mut names = Vec::new();
    let mut path = format!("{ROOMS}?limit=2");
    loop {
        let page = server.send("GET", &path, &key, None).await.ok(200);
        let rooms = page["rooms"].as_array().expect("a list");
        names.extend(
            rooms.iter().map(|room| (text(&room["name"]).to_owned(), room["participantCount"].clone())),
        );
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        assert_eq!(rooms.len(), 2);
        path = format!("{ROOMS}?limit=2&cursor={cursor}");
    }
    assert_eq!(names, [("a".into(), json!(1)), ("b".into(), json!(3)), ("c".into(), json!(1))]);
    let mut users = Vec::new();
    let mut path = format!("{ROOMS}/b/participants?limit=1");
    loop {
        let page = server.send("GET", &path, &key, None).await.ok(200);
        users.push(text(&page["participants"][0]["user"]).to_owned());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("{ROOMS}/b/participants?limit=1&cursor={cursor}");
    }
    users.sort();
    assert_eq!(users, ["ada", "bob", "eve"]);
    let (_, joined) = &clients[0];
    let one = format!("{ROOMS}/b/participants/{}", joined.peer_id);
    let participant = server.send("GET", &one, &key, None).await.ok(200);
    assert_eq!(participant["user"], "ada");
    assert_eq!(participant["permissions"]["canPublish"], true);
    let elsewhere = format!("{ROOMS}/a/participants/{}", joined.peer_id);
    server.send("GET", &elsewhere, &key, None).await.refused(404, "NO_SUCH_PEER");
    server.send("GET", &format!("{ROOMS}/d"), &key, None).await.refused(404, "NO_SUCH_ROOM");
    let stats = server.send("GET", "/api/v1/stats", &key, None).await.ok(200);
    assert_eq!((&stats["rooms"], &stats["participants"]), (&json!(3), &json!(5)));
    for (path, field) in [
        (format!("{ROOMS}?limit=0"), "limit"),
        (format!("{ROOMS}?limit=101"), "limit"),
        (format!("{ROOMS}?limit=x"), "limit"),
        (format!("{ROOMS}?colour=red"), "colour"),
        (format!("{ROOMS}?limit=1&limit=2"), "limit"),
        (format!("{ROOMS}?cursor={}", "A".repeat(limits::API_CURSOR_LEN_MAX + 1)), "cursor"),
        (format!("{ROOMS}/b/participants?cursor=cm9vbXM6Yg"), "cursor"),
        (format!("{ROOMS}/{}", "r".repeat(limits::ROOM_LEN_MAX + 1)), "room"),
        (format!("{ROOMS}/b/participants/ABCDEF0123456789"), "id"),
    ] {
        server.send("GET", &path, &key, None).await.names(field);
    }
}

#[tokio::test]
async fn administrator_locks_a_room_and_ends_its_call() {
    let server = ApiServer::start("lock").await;
    let key = server.key(DEFAULT_PROJECT).await;
    let (header, room) = (basic(&key), format!("{ROOMS}/stage"));
    let (mut ada, _) = server.enter("stage", "ada", Permissions::default()).await;
    let change = json!({ "locked": true, "maxPeers": 3.0, "publishers": "admins" });
    let changed = server.send("PATCH", &room, &header, Some(&change)).await.ok(200);
    assert_eq!((&changed["locked"], &changed["maxPeers"]), (&json!(true), &json!(3)));
    let policy = until(&mut ada, |payload| match payload {
        Payload::RoomChanged(changed) => changed.policy,
        _ => None,
    });
    let policy = policy.await;
    assert!(policy.locked && policy.max_peers == 3 && policy.publishers == "admins");
    let late = server.signaling.client();
    let token = harness::tokens::token(&harness::api::claims("stage", "bob", Permissions::default()));
    let late = late.fails(Payload::JoinRoom(JoinRoom { token, ..join("stage", "") })).await;
    assert_eq!(late, ErrorCode::RoomLocked);
    for (change, field) in [
        (json!({ "colour": 1 }), "colour"),
        (json!({ "locked": "yes" }), "locked"),
        (json!({ "maxPeers": -1 }), "maxPeers"),
        (json!({ "maxPeers": 1.5 }), "maxPeers"),
        (json!({ "publishers": "some" }), "publishers"),
    ] {
        server.send("PATCH", &room, &header, Some(&change)).await.names(field);
    }
    let many = json!({ "maxPeers": limits::PEERS_PER_ROOM_MAX + 1 });
    server.send("PATCH", &room, &header, Some(&many)).await.refused(400, "BAD_MESSAGE");
    let long = format!("{room}?reason={}", "x".repeat(limits::REASON_LEN_MAX + 1));
    server.send("DELETE", &long, &header, None).await.refused(400, "BAD_MESSAGE");
    assert_eq!(
        server.send("DELETE", &format!("{room}?reason=good%20night"), &header, None).await.status,
        204
    );
    let evicted = until(&mut ada, |payload| match payload {
        Payload::Evicted(evicted) => Some(evicted.reason),
        _ => None,
    });
    assert_eq!(evicted.await, "good night");
    server.send("DELETE", &room, &header, None).await.refused(404, "NO_SUCH_ROOM");
    // The log names the key.
    let actor = format!("key:{}", key.id);
    server
        .eventually("the audit log has both", async || {
            let log = server.send("GET", "/api/v1/audit", &header, None).await.ok(200);
            let entries = log["entries"].as_array().expect("a list").iter();
            let of_key = entries.filter(|entry| entry["actor"] == actor && entry["target"] == "room:stage");
            let mut actions: Vec<_> = of_key.map(|entry| text(&entry["action"])).collect();
            actions.sort_unstable();
            actions == ["room.end", "room.set"]
        })
        .await;
}

#[tokio::test]
async fn administrator_mutes_restricts_and_removes_a_participant() {
    let server = ApiServer::start("participant").await;
    let header = basic(&server.key(DEFAULT_PROJECT).await);
    let (mut ada, joined) = server.enter("stage", "ada", Permissions::default()).await;
    let (_bob, other) = server.enter("stage", "bob", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let audio = ada.produce(&send, "audio").await;
    let one = format!("{ROOMS}/stage/participants/{}", joined.peer_id);

    let muted = json!({ "muted": true, "kind": "audio" });
    let shown = server.send("POST", &format!("{one}/mute"), &header, Some(&muted)).await.ok(200);
    assert_eq!((&shown["audioMuted"], &shown["videoMuted"]), (&json!(true), &json!(false)));
    assert_eq!(shown["tracks"][0]["id"], audio);
    assert_eq!(shown["tracks"][0]["muted"], true);
    let is_muted = |payload| match payload {
        Payload::Muted(muted) => Some(muted.muted),
        _ => None,
    };
    assert!(until(&mut ada, is_muted).await);
    let again = Payload::ResumeProducer(proto::ResumeProducer { producer_id: audio.clone() });
    assert_eq!(ada.fails(again).await, ErrorCode::Muted);
    let stats = server.send("GET", &format!("{one}/stats"), &header, None).await.ok(200);
    assert_eq!(stats["transports"][0]["id"], send);
    assert_eq!(stats["producers"][0]["id"], audio);
    assert_eq!(stats["truncated"], false);
    let ended = server.send("POST", &format!("{one}/mute"), &header, Some(&json!({ "muted": false }))).await;
    assert_eq!(ended.ok(200)["audioMuted"], false);
    server.send("POST", &format!("{one}/mute"), &header, Some(&json!({}))).await.names("muted");
    let smell = json!({ "muted": true, "kind": "smell" });
    server.send("POST", &format!("{one}/mute"), &header, Some(&smell)).await.names("kind");

    let change = json!({ "canPublish": false, "admin": true });
    let shown = server.send("PATCH", &one, &header, Some(&change)).await.ok(200);
    assert_eq!(shown["permissions"]["canPublish"], false);
    assert_eq!(shown["tracks"], json!([]), "what it may not publish is closed");
    let granted = until(&mut ada, |payload| match payload {
        Payload::PermissionsChanged(changed) => changed.permissions,
        _ => None,
    });
    let granted = granted.await;
    assert!(granted.admin && !granted.can_publish);
    // A new token does not change what the administrator decided.
    let token = harness::tokens::token(&harness::api::claims("stage", "ada", Permissions::default()));
    let refreshed = ada.ask(Payload::RefreshToken(proto::RefreshToken { token })).await;
    let Payload::TokenRefreshed(refreshed) = refreshed else { panic!("refreshed: {refreshed:?}") };
    let granted = refreshed.permissions.expect("permissions");
    assert!(granted.admin && !granted.can_publish && granted.can_subscribe);
    server.send("PATCH", &one, &header, Some(&json!({ "canFly": true }))).await.names("canFly");

    for (query, field) in [
        ("banSeconds=0&ban=true", "banSeconds"),
        ("banSeconds=5", "banSeconds"),
        ("ban=true&wholeUser=true", "wholeUser"),
    ] {
        server.send("DELETE", &format!("{one}?{query}"), &header, None).await.names(field);
    }
    assert_eq!(server.send("DELETE", &one, &header, None).await.status, 204);
    until(&mut ada, |payload| matches!(payload, Payload::Evicted(_)).then_some(())).await;
    server.send("DELETE", &one, &header, None).await.refused(404, "NO_SUCH_PEER");
    let join_again = |user: &str| {
        let token = harness::tokens::token(&harness::api::claims("stage", user, Permissions::default()));
        Payload::JoinRoom(JoinRoom { token, ..join("stage", "") })
    };
    // `claims` of one user have one `jti`.
    assert_eq!(server.signaling.client().fails(join_again("ada")).await, ErrorCode::TokenRevoked);
    let (_eve, _) = server.enter("stage", "eve", Permissions::default()).await;
    let ban = format!("{ROOMS}/stage/participants/{}?ban=true&banSeconds=600", other.peer_id);
    assert_eq!(server.send("DELETE", &ban, &header, None).await.status, 204);
    assert_eq!(server.signaling.client().fails(join_again("bob")).await, ErrorCode::Banned);
    assert_eq!(server.send("GET", &format!("{ROOMS}/stage"), &header, None).await.ok(200)["bans"], 1);
}

#[tokio::test]
async fn restriction_survives_a_restart_of_signaling() {
    let (engine, signaling) = start();
    let (ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    ada.transport("recv").await;
    let changes = Overrides { can_publish: Some(false), ..Overrides::default() };
    let operator = signaling.rooms.operator(RoomKey::new(DEFAULT_PROJECT, "r"), Actor::System);
    operator.set_permissions(&joined.peer_id, changes).expect("changed");
    let is_stored = |command: &Command| {
        let Command::SetAppData { app_data, .. } = command else { return false };
        let record: TransportRecord = unpack(app_data).expect("our record");
        record.publish_override == Some(false) && !record.can_publish
    };
    engine.received("the record", is_stored).await;
    signaling.kill().await;
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let client = signaling.client();
    let again = JoinRoom { resume: Some(resume(&joined)), ..entry("ada", Permissions::default()) };
    let again = client.join(again).await;
    assert_eq!(again.peer_id, joined.peer_id);
    let token = token(&claims("ada", Permissions::default()));
    let refreshed = client.ask(Payload::RefreshToken(proto::RefreshToken { token })).await;
    let Payload::TokenRefreshed(refreshed) = refreshed else { panic!("refreshed: {refreshed:?}") };
    assert!(refreshed.permissions.is_some_and(|permissions| !permissions.can_publish));
}

#[tokio::test]
async fn each_caller_sees_and_does_what_it_may() {
    let server = ApiServer::start("rights").await;
    server.accounts.add_project(&harness::api::by(), "another").await.expect("a project");
    let key = basic(&server.key(DEFAULT_PROJECT).await);
    let foreign = basic(&server.key("another").await);
    let boss = server.user(DEFAULT_PROJECT, "boss", true).await;
    let ada = server.user(DEFAULT_PROJECT, "ada", false).await;
    let guest = token_for("stage", "guest", Permissions::default());
    let host = token_for("stage", "host", admin());
    let any = token_for("*", "any", Permissions::default());
    let owner = token_for("*", "owner", admin());
    let (_client, joined) = server.enter("stage", "eve", Permissions::default()).await;
    let (_client, _) = server.enter("other", "eve", Permissions::default()).await;
    let one = format!("{ROOMS}/stage/participants/{}", joined.peer_id);
    // Which of these requests each may send; 1: yes, 0: no.
    let requests: [(&str, String, Option<Value>); 9] = [
        ("GET", ROOMS.to_owned(), None),
        ("GET", format!("{ROOMS}/stage"), None),
        ("GET", one.clone(), None),
        ("GET", format!("{ROOMS}/other"), None),
        ("PATCH", format!("{ROOMS}/stage"), Some(json!({ "waitingRoom": false }))),
        ("GET", format!("{one}/stats"), None),
        ("GET", "/api/v1/stats".to_owned(), None),
        ("GET", "/api/v1/users".to_owned(), None),
        ("GET", "/api/v1/users/ada".to_owned(), None),
    ];
    for (name, header, may) in [
        ("an API key", &key, "111111111"),
        ("an administrator", &boss, "111111111"),
        ("a user", &ada, "011100001"),
        ("a token for a room", &guest, "111000000"),
        ("a token of a host", &host, "111011000"),
        ("a token for all rooms", &any, "011100000"),
        ("a token of a host of all rooms", &owner, "111111100"),
    ] {
        for ((method, path, body), may) in requests.iter().zip(may.bytes()) {
            let answer = server.send(method, path, header, body.as_ref()).await;
            match may {
                b'1' => assert_eq!(answer.status, 200, "{name}: {method} {path}: {answer:?}"),
                _ => assert_eq!(answer.status, 403, "{name}: {method} {path}: {answer:?}"),
            }
        }
    }
    for path in ["/api/v1/keys", "/api/v1/audit"] {
        server.send("GET", path, &boss, None).await.ok(200);
        for header in [&ada, &guest, &host, &owner] {
            server.send("GET", path, header, None).await.refused(403, "TOKEN_PERMISSION");
        }
    }
    // Another project does not see the room, nor what is in the database.
    assert_eq!(server.send("GET", ROOMS, &foreign, None).await.ok(200), json!({ "rooms": [] }));
    server.send("GET", &one, &foreign, None).await.refused(404, "NO_SUCH_PEER");
    server.send("DELETE", &format!("{ROOMS}/stage"), &foreign, None).await.refused(404, "NO_SUCH_ROOM");
    server.send("GET", "/api/v1/users/ada", &foreign, None).await.refused(404, "NOT_FOUND");
    let rooms = server.send("GET", ROOMS, &guest, None).await.ok(200);
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(1), "its own room: {rooms}");
    // Without valid credentials nothing is admitted.
    for (header, code) in [
        ("", "TOKEN_MISSING"),
        ("Bearer x.y.z", "TOKEN_MALFORMED"),
        ("Basic !", "TOKEN_MALFORMED"),
        ("Digest x", "TOKEN_MALFORMED"),
        ("Basic YTpi", "TOKEN_KEY"),
    ] {
        let answer = server.send("GET", ROOMS, header, None).await;
        assert!(answer.head.contains("www-authenticate"), "{answer:?}");
        answer.refused(401, code);
    }
}

#[tokio::test]
async fn hidden_participants_are_for_administrators() {
    let server = ApiServer::start("hidden").await;
    let permissions = Permissions { hidden: true, ..Permissions::default() };
    let (_client, joined) = server.enter("stage", "monitor", permissions).await;
    let guest = token_for("stage", "guest", Permissions::default());
    let host = token_for("stage", "host", admin());
    let one = format!("{ROOMS}/stage/participants/{}", joined.peer_id);
    assert_eq!(server.send("GET", ROOMS, &guest, None).await.ok(200), json!({ "rooms": [] }));
    server.send("GET", &format!("{ROOMS}/stage"), &guest, None).await.refused(404, "NO_SUCH_ROOM");
    server
        .send("GET", &format!("{ROOMS}/stage/participants"), &guest, None)
        .await
        .refused(404, "NO_SUCH_ROOM");
    server.send("GET", &one, &guest, None).await.refused(404, "NO_SUCH_PEER");
    assert_eq!(server.send("GET", &one, &host, None).await.ok(200)["user"], "monitor");
    let page = server.send("GET", &format!("{ROOMS}/stage/participants"), &host, None).await.ok(200);
    assert_eq!(page["participants"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn tokens_are_minted_within_the_rights_of_the_caller() {
    let server = ApiServer::start("tokens").await;
    let key = basic(&server.key(DEFAULT_PROJECT).await);
    let ada = server.user(DEFAULT_PROJECT, "ada", false).await;
    let path = "/api/v1/tokens";
    let wanted = json!({ "room": "stage", "user": "bob", "name": "Bob", "ttlS": 60, "permissions": { "admin": true } });
    let minted = server.send("POST", path, &key, Some(&wanted)).await.ok(201);
    assert_eq!((&minted["user"], &minted["permissions"]["admin"]), (&json!("bob"), &json!(true)));
    let token = text(&minted["token"]).to_owned();
    server
        .eventually("the token admits", async || {
            let join = JoinRoom { token: token.clone(), ..join("stage", "") };
            match server.signaling.client().ask(Payload::JoinRoom(join)).await {
                Payload::Joined(joined) => joined.permissions.is_some_and(|permissions| permissions.admin),
                _ => false,
            }
        })
        .await;
    let host = server.send("GET", &format!("{ROOMS}/stage"), &bearer(&token), None).await.ok(200);
    assert_eq!(host["name"], "stage");
    let own = server.send("POST", path, &ada, Some(&json!({ "room": "stage" }))).await.ok(201);
    assert_eq!((&own["user"], &own["permissions"]["admin"]), (&json!("ada"), &json!(false)));
    for wanted in [
        json!({ "room": "stage", "user": "bob" }),
        json!({ "room": "*" }),
        json!({ "room": "stage", "ttlS": 3_601 }),
        json!({ "room": "stage", "permissions": { "admin": true } }),
        json!({ "room": "stage", "permissions": { "hidden": true } }),
        json!({ "room": "stage", "permissions": { "canUsePlainTransports": true } }),
        json!({ "room": "stage", "permissions": { "canUpdateOwnMetadata": true } }),
    ] {
        server.send("POST", path, &ada, Some(&wanted)).await.refused(403, "TOKEN_PERMISSION");
    }
    for header in [bearer(&token), token_for("*", "owner", admin())] {
        server
            .send("POST", path, &header, Some(&json!({ "room": "stage" })))
            .await
            .refused(403, "TOKEN_PERMISSION");
    }
    for (wanted, field) in [
        (json!({ "room": "stage" }), "user"),
        (json!({ "user": "bob" }), "room"),
        (json!({ "room": "a b", "user": "bob" }), "room"),
        (json!({ "room": "stage", "user": "" }), "user"),
        (json!({ "room": "stage", "user": "u".repeat(limits::USER_LEN_MAX + 1) }), "user"),
        (json!({ "room": "stage", "user": "bob", "ttlS": 0 }), "ttlS"),
        (json!({ "room": "stage", "user": "bob", "ttlS": 86_401 }), "ttlS"),
        (json!({ "room": "stage", "user": "bob", "name": "" }), "name"),
        (
            json!({ "room": "stage", "user": "bob", "name": "n".repeat(limits::DISPLAY_NAME_LEN_MAX + 1) }),
            "name",
        ),
        (json!({ "room": "stage", "user": "bob", "permissions": { "canFly": true } }), "permissions.canFly"),
        (
            json!({ "room": "stage", "user": "bob", "permissions": { "canPublishSources": vec!["s"; limits::PUBLISH_SOURCES_MAX + 1] } }),
            "permissions.canPublishSources",
        ),
        (
            json!({ "room": "stage", "user": "bob", "permissions": { "canPublishSources": ["s".repeat(limits::SOURCE_LEN_MAX + 1)] } }),
            "permissions.canPublishSources",
        ),
    ] {
        server.send("POST", path, &key, Some(&wanted)).await.names(field);
    }
}

#[tokio::test]
async fn users_and_keys_are_managed_and_recorded() {
    let server = ApiServer::start("accounts").await;
    let boss = server.user(DEFAULT_PROJECT, "boss", true).await;
    let new = json!({ "name": "zoë/x", "password": PASSWORD });
    let added = server.send("POST", "/api/v1/users", &boss, Some(&new)).await.ok(201);
    assert_eq!(
        (&added["name"], &added["admin"], &added["disabled"]),
        (&json!("zoë/x"), &json!(false), &json!(false))
    );
    server.send("POST", "/api/v1/users", &boss, Some(&new)).await.refused(409, "EXISTS");
    let one = "/api/v1/users/zo%C3%AB%2Fx";
    assert_eq!(server.send("GET", one, &boss, None).await.ok(200)["id"], added["id"]);
    let log_in = async |password: &str| {
        let body = json!({ "user": "zoë/x", "password": password });
        server.send("POST", "/api/v1/login", "", Some(&body)).await
    };
    let session = bearer(text(&log_in(PASSWORD).await.ok(200)["token"]));
    server.send("GET", one, &session, None).await.ok(200);
    let change = json!({ "password": "another long password" });
    server.send("PATCH", one, &boss, Some(&change)).await.ok(200);
    log_in(PASSWORD).await.refused(401, "LOGIN_REFUSED");
    server.send("GET", one, &session, None).await.refused(401, "SESSION_INVALID");
    log_in("another long password").await.ok(200);
    let disabled = server.send("PATCH", one, &boss, Some(&json!({ "disabled": true }))).await.ok(200);
    assert_eq!(disabled["disabled"], true);
    log_in("another long password").await.refused(401, "LOGIN_REFUSED");
    let page = server.send("GET", "/api/v1/users?limit=1", &boss, None).await.ok(200);
    let cursor = text(&page["nextCursor"]).to_owned();
    let page =
        server.send("GET", &format!("/api/v1/users?limit=1&cursor={cursor}"), &boss, None).await.ok(200);
    assert_eq!((&page["users"][0]["name"], &page["nextCursor"]), (&json!("zoë/x"), &Value::Null));
    assert_eq!(server.send("DELETE", one, &boss, None).await.status, 204);
    server.send("DELETE", one, &boss, None).await.refused(404, "NOT_FOUND");
    for (new, field) in [
        (json!({ "name": "x", "password": "short" }), "password"),
        (json!({ "name": "x", "password": "p".repeat(1_025) }), "password"),
        (json!({ "name": "", "password": PASSWORD }), "name"),
        (json!({ "name": "a\nb", "password": PASSWORD }), "name"),
        (json!({ "name": "x" }), "password"),
        (json!({ "name": "x", "password": PASSWORD, "role": "king" }), "role"),
    ] {
        server.send("POST", "/api/v1/users", &boss, Some(&new)).await.names(field);
    }

    let new = server.send("POST", "/api/v1/keys", &boss, Some(&json!({ "label": "shop" }))).await.ok(201);
    let (id, secret) = (text(&new["key"]["id"]).to_owned(), text(&new["secret"]).to_owned());
    let stored = server.accounts.api_keys(DEFAULT_PROJECT).await.expect("keys");
    let stored = stored.into_iter().find(|key| key.id == id).expect("stored");
    assert_eq!(stored.secret, secret);
    let header = basic(&stored);
    let status = async || server.send("GET", ROOMS, &header, None).await.status;
    server.eventually("the key is known", async || status().await == 200).await;
    let listed = server.send("GET", "/api/v1/keys", &boss, None).await;
    assert!(!listed.text.contains(&secret), "no secret in a list");
    let keys = listed.ok(200);
    assert!(keys["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["id"] == *id)), "{keys}");
    assert_eq!(server.send("DELETE", &format!("/api/v1/keys/{id}"), &boss, None).await.status, 204);
    server.eventually("the key is revoked", async || status().await == 401).await;
    server.send("DELETE", &format!("/api/v1/keys/{id}"), &boss, None).await.refused(404, "NOT_FOUND");
    let long = json!({ "label": "l".repeat(129) });
    server.send("POST", "/api/v1/keys", &boss, Some(&long)).await.names("label");
    for _ in 0..15 {
        server.send("POST", "/api/v1/keys", &boss, Some(&json!({}))).await.ok(201);
    }
    server.send("POST", "/api/v1/keys", &boss, Some(&json!({}))).await.refused(409, "LIMIT");

    let mut actions = Vec::new();
    let mut path = "/api/v1/audit?limit=7".to_owned();
    loop {
        let page = server.send("GET", &path, &boss, None).await.ok(200);
        for entry in page["entries"].as_array().expect("a list") {
            if entry["actorName"] == "boss" {
                actions.push(text(&entry["action"]).to_owned());
            }
        }
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/audit?limit=7&cursor={cursor}");
    }
    actions.dedup();
    actions.reverse();
    let expected = [
        "user.login",
        "user.add",
        "user.password",
        "user.disable",
        "user.delete",
        "key.add",
        "key.revoke",
        "key.add",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn post_with_an_idempotency_key_is_carried_out_once() {
    let server = ApiServer::start("once").await;
    let boss = server.user(DEFAULT_PROJECT, "boss", true).await;
    let other = server.user(DEFAULT_PROJECT, "other", true).await;
    let add = async |header: &str, key: &str, name: &str| {
        let body = json!({ "name": name, "password": PASSWORD });
        let line = format!("Idempotency-Key: {key}\r\n");
        server.send_with("POST", "/api/v1/users", header, &line, Some(&body)).await
    };
    let first = add(&boss, "k1", "ada").await;
    let again = add(&boss, "k1", "ada").await;
    assert!(again.head.contains("idempotency-replayed: true") && !first.head.contains("replayed"));
    assert_eq!(first.ok(201), again.ok(201));
    add(&boss, "k1", "bob").await.refused(422, "IDEMPOTENCY_KEY_USED");
    add(&boss, "k2", "ada").await.refused(409, "EXISTS");
    add(&boss, "k2", "bob").await.ok(201);
    add(&other, "k1", "eve").await.ok(201);
    for key in ["", "a b", &"k".repeat(limits::IDEMPOTENCY_KEY_LEN_MAX + 1)] {
        add(&boss, key, "x").await.names("Idempotency-Key");
    }
    // Both at once: one is carried out, and the other has to wait or gets its answer.
    let (one, two) = tokio::join!(add(&boss, "k3", "zoe"), add(&boss, "k3", "zoe"));
    for answer in [one.clone(), two.clone()] {
        assert!(matches!(answer.status, 201 | 409), "{answer:?}");
        if answer.status == 409 {
            answer.refused(409, "IDEMPOTENCY_KEY_RUNNING");
        }
    }
    assert!(one.status == 201 || two.status == 201);
    let replayed = add(&boss, "k3", "zoe").await;
    assert!(replayed.head.contains("idempotency-replayed: true"));
}

#[tokio::test]
async fn development_mode_permits_rooms_without_a_token_and_no_accounts() {
    let server = ApiServer::with("development", Admission::Development { verifier: None }).await;
    let client = server.signaling.client();
    client.join(join("lobby", "Ada")).await;
    let rooms = server.send("GET", ROOMS, "", None).await.ok(200);
    assert_eq!(rooms["rooms"][0]["name"], "lobby");
    server.send("PATCH", &format!("{ROOMS}/lobby"), "", Some(&json!({ "locked": true }))).await.ok(200);
    for path in ["/api/v1/users", "/api/v1/keys", "/api/v1/audit"] {
        server.send("GET", path, "", None).await.refused(403, "TOKEN_PERMISSION");
    }
    let wanted = json!({ "room": "lobby", "user": "eve" });
    server.send("POST", "/api/v1/tokens", "", Some(&wanted)).await.refused(403, "TOKEN_PERMISSION");
    server.send("GET", ROOMS, "Bearer a.b.c", None).await.refused(401, "TOKEN_KEY");
}

#[tokio::test]
async fn sizes_types_and_rates_are_limited() {
    let server = ApiServer::start("limits").await;
    let boss = server.user(DEFAULT_PROJECT, "boss", true).await;
    let header = format!("Authorization: {boss}\r\n");
    let typed = format!("{header}Content-Type: application/json\r\n");
    let long = format!("{{\"label\": \"{}\"}}", " ".repeat(limits::API_BODY_BYTES_MAX));
    server.send_text("POST", "/api/v1/keys", &typed, &long).await.refused(413, "BODY_TOO_LONG");
    let keyed = format!("{typed}Idempotency-Key: long\r\n");
    server.send_text("POST", "/api/v1/keys", &keyed, &long).await.refused(413, "BODY_TOO_LONG");
    server.send_text("POST", "/api/v1/keys", &header, "{}").await.refused(415, "CONTENT_TYPE");
    let plain = format!("{header}Content-Type: text/plain\r\n");
    server.send_text("POST", "/api/v1/keys", &plain, "{}").await.refused(415, "CONTENT_TYPE");
    for body in ["", "{", "[]", "[null]", "{} {}", "null", "\"x\""] {
        server.send_text("POST", "/api/v1/keys", &typed, body).await.refused(400, "BAD_MESSAGE");
    }
    let twice = "{\"label\": \"a\", \"label\": \"b\"}";
    server.send_text("POST", "/api/v1/keys", &typed, twice).await.names("label");
    let put = server.send("PUT", "/api/v1/keys", &boss, None).await;
    assert!(
        put.status == 405 && put.head.contains("allow: ") && put.head.contains("problem+json"),
        "{put:?}"
    );
    server.send("GET", "/api/v1/nothing", &boss, None).await.refused(404, "NOT_FOUND");
    server.send("GET", "/api/v1/users/%FF", &boss, None).await.refused(400, "");

    // Passwords are counted by project, before they are hashed.
    let one = json!({ "name": "boss", "password": PASSWORD });
    let all = (0..4 * limits::API_PASSWORDS_BURST as usize)
        .map(|_| server.send("POST", "/api/v1/users", &boss, Some(&one)));
    let answers = futures_util::future::join_all(all).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.len() - refused.len() >= limits::API_PASSWORDS_BURST as usize, "{answers:?}");
    let refused = refused.first().copied().cloned().expect("the burst is spent");
    assert!(
        refused.head.contains("retry-after: ") && refused.text.contains("in this project"),
        "{refused:?}"
    );
    refused.refused(429, "LIMIT");
}

/// Without a network, so that the burst is spent faster than it is refilled.
#[tokio::test]
async fn requests_of_one_address_are_limited() {
    let server = ApiServer::start("rate").await;
    let router = ApiService::new(server.signaling.rooms.clone(), None).router();
    let status = async |address: [u8; 4], path: &str| {
        let request = Request::get(path).extension(ClientAddress(address.into())).body(Body::empty());
        let answer = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        answer.status()
    };
    let mut count = 0;
    let end = std::time::Instant::now() + harness::LIMIT;
    loop {
        let path = if count % 2 == 0 { "/api/v1/openapi.json" } else { ROOMS };
        match status([192, 0, 2, 7], path).await {
            StatusCode::TOO_MANY_REQUESTS => break,
            StatusCode::OK | StatusCode::UNAUTHORIZED => count += 1,
            other => panic!("{other} after {count} requests"),
        }
        assert!(std::time::Instant::now() < end, "no limit after {count} requests");
    }
    assert!(count >= limits::API_REQUESTS_PER_ADDRESS_BURST as usize, "{count}");
    assert_eq!(status([192, 0, 2, 8], ROOMS).await, StatusCode::UNAUTHORIZED, "another address");
}

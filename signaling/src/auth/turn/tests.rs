use super::*;

#[test]
fn credential_is_the_same_as_in_coturn() {
    let turn = TurnServer::new(
        vec!["turn:192.0.2.1:3478?transport=udp".into()],
        "north\nolder\n",
        Duration::from_secs(918),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let servers = turn.ice_servers("user", Duration::from_secs(1_433_895_000));
    let [server] = &servers[..] else { panic!("one") };
    assert_eq!(server.username, "1433895918:user");
    // printf '%s' 1433895918:user | openssl dgst -sha1 -hmac north -binary | base64
    assert_eq!(server.credential, "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
    // printf '%s' leat.turn.v1 | openssl dgst -sha256 -hmac north
    assert_eq!(turn.secret_id, "b6e0c5d8a35796d2");
}

#[test]
fn invalid_configurations_are_refused() {
    let error = TurnServer::new(vec!["http://a".into()], "s", Duration::ZERO).err().expect("no TURN URL");
    assert!(error.to_string().contains("--turn-url \"http://a\": expected turn:HOST:PORT"), "{error}");
    let many = vec!["turn:a".to_owned(); TURN_URLS_MAX + 1];
    assert_eq!(
        TurnServer::new(many, "s", Duration::ZERO).err(),
        Some(TurnServerError::TooMany(TURN_URLS_MAX + 1))
    );
    assert_eq!(
        TurnServer::new(vec!["turn:a".into()], " \n", Duration::ZERO).err(),
        Some(TurnServerError::NoSecret)
    );
}

#[test]
fn users_of_different_projects_have_different_names() {
    for (project, user, name) in [
        (DEFAULT_PROJECT, "ada", "ada"),
        ("mill", "ada", "mill/ada"),
        (DEFAULT_PROJECT, "mill/ada", "default/mill/ada"),
        ("mill", "ada/b", "mill/ada/b"),
    ] {
        assert_eq!(user_name(project, user), name);
    }
}

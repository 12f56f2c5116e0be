use super::super::token::NumericDate;
use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const LEEWAY: Duration = Duration::from_secs(30);

fn token(id: &str, issued_at: Option<u64>) -> TokenInfo {
    TokenInfo {
        id: TokenId(id.into()),
        key: Some("k1".into()),
        issued_at: issued_at.map(NumericDate),
        expires_at: NumericDate(NOW.as_secs() + 600),
    }
}

fn revoke(of: Revoked) -> Revocations {
    let revocations = Revocations::new(LEEWAY);
    let until = NOW + Duration::from_secs(600);
    revocations.add(Revocation { project: "p".into(), of, until }, NOW).expect("space");
    revocations
}

#[test]
fn revocation_applies_to_its_token_user_key_or_project_only() {
    let (now, old) = (NOW.as_secs(), token("t", Some(NOW.as_secs() - 5)));
    for (of, others) in [
        (Revoked::Token(TokenId("t".into())), ("p", "ada", token("u", Some(now)))),
        (Revoked::User("ada".into()), ("p", "bob", old.clone())),
        (Revoked::User("ada".into()), ("p", "ada", token("t", Some(now + 31)))),
        (Revoked::Key("k1".into()), ("p", "ada", TokenInfo { key: None, ..old.clone() })),
        (Revoked::Project, ("q", "ada", old.clone())),
    ] {
        let revocations = revoke(of.clone());
        let check = |project: &str, user: &str, token: &TokenInfo, at: Duration| {
            revocations.check_token(project, user, token, at).map_err(|error| error.code)
        };
        assert_eq!(check("p", "ada", &old, NOW), Err(ErrorCode::TokenRevoked), "{of:?}");
        assert_eq!(check(others.0, others.1, &others.2, NOW), Ok(()), "{of:?}");
        assert_eq!(check("q", "ada", &old, NOW), Ok(()), "{of:?}: another project");
        // Tokens are accepted for the leeway after their expiry, so it lasts as long.
        assert!(check("p", "ada", &old, NOW + Duration::from_secs(630)).is_err(), "{of:?}");
        assert_eq!(check("p", "ada", &old, NOW + Duration::from_secs(631)), Ok(()), "{of:?}");
    }
    let undated = token("t", None);
    assert!(revoke(Revoked::User("ada".into())).check_token("p", "ada", &undated, NOW).is_err());
}

#[test]
fn full_project_drops_its_own_revocation_that_ends_first() {
    let revocations = Revocations::new(LEEWAY);
    let add = |project: &str, number: usize| {
        let of = Revoked::Token(TokenId(number.to_string()));
        let until = NOW + Duration::from_secs(600 + number as u64);
        revocations.add(Revocation { project: project.into(), of, until }, NOW).expect("space");
    };
    add("q", 0);
    (0..=limits::REVOCATIONS_PER_PROJECT_MAX).for_each(|number| add("p", number));
    let is_revoked = |project: &str, number: usize| {
        revocations.check_token(project, "ada", &token(&number.to_string(), None), NOW).is_err()
    };
    assert!(!is_revoked("p", 0) && is_revoked("p", 1) && is_revoked("q", 0));
    assert!(is_revoked("p", limits::REVOCATIONS_PER_PROJECT_MAX));
}

//! Tokens for both servers: HS256 (RFC 7515, RFC 7519).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The secret that the servers get.
pub const SECRET: &str = "a secret of a measurement on loopback, no more";

/// A token that admits `user` to `room` until the year 2100.
pub fn mint(user: &str, room: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = serde_json::json!({ "sub": user, "room": room, "exp": 4_102_444_800_u64 });
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

//! Signatures by the form of Standard Webhooks 1.0: HMAC-SHA-256 over id, time and body.

use crate::limits::SECRET_BYTES;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The prefix of a secret in text.
const PREFIX: &str = "whsec_";

/// A key for signatures. It is shared with the receivers.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text that is not a secret. The text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected whsec_ and {} to {} bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)",
    SECRET_BYTES.start(),
    SECRET_BYTES.end()
)]
pub struct SecretError;

impl Secret {
    /// Reads `whsec_` and base64. White space around it is ignored.
    pub fn read(text: &str) -> Result<Self, SecretError> {
        let base64 = text.trim().strip_prefix(PREFIX).ok_or(SecretError)?;
        let key = STANDARD.decode(base64).map_err(|_| SecretError)?;
        SECRET_BYTES.contains(&key.len()).then_some(()).ok_or(SecretError)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The signature of a request, as in the header: version and base64.
    fn sign(&self, id: &str, time_s: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{time_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The header `webhook-signature`: the signatures of all secrets.
pub(crate) fn signatures(secrets: &[Secret], id: &str, time_s: u64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, time_s, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac` and `base64`.
    #[test]
    fn signature_is_the_one_of_the_specification() {
        let secret = Secret::read("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").expect("a secret");
        let body = br#"{"type":"room.created"}"#;
        let other = Secret::read("whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=").expect("a secret");
        let wanted = [
            "v1,/O1If2YY101LWgEi9Dv2tKMojVXwhbFWYkaEA18QMh4=",
            "v1,VMbWKR26DQ5N++8IHrq5durwQvHr/q14icvTHq1tNQA=",
        ];
        assert_eq!(secret.sign("msg_1", 1_674_087_231, body), wanted[0]);
        let both = signatures(&[secret, other], "msg_1", 1_674_087_231, body);
        assert_eq!(both, wanted.join(" "));
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in
            ["", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "whsec_", "whsec_c2hvcnQ=", "whsec_%"]
        {
            let error = Secret::read(text).expect_err(text).to_string();
            assert!(error.contains("24 to 64 bytes") && (text.len() < 7 || !error.contains(text)), "{error}");
        }
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert_eq!(Secret::read(&long).err(), Some(SecretError));
        assert_eq!(
            format!("{:?}", Secret::read(&format!("whsec_{}", STANDARD.encode([7; 64])))),
            "Ok(Secret(…))"
        );
    }
}

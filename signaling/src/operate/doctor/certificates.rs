//! The certificate of the TURN server.

use super::finding::{Finding, Level};
use crate::config::cli::UpOptions;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};

const CHECK: &str = "certificates";

/// A certificate that ends within this time is reported: renewals run a month ahead, and have failed then.
const AHEAD: Duration = Duration::from_secs(14 * 86_400);

/// `now` is the time since 1970.
pub(super) fn check(options: &UpOptions, now: Duration) -> Vec<Finding> {
    let (Some(certificate), Some(key)) = (&options.turn_certificate, &options.turn_private_key) else {
        return vec![Finding::ok(CHECK, "none configured: TURN without TLS")];
    };
    let host = options.turn_host.as_deref();
    match of_files(certificate, key, host, now) {
        Ok(findings) => findings,
        Err(finding) => vec![*finding],
    }
}

fn of_files(
    path: &Path,
    key_path: &Path,
    host: Option<&str>,
    now: Duration,
) -> Result<Vec<Finding>, Box<Finding>> {
    let (file, key_file) = (path.display(), key_path.display());
    let error = |message: String, advice: &str| Box::new(Finding::bad(CHECK, Level::Error, message, advice));
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|why| {
        error(format!("{file}: {why}"), "give a file with certificates in PEM that this user may read")
    })?;
    if chain.is_empty() {
        return Err(error(format!("{file} has no certificate"), "give a file with certificates in PEM"));
    }
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|why| {
        error(format!("{key_file}: {why}"), "give a file with a private key in PEM that this user may read")
    })?;
    CertifiedKey::from_der(chain.clone(), key, &aws_lc_rs::default_provider()).map_err(|why| {
        let message = format!("{file} and {key_file} cannot be used together: {why}");
        error(message, "give the private key of this certificate")
    })?;
    let mut findings = Vec::new();
    let mut end_of_own = None;
    for (index, der) in chain.iter().enumerate() {
        let number = index + 1;
        let parsed = EndEntityCert::try_from(der)
            .map_err(|why| error(format!("{file}: certificate {number}: {why}"), "create it again"))?;
        let end = end(&parsed);
        end_of_own = end_of_own.or(end);
        findings.extend(times(&parsed, end, &format!("{file}: certificate {number}"), now));
        let is_other = |host: &&str| {
            let name = ServerName::try_from(*host);
            !name.is_ok_and(|name| parsed.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if let Some(host) = host.filter(|_| index == 0).filter(is_other) {
            findings.push(*error(
                format!("{file} is not valid for --turn-host {host}"),
                "give the name in the certificate, or get a certificate for this name",
            ));
        }
    }
    if findings.is_empty() {
        let days = end_of_own.map_or(0, |end| end.saturating_sub(now.as_secs()) / 86_400);
        findings.push(Finding::ok(CHECK, format!("{file} is valid for {days} days")));
    }
    Ok(findings)
}

/// The result of the checks of a certificate at this time, in seconds since 1970. There is no trust anchor, so the
/// best result is an unknown issuer. The time is checked first.
fn state_at(certificate: &EndEntityCert<'_>, seconds: u64) -> Option<Error> {
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
}

/// The end of its validity in seconds since 1970. The latest time of a certificate is in the year 9999 (RFC 5280
/// §4.1.2.5), before which the check has passed.
fn end(certificate: &EndEntityCert<'_>) -> Option<u64> {
    match state_at(certificate, u64::from(u32::MAX) * 100) {
        Some(Error::CertExpired { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

fn times(certificate: &EndEntityCert<'_>, end: Option<u64>, what: &str, now: Duration) -> Option<Finding> {
    let date = |seconds: u64| crate::admin::table::date(seconds.saturating_mul(1_000).cast_signed());
    if let Some(Error::CertNotValidYet { not_before, .. }) = state_at(certificate, now.as_secs()) {
        let message = format!("{what} is valid only from {}", date(not_before.as_secs()));
        return Some(Finding::bad(CHECK, Level::Error, message, "check the clock, or wait"));
    }
    let advice = "renew the certificate, then send SIGHUP to leat up, which reads it again";
    let end = end?;
    if end < now.as_secs() {
        let message = format!("{what} expired on {}", date(end));
        return Some(Finding::bad(CHECK, Level::Error, message, advice));
    }
    (end - now.as_secs() < AHEAD.as_secs()).then(|| {
        let message = format!("{what} expires on {}, in less than 14 days", date(end));
        Finding::bad(CHECK, Level::Warning, message, advice)
    })
}

//! All `unsafe` code: functions that the `boring` crate does not wrap, behind safe ones.

// Each block calls one BoringSSL function with pointers that a borrow keeps valid.
#![allow(unsafe_code)]

use boring::error::ErrorStack;
use boring::pkey::{PKeyRef, Private};
use boring::ssl::{SslContextBuilder, SslCredential, SslMethod, SslRef};
use boring_sys as ffi;
use foreign_types::{ForeignType, ForeignTypeRef};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// The library's current time: seconds and microseconds.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

unsafe extern "C" {
    /// In `after_cookie.cc`.
    fn leat_ssl_begin_after_cookie(ssl: *mut ffi::SSL, first_record: u32);
}

/// Sets the library's time on this thread. Call it before each use of a connection.
pub(crate) fn set_time(now: Duration) {
    NOW.set(now);
}

/// DTLS that keeps certificates as bytes: the library parses only the public key of X.509.
pub(crate) fn method() -> SslMethod {
    // SAFETY: the function returns a static table. No X.509 function of `boring` is called on objects of it.
    unsafe { SslMethod::from_ptr(ffi::DTLS_with_buffers_method()) }
}

/// Limits the peer's certificates and the memory that stays after the handshake, and replaces the clock by
/// [`set_time`].
pub(crate) fn prepare(context: &mut SslContextBuilder, certificates_len_max: usize) {
    // SAFETY: the context is valid for as long as it is borrowed; the callback is a static function.
    unsafe {
        ffi::SSL_CTX_set_max_cert_list(context.as_ptr(), certificates_len_max);
        ffi::SSL_CTX_set_current_time_cb(context.as_ptr(), Some(present));
    }
}

extern "C" fn present(_: *const ffi::SSL, out: *mut ffi::timeval) {
    let now = NOW.get();
    // The library does not accept zero seconds; one more second is harmless.
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX - 1) + 1;
    // SAFETY: the library passes a pointer to its own variable that is valid for the call.
    unsafe {
        (*out).tv_sec = seconds;
        (*out).tv_usec = i64::from(now.subsec_micros());
    }
}

/// Certificates in DER, each signed by the next, and the key of the first.
pub(crate) fn credential(chain: &[&[u8]], key: &PKeyRef<Private>) -> Result<SslCredential, ErrorStack> {
    // SAFETY: the wrapper owns the credential as soon as it exists; the credential counts the buffers, which
    // are released here; both calls copy or count their arguments.
    unsafe {
        let credential = ffi::SSL_CREDENTIAL_new_x509();
        if credential.is_null() {
            return Err(ErrorStack::get());
        }
        let credential = SslCredential::from_ptr(credential);
        let buffer = |der: &&[u8]| ffi::CRYPTO_BUFFER_new(der.as_ptr(), der.len(), std::ptr::null_mut());
        let buffers: Vec<_> = chain.iter().map(buffer).collect();
        let taken = buffers.iter().all(|buffer| !buffer.is_null())
            && ffi::SSL_CREDENTIAL_set1_cert_chain(credential.as_ptr(), buffers.as_ptr(), buffers.len()) == 1
            && ffi::SSL_CREDENTIAL_set1_private_key(credential.as_ptr(), key.as_ptr()) == 1;
        // Releasing a null pointer does nothing.
        buffers.into_iter().for_each(|buffer| ffi::CRYPTO_BUFFER_free(buffer));
        if taken { Ok(credential) } else { Err(ErrorStack::get()) }
    }
}

/// Sets the timeout of an unanswered flight, and frees handshake-only state after the handshake.
pub(crate) fn set_up(ssl: &mut SslRef, flight_timeout: Duration) {
    let milliseconds = u32::try_from(flight_timeout.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: the connection is valid for as long as it is borrowed.
    unsafe {
        ffi::DTLSv1_set_initial_timeout_duration(ssl.as_ptr(), milliseconds);
        ffi::SSL_set_shed_handshake_config(ssl.as_ptr(), 1);
    }
}

/// Makes a server connection without a received datagram begin with message number 1 on both sides, and with
/// this record number on ours.
pub(crate) fn begin_after_cookie(ssl: &mut SslRef, first_record: u32) {
    // SAFETY: the connection is valid for as long as it is borrowed, and speaks DTLS: [`method`] is the only
    // one here.
    unsafe { leat_ssl_begin_after_cookie(ssl.as_ptr(), first_record) }
}

/// Makes a client that has not started send a key share on X25519 only. `false` if that group is not enabled.
pub(crate) fn send_short_key_share(ssl: &mut SslRef) -> bool {
    let groups = [ffi::SSL_GROUP_X25519 as u16];
    // SAFETY: the connection is valid for as long as it is borrowed; the call copies the groups.
    let result = unsafe { ffi::SSL_set1_client_key_shares(ssl.as_ptr(), groups.as_ptr(), groups.len()) };
    result == 1
}

/// The time until [`handle_timeout`] is due.
pub(crate) fn timeout(ssl: &SslRef) -> Option<Duration> {
    let mut left = ffi::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the connection is valid for as long as it is borrowed, the variable outlives the call.
    let is_set = unsafe { ffi::DTLSv1_get_timeout(ssl.as_ptr(), &raw mut left) } == 1;
    let seconds = u64::try_from(left.tv_sec).unwrap_or(0);
    let micros = u64::try_from(left.tv_usec).unwrap_or(0);
    is_set.then(|| Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// Retransmits due flights. `false` if the library has given up.
pub(crate) fn handle_timeout(ssl: &mut SslRef) -> bool {
    // SAFETY: the connection is valid for as long as it is borrowed.
    let result = unsafe { ffi::DTLSv1_handle_timeout(ssl.as_ptr()) };
    // Clears the errors of this call, so that the next call does not see them.
    drop(ErrorStack::get());
    result >= 0
}

/// The first certificate of the peer's chain, in DER.
pub(crate) fn peer_certificate(ssl: &SslRef) -> Option<&[u8]> {
    // SAFETY: the stack and its buffers belong to the connection's session and are neither changed nor
    // freed while the connection is borrowed: only a handshake or its end, which need it exclusively, do
    // that.
    unsafe {
        let certificates = ffi::SSL_get0_peer_certificates(ssl.as_ptr()).cast::<ffi::OPENSSL_STACK>();
        if certificates.is_null() || ffi::OPENSSL_sk_num(certificates) == 0 {
            return None;
        }
        let first = ffi::OPENSSL_sk_value(certificates, 0).cast::<ffi::CRYPTO_BUFFER>();
        let (data, len) = (ffi::CRYPTO_BUFFER_data(first), ffi::CRYPTO_BUFFER_len(first));
        if data.is_null() { None } else { Some(std::slice::from_raw_parts(data, len)) }
    }
}

/// Whether the keys depend on the whole handshake: DTLS 1.3, or RFC 7627.
pub(crate) fn has_extended_master_secret(ssl: &SslRef) -> bool {
    // SAFETY: the connection is valid for as long as it is borrowed.
    unsafe { ffi::SSL_get_extms_support(ssl.as_ptr()) == 1 }
}

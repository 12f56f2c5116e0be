// The only feature that BoringSSL lacks as a DTLS 1.2 server: to begin after a cookie exchange that other
// code has performed (RFC 6347 §4.2.1). There the ClientHello and the ServerHello both have the message
// number 1, and Finished protects that number, so it cannot be rewritten on the wire. The ServerHello's
// record gets the number of the ClientHello's: the record of HelloVerifyRequest had an earlier one.
//
// This compiles against BoringSSL's own headers: if one of the fields is renamed, the build fails.

#include <openssl/ssl.h>

#include "ssl/internal.h"

extern "C" void leat_ssl_begin_after_cookie(SSL *ssl, uint32_t first_record) {
  bssl::DTLS1_STATE *state = bssl::FromOpaque(ssl)->d1;
  state->handshake_read_seq = 1;
  state->handshake_write_seq = 1;
  state->write_epoch.next_record = bssl::DTLSRecordNumber(0, first_record);
}

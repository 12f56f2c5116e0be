/*
 * The functions of libsrtp 3 that mediasoup's worker calls, over libsrtp 2.7: mediasoup takes a beta of 3 that no package registry has.
 *
 * The cost of a packet is as in 3, where that differs from 2:
 * - An RTP packet is encrypted with AES-GCM from the caller's buffer into the other; only its header is copied.
 * - Streams are found in an array (cisco/libsrtp#674) instead of a linked list.
 *
 * The rest of the work is alike: the same checks, and as many calls of OpenSSL. The other profiles and RTCP are copied before they are
 * encrypted in place, as 2 does it. Nothing here is thread-safe beyond what libsrtp is.
 */
#ifndef SRTP3_H
#define SRTP3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Error codes that 2 does not have. */
#define srtp_err_status_buffer_small ((srtp_err_status_t)28)
#define srtp_err_status_cryptex_err ((srtp_err_status_t)29)

typedef struct srtp3_policy *srtp3_policy_t;

srtp_err_status_t srtp3_policy_create(srtp3_policy_t *policy);
void srtp3_policy_destroy(srtp3_policy_t policy);
srtp_err_status_t srtp3_policy_set_ssrc(srtp3_policy_t policy, srtp_ssrc_t ssrc);
srtp_err_status_t srtp3_policy_set_profile(srtp3_policy_t policy, srtp_profile_t profile);
srtp_err_status_t srtp3_policy_add_key(srtp3_policy_t policy, const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len,
                                       const uint8_t *mki, size_t mki_len);
srtp_err_status_t srtp3_policy_set_allow_repeat_tx(srtp3_policy_t policy, bool allow);
srtp_err_status_t srtp3_policy_set_window_size(srtp3_policy_t policy, size_t window_size);

srtp_err_status_t srtp3_create(srtp_t *session, srtp3_policy_t policy);
srtp_err_status_t srtp3_protect(srtp_t session, const uint8_t *rtp, size_t rtp_len, uint8_t *srtp, size_t *srtp_len, size_t mki_index);
srtp_err_status_t srtp3_unprotect(srtp_t session, const uint8_t *srtp, size_t srtp_len, uint8_t *rtp, size_t *rtp_len);
srtp_err_status_t srtp3_protect_rtcp(srtp_t session, const uint8_t *rtcp, size_t rtcp_len, uint8_t *srtcp, size_t *srtcp_len,
                                     size_t mki_index);
srtp_err_status_t srtp3_unprotect_rtcp(srtp_t session, const uint8_t *srtcp, size_t srtcp_len, uint8_t *rtcp, size_t *rtcp_len);

#ifdef __cplusplus
}
#endif

#endif

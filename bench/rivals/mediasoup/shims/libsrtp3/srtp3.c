/* libsrtp 3's functions over libsrtp 2.7; srtp3.h has the reason. */
#include "stream_list_priv.h"

#include "srtp3.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Far more than a datagram: lengths are int in 2. */
#define LENGTH_MAX 0x10000

struct srtp3_policy {
    srtp_policy_t policy;
    srtp_profile_t profile;
    /* Key, and salt behind it. */
    uint8_t key[SRTP_MAX_KEY_LEN];
};

srtp_err_status_t srtp3_policy_create(srtp3_policy_t *policy)
{
    *policy = calloc(1, sizeof(struct srtp3_policy));
    return *policy ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

void srtp3_policy_destroy(srtp3_policy_t policy)
{
    if (policy) OPENSSL_cleanse(policy->key, sizeof policy->key);
    free(policy);
}

srtp_err_status_t srtp3_policy_set_ssrc(srtp3_policy_t policy, srtp_ssrc_t ssrc)
{
    policy->policy.ssrc = ssrc;
    return srtp_err_status_ok;
}

srtp_err_status_t srtp3_policy_set_profile(srtp3_policy_t policy, srtp_profile_t profile)
{
    srtp_err_status_t status = srtp_crypto_policy_set_from_profile_for_rtp(&policy->policy.rtp, profile);
    if (status) return status;
    policy->profile = profile;
    return srtp_crypto_policy_set_from_profile_for_rtcp(&policy->policy.rtcp, profile);
}

srtp_err_status_t srtp3_policy_add_key(srtp3_policy_t policy, const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len,
                                       const uint8_t *mki, size_t mki_len)
{
    (void)mki;
    if (mki_len || key_len + salt_len > sizeof policy->key) return srtp_err_status_bad_param;
    memcpy(policy->key, key, key_len);
    memcpy(policy->key + key_len, salt, salt_len);
    policy->policy.key = policy->key;
    return srtp_err_status_ok;
}

srtp_err_status_t srtp3_policy_set_allow_repeat_tx(srtp3_policy_t policy, bool allow)
{
    policy->policy.allow_repeat_tx = allow;
    return srtp_err_status_ok;
}

srtp_err_status_t srtp3_policy_set_window_size(srtp3_policy_t policy, size_t window_size)
{
    policy->policy.window_size = window_size;
    return srtp_err_status_ok;
}

static bool is_gcm(srtp_profile_t profile)
{
    return profile == srtp_profile_aead_aes_128_gcm || profile == srtp_profile_aead_aes_256_gcm;
}

srtp_err_status_t srtp3_create(srtp_t *session, srtp3_policy_t policy)
{
    srtp_err_status_t status = srtp_create(session, &policy->policy);
    /* The worker does not use this field; here it is set if packets are encrypted with AES-GCM. */
    if (!status) (*session)->user_data = is_gcm(policy->profile) ? *session : NULL;
    return status;
}

/* While a packet is encrypted: the address of its plain text, and the address that libsrtp assumes. */
static __thread const uint8_t *plain, *assumed;

/* Called by libsrtp instead of OpenSSL's EVP_Cipher, to encrypt in place. The header is authenticated where it is. */
int srtp3_EVP_Cipher(EVP_CIPHER_CTX *cipher, unsigned char *out, const unsigned char *in, unsigned int len)
{
    if (plain && out && in) in = plain + (in - assumed);
    return EVP_Cipher(cipher, out, in, len);
}

/* RFC 3550 §5.1 and §5.3.1; all of the packet if it is cut short. */
static size_t header_len(const uint8_t *rtp, size_t len)
{
    size_t header = 12;
    if (len < header) return len;
    header += 4 * (size_t)(rtp[0] & 0x0f);
    if (rtp[0] & 0x10) {
        if (len < header + 4) return len;
        header += 4 + 4 * (size_t)(rtp[header + 2] << 8 | rtp[header + 3]);
    }
    return header < len ? header : len;
}

srtp_err_status_t srtp3_protect(srtp_t session, const uint8_t *rtp, size_t rtp_len, uint8_t *srtp, size_t *srtp_len, size_t mki_index)
{
    (void)mki_index;
    if (rtp_len > LENGTH_MAX || *srtp_len < rtp_len + SRTP_MAX_TRAILER_LEN) return srtp_err_status_buffer_small;
    int len = (int)rtp_len;
    srtp_err_status_t status;
    if (session->user_data && rtp != srtp) {
        memcpy(srtp, rtp, header_len(rtp, rtp_len));
        plain = rtp;
        assumed = srtp;
        status = srtp_protect(session, srtp, &len);
        plain = NULL;
    } else {
        memmove(srtp, rtp, rtp_len);
        status = srtp_protect(session, srtp, &len);
    }
    *srtp_len = (size_t)len;
    return status;
}

/* Each of the other profiles: in place, after a copy. */
typedef srtp_err_status_t in_place(srtp_t session, void *packet, int *len);

static srtp_err_status_t copied(in_place *function, srtp_t session, const uint8_t *from, size_t from_len, uint8_t *to, size_t *to_len)
{
    if (from_len > LENGTH_MAX) return srtp_err_status_bad_param;
    int len = (int)from_len;
    if (from != to) memcpy(to, from, from_len);
    srtp_err_status_t status = function(session, to, &len);
    *to_len = (size_t)len;
    return status;
}

srtp_err_status_t srtp3_unprotect(srtp_t session, const uint8_t *srtp, size_t srtp_len, uint8_t *rtp, size_t *rtp_len)
{
    if (*rtp_len < srtp_len) return srtp_err_status_buffer_small;
    return copied(srtp_unprotect, session, srtp, srtp_len, rtp, rtp_len);
}

srtp_err_status_t srtp3_protect_rtcp(srtp_t session, const uint8_t *rtcp, size_t rtcp_len, uint8_t *srtcp, size_t *srtcp_len,
                                     size_t mki_index)
{
    (void)mki_index;
    if (*srtcp_len < rtcp_len + SRTP_MAX_TRAILER_LEN + 4) return srtp_err_status_buffer_small;
    return copied(srtp_protect_rtcp, session, rtcp, rtcp_len, srtcp, srtcp_len);
}

srtp_err_status_t srtp3_unprotect_rtcp(srtp_t session, const uint8_t *srtcp, size_t srtcp_len, uint8_t *rtcp, size_t *rtcp_len)
{
    if (*rtcp_len < srtcp_len) return srtp_err_status_buffer_small;
    return copied(srtp_unprotect_rtcp, session, srtcp, srtcp_len, rtcp, rtcp_len);
}

/* The streams of a session, which libsrtp lets the application store (SRTP_NO_STREAM_LIST). */
struct entry {
    uint32_t ssrc;
    srtp_stream_t stream;
};

struct srtp_stream_list_ctx_t_ {
    struct entry *entries;
    size_t len, capacity;
};

srtp_err_status_t srtp_stream_list_alloc(srtp_stream_list_t *list)
{
    *list = calloc(1, sizeof **list);
    return *list ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

srtp_err_status_t srtp_stream_list_dealloc(srtp_stream_list_t list)
{
    if (list->len) return srtp_err_status_fail;
    free(list->entries);
    free(list);
    return srtp_err_status_ok;
}

srtp_err_status_t srtp_stream_list_insert(srtp_stream_list_t list, srtp_stream_t stream)
{
    if (list->len == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        struct entry *entries = realloc(list->entries, capacity * sizeof *entries);
        if (!entries) return srtp_err_status_alloc_fail;
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->len++] = (struct entry){ stream->ssrc, stream };
    return srtp_err_status_ok;
}

srtp_stream_t srtp_stream_list_get(srtp_stream_list_t list, uint32_t ssrc)
{
    for (size_t i = 0; i < list->len; i++)
        if (list->entries[i].ssrc == ssrc) return list->entries[i].stream;
    return NULL;
}

void srtp_stream_list_remove(srtp_stream_list_t list, srtp_stream_t stream)
{
    for (size_t i = 0; i < list->len; i++) {
        if (list->entries[i].stream != stream) continue;
        memmove(&list->entries[i], &list->entries[i + 1], (--list->len - i) * sizeof *list->entries);
        return;
    }
}

/* Backwards: the callback may remove the stream it is given. */
void srtp_stream_list_for_each(srtp_stream_list_t list, int (*callback)(srtp_stream_t, void *), void *data)
{
    for (size_t i = list->len; i-- > 0;)
        if (callback(list->entries[i].stream, data)) return;
}

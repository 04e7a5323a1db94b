/* What OpenSSL says of TLS, in the words of an administrator. */
#ifndef COMMON_TLS_WORDS_H
#define COMMON_TLS_WORDS_H

/** tls_crypto_reason() - the last error in OpenSSL's words; never NULL. */
const char *tls_crypto_reason(void);

/** tls_alert_text() - an error of the SSL library, by its reason; NULL: OpenSSL's words have to do. */
const char *tls_alert_text(int reason);

/** tls_verify_text() - why a certificate was refused, by OpenSSL's verdict on it. */
const char *tls_verify_text(long verdict);

#endif

/* A channel as OpenSSL reads and writes it, so that TLS runs over what is no socket. */
#ifndef COMMON_CHANNEL_BIO_H
#define COMMON_CHANNEL_BIO_H

#include <openssl/bio.h>

struct channel;

/** channel_bio() - over @channel, which stays the caller's and must outlive the BIO. NULL: no memory. */
BIO *channel_bio(struct channel *channel);

#endif

/*
 * The relay's one connection to the KMC: an address, TCP or vchan, TLS 1.3, frames, and a new try when it breaks.
 *
 *   AWAY --next address--> OPENING --TLS--> GREETING --WELCOME--> UP
 *     ^                      |                 |                  |
 *     +-- back-off after the last address -----+------------------+
 */
#ifndef DOM0_RELAY_KMCLINK_H
#define DOM0_RELAY_KMCLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"

struct kmclink;
struct loop;
struct identity;
struct relayconf;
struct xenstore;

/* What the owner is told. Views are valid during the call only. */
struct kmclink_ops {
	void (*up)(void *arg, const struct kmc_welcome *welcome);
	void (*down)(void *arg, const char *why);
	void (*lost)(void *arg);      /* every address was tried once more, and nobody answered at any of them */
	void (*unwelcome)(void *arg); /* a KMC does not know this host */
	void (*sign)(void *arg, uint64_t ticket, const uint8_t digest[32]); /* with the key in the TPM: kmclink_signed() tells */
	void (*answer)(void *arg, enum kmc_type type, uint64_t id, const void *fields);
};

#define KMCLINK_WHY 320 /* bytes of kmclink_why() */
#define KMCLINK_SIGNATURE 80 /* bytes of a signature in DER */

/**
 * kmclink_new() - begin to connect
 * @conf: must outlive the link; its TLS files are read now
 * @id: what the KMC gave this host since
 * @xs: for addresses over vchan; must outlive the link
 * @why: on error, one line
 *
 * Return: 0 (*k is the caller's) or an error of tls_context_new().
 */
int kmclink_new(struct kmclink **k, struct loop *loop, struct xenstore *xs, const struct relayconf *conf, const struct identity *id,
		const struct kmclink_ops *ops, void *arg, char why[KMCLINK_WHY]);
void kmclink_free(struct kmclink **k);

/** kmclink_certificate() - SHA-256 of the certificate that this host shows over the connection that is up; 0 or an error. */
int kmclink_certificate(const struct kmclink *k, uint8_t hash[32]);

/**
 * kmclink_renew() - show the certificate @der from the next connection on; kmclink_reconnect() makes that one
 *
 * If a KMC does not take it, the one before is tried again. Return: 0, E_FORMAT or E_CRYPTO: it is not for this host's key.
 */
int kmclink_renew(struct kmclink *k, struct view der);

/** kmclink_trust() - KMCs of connections from now on must be certified by one of the authorities in @id; 0, E_FORMAT or E_CRYPTO. */
int kmclink_trust(struct kmclink *k, const struct identity *id);

/** kmclink_root() - SHA-256 of the certificate of the authority by which the connected KMC's own is; 0 or an error. */
int kmclink_root(const struct kmclink *k, uint8_t hash[32]);

/** kmclink_shown() - the certificate that is shown, in DER; valid until the next call of kmclink_renew() or of the loop. */
struct view kmclink_shown(const struct kmclink *k);

/** kmclink_reconnect() - give up the connection, if it is up, for a new one: ops->down, then up. */
void kmclink_reconnect(struct kmclink *k, const char *why);

/** kmclink_sign() - with the host's key, where that is a file. Return: bytes, E_STATE (it is in the TPM) or E_CRYPTO. */
int kmclink_sign(const struct kmclink *k, struct view message, uint8_t signature[KMCLINK_SIGNATURE]);

/** kmclink_signed() - the signature for @ticket; empty: there is none, and @why says why. */
void kmclink_signed(struct kmclink *k, uint64_t ticket, struct view signature, const char *why);

bool kmclink_is_up(const struct kmclink *k);

/** kmclink_why() - why the link is down, in one line; "" while it is up. */
const char *kmclink_why(const struct kmclink *k);

/** kmclink_send() - queue one request: 0, E_STATE (not up) or E_RANGE (too much is queued; STORE and SUSPEND leave room for what is small). */
int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields);

/** kmclink_look() - domains of this host have ended: is the KMC's among them? */
void kmclink_look(struct kmclink *k);

/** kmclink_hurry() - somebody waits: try at once instead of after the back-off. */
void kmclink_hurry(struct kmclink *k);

#endif

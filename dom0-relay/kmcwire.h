/*
 * One try to reach a KMC at one address: TCP or vchan, then TLS 1.3. It opens once or fails once; whoever owns it reads and writes after that.
 */
#ifndef DOM0_RELAY_KMCWIRE_H
#define DOM0_RELAY_KMCWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct kmc_address;
struct kmcwire;
struct loop;
struct tls;
struct tls_context;
struct xenstore;

/* Told from the loop, never inside of kmcwire_new(); the owner may free the wire in each of them. */
struct kmcwire_ops {
	void (*open)(void *arg);  /* the handshake is done */
	void (*ready)(void *arg); /* there may be something to read, or room to write, once it is open */
	void (*failed)(void *arg, bool answered, const char *why); /* answered: somebody is there, and does not want us or is not wanted */
};

/**
 * kmcwire_new() - begin to connect
 * @xs: for an address over vchan; must outlive the wire
 * @name: in the KMC's certificate
 * @ms: until it is open, or it has failed
 *
 * Return: the wire, or NULL if there is no memory.
 */
struct kmcwire *kmcwire_new(struct loop *loop, struct tls_context *ctx, struct xenstore *xs, const struct kmc_address *address,
			    const char *name, unsigned int ms, const struct kmcwire_ops *ops, void *arg);
void kmcwire_free(struct kmcwire **w);

/** kmcwire_look() - domains have ended: a wire to one of them fails now, inside. A vchan does not tell by itself. */
void kmcwire_look(struct kmcwire *w);

/** kmcwire_give() - somebody else is told from now on. */
void kmcwire_give(struct kmcwire *w, const struct kmcwire_ops *ops, void *arg);

/** kmcwire_asked() - note that a signature for @t was asked for as @ticket. False: @t is not this wire's connection. */
bool kmcwire_asked(struct kmcwire *w, const struct tls *t, uint64_t ticket);

/**
 * kmcwire_signed() - what was asked for as @ticket, in DER; empty: there is none, and @why says why
 *
 * The owner may be told of the outcome inside. False: this wire does not wait for that.
 */
bool kmcwire_signed(struct kmcwire *w, uint64_t ticket, struct view signature, const char *why);

/** kmcwire_certificate() - SHA-256 of the certificate that this host shows there; 0 or an error. */
int kmcwire_certificate(const struct kmcwire *w, uint8_t hash[32]);

/** kmcwire_root() - SHA-256 of the certificate of the authority that the KMC's own is by; 0 or an error. */
int kmcwire_root(const struct kmcwire *w, uint8_t hash[32]);

/* As tls_read(), tls_write() and tls_why(), of an open wire. */
int kmcwire_read(struct kmcwire *w, void *p, size_t n, size_t *got);
int kmcwire_write(struct kmcwire *w, const void *p, size_t n, size_t *put);
const char *kmcwire_why(const struct kmcwire *w);

/** kmcwire_want_room() - whether ops->ready is to tell of room to write besides. */
void kmcwire_want_room(struct kmcwire *w, bool wanted);

#endif

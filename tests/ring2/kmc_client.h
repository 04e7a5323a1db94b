/* A host as kmcd sees one, for tests: blocking, with the host's side of the envelope in software or in a TPM. */
#ifndef TESTS_RING2_KMC_CLIENT_H
#define TESTS_RING2_KMC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"

struct host_tpm;
struct kmc_client;
struct secret;
struct token;

#define CLIENT_WHY 400

/* What to connect with. */
struct kmc_client_options {
	const char *address; /* 127.0.0.1:port */
	const char *dir;     /* of host.key, host.crt, ca.crt */
	const char *name;    /* in the KMC's certificate */
	const char *from;    /* IPv4 address to connect from; NULL: any */
	const char *tcti;    /* of the host TPM; NULL: software */
	const struct token *token; /* to be enrolled with: no certificate; NULL: with those of @dir */
	const uint8_t *image, *image_said; /* 32 bytes that its quotes are made with, and that it says with them; NULL: none */
};

/** client_connect() - TCP and TLS; NULL with @why filled in. */
struct kmc_client *client_connect(const struct kmc_client_options *o, char why[CLIENT_WHY]);
void client_free(struct kmc_client **c);

/** client_send_raw() - bytes inside TLS; false: the connection is dead. */
bool client_send_raw(struct kmc_client *c, const void *p, size_t n);

/**
 * client_receive() - the next message into @fields (of the message's struct, its views valid until the next call)
 *
 * Return: its type, or 0: the connection ended, client_why() says how.
 */
enum kmc_type client_receive(struct kmc_client *c, void *fields);

/** client_ask() - send a request and wait for its answer, as client_receive(). */
enum kmc_type client_ask(struct kmc_client *c, enum kmc_type type, const void *request, void *fields);
const char *client_why(const struct kmc_client *c);

/** client_tpm() - of option tcti; NULL: software. */
struct host_tpm *client_tpm(const struct kmc_client *c);

/** client_last() - the frame of the last client_ask(), until the next one. */
struct view client_last(const struct kmc_client *c);

/* What an open gave. */
struct client_opened {
	enum kmc_type type; /* KMC_OPENED, KMC_REFUSED, or 0 for a dead connection */
	struct kmc_opened facts;
	struct kmc_refused refused;
	uint8_t seed[32];
	const char *distrust; /* not NULL: the reply was not to be believed, and why */
};

/** client_protect() - fetch the protection key; the answer's type. */
enum kmc_type client_protect(struct kmc_client *c, struct kmc_refused *refused);

/** client_open() - OPEN with the key of the last client_protect(). @spoil: flip a bit of the cipher text. */
void client_open(struct kmc_client *c, const struct uuid *uuid, bool spoil, struct client_opened *out);

/* What a reservation gave. */
struct client_reserved {
	enum kmc_type type; /* KMC_RESERVED, KMC_REFUSED, or 0 for a dead connection */
	struct kmc_reserved facts;
	struct kmc_refused refused;
	uint8_t seed[32];
	const char *distrust; /* not NULL: the reply was not to be believed, and why */
};

/** client_reserve() - RESERVE likewise, for a domain of incarnation @image. */
void client_reserve(struct kmc_client *c, const struct uuid *uuid, uint64_t image, const uint8_t request[KMC_REQUEST_ID_SIZE],
		    struct client_reserved *out);

/** client_nonce() - ask what to quote; the answer's type, its fields as of client_receive(). */
enum kmc_type client_nonce(struct kmc_client *c, void *fields);

/** client_quote() - answer with a quote of the host TPM over the last nonce, or with the last quote again; likewise. */
enum kmc_type client_quote(struct kmc_client *c, bool again, void *fields);

#endif

/*
 * What the KMC remembers: hosts, pools, protection keys, vTPMs and their state. Engines stand behind one table of operations.
 *
 * Nothing in a store is secret: seeds and private keys were wrapped by the vault, state was sealed by its stub domain. Changes between
 * begin and commit happen together or not at all, and are on stable storage once commit returned 0. Rows are plain structs,
 * copied in and out.
 */
#ifndef KMC_STORE_H
#define KMC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/origin.h"
#include "common/uuid.h"
#include "kmc/audit.h"
#include "kmc/lease.h"
#include "kmc/movefile.h"

struct buf;

#define STORE_NAME LEASE_NAME
#define STORE_WRAPPED_KEY_MAX 2304 /* bytes of a wrapped protection key */
#define STORE_WRAPPED_SEED_MAX 128 /* bytes of a wrapped seed */
#define STORE_WHY 240		   /* bytes for an error's text */

struct store_pool {
	char name[STORE_NAME];
	bool registered_only; /* vTPMs must be registered before they can be opened */
};

struct store_host {
	char name[STORE_NAME], pool[STORE_NAME];
	uint8_t fingerprint[32]; /* of the one certificate that stands for it */
	bool removed;
	int64_t added_at, expires_at; /* seconds since 1970; expires: the certificate */
};

struct store_key {
	uint8_t id[KMC_KEY_ID_SIZE];
	char host[STORE_NAME];
	uint8_t modulus[KMC_RSA_MAX];
	size_t modulus_size;
	uint64_t exponent;
	int64_t created_at, expires_at;
	bool retired; /* answers until it expires, but is handed out no more */
	uint8_t wrapped[STORE_WRAPPED_KEY_MAX];
	size_t wrapped_size;
};

struct store_vtpm {
	struct uuid uuid;
	struct lease lease;
	uint32_t generation;
	struct origin origin; /* whose keys it has */
	uint8_t seed[STORE_WRAPPED_SEED_MAX];
	size_t seed_size; /* 0: registered, never opened */
	int64_t created_at, opened_at, stored_at; /* 0: never */
	int64_t suspended_at, reserved_at;	  /* since when it is so */
};

/* A stored state without its bytes. */
struct store_state {
	uint64_t version, size;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch; /* of the keys in it */
	int64_t stored_at;
};

/* What a suspended domain's image needs besides the stored state, without its bytes. */
struct store_image {
	uint64_t image;	  /* the mark */
	uint64_t version; /* of the state that belongs to it */
	uint64_t number;  /* the higher, the later; given by the store */
	int64_t suspended_at;
};

/* How many states of a vTPM stay, and how many bytes in all, the newest in any case. */
struct store_keep {
	uint64_t states, bytes;
};

/* A one-time token for the enrolment of a host: its secret is not kept, only the hash. */
struct store_token {
	uint8_t hash[32]; /* SHA-256 of the secret */
	char host[STORE_NAME], pool[STORE_NAME];
	uint8_t ek[32]; /* SHA-256 of the only endorsement key that may use it */
	bool has_ek;
	int64_t created_at, expires_at;
};

#define STORE_PCRS 24
#define STORE_AK_MAX 128     /* bytes of an attestation key's TPMT_PUBLIC */
#define STORE_REASON_MAX 240 /* bytes of a sentence */

/* What was read of PCRs of the SHA-256 bank. */
struct store_pcrs {
	uint32_t mask; /* which ones */
	uint8_t value[STORE_PCRS][32]; /* zero for the others */
};

/* What a host that was enrolled by token has proved, and how its last attestation went. */
struct store_identity {
	char host[STORE_NAME];
	uint8_t ak[STORE_AK_MAX];
	size_t ak_size;
	uint8_t ek[32];	    /* SHA-256 of the endorsement key's TPMT_PUBLIC */
	uint32_t ek_check;  /* enum ek_check of ekcert.h: what was known of that key */
	bool software_key;  /* its TLS key is a file */
	struct store_pcrs reference, last;
	uint64_t reference_firmware, last_firmware;
	uint64_t clock_ms, reset_count, restart_count; /* of the last good quote */
	int64_t attested_at; /* last good quote */
	bool failed;	     /* the last one was bad: no seeds */
	char reason[STORE_REASON_MAX + 1]; /* why it failed, or a remark */
	bool has_image;
	uint8_t image[32]; /* that its stub domains start from, by its last signed quote */
};

#define STORE_IMAGES_MAX 8

/* What a pool asks of its hosts. A pool without such a row has the defaults of attest.h. */
struct store_policy {
	char pool[STORE_NAME];
	uint32_t pcrs; /* mask */
	uint64_t interval_s;
	bool require;	/* of hosts added by files too: they can't, and get no seeds */
	uint32_t ek_policy; /* enum ek_policy of ekcert.h */
	bool note_clock, note_firmware; /* say so only, instead of refusing */
	int64_t maintenance_until; /* until then changed PCRs, firmware and images are noted only; 0: never was any */
	uint8_t images[STORE_IMAGES_MAX][32]; /* of stub domains, that hosts may start them from */
	size_t n_images; /* 0: any */
};

/* A lease that its holder keeps although no guest runs, so that it can start one without the KMC. Void once holder or epoch are others. */
struct store_parked {
	struct uuid uuid;
	char holder[STORE_NAME];
	uint64_t epoch;
	int64_t recalled_at; /* 0: nobody else wants it */
};

/* The end of a vTPM: its row stays, so that the UUID is never given out anew, but the wrapped seed is here, until it is destroyed. */
struct store_retirement {
	struct uuid uuid;
	uint8_t seed[STORE_WRAPPED_SEED_MAX];
	size_t seed_size; /* 0: there never was one, or it is destroyed */
	int64_t due_at, destroyed_at; /* destroyed_at 0: not yet */
	bool moving;		  /* it goes to another KMC, or, once the seed is destroyed, has gone there; due_at: since when; what follows is of that */
	uint8_t move[MOVE_ID_SIZE];
	uint8_t recipient[MOVE_HASH_SIZE]; /* fingerprint of the other KMC */
	char destination[STORE_NAME];	   /* and its name */
	uint64_t epoch;			   /* of the lease, as it was sent along */
};

/* A vTPM that came from another KMC. The row stays when it leaves again: it is what a repeated import is known by. */
struct store_arrival {
	struct uuid uuid;
	uint8_t move[MOVE_ID_SIZE];
	uint8_t sender[MOVE_HASH_SIZE]; /* fingerprint of the other KMC */
	char from[STORE_NAME];		/* and its name */
	struct origin keys;		/* for whom its seed was made: nobody here can make it anew */
	uint64_t epoch;			/* of the lease that it came with */
	int64_t arrived_at;
};

#define STORE_SEALED_MAX 1536 /* bytes of a sealed wrapping key */

/* A wrapping key that replaces the one before it. */
struct store_wrapping {
	uint32_t number; /* from 2: the first has no row */
	uint8_t sealed[STORE_SEALED_MAX]; /* as every TPM with the parent unseals it */
	size_t sealed_size; /* 0: it was itself replaced, and is destroyed */
	int64_t made_at, used_at, done_at; /* used_at 0: nothing is under it yet; done_at 0: things may still be under the one before */
};

/* A kmcd of this database, and which wrapping keys its machine has. */
struct store_kmc {
	char name[STORE_NAME];
	uint32_t newest, oldest;
	uint64_t beat; /* goes on while it runs and a new key waits for all */
	char trouble[STORE_REASON_MAX + 1]; /* why it can't take the newest */
};

enum store_wrapped_kind { STORE_WRAPPED_SEED, STORE_WRAPPED_RETIRED, STORE_WRAPPED_KEY, STORE_WRAPPED_AUTHORITY, STORE_WRAPPED_KINDS };

/* Something wrapped, where it is and whose. */
struct store_wrapped {
	enum store_wrapped_kind kind;
	uint8_t id[32]; /* UUID, key id or an authority's number, 4 bytes */
	char tenant[STORE_NAME];
	uint32_t generation;
	uint8_t wrapped[STORE_WRAPPED_KEY_MAX];
	size_t size;
};

#define STORE_CERTIFICATE_MAX 2048

/* The certificates of a vTPM's present endorsement keys. */
struct store_ek {
	struct uuid uuid;
	uint32_t generation;
	uint64_t endorsement_epoch;
	uint8_t ca[32]; /* SHA-256 of the certificate of the CA that signed them */
	int64_t issued_at;
	uint8_t rsa[STORE_CERTIFICATE_MAX], ecc[STORE_CERTIFICATE_MAX]; /* DER */
	size_t rsa_size, ecc_size;
};

/* A certificate that was issued to a host, all of them for one key. Its host may use it until it expires, or is enrolled anew. */
struct store_hostcert {
	char host[STORE_NAME];
	uint8_t fingerprint[32]; /* SHA-256 of its DER */
	uint8_t ca[32];		 /* SHA-256 of the certificate of the CA that signed it */
	int64_t issued_at, expires_at, used_at; /* used_at: since when the host connects with it; 0: it has not yet */
	uint8_t certificate[STORE_CERTIFICATE_MAX]; /* DER */
	size_t size;
};

/* A certificate authority of this KMC. There are no rows before the first change: then the one is in the files of 'kmcctl init'. */
enum authority_state {
	AUTHORITY_NEXT = 1, /* hosts learn to trust it; it signs nothing yet */
	AUTHORITY_CURRENT,  /* it signs */
	AUTHORITY_FORMER,   /* it has signed, and is trusted still */
	AUTHORITY_RETIRED,  /* it is trusted no more; its key is destroyed */
};

#define STORE_CA_KEY_MAX 600 /* bytes of a wrapped key */

struct store_authority {
	uint32_t number; /* from 1 on */
	uint32_t state;	 /* enum authority_state */
	uint8_t certificate[STORE_CERTIFICATE_MAX]; /* DER */
	size_t size;
	uint8_t key[STORE_CA_KEY_MAX]; /* wrapped */
	size_t key_size; /* 0: destroyed */
	int64_t made_at;
};

/* By which authority a kmcd's own certificate is, as it said at its last start. */
struct store_server {
	char name[STORE_NAME];
	uint32_t authority;
	int64_t started_at;
};

struct store_counts {
	uint64_t hosts, vtpms, held, states, state_bytes;
};

struct store;

/*
 * An engine. Lookups return 0, E_NOTFOUND or E_DB; changes 0 or E_DB; the text of a failure is store->why. Inside a transaction both may
 * return E_BUSY besides: roll back and try again, see store_transact().
 */
struct store_ops {
	void (*close)(struct store *s);
	int (*begin)(struct store *s);	/* for changes: takes the write lock */
	int (*commit)(struct store *s); /* on failure the transaction is rolled back; but E_EOF: the answer was lost, and it may be committed */
	void (*rollback)(struct store *s);

	/* Between them reads outside of transactions may all see the database as it was at the first of them, which costs less; a change ends that. */
	void (*hold)(struct store *s);
	void (*let_go)(struct store *s);

	int (*pool_get)(struct store *s, const char *name, struct store_pool *p);
	int (*pool_put)(struct store *s, const struct store_pool *p); /* new or changed */
	int (*pool_next)(struct store *s, const char *after, struct store_pool *p); /* by name; "" is before the first */

	int (*host_get)(struct store *s, const char *name, struct store_host *h);
	int (*host_put)(struct store *s, const struct store_host *h);
	int (*host_next)(struct store *s, const char *after, struct store_host *h);

	int (*hostcert_get)(struct store *s, const char *host, const uint8_t fingerprint[32], struct store_hostcert *c);
	int (*hostcert_newest)(struct store *s, const char *host, struct store_hostcert *c);
	int (*hostcert_put)(struct store *s, const struct store_hostcert *c); /* new or changed; the host must be there */
	int (*hostcert_prune)(struct store *s, const char *host, const uint8_t present[32], uint64_t keep); /* all but the present one and the @keep newest */
	int (*hostcert_drop)(struct store *s, const char *host); /* all of its */

	int (*authority_next)(struct store *s, uint32_t after, struct store_authority *a); /* by number */
	int (*authority_put)(struct store *s, const struct store_authority *a); /* new or changed */
	int (*server_put)(struct store *s, const struct store_server *v);
	int (*server_next)(struct store *s, const char *after, struct store_server *v); /* by name */
	int (*trust_get)(struct store *s, const char *host, uint64_t *authority); /* the highest one that the host has said to trust */
	int (*trust_put)(struct store *s, const char *host, uint64_t authority);

	int (*key_get)(struct store *s, const uint8_t id[KMC_KEY_ID_SIZE], struct store_key *k);
	int (*key_current)(struct store *s, const char *host, int64_t expires_after, struct store_key *k); /* newest not retired */
	int (*key_put)(struct store *s, const struct store_key *k);
	int (*key_retire)(struct store *s, const char *host); /* "": of all hosts */
	int (*key_purge)(struct store *s, int64_t expired_before);

	int (*vtpm_get)(struct store *s, const struct uuid *uuid, struct store_vtpm *v);
	int (*vtpm_put)(struct store *s, const struct store_vtpm *v);
	int (*vtpm_next)(struct store *s, const struct uuid *after, struct store_vtpm *v); /* by uuid; NULL is before the first */

	int (*vtpm_sharing)(struct store *s, const struct origin *keys, const struct uuid *after, struct uuid *uuid); /* who has these and still a seed, by uuid; @after of zeroes: the first */

	int (*state_get)(struct store *s, const struct uuid *uuid, uint64_t version, struct buf *out); /* E_RANGE: no room */
	int (*state_put)(struct store *s, const struct uuid *uuid, const struct store_state *st, struct view state); /* size is its own */
	int (*state_prune)(struct store *s, const struct uuid *uuid, uint64_t newest, const struct store_keep *keep);
	int (*state_next)(struct store *s, const struct uuid *uuid, uint64_t after, struct store_state *st); /* by version */
	int (*state_drop)(struct store *s, const struct uuid *uuid, uint64_t above); /* what is newer */

	/* volatile states */
	int (*image_get)(struct store *s, const struct uuid *uuid, uint64_t image, struct buf *out); /* E_RANGE: no room */
	int (*image_put)(struct store *s, const struct uuid *uuid, const struct store_image *i, struct view volatile_state);
	int (*image_next)(struct store *s, const struct uuid *uuid, uint64_t after, struct store_image *i); /* by number */
	int (*image_prune)(struct store *s, const struct uuid *uuid, uint64_t present, uint64_t keep); /* all but the present one and the @keep latest */

	/* which connection of a host is the present one */
	int (*session_get)(struct store *s, const char *host, uint64_t *session);
	int (*session_next)(struct store *s, const char *host); /* in a transaction with session_get() */

	/* the audit trail; @c: its last record's number and hash, zeroes if there is none */
	int (*audit_last)(struct store *s, struct audit_chain *c);
	int (*audit_put)(struct store *s, const struct audit_chain *c, struct view record); /* in a transaction: it becomes the last */
	int (*audit_next)(struct store *s, uint64_t after, uint64_t *seq, struct buf *record); /* E_RANGE: no room */
	int (*audit_head_get)(struct store *s, const char *kmc, struct buf *head);
	int (*audit_head_put)(struct store *s, const char *kmc, struct view head);
	int (*audit_head_next)(struct store *s, const char *after, char kmc[STORE_NAME], struct buf *head);

	int (*count)(struct store *s, struct store_counts *c);

	int (*token_get)(struct store *s, const uint8_t hash[32], struct store_token *t);
	int (*token_put)(struct store *s, const struct store_token *t); /* instead of other tokens for the same host */
	int (*token_drop)(struct store *s, const char *host);
	int (*token_purge)(struct store *s, int64_t expired_before);

	int (*identity_get)(struct store *s, const char *host, struct store_identity *i);
	int (*identity_put)(struct store *s, const struct store_identity *i); /* the host must be there */
	int (*identity_drop)(struct store *s, const char *host);

	int (*policy_get)(struct store *s, const char *pool, struct store_policy *p);
	int (*policy_put)(struct store *s, const struct store_policy *p);

	int (*parked_get)(struct store *s, const struct uuid *uuid, struct store_parked *p);
	int (*parked_put)(struct store *s, const struct store_parked *p);
	int (*parked_recalled)(struct store *s, const char *holder, struct store_parked *p); /* the one recalled first */
	int (*ek_get)(struct store *s, const struct uuid *uuid, struct store_ek *k);
	int (*ek_put)(struct store *s, const struct store_ek *k); /* instead of older ones; the vTPM must be there */
	int (*ek_drop)(struct store *s, const struct uuid *uuid);

	int (*retirement_get)(struct store *s, const struct uuid *uuid, struct store_retirement *r);
	int (*retirement_put)(struct store *s, const struct store_retirement *r); /* the vTPM must be there */
	int (*retirement_drop)(struct store *s, const struct uuid *uuid);
	int (*arrival_get)(struct store *s, const struct uuid *uuid, struct store_arrival *a);
	int (*arrival_of)(struct store *s, const struct origin *keys, struct store_arrival *a); /* one whose seed was made for these */
	int (*arrival_put)(struct store *s, const struct store_arrival *a); /* instead of an earlier one; the vTPM must be there */
	int (*wrapping_last)(struct store *s, struct store_wrapping *w); /* E_NOTFOUND: the first was never replaced */
	int (*wrapping_get)(struct store *s, uint32_t number, struct store_wrapping *w);
	int (*wrapping_put)(struct store *s, const struct store_wrapping *w);
	int (*wrapping_kmc_get)(struct store *s, const char *name, struct store_kmc *k);
	int (*wrapping_kmc_put)(struct store *s, const struct store_kmc *k);
	int (*wrapping_kmc_next)(struct store *s, const char *after, struct store_kmc *k); /* by name; "" is before the first */
	int (*wrapping_kmc_drop)(struct store *s, const char *name);
	/* what is not under @number, by id after w->id (zeroes: from the first), of w->kind */
	int (*wrapped_next)(struct store *s, uint32_t number, struct store_wrapped *w);
	int (*wrapped_swap)(struct store *s, const struct store_wrapped *was, struct view now); /* nothing happens if it is not as it was */
	int (*wrapped_count)(struct store *s, uint32_t number, uint64_t *all, uint64_t *left); /* left: not under @number */

	int (*retirement_due)(struct store *s, int64_t now, struct store_retirement *r); /* the longest due that is not destroyed; none that moves */
};

struct store {
	const struct store_ops *ops;
	const char *name; /* of the engine */
	char why[STORE_WHY];
};

typedef int store_fn(struct store *s, void *arg);

/**
 * store_transact() - run @fn in a transaction: committed if it returns 0, else rolled back
 *
 * The database may ask for another try (E_BUSY of an operation, which @fn passes on): @fn is then run again, with the rows as they
 * are by then. Return: what @fn returned, or the failure of begin or commit.
 * E_EOF: nobody knows whether it was committed.
 */
int store_transact(struct store *s, store_fn *fn, void *arg);

/**
 * store_sqlite_open() - the embedded engine
 * @path: of the database file
 * @create: make a new one; otherwise it must be there, and is brought to the present schema
 *
 * Return: 0 (*s is the caller's; release with (*s)->ops->close(*s)), E_NOTFOUND, E_EXISTS, E_VERSION (made by a newer
 * program), E_DB or E_NOMEM, with @why filled in.
 */
int store_sqlite_open(struct store **s, const char *path, bool create, char why[STORE_WHY]);

/**
 * store_pgsql_open() - PostgreSQL, or what speaks its protocol and SQL; several kmcd may share one database
 * @connection: libpq's connection string, such as "host=db1,db2 dbname=kmc user=kmc passfile=/etc/xen-vtpm/kmc.pgpass"
 * @create: the database must be empty of ours, and gets the schema; otherwise it must have one, and is brought to the present
 *
 * Return: as store_sqlite_open().
 */
int store_pgsql_open(struct store **s, const char *connection, bool create, char why[STORE_WHY]);

#endif

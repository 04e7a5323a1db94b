/*
 * The host-tpm process: the host's side of the envelope (DESIGN: steps 2 and 6 of a seed's way).
 *
 * Theory of operation: WRAP makes a response key and a nonce, encrypts them with the UUID in the TPM and keeps them
 * under the ticket; BELIEVE opens the KMC's reply with them and gives the seed to the relay. A ticket serves once.
 * A TPM that is missing or went away is tried again at the next WRAP; until then every WRAP fails with the reason.
 */
#include "dom0-relay/host_tpm_process.h"

#include <grp.h>
#include <openssl/evp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/kmcmsg.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "common/secret.h"
#include "common/text.h"
#include "dom0-relay/host_identity.h"
#include "dom0-relay/host_seal.h"
#include "dom0-relay/host_tlskey.h"
#include "dom0-relay/host_tpm.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"

#define TICKETS_MAX 256

/* An open between WRAP and BELIEVE. */
struct ticket {
	uint64_t id; /* 0: free */
	struct uuid uuid;
	uint8_t nonce[ENVELOPE_NONCE_SIZE];
	uint8_t key_id[KMC_KEY_ID_SIZE];
	uint8_t modulus[KMC_RSA_MAX], cipher[KMC_RSA_MAX];
	size_t size; /* of modulus and cipher, bytes */
	uint32_t exponent;
	struct secret *key;
};

struct host_tpm_process {
	const struct relayconf *conf;
	struct host_tpm *tpm;
	struct link *relay;
	struct ticket tickets[TICKETS_MAX];
	char why[HOST_TPM_WHY];
};

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "a TPM that was away is opened again; TCTI modules"},
	{SCMP_SYS(ioctl), "isatty() in stdio; TPM character device"},
	{SCMP_SYS(pread64), "the dynamic loader, for a TCTI module"},
	{SCMP_SYS(socket), "a TPM behind a socket"},
	{SCMP_SYS(connect), "the same"},
	{SCMP_SYS(setsockopt), "the same"},
	{SCMP_SYS(select), "waiting for the TPM"},
	{SCMP_SYS(pselect6), "the same"},
};

static struct ticket *find(struct host_tpm_process *p, uint64_t id)
{
	for (size_t i = 0; i < TICKETS_MAX; i++)
		if (p->tickets[i].id == id)
			return &p->tickets[i];
	return NULL;
}

static void drop(struct ticket *t)
{
	if (!t)
		return;
	secret_free(&t->key);
	wipe(t, sizeof(*t));
}

static void fail(struct host_tpm_process *p, uint64_t id, const char *reason)
{
	char text[RELAY_REASON_MAX + 1];
	struct relay_failed f;

	snprintf(text, sizeof(text), "%s", reason);
	f.reason = view_text(text_make_printable(text)); /* paths may hold anything, and may be cut anywhere */
	link_send(p->relay, TPM_FAILED, id, &f);
}

static int open_tpm(struct host_tpm_process *p)
{
	return p->tpm ? 0 : host_tpm_open(&p->tpm, p->conf->tpm, p->why);
}

/* A TPM that was reset under the resource manager: nothing works any more over the connection from before. */
static int reopen_tpm(struct host_tpm_process *p)
{
	host_tpm_close(&p->tpm);
	return open_tpm(p);
}

static struct host_tpm_key key_of(const struct ticket *t)
{
	return (struct host_tpm_key){.modulus = view_of(t->modulus, t->size), .exponent = t->exponent};
}

static int wrap_ticket(struct host_tpm_process *p, struct ticket *t)
{
	const struct host_tpm_key key = key_of(t);
	struct secret *plain = NULL;
	int r = E_NOMEM;

	secret_free(&t->key);
	t->key = secret_random(ENVELOPE_KEY_SIZE);
	if (!t->key || getrandom(t->nonce, sizeof(t->nonce), 0) != sizeof(t->nonce))
		goto out;
	plain = envelope_plain_pack(&t->uuid, t->key, t->nonce);
	if (!plain)
		goto out;
	r = host_tpm_encrypt(p->tpm, &key, plain, ENVELOPE_LABEL, t->cipher, p->why);
out:
	secret_free(&plain);
	return r;
}

static void on_wrap(struct host_tpm_process *p, uint64_t id, const struct tpm_wrap *w)
{
	struct ticket *t = find(p, 0);
	bool was_open = p->tpm != NULL;
	struct tpm_wrapped done;
	int r;

	if (id == 0 || find(p, id))
		fatal("the relay process used ticket %llu twice", (unsigned long long)id);
	if (!t) {
		fail(p, id, "too many requests are under way");
		return;
	}
	snprintf(p->why, sizeof(p->why), "host TPM: out of memory");
	if (open_tpm(p) != 0) {
		fail(p, id, p->why);
		return;
	}
	*t = (struct ticket){.id = id, .uuid = w->uuid, .size = w->modulus.n, .exponent = (uint32_t)w->exponent};
	memcpy(t->key_id, w->key_id.p, sizeof(t->key_id));
	memcpy(t->modulus, w->modulus.p, w->modulus.n);
	r = wrap_ticket(p, t);
	if (r == E_TPM && was_open && reopen_tpm(p) == 0)
		r = wrap_ticket(p, t);
	if (r != 0) {
		drop(t);
		host_tpm_close(&p->tpm); /* opened anew next time: it may have been replaced */
		log_warn("%s", p->why);
		fail(p, id, p->why);
		return;
	}
	done.cipher = view_of(t->cipher, t->size);
	link_send(p->relay, TPM_WRAPPED, id, &done);
}

/* Both layers off, padding and hash right: only then is there a seed. */
static int believe(struct host_tpm_process *p, const struct ticket *t, const struct tpm_believe *b, struct secret **seed)
{
	const struct host_tpm_key key = key_of(t);
	struct envelope_facts facts = {
		.key_id = view_of(t->key_id, sizeof(t->key_id)), .cipher = view_of(t->cipher, t->size), .tenant = b->tenant,
		.uuid = t->uuid, .generation = b->generation, .lease_epoch = b->lease_epoch, .owner_epoch = b->owner_epoch,
		.endorsement_epoch = b->endorsement_epoch, .platform_epoch = b->platform_epoch, .state_version = b->state_version,
		.image = b->image, .request = b->request, .origin = b->origin,
	};
	struct secret *inner = NULL, *block = NULL;
	uint8_t hash[ENVELOPE_HASH_SIZE];
	int r;

	memcpy(facts.nonce, t->nonce, sizeof(facts.nonce));
	if ((r = envelope_exchange(&facts, hash)) == 0 && (r = envelope_open(t->key, hash, b->reply, &inner)) == 0 &&
	    (r = host_tpm_recover(p->tpm, &key, inner, &block, p->why)) == 0)
		r = envelope_block_check(block, hash, seed);
	secret_free(&inner);
	secret_free(&block);
	return r;
}

static void on_believe(struct host_tpm_process *p, uint64_t id, const struct tpm_believe *b)
{
	struct ticket *t = find(p, id);
	struct secret *seed = NULL;
	char text[HOST_TPM_WHY];
	int r;

	if (id == 0 || !t)
		fatal("the relay process asked for ticket %llu, which there is not", (unsigned long long)id);
	snprintf(p->why, sizeof(p->why), "host TPM: gone");
	r = p->tpm ? believe(p, t, b, &seed) : E_TPM;
	if (p->tpm && host_tpm_forget(p->tpm) != 0) {
		secret_free(&seed);
		r = E_STATE;
	}
	drop(t);
	if (r == 0) {
		const struct tpm_seed s = {.seed = view_of(seed->data, seed->size)};

		link_send(p->relay, TPM_SEED, id, &s);
	} else if (r == E_TPM) {
		fail(p, id, p->why);
	} else {
		snprintf(text, sizeof(text), "the KMC's reply is not to be believed: %s", error_text(r));
		fail(p, id, text);
	}
	secret_free(&seed);
}

static void on_attest(struct host_tpm_process *p, uint64_t id, const struct tpm_attest *a)
{
	struct tpm_attested done;
	struct host_quote q;

	if (open_tpm(p) != 0) {
		fail(p, id, p->why);
		return;
	}
	if (host_identity_quote(p->tpm, a->qualifying.p, (uint32_t)a->pcrs, &q, p->why) != 0) {
		host_tpm_close(&p->tpm);
		log_warn("%s", p->why);
		fail(p, id, p->why);
		return;
	}
	done = (struct tpm_attested){.quote = view_of(q.attest, q.attest_size), .signature = view_of(q.signature, q.signature_size),
				     .values = view_of(q.values, q.values_size)};
	link_send(p->relay, TPM_ATTESTED, id, &done);
}

/* SHA-256 of what a seed is the seed of. */
static int subject_of(const struct uuid *uuid, struct view tenant, uint64_t generation, struct view origin, uint8_t hash[32])
{
	uint8_t text[17 + sizeof(uuid->b) + 8 + KMC_NAME_MAX + 1 + ORIGIN_SIZE];
	struct buf b;

	buf_over(&b, text, sizeof(text));
	if (buf_put(&b, "xen-vtpm/grace/v1", 17) != 0 || buf_put(&b, uuid->b, sizeof(uuid->b)) != 0 || buf_put_u64(&b, generation) != 0 ||
	    buf_put(&b, tenant.p, tenant.n) != 0)
		return E_RANGE;
	if (origin.p && (buf_put_u8(&b, 0) != 0 || buf_put(&b, origin.p, origin.n) != 0)) /* no name has a NUL in it */
		return E_RANGE;
	return EVP_Digest(text, b.len, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

static void on_seal(struct host_tpm_process *p, uint64_t id, const struct tpm_seal *m)
{
	struct secret *data = secret_new(64);
	uint8_t sealed[HOST_SEALED_MAX];
	struct tpm_sealed done;
	int n = E_NOMEM;

	snprintf(p->why, sizeof(p->why), "host TPM: out of memory");
	if (data && subject_of(&m->uuid, m->tenant, m->generation, m->origin, data->data + 32) == 0) {
		memcpy(data->data, m->seed.p, 32);
		n = open_tpm(p) == 0 ? host_seal(p->tpm, (uint32_t)m->pcrs, data, sealed, p->why) : E_TPM;
	}
	secret_free(&data);
	if (n < 0) {
		if (n == E_TPM)
			host_tpm_close(&p->tpm);
		fail(p, id, p->why);
		return;
	}
	done.sealed = view_of(sealed, (size_t)n);
	link_send(p->relay, TPM_SEALED, id, &done);
}

static void on_unseal(struct host_tpm_process *p, uint64_t id, const struct tpm_unseal *m)
{
	bool was_open = p->tpm != NULL;
	struct secret *data = NULL;
	uint8_t subject[32];
	int r;

	snprintf(p->why, sizeof(p->why), "the copy that is sealed to the host TPM is damaged");
	r = subject_of(&m->uuid, m->tenant, m->generation, m->origin, subject);
	if (r == 0)
		r = open_tpm(p) == 0 ? host_unseal(p->tpm, (uint32_t)m->pcrs, m->sealed, &data, p->why) : E_TPM;
	if (r == E_TPM && was_open && reopen_tpm(p) == 0)
		r = host_unseal(p->tpm, (uint32_t)m->pcrs, m->sealed, &data, p->why);
	if (r == E_TPM)
		host_tpm_close(&p->tpm);
	if (r == 0 && (data->size != 64 || !bytes_equal(data->data + 32, subject, sizeof(subject))))
		r = E_INTEGRITY;
	if (r == 0) {
		const struct tpm_seed s = {.seed = view_of(data->data, 32)};

		link_send(p->relay, TPM_SEED, id, &s);
	} else {
		fail(p, id, p->why);
	}
	secret_free(&data);
}

static void on_sign(struct host_tpm_process *p, uint64_t id, const struct tpm_sign *m)
{
	uint8_t signature[ECKEY_SIGNATURE_MAX];
	struct tpm_signed done;
	int n;

	snprintf(p->why, sizeof(p->why), "host TPM: can't sign with the TLS key");
	n = open_tpm(p) == 0 ? host_tlskey_sign(p->tpm, m->digest.p, signature, p->why) : E_TPM;
	if (n < 0) {
		if (n == E_TPM)
			host_tpm_close(&p->tpm); /* opened anew next time: it may have been reset */
		fail(p, id, p->why);
		return;
	}
	done.signature = view_of(signature, (size_t)n);
	link_send(p->relay, TPM_SIGNED, id, &done);
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct host_tpm_process *p = arg;

	switch (type) {
	case TPM_WRAP:
		on_wrap(p, id, fields);
		break;
	case TPM_BELIEVE:
		on_believe(p, id, fields);
		break;
	case TPM_ATTEST:
		on_attest(p, id, fields);
		break;
	case TPM_SEAL:
		on_seal(p, id, fields);
		break;
	case TPM_SIGN:
		on_sign(p, id, fields);
		break;
	case TPM_UNSEAL:
		on_unseal(p, id, fields);
		break;
	case TPM_FORGET:
		if (id)
			drop(find(p, id));
		break;
	default:
		fatal("the relay process sent an answer where a request belongs");
	}
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

void host_tpm_main(const struct relayconf *conf, int fd)
{
	/* The device's group, where there is one: a TPM that went away must be opened again without being root. */
	const struct confinement box = {.user = conf->user, .groups = getgrnam("tss") ? "tss" : NULL, .rules = rules,
					.n_rules = sizeof(rules) / sizeof(rules[0])};
	static struct host_tpm_process p;
	struct loop *loop = loop_new();

	log_open("vtpm-relayd[host-tpm]", LOG_LV_INFO);
	p.conf = conf;
	if (open_tpm(&p) != 0)
		log_error("%s; no guest gets its vTPM until it answers", p.why);
	p.relay = loop ? link_new(loop, fd, "relay", &tpm_protocol, on_message, &p) : NULL;
	if (!p.relay)
		fatal("can't start: out of memory");
	link_on_end(p.relay, on_end, NULL);
	process_confine(&box);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

/*
 * The vault process.
 *
 * Theory of operation: one request at a time, answered before the next is read, but for PROTECT: it takes a key that the keymaker made
 * in advance, or waits in line for the next one. The TPM is opened before the user is dropped.
 */
#include "kmc/vault_process.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/secret.h"
#include "common/text.h"
#include "kmc/cleanheap.h"
#include "kmc/ekmaker.h"
#include "kmc/keeper.h"
#include "kmc/keymaker.h"
#include "kmc/vault.h"
#include "kmc/vault_move.h"
#include "kmc/vault_wrapping.h"

#define READY_MAX 32
#define WAITING_MAX 512
#define ENDORSING_MAX 64 /* the engine asks for fewer at once */

/* A request whose keys the ekmaker is making. */
struct endorsing {
	uint64_t id; /* 0: free */
	int64_t not_before;
};

struct vault_process {
	const struct kmcconf *conf;
	struct vault *vault;
	struct link *engine, *keymaker, *ekmaker, *keeper;
	struct endorsing endorsing[ENDORSING_MAX];
	struct vault_key ready[READY_MAX];
	size_t n_ready;
	uint64_t waiting[WAITING_MAX]; /* tickets of PROTECTs, oldest first */
	size_t n_waiting;
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

static void fail(struct vault_process *p, uint64_t id, int r, const char *why)
{
	char reason[VAULT_REASON_MAX + 1];
	struct vault_failed f = {.code = (uint64_t)-(int64_t)r};

	snprintf(reason, sizeof(reason), "%s", *why ? why : error_text(r));
	f.reason = view_text(text_make_printable(reason));
	link_send(p->engine, VAULT_FAILED, id, &f);
}

static void ask_keymaker(struct vault_process *p)
{
	const struct keymaker_key q = {.bits = p->conf->rsa_bits};

	link_send(p->keymaker, KEYMAKER_KEY, 0, &q);
}

static void give_key(struct vault_process *p, uint64_t id, const struct vault_key *k)
{
	const struct vault_protected m = {
		.key_id = view_of(k->id, sizeof(k->id)), .modulus = view_of(k->modulus, k->modulus_size),
		.wrapped = view_of(k->wrapped, k->wrapped_size), .exponent = k->exponent,
	};

	link_send(p->engine, VAULT_PROTECTED, id, &m);
}

static void on_protect(struct vault_process *p, uint64_t id)
{
	if (p->n_ready) {
		give_key(p, id, &p->ready[--p->n_ready]);
	} else if (p->n_waiting == WAITING_MAX) {
		fail(p, id, E_BUSY, "too many hosts wait for a key");
		return;
	} else {
		p->waiting[p->n_waiting++] = id;
	}
	ask_keymaker(p);
}

static void on_key(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	const struct keymaker_made *made = fields;
	struct vault_process *p = arg;
	struct secret *der;
	struct vault_key key;
	int r;

	(void)id;
	if (type != KEYMAKER_MADE)
		fatal("the keymaker process sent a request");
	der = secret_dup(made->der.p, made->der.n);
	r = der ? vault_wrap_key(p->vault, der, &key) : E_NOMEM;
	secret_free(&der);
	if (r != 0)
		fatal("can't wrap a new RSA key: %s", error_text(r));
	if (p->n_waiting) {
		give_key(p, p->waiting[0], &key);
		memmove(p->waiting, p->waiting + 1, --p->n_waiting * sizeof(p->waiting[0]));
	} else if (p->n_ready < READY_MAX) {
		p->ready[p->n_ready++] = key;
	}
}

static void on_decrypt(struct vault_process *p, uint64_t id, const struct vault_decrypt *q)
{
	struct vault_decrypted m;
	char why[KEYRING_WHY] = "";
	int r = vault_decrypt(p->vault, id, q, &m.uuid, why);

	if (r == 0)
		link_send(p->engine, VAULT_DECRYPTED, id, &m);
	else
		fail(p, id, r, why);
}

/* The seed of the vTPM whose keys these are, wrapped for the one that has them now. */
static int make_shared(struct vault_process *p, const struct vault_make *q, uint8_t wrapped[VAULT_SEED_MAX], size_t *n, char why[KEYRING_WHY])
{
	struct vault_share share = {.tenant = q->tenant, .to = q->uuid, .to_generation = q->generation};
	struct seed_owner owner = {.tenant = q->tenant};
	uint8_t first[VAULT_SEED_MAX];
	struct origin origin;
	int r = origin_get(q->origin, &origin);

	if (r != 0)
		return r;
	owner.uuid = share.from = origin.uuid;
	owner.generation = origin.generation;
	share.generation = origin.generation;
	if ((r = vault_make_seed(p->vault, &owner, first, n, why)) != 0)
		return r;
	share.seed = view_of(first, *n);
	return vault_share_seed(p->vault, &share, wrapped, n, why);
}

static void made(struct vault_process *p, uint64_t id, int r, struct view seed, const char *why)
{
	const struct vault_made m = {.seed = seed};

	if (r == 0)
		link_send(p->engine, VAULT_MADE, id, &m);
	else
		fail(p, id, r, why);
}

static void on_make(struct vault_process *p, uint64_t id, const struct vault_make *q)
{
	const struct seed_owner owner = {.tenant = q->tenant, .uuid = q->uuid, .generation = (uint32_t)q->generation};
	uint8_t wrapped[VAULT_SEED_MAX];
	char why[KEYRING_WHY] = "";
	size_t n = 0;
	int r = q->origin.p ? make_shared(p, q, wrapped, &n, why) : vault_make_seed(p->vault, &owner, wrapped, &n, why);

	made(p, id, r, view_of(wrapped, n), why);
}

static void on_share(struct vault_process *p, uint64_t id, const struct vault_share *q)
{
	uint8_t wrapped[VAULT_SEED_MAX];
	char why[KEYRING_WHY] = "";
	size_t n = 0;
	int r = vault_share_seed(p->vault, q, wrapped, &n, why);

	made(p, id, r, view_of(wrapped, n), why);
}

static void on_seal(struct vault_process *p, uint64_t id, const struct vault_seal *q)
{
	uint8_t reply[KMC_RSA_MAX + ENVELOPE_OVERHEAD];
	char why[KEYRING_WHY] = "";
	struct vault_sealed m;
	size_t n = 0;
	int r = vault_seal(p->vault, id, q, reply, &n, why);

	m.reply = view_of(reply, n);
	if (r == 0)
		link_send(p->engine, VAULT_SEALED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_issue(struct vault_process *p, uint64_t id, const struct vault_issue *q)
{
	char why[KEYRING_WHY] = "";
	struct vault_issued m;
	struct ca_cert cert;
	int r = vault_issue(p->vault, q, &cert, why);

	m.cert = view_of(cert.der, cert.size);
	if (r == 0)
		link_send(p->engine, VAULT_ISSUED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_sign(struct vault_process *p, uint64_t id, const struct vault_sign *q)
{
	uint8_t head[AUDIT_HEAD_MAX];
	char why[KEYRING_WHY] = "";
	struct vault_signed m;
	size_t n = 0;
	int r = vault_sign(p->vault, p->conf->name, q, head, &n, why);

	m.head = view_of(head, n);
	if (r == 0)
		link_send(p->engine, VAULT_SIGNED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_credential(struct vault_process *p, uint64_t id, const struct vault_credential *q)
{
	struct kmctpm_credential c;
	char why[KEYRING_WHY] = "";
	struct vault_challenge m;
	uint8_t answer[32];
	int r = vault_challenge(p->vault, q, &c, answer, why);

	if (r != 0) {
		fail(p, id, r, why);
		return;
	}
	m.credential = view_of(c.blob, c.blob_size);
	m.secret = view_of(c.secret, c.secret_size);
	m.answer = view_of(answer, sizeof(answer));
	link_send(p->engine, VAULT_CHALLENGE, id, &m);
}

static void on_duplicate(struct vault_process *p, uint64_t id, const struct vault_duplicate *q)
{
	struct kmctpm_credential c;
	char why[KEYRING_WHY] = "";
	struct vault_duplicated m;
	struct kmctpm_copy copy;
	int r = vault_duplicate(p->vault, q, &c, &copy, why);

	if (r != 0) {
		fail(p, id, r, why);
		return;
	}
	m.credential = view_of(c.blob, c.blob_size);
	m.secret = view_of(c.secret, c.secret_size);
	m.public = view_of(copy.public, copy.public_size);
	m.duplicate = view_of(copy.duplicate, copy.duplicate_size);
	m.seed = view_of(copy.seed, copy.seed_size);
	link_send(p->engine, VAULT_DUPLICATED, id, &m);
}

static void on_ca_make(struct vault_process *p, uint64_t id, const struct vault_ca_make *q)
{
	struct vault_authorities a;
	char why[KEYRING_WHY] = "";
	struct vault_ca_made m;
	int r = vault_make_ca(p->vault, q, &a, why);

	if (r != 0) {
		fail(p, id, r, why);
		return;
	}
	m.certificate = view_of(a.made.der, a.made.size);
	m.key = view_of(a.key, a.key_size);
	m.present = view_of(a.present.der, a.present.size);
	m.present_key = view_of(a.present_key, a.present_key_size);
	link_send(p->engine, VAULT_CA_MADE, id, &m);
}

static void on_ca(struct vault_process *p, uint64_t id, const struct vault_ca *q)
{
	char why[KEYRING_WHY] = "";
	int r = vault_take_ca(p->vault, q, why);

	if (r == 0)
		link_send(p->engine, VAULT_CA_TAKEN, id, NULL);
	else
		fail(p, id, r, why);
}

static struct endorsing *find_endorsing(struct vault_process *p, uint64_t id)
{
	for (size_t i = 0; i < ENDORSING_MAX; i++)
		if (p->endorsing[i].id == id)
			return &p->endorsing[i];
	return NULL;
}

static void on_endorse(struct vault_process *p, uint64_t id, const struct vault_endorse *q)
{
	struct endorsing *slot = find_endorsing(p, 0);
	struct secret *eps = NULL;
	char why[KEYRING_WHY] = "";
	int r = slot ? vault_endorsement_seed(p->vault, q, &eps, why) : E_BUSY;

	if (r == 0) {
		const struct ekmaker_keys keys = {.eps = view_of(eps->data, eps->size)};

		*slot = (struct endorsing){.id = id, .not_before = (int64_t)q->not_before};
		link_send(p->ekmaker, EKMAKER_KEYS, id, &keys);
	} else {
		fail(p, id, r, why);
	}
	secret_free(&eps);
}

static void give_certificates(struct vault_process *p, uint64_t id, int64_t not_before, const struct ekmaker_made *made)
{
	struct ca_cert rsa, ecc;
	struct vault_endorsed m;
	char why[KEYRING_WHY] = "";
	int r = vault_endorse(p->vault, p->conf->ca_url, not_before, made, &rsa, &ecc, why);

	m.rsa = view_of(rsa.der, rsa.size);
	m.ecc = view_of(ecc.der, ecc.size);
	if (r == 0)
		link_send(p->engine, VAULT_ENDORSED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_ekmaker(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct vault_process *p = arg;
	struct endorsing *slot = id ? find_endorsing(p, id) : NULL;
	int64_t not_before;

	if (!slot || (type != EKMAKER_MADE && type != EKMAKER_FAILED))
		fatal("the ekmaker process sent what was not asked for");
	not_before = slot->not_before;
	*slot = (struct endorsing){0};
	if (type == EKMAKER_MADE)
		give_certificates(p, id, not_before, fields);
	else
		fail(p, id, -(int)((const struct ekmaker_failed *)fields)->code, "libtpms can't make endorsement keys");
}

static void on_new_wrapping(struct vault_process *p, uint64_t id, const struct vault_number *q)
{
	char why[KEYRING_WHY] = "";
	struct kmctpm_blob blob;
	struct vault_wrapping m = {.number = q->number};
	int r = keyring_new_wrapping(vault_keyring(p->vault), (uint32_t)q->number, &blob, why);

	m.sealed = view_of(blob.data, r == 0 ? blob.size : 0);
	if (r == 0)
		link_send(p->engine, VAULT_NEW_WRAPPED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_rewrap(struct vault_process *p, uint64_t id, const struct vault_rewrap *q)
{
	uint8_t wrapped[VAULT_WRAPPED_MAX];
	char why[KEYRING_WHY] = "";
	struct vault_rewrapped m;
	size_t n = 0;
	int r = vault_rewrap(p->vault, q, wrapped, &n, why);

	m.wrapped = view_of(wrapped, n);
	if (r == 0)
		link_send(p->engine, VAULT_REWRAPPED, id, &m);
	else
		fail(p, id, r, why);
}

/* Keys that were made in advance go under the key that is in use now. */
static void rewrap_ready(struct vault_process *p)
{
	for (size_t i = 0; i < p->n_ready; i++) {
		struct vault_key *k = &p->ready[i];
		const struct vault_rewrap q = {.context = view_of(k->id, sizeof(k->id)), .wrapped = view_of(k->wrapped, k->wrapped_size)};
		uint8_t wrapped[VAULT_WRAPPED_MAX];
		char why[KEYRING_WHY];
		size_t n;

		if (vault_rewrap(p->vault, &q, wrapped, &n, why) != 0)
			fatal("can't wrap an RSA key anew: %s", why);
		memcpy(k->wrapped, wrapped, n);
		k->wrapped_size = n;
	}
}

static void on_kept(void *arg, uint64_t id, int r, const char *why)
{
	struct vault_process *p = arg;

	if (r == 0)
		link_send(p->engine, VAULT_KEPT, id, NULL);
	else
		fail(p, id, r, why);
}

static void on_keeper(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	(void)arg;
	vault_wrapping_answer(type, id, fields);
}

static void on_card(struct vault_process *p, uint64_t id)
{
	uint8_t card[MOVE_CARD_MAX];
	char why[KEYRING_WHY] = "";
	struct vault_card m;
	size_t n = 0;
	int r = vault_card(p->vault, p->conf->name, card, &n, why);

	m.card = view_of(card, n);
	if (r == 0)
		link_send(p->engine, VAULT_CARD_IS, id, &m);
	else
		fail(p, id, r, why);
}

static void on_export(struct vault_process *p, uint64_t id, const struct vault_export *q)
{
	uint8_t package[MOVE_PACKAGE_MAX];
	char why[KEYRING_WHY] = "";
	struct vault_exported m;
	size_t n = 0;
	int r = vault_export(p->vault, p->conf->name, q, package, &n, why);

	m.package = view_of(package, n);
	if (r == 0)
		link_send(p->engine, VAULT_EXPORTED, id, &m);
	else
		fail(p, id, r, why);
}

static void on_import(struct vault_process *p, uint64_t id, const struct vault_import *q)
{
	uint8_t wrapped[VAULT_SEED_MAX];
	char why[KEYRING_WHY] = "";
	size_t n = 0;
	int r = vault_import(p->vault, q, wrapped, &n, why);

	made(p, id, r, view_of(wrapped, n), why);
}

static void on_receipt(struct vault_process *p, uint64_t id, const struct vault_receipt *q)
{
	uint8_t receipt[MOVE_RECEIPT_MAX];
	char why[KEYRING_WHY] = "";
	struct vault_receipt_is m;
	size_t n = 0;
	int r = vault_receipt(p->vault, p->conf->name, q, receipt, &n, why);

	m.receipt = view_of(receipt, n);
	if (r == 0)
		link_send(p->engine, VAULT_RECEIPT_IS, id, &m);
	else
		fail(p, id, r, why);
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct vault_process *p = arg;

	if (id == 0)
		fatal("the engine process sent a request without a ticket");
	switch (type) {
	case VAULT_PROTECT:
		on_protect(p, id);
		break;
	case VAULT_DECRYPT:
		on_decrypt(p, id, fields);
		break;
	case VAULT_MAKE:
		on_make(p, id, fields);
		break;
	case VAULT_SHARE:
		on_share(p, id, fields);
		break;
	case VAULT_SEAL:
		on_seal(p, id, fields);
		break;
	case VAULT_FORGET:
		vault_forget(p->vault, id);
		break;
	case VAULT_ISSUE:
		on_issue(p, id, fields);
		break;
	case VAULT_SIGN:
		on_sign(p, id, fields);
		break;
	case VAULT_CREDENTIAL:
		on_credential(p, id, fields);
		break;
	case VAULT_DUPLICATE:
		on_duplicate(p, id, fields);
		break;
	case VAULT_CA_MAKE:
		on_ca_make(p, id, fields);
		break;
	case VAULT_CA:
		on_ca(p, id, fields);
		break;
	case VAULT_ENDORSE:
		on_endorse(p, id, fields);
		break;
	case VAULT_NEW_WRAPPING:
		on_new_wrapping(p, id, fields);
		break;
	case VAULT_CA_KEEP:
	case VAULT_LEARN:
	case VAULT_USE:
	case VAULT_DESTROY:
		vault_wrapping_ask(type, id, fields);
		if (type == VAULT_USE)
			rewrap_ready(p);
		break;
	case VAULT_REWRAP:
		on_rewrap(p, id, fields);
		break;
	case VAULT_CARD:
		on_card(p, id);
		break;
	case VAULT_EXPORT:
		on_export(p, id, fields);
		break;
	case VAULT_IMPORT:
		on_import(p, id, fields);
		break;
	case VAULT_RECEIPT:
		on_receipt(p, id, fields);
		break;
	default:
		fatal("the engine process sent an answer where a request belongs");
	}
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

/* Before the TPM is opened: the child inherits nothing but its link. */
static int start_maker(void (*child)(const struct kmcconf *conf, int fd), const struct kmcconf *conf, int engine_fd, const char *name)
{
	int fd[2];
	pid_t pid;

	if (privsep_pair(fd) != 0 || (pid = process_spawn()) < 0)
		fatal("can't start the %s process", name);
	if (pid == 0) {
		if (process_keep(fd[1], engine_fd) != 0)
			fatal("can't start the %s process: %s", name, strerror(errno));
		child(conf, engine_fd);
	}
	close(fd[1]);
	return fd[0];
}

static struct vault *open_vault(const struct kmcconf *conf)
{
	struct keyring keyring;
	char why[KEYRING_WHY];
	struct vault *v;

	if (keyring_open(&keyring, conf, why) != 0)
		fatal("%s", why);
	v = vault_new(&keyring);
	if (!v)
		fatal("can't start: out of memory");
	return v;
}

void vault_main(const struct kmcconf *conf, int fd)
{
	/* The device's group, where there is one: a TPM that went away must be opened again without being root. */
	const struct confinement box = {.user = kmcconf_user(conf), .groups = getgrnam("tss") ? "tss" : NULL, .rules = rules,
					.n_rules = sizeof(rules) / sizeof(rules[0])};
	static struct vault_process p;
	int keymaker_fd = start_maker(keymaker_main, conf, fd, "keymaker"), ekmaker_fd = start_maker(ekmaker_main, conf, fd, "ekmaker"),
	    keeper_fd = start_maker(keeper_main, conf, fd, "keeper");
	struct vault_ready ready;
	struct loop *loop;

	log_open("kmcd[vault]", LOG_LV_INFO);
	cleanheap_use();
	loop = loop_new();
	p.conf = conf;
	p.vault = open_vault(conf);
	p.engine = loop ? link_new(loop, fd, "engine", &vault_protocol, on_message, &p) : NULL;
	p.keymaker = loop ? link_new(loop, keymaker_fd, "keymaker", &keymaker_protocol, on_key, &p) : NULL;
	p.ekmaker = loop ? link_new(loop, ekmaker_fd, "ekmaker", &ekmaker_protocol, on_ekmaker, &p) : NULL;
	p.keeper = loop ? link_new(loop, keeper_fd, "keeper", &keeper_protocol, on_keeper, &p) : NULL;
	if (!p.engine || !p.keymaker || !p.ekmaker || !p.keeper)
		fatal("can't start: out of memory");
	link_on_end(p.engine, on_end, NULL);
	link_gather(p.engine, NULL, NULL, NULL);
	process_confine(&box);
	vault_wrapping_start(p.vault, p.keeper, on_kept, &p);
	ready.oldest = keyring_oldest(vault_keyring(p.vault));
	link_send(p.engine, VAULT_READY, 0, &ready);
	for (size_t i = 0; i < conf->keys_ready; i++)
		ask_keymaker(&p);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

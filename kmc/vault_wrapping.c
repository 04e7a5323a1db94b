/* The vault's part in the replacement of the wrapping key. */
#include "kmc/vault_wrapping.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/ca.h"

#define JOBS_MAX 16

/* A request whose files are being written; the keeper does one after the other. */
struct job {
	uint64_t id; /* 0: free */
	unsigned int left; /* answers of the keeper */
	uint32_t learn, use, destroy; /* what it is about: this key's file; files under this key; keys before this one go */
	bool failed;
	char why[VAULT_REASON_MAX + 1];
};

static struct {
	struct vault *vault;
	struct link *keeper;
	vault_kept_fn *fn;
	void *arg;
	uint32_t stored[WRAP_KEYS_MAX]; /* keys that have a file */
	uint32_t files; /* the key that the files on the disk are under, the older one if they differ */
	struct job jobs[JOBS_MAX];
} w;

void vault_wrapping_start(struct vault *v, struct link *keeper, vault_kept_fn *fn, void *arg)
{
	w.vault = v;
	w.keeper = keeper;
	w.fn = fn;
	w.arg = arg;
	w.files = vault_keyring(v)->wrapping.use; /* of the one that is written last */
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		w.stored[i] = vault_keyring(v)->wrapping.keys[i].number;
}

static struct job *find(uint64_t id)
{
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (w.jobs[i].id == id)
			return &w.jobs[i];
	return NULL;
}

static void put(struct job *j, const char *name, struct view bytes)
{
	j->left++;
	link_send(w.keeper, KEEPER_PUT, j->id, &(const struct keeper_put){.name = view_text(name), .bytes = bytes});
}

static bool is_stored(uint32_t number)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (w.stored[i] == number)
			return true;
	return false;
}

/* The ring's keys are as many, so there is room. */
static void set_stored(uint32_t was, uint32_t now)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (w.stored[i] == was) {
			w.stored[i] = now;
			return;
		}
}

/* What is on the disk stays as it is: nobody writes over a good key by way of the database. */
static int learn(struct job *j, const struct vault_wrapping *m, char why[KEYRING_WHY])
{
	char name[KEYRING_NAME];
	int r = keyring_learn(vault_keyring(w.vault), (uint32_t)m->number, m->sealed, why);

	if (r != 0 || is_stored((uint32_t)m->number))
		return r;
	j->learn = (uint32_t)m->number;
	put(j, keyring_wrapping_name(j->learn, name), m->sealed);
	return 0;
}

/* The two files are read, wrapped anew and written before the old key can go: the keeper keeps the order. */
static int use(struct job *j, uint32_t number, char why[KEYRING_WHY])
{
	struct keyring *k = vault_keyring(w.vault);

	if (!wrap_ring_key(&k->wrapping, number)) {
		snprintf(why, KEYRING_WHY, "there is no wrapping key %u here", number);
		return E_NOTFOUND;
	}
	k->wrapping.use = number;
	if (w.files == number)
		return 0;
	j->use = number;
	for (enum keyring_file f = 0; f < KEYRING_FILES; f++) {
		j->left++;
		link_send(w.keeper, KEEPER_GET, j->id, &(const struct keeper_remove){.name = view_text(keyring_file_name[f])});
	}
	return 0;
}

/* What a file has now: the authority may have changed since it was read at the start. */
static void on_bytes(struct job *j, const struct keeper_put *m)
{
	uint8_t wrapped[KEYRING_WRAPPED_MAX];
	char why[KEYRING_WHY] = "", name[KEYRING_NAME];
	size_t n;

	for (enum keyring_file f = 0; f < KEYRING_FILES; f++) {
		if (view_copy_text(m->name, name, sizeof(name)) != 0 || strcmp(name, keyring_file_name[f]) != 0 || wrap_number(m->bytes) == j->use)
			continue;
		if (keyring_rewrap_file(vault_keyring(w.vault), f, m->bytes, wrapped, &n, why) == 0) {
			put(j, keyring_file_name[f], view_of(wrapped, n));
		} else {
			j->failed = true;
			snprintf(j->why, sizeof(j->why), "%.*s", VAULT_REASON_MAX, why);
		}
	}
}

/*
 * Another authority signs. Nobody else writes this file, and a job that has read it and is about to write it back is waited for: so what is
 * there is the last one's, under the key that is in use.
 */
static int keep(struct job *j, const struct vault_ca *m, char why[KEYRING_WHY])
{
	struct ca_cert cert = {.size = m->certificate.n};
	uint8_t wrapped[KEYRING_WRAPPED_MAX];
	struct x509_key *key = NULL;
	size_t n;
	int r;

	for (size_t i = 0; i < JOBS_MAX; i++)
		if (w.jobs[i].id && w.jobs[i].use) {
			snprintf(why, KEYRING_WHY, "the files here are being put under wrapping key %u", w.jobs[i].use);
			return E_BUSY;
		}
	memcpy(cert.der, m->certificate.p, m->certificate.n);
	r = keyring_unwrap_ca(vault_keyring(w.vault), &cert, m->key, &key);
	ca_key_free(&key);
	if (r != 0) {
		snprintf(why, KEYRING_WHY, "the key of the authority in the database can't be used: %s", error_text(r));
		return r;
	}
	r = keyring_rewrap_file(vault_keyring(w.vault), KEYRING_CA, m->key, wrapped, &n, why);
	if (r == 0)
		put(j, keyring_file_name[KEYRING_CA], view_of(wrapped, n));
	return r;
}

static int destroy(struct job *j, uint32_t number, char why[KEYRING_WHY])
{
	struct keyring *k = vault_keyring(w.vault);
	char name[KEYRING_NAME];

	if (k->wrapping.use < number || w.files < number) {
		snprintf(why, KEYRING_WHY, "wrapping key %u is still in use here", w.files);
		return E_STATE;
	}
	j->destroy = number;
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++) {
		uint32_t old = k->wrapping.keys[i].number;

		if (!old || old >= number)
			continue;
		j->left++;
		keyring_wrapping_name(old, name);
		link_send(w.keeper, KEEPER_REMOVE, j->id, &(const struct keeper_remove){.name = view_text(name)});
	}
	return 0;
}

/* Not sooner: what is tried again must know what is to be done. */
static void settle(const struct job *j)
{
	if (j->learn)
		set_stored(0, j->learn);
	if (j->use)
		w.files = j->use;
	if (!j->destroy)
		return;
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (w.stored[i] < j->destroy)
			w.stored[i] = 0;
	wrap_ring_drop(&vault_keyring(w.vault)->wrapping, j->destroy);
}

static void end_if_done(struct job *j)
{
	const uint64_t id = j->id;

	if (j->left)
		return;
	if (!j->failed)
		settle(j);
	j->id = 0;
	w.fn(w.arg, id, j->failed ? E_IO : 0, j->failed ? j->why : "");
}

void vault_wrapping_ask(uint64_t type, uint64_t id, const void *fields)
{
	const struct vault_number *m = fields;
	struct job *j = find(0);
	char why[KEYRING_WHY] = "";
	int r = E_BUSY;

	if (j) {
		*j = (struct job){.id = id};
		r = type == VAULT_LEARN ? learn(j, fields, why) : type == VAULT_USE ? use(j, (uint32_t)m->number, why)
		    : type == VAULT_CA_KEEP ? keep(j, fields, why) : destroy(j, (uint32_t)m->number, why);
	}
	if (r != 0 && (!j || !j->left)) {
		if (j)
			j->id = 0;
		w.fn(w.arg, id, r, why);
		return;
	}
	if (r != 0) { /* what is under way is waited for */
		j->failed = true;
		snprintf(j->why, sizeof(j->why), "%.*s", VAULT_REASON_MAX, why);
	}
	end_if_done(j);
}

void vault_wrapping_answer(uint64_t type, uint64_t id, const void *fields)
{
	struct job *j = id ? find(id) : NULL;

	if (!j || !j->left || (type != KEEPER_DONE && type != KEEPER_FAILED && type != KEEPER_BYTES))
		fatal("the keeper process sent what was not asked for");
	if (type == KEEPER_FAILED) {
		j->failed = true;
		view_copy_text(((const struct keeper_failed *)fields)->reason, j->why, sizeof(j->why));
	}
	if (type == KEEPER_BYTES)
		on_bytes(j, fields);
	j->left--;
	end_if_done(j);
}

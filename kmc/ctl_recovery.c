/* The recovery key. */
#include "kmc/ctl_recovery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/error.h"
#include "common/secret.h"
#include "kmc/keyfile.h"
#include "kmc/shares.h"

#define FILE_NAME "recovery.kmc"
#define KEY_SIZE (32 + 32 + KMCTPM_INNER_SIZE) /* scalar, seed, inner wrapper's key */

static int complain(char why[KEYRING_WHY], const char *what, int r)
{
	snprintf(why, KEYRING_WHY, "%s: %s", what, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

/* One share's file, for whom it is meant and what it is. */
static int write_share(const struct kmcconf *conf, const struct share *s, const char *dir, char why[KEYRING_WHY])
{
	struct secret *line = share_format(s), *text = line ? secret_new(1024) : NULL;
	char path[KMCCONF_PATH + 32];
	int n, r = text ? 0 : E_NOMEM;

	snprintf(path, sizeof(path), "%s/share-%u.txt", dir, s->index);
	if (r == 0) {
		n = snprintf((char *)text->data, text->size,
			     "Share %u of %u of the recovery key of KMC '%s'. Any %u of them, and a backup, bring up a new machine:\n"
			     "keep it where none of the others is. The line below can be printed, and typed in again.\n\n%s\n",
			     s->index, s->count, conf->name, s->needed, (const char *)line->data);
		r = keyfile_put(path, view_of(text->data, (size_t)n), why);
	} else {
		complain(why, "can't write a share", r);
	}
	secret_free(&line);
	secret_free(&text);
	return r;
}

static int write_shares(const struct kmcconf *conf, const struct secret *secret, const struct recovery_options *r, const uint8_t set[SHARES_SET],
			char why[KEYRING_WHY])
{
	struct share shares[SHARES_MAX] = {0};
	int e = shares_split(secret, r->needed, r->shares, set, shares);

	if (e != 0)
		complain(why, "can't split the recovery key", e);
	else if (mkdir(r->dir, 0700) != 0 && errno != EEXIST)
		e = complain(why, r->dir, E_IO);
	for (unsigned int i = 0; i < r->shares && e == 0; i++)
		e = write_share(conf, &shares[i], r->dir, why);
	for (unsigned int i = 0; i < r->shares && i < SHARES_MAX; i++)
		share_free(&shares[i]);
	return e;
}

/* The parent's copy for the recovery key. */
static int duplicate(struct keyring *k, const struct x509_key *authority, const struct x509_key *recovery, const struct secret *inner,
		     struct kmctpm_copy *copy, char why[KEYRING_WHY])
{
	uint8_t x[32], y[32], area[KMCTPM_AREA_MAX], approval[KMCTPM_APPROVAL_SIZE], signature[80];
	struct kmctpm_order order = {.inner = inner};
	int n, r = ca_key_point(recovery, x, y);

	if (r != 0 || (r = n = kmctpm_recovery_area(x, y, area)) < 0)
		return complain(why, "can't describe the recovery key", r);
	order.to = view_of(area, (size_t)n);
	if ((r = ca_key_point(authority, order.authority.x, order.authority.y)) != 0 ||
	    (r = kmctpm_approval(&k->parent, order.to, approval)) != 0 ||
	    (r = n = ca_key_sign(authority, view_of(approval, sizeof(approval)), signature, sizeof(signature))) < 0)
		return complain(why, "can't sign with the authority's key", r);
	order.signature = view_of(signature, (size_t)n);
	return keyring_duplicate(k, &order, copy, why);
}

/* What only the shares open. */
struct wrapped {
	uint8_t key[KEY_SIZE + WRAP_OVERHEAD], authority[CA_KEY_MAX + WRAP_OVERHEAD];
	size_t authority_size;
};

static int wrap_keys(struct secret *secret, const struct x509_key *authority, const struct x509_key *recovery, const struct secret *inner,
		     const uint8_t set[SHARES_SET], struct wrapped *w)
{
	const struct wrap_key shared = {.number = 0, .key = secret};
	struct secret *scalar = NULL, *seed = secret_random(32), *all = secret_new(KEY_SIZE), *der = NULL;
	int r = seed && all ? ca_key_scalar(recovery, &scalar) : E_NOMEM;

	if (r == 0 && (r = ca_key_save(authority, &der)) == 0) {
		memcpy(all->data, scalar->data, 32);
		memcpy(all->data + 32, seed->data, 32);
		memcpy(all->data + 64, inner->data, KMCTPM_INNER_SIZE);
		r = wrap_seal(&shared, WRAP_RECOVERY_KEY, view_of(set, SHARES_SET), all, w->key);
	}
	if (r == 0)
		r = wrap_seal(&shared, WRAP_AUTHORITY, view_of(set, SHARES_SET), der, w->authority);
	w->authority_size = r == 0 ? der->size + WRAP_OVERHEAD : 0;
	secret_free(&scalar);
	secret_free(&seed);
	secret_free(&all);
	secret_free(&der);
	return r;
}

static int write_file(const struct kmcconf *conf, const struct x509_key *recovery, const struct recovery_options *r,
		      const uint8_t set[SHARES_SET], const struct kmctpm_copy *copy, const struct wrapped *w, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	uint8_t x[32], y[32];
	struct keyfile f;
	int e = ca_key_point(recovery, x, y);
	const struct keyfile_recovery m = {
		.kmc = view_text(conf->name), .set = view_of(set, SHARES_SET), .needed = r->needed, .shares = r->shares,
		.x = view_of(x, 32), .y = view_of(y, 32), .public = view_of(copy->public, copy->public_size),
		.duplicate = view_of(copy->duplicate, copy->duplicate_size), .seed = view_of(copy->seed, copy->seed_size),
		.key = view_of(w->key, sizeof(w->key)), .authority = view_of(w->authority, w->authority_size)};

	if (e != 0 || (e = keyfile_new(&f, kmcconf_path(conf, FILE_NAME, path))) != 0)
		return complain(why, "can't write the recovery file", e);
	e = keyfile_add(&f, KEYFILE_RECOVERY, &m);
	if (e != 0)
		complain(why, "can't write the recovery file", e);
	else
		e = keyfile_write(&f, why);
	keyfile_free(&f);
	return e;
}

int recovery_make(const struct kmcconf *conf, struct keyring *k, const struct x509_key *authority, const struct recovery_options *r,
		  char why[KEYRING_WHY])
{
	struct secret *secret = secret_random(SHARES_SECRET), *inner = secret_random(KMCTPM_INNER_SIZE);
	struct x509_key *recovery = NULL;
	struct kmctpm_copy copy;
	uint8_t set[SHARES_SET];
	struct wrapped w;
	int e = secret && inner ? ca_key_make(&recovery) : E_NOMEM;

	if (e == 0 && getrandom(set, sizeof(set), 0) != sizeof(set))
		e = E_IO;
	if (e != 0)
		complain(why, "can't make a recovery key", e);
	else if ((e = duplicate(k, authority, recovery, inner, &copy, why)) == 0 &&
		 (e = wrap_keys(secret, authority, recovery, inner, set, &w)) != 0)
		complain(why, "can't wrap the recovery key", e);
	if (e == 0 && (e = write_file(conf, recovery, r, set, &copy, &w, why)) == 0)
		e = write_shares(conf, secret, r, set, why);
	ca_key_free(&recovery);
	secret_free(&secret);
	secret_free(&inner);
	return e;
}

/* --- the other way --- */

/* The line of a share in a file; the rest is for people. */
static int read_share(const char *path, struct share *s, char why[KEYRING_WHY])
{
	FILE *f = fopen(path, "re");
	char line[SHARES_LINE + 64];
	int r = E_NOTFOUND;

	if (!f) {
		snprintf(why, KEYRING_WHY, "can't read the share %.200s: %s", path, strerror(errno));
		return E_IO;
	}
	setvbuf(f, NULL, _IONBF, 0);
	while (r == E_NOTFOUND && fgets(line, sizeof(line), f))
		if (strncmp(line, "kmc-share/", 10) == 0)
			r = share_parse(line, s);
	wipe(line, sizeof(line));
	fclose(f);
	if (r != 0)
		snprintf(why, KEYRING_WHY, r == E_INTEGRITY ? "the share in %.200s is mistyped: compare it with its original"
			 : "there is no share in %.200s: it needs a line that begins with kmc-share/1", path);
	return r;
}

static int join(const struct keyfile_recovery *m, const char *const *files, unsigned int n, struct secret **secret, char why[KEYRING_WHY])
{
	struct share shares[SHARES_MAX] = {0};
	int r = n <= SHARES_MAX ? 0 : E_RANGE;

	for (unsigned int i = 0; i < n && r == 0; i++) {
		r = read_share(files[i], &shares[i], why);
		if (r == 0 && memcmp(shares[i].set, m->set.p, SHARES_SET) != 0) {
			snprintf(why, KEYRING_WHY, "the share in %.200s is not of this backup's recovery key", files[i]);
			r = E_ARG;
		}
	}
	if (r == 0)
		r = shares_join(shares, n, secret, why);
	for (unsigned int i = 0; i < n && i < SHARES_MAX; i++)
		share_free(&shares[i]);
	return r;
}

static int restore_authority(const struct kmcconf *conf, const struct keyfile_recovery *m, const struct wrap_key *shared, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	struct x509_key *key = NULL;
	struct secret *der = NULL;
	int r = wrap_open(shared, WRAP_AUTHORITY, m->set, m->authority, &der);

	if (r == 0 && (r = ca_key_load(&key, der)) == 0)
		r = ca_key_write(key, kmcconf_path(conf, "authority.key", path));
	ca_key_free(&key);
	secret_free(&der);
	return r == 0 ? 0 : complain(why, "can't restore the authority's key", r);
}

static int bring_in(const struct kmcconf *conf, const struct keyfile_recovery *m, const struct secret *all, struct kmctpm_blob *parent,
		    char why[KEYRING_WHY])
{
	struct secret *scalar = secret_dup(all->data, 32), *seed = secret_dup(all->data + 32, 32),
		      *inner = secret_dup(all->data + 64, KMCTPM_INNER_SIZE);
	struct kmctpm_recovery key = {.scalar = scalar, .seed = seed};
	struct kmctpm_copy copy, ours;
	struct kmctpm *tpm = NULL;
	int r = scalar && seed && inner ? 0 : E_NOMEM;

	memcpy(key.x, m->x.p, 32);
	memcpy(key.y, m->y.p, 32);
	if (r == 0)
		r = kmctpm_copy_fill(&copy, m->public, m->duplicate, m->seed);
	if (r != 0)
		complain(why, "the recovery file is damaged", r);
	else if ((r = kmctpm_open(&tpm, conf->tpm, why)) == 0 && (r = kmctpm_rewrap(tpm, &key, &copy, &ours, why)) == 0)
		r = kmctpm_import(tpm, &ours, inner, parent, why);
	kmctpm_close(&tpm);
	secret_free(&scalar);
	secret_free(&seed);
	secret_free(&inner);
	return r;
}

int recovery_use(const struct kmcconf *conf, const char *const *shares, unsigned int n, struct kmctpm_blob *parent, char why[KEYRING_WHY])
{
	struct secret *secret = NULL, *all = NULL;
	char path[KMCCONF_PATH];
	struct keyfile_recovery m;
	struct wrap_key shared;
	struct keyfile f;
	int r = keyfile_read(&f, kmcconf_path(conf, FILE_NAME, path), why);

	if (r != 0)
		return r;
	if ((r = keyfile_next(&f, KEYFILE_RECOVERY, &m, why)) == 0 && (r = join(&m, shares, n, &secret, why)) == 0) {
		shared = (struct wrap_key){.number = 0, .key = secret};
		r = wrap_open(&shared, WRAP_RECOVERY_KEY, m.set, m.key, &all);
		if (r != 0 || all->size != KEY_SIZE)
			r = complain(why, "the shares do not open this backup's recovery key", r != 0 ? r : E_FORMAT);
		else if ((r = bring_in(conf, &m, all, parent, why)) == 0)
			r = restore_authority(conf, &m, &shared, why);
	}
	secret_free(&all);
	secret_free(&secret);
	keyfile_free(&f);
	return r;
}

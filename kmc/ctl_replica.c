/*
 * kmcctl replica.
 *
 * Theory of operation: REQUEST says who the new TPM is. The administrator makes sure that it is a TPM (its certificate, or the hash read
 * on its console), and the authority signs that the parent may go there. The package is good for that TPM alone: the parent in two
 * wrappers, and the other key files as they are.
 */
#include "kmc/ctl_replica.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "common/process.h"
#include "common/secret.h"
#include "kmc/ca.h"
#include "kmc/cleanheap.h"
#include "kmc/ctl_init.h"
#include "kmc/ekcert.h"
#include "kmc/keyfile.h"
#include "kmc/keyring.h"
#include "kmc/store_open.h"

#define LOCKED_MEMORY (16u << 20)
#define HEX 65

static int say(const char *why)
{
	ctl_say("%s", why);
	return EXIT_ERROR;
}

static int hash_ek(struct view ek, char hex[HEX])
{
	uint8_t hash[32];

	if (EVP_Digest(ek.p, ek.n, hash, NULL, EVP_sha256(), NULL) != 1)
		return E_CRYPTO;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

int ctl_replica_request(const struct kmcconf *conf, const char *out)
{
	struct kmctpm_identity id;
	struct kmctpm *tpm = NULL;
	struct keyfile f;
	char why[KEYFILE_WHY], hex[HEX];
	int r = kmctpm_open(&tpm, conf->tpm, why);

	if (r == 0)
		r = kmctpm_identify(tpm, &id, why);
	kmctpm_close(&tpm);
	if (r != 0 || hash_ek(view_of(id.ek, id.ek_size), hex) != 0 || keyfile_new(&f, out) != 0)
		return say(why);
	r = keyfile_add(&f, KEYFILE_REQUEST, &(const struct keyfile_request){
		.name = view_text(conf->name), .ek = view_of(id.ek, id.ek_size), .storage = view_of(id.storage, id.storage_size),
		.certificate = id.certificate_size ? view_of(id.certificate, id.certificate_size) : (struct view){0}});
	if (r == 0)
		r = keyfile_write(&f, why);
	keyfile_free(&f);
	if (r != 0)
		return say(why);
	results_text("file", out);
	results_text("ek_sha256", hex);
	results_tell("wrote %s for '%s'. This TPM's endorsement key has the SHA-256\n  %s\n"
	       "On a machine that has the keys: 'kmcctl replica add %s --authority FILE --out PACKAGE'%s\n", out, conf->name, hex, out,
	       id.certificate_size ? "" : ",\nwith --ek and that hash: there is no certificate in this TPM");
	return EXIT_FINE;
}

/* Whether the request's endorsement key is a TPM's, and by whose word. */
static int believe(const struct kmcconf *conf, const struct keyfile_request *q, const char *listed, char remark[200], char why[KEYFILE_WHY])
{
	enum ek_check check = EK_NO_CERTIFICATE;
	struct ekroots *roots = NULL;
	struct quote_ek ek;
	char hex[HEX];
	int r = quote_ek(q->ek, &ek);

	if (r != 0 || !kmctpm_is_storage(q->storage) || hash_ek(q->ek, hex) != 0) {
		snprintf(why, KEYFILE_WHY, "the request's keys are not of the kind that a TPM has");
		return E_FORMAT;
	}
	if ((r = ekroots_load(&roots, conf->ek_roots, why)) == 0)
		r = ekcert_check(roots, q->certificate, &ek, &check, why);
	ekroots_free(&roots);
	if (r != 0)
		return r;
	if (listed ? strcasecmp(listed, hex) != 0 : check != EK_CERTIFIED) {
		snprintf(why, KEYFILE_WHY, listed ? "the request is of a TPM whose endorsement key has the SHA-256 %s: that is not the one in --ek"
			 : "nobody vouches for the request's TPM (%.0s%s): read the hash that 'kmcctl replica request' printed there, and give it with --ek",
			 hex, ek_check_text(check));
		return E_DENIED;
	}
	snprintf(remark, 200, "endorsement key %s, %s", hex, listed ? "its hash was given" : ek_check_text(check));
	return 0;
}

struct adding {
	const struct kmcconf *conf;
	struct keyfile package;
	char why[KEYFILE_WHY];
	int r;
};

static bool on_copy(void *arg, uint64_t type, const void *fields)
{
	const struct adm_replica_copy *m = fields;
	struct adding *a = arg;

	if (type != ADM_REPLICA_COPY)
		return false;
	a->r = keyfile_add(&a->package, KEYFILE_COPY, &(const struct keyfile_copy){
		.kmc = m->kmc, .credential = m->credential, .secret = m->secret, .public = m->public, .duplicate = m->duplicate,
		.seed = m->seed});
	if (a->r == 0 && (a->r = keyfile_add_machine(&a->package, a->conf->state, a->why)) == 0)
		a->r = keyfile_write(&a->package, a->why);
	return false;
}

static int read_parent(const struct kmcconf *conf, struct kmctpm_blob *parent, char why[KEYFILE_WHY])
{
	char path[KMCCONF_PATH];
	FILE *f = fopen(kmcconf_path(conf, "vault/parent.tpm", path), "re");

	parent->size = f ? fread(parent->data, 1, sizeof(parent->data), f) : 0;
	if (f)
		fclose(f);
	if (parent->size)
		return 0;
	snprintf(why, KEYFILE_WHY, "can't read %s", path);
	return E_IO;
}

/* The authority's signature over the parent's way to @to, and its public key. */
static int approve(const struct kmcconf *conf, const char *file, struct view to, uint8_t public[64], uint8_t signature[80], char why[KEYFILE_WHY])
{
	uint8_t approval[KMCTPM_APPROVAL_SIZE];
	struct kmctpm_blob parent;
	struct x509_key *key;
	int r = read_parent(conf, &parent, why), n;

	if (r != 0)
		return r;
	if ((r = ca_key_read(&key, file)) != 0) {
		snprintf(why, KEYFILE_WHY, "can't read the authority's key %.200s: %s", file, error_text(r));
		return r;
	}
	n = kmctpm_approval(&parent, to, approval) == 0 && ca_key_point(key, public, public + 32) == 0
	    ? ca_key_sign(key, view_of(approval, sizeof(approval)), signature, 80) : E_CRYPTO;
	ca_key_free(&key);
	if (n < 0)
		snprintf(why, KEYFILE_WHY, "can't sign with %.200s: is it the authority.key of 'kmcctl init'?", file);
	return n;
}

int ctl_replica_add(const struct kmcconf *conf, struct ctl_client *c, const struct ctl_replica_options *o)
{
	struct adding a = {.conf = conf, .r = E_FORMAT};
	uint8_t public[64], signature[80];
	struct keyfile_request q;
	struct adm_replica_add m;
	char remark[200];
	struct keyfile f;
	int n, code;

	if (keyfile_read(&f, o->request, a.why) != 0)
		return say(a.why);
	if (keyfile_next(&f, KEYFILE_REQUEST, &q, a.why) != 0 || believe(conf, &q, o->ek, remark, a.why) != 0 ||
	    (n = approve(conf, o->authority, q.storage, public, signature, a.why)) < 0 || keyfile_new(&a.package, o->out) != 0) {
		keyfile_free(&f);
		return say(a.why);
	}
	m = (struct adm_replica_add){.name = q.name, .ek = q.ek, .storage = q.storage, .authority = view_of(public, sizeof(public)),
				     .signature = view_of(signature, (size_t)n), .remark = view_text(remark)};
	code = ctl_ask(c, ADM_REPLICA_ADD, &m, on_copy, &a);
	if (code == EXIT_FINE && a.r != 0)
		code = say(a.why);
	else if (code == EXIT_FINE)
		results_tell("wrote %s: it is good for the TPM of '%.*s' alone. There: 'kmcctl replica join %s'\n", o->out, (int)q.name.n,
		       (const char *)q.name.p, o->out);
	keyfile_free(&a.package);
	keyfile_free(&f);
	return code;
}

/* The parent into this machine's TPM. */
static int take_parent(const struct kmcconf *conf, const struct keyfile_copy *m, struct kmctpm_blob *parent, char why[KEYFILE_WHY])
{
	struct secret *value = NULL, *inner = NULL;
	struct kmctpm *tpm = NULL;
	struct kmctpm_copy copy;
	int r = kmctpm_copy_fill(&copy, m->public, m->duplicate, m->seed);

	snprintf(why, KEYFILE_WHY, "the package is damaged");
	if (r == 0 && (r = kmctpm_open(&tpm, conf->tpm, why)) == 0)
		r = kmctpm_activate(tpm, m->credential, m->secret, &value, why);
	if (r == 0 && !(inner = secret_dup(value->data, KMCTPM_INNER_SIZE)))
		r = E_NOMEM;
	if (r == 0)
		r = kmctpm_import(tpm, &copy, inner, parent, why);
	secret_free(&inner);
	secret_free(&value);
	kmctpm_close(&tpm);
	return r;
}

/* The files behind the copy. */
static int take_files(const struct kmcconf *conf, struct keyfile *f, char why[KEYFILE_WHY])
{
	char name[KEYFILE_NAME_MAX + 1], path[KMCCONF_PATH + KEYFILE_NAME_MAX];
	struct keyfile_file m;
	int r = 0;

	while (r == 0 && keyfile_left(f)) {
		if ((r = keyfile_next(f, KEYFILE_FILE, &m, why)) != 0)
			break;
		if (view_copy_text(m.name, name, sizeof(name)) != 0 || !keyfile_is_name(name)) {
			snprintf(why, KEYFILE_WHY, "the package has a file that does not belong there");
			r = E_FORMAT;
		} else {
			snprintf(path, sizeof(path), "%s/%s", conf->state, name);
			r = keyfile_put(path, m.bytes, why);
		}
		if (r == 0 && strncmp(name, "vault/", 6) != 0 && chmod(path, 0644) != 0)
			r = E_IO;
	}
	return r;
}

static int look_at_database(const struct kmcconf *conf, char why[KEYFILE_WHY])
{
	if (conf->store_engine == STORE_ENGINE_PGSQL)
		return 0;
	snprintf(why, KEYFILE_WHY, "a replica shares its database: set [store] engine = postgresql and connection, as on the first machine");
	return E_CONFIG;
}

int ctl_replica_join(const struct kmcconf *conf, const char *package, const char *names, unsigned int days)
{
	char why[KEYFILE_WHY] = "", path[KMCCONF_PATH];
	struct keyring keyring = {0};
	struct kmctpm_blob parent;
	struct keyfile_copy m;
	struct keyfile f;
	int r = ctl_init_refuse_old(conf);

	if (r != EXIT_FINE)
		return r;
	if (process_is_root())
		process_lock_memory(LOCKED_MEMORY);
	cleanheap_use();
	if (look_at_database(conf, why) != 0 || keyfile_read(&f, package, why) != 0)
		return say(why);
	if ((r = keyfile_next(&f, KEYFILE_COPY, &m, why)) == 0 && (r = take_parent(conf, &m, &parent, why)) == 0 &&
	    (r = ctl_init_machine(conf, why)) == 0) {
		results_tell("the keys of KMC '%.*s' are in this machine's TPM\n", (int)m.kmc.n, (const char *)m.kmc.p);
		r = keyfile_put(kmcconf_path(conf, "vault/parent.tpm", path), view_of(parent.data, parent.size), why);
		if (r == 0 && (r = take_files(conf, &f, why)) == 0 && (r = keyring_open(&keyring, conf, why)) == 0)
			r = ctl_init_server(conf, names, days, &keyring, why);
		keyring_close(&keyring);
		if (r != 0)
			ctl_init_remove(conf);
	}
	keyfile_free(&f);
	if (r != 0)
		return say(why);
	results_tell("done: start kmcd. It serves from the same database, with the same seeds\n");
	return EXIT_FINE;
}

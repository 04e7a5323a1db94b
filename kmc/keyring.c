/* The keys of a KMC machine. */
#include "kmc/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/secret.h"

#define CA_CONTEXT "ca"
#define AUDIT_CONTEXT "audit"
#define FIRST_WRAPPING 1 /* the number of the first wrapping key */

/* At most @cap bytes of a file; more is an error. Return: bytes or E_NOTFOUND, E_RANGE, E_IO. */
static int read_file(const struct kmcconf *conf, const char *name, uint8_t *out, size_t cap, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	int fd = open(kmcconf_path(conf, name, path), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, cap) : -1;
	uint8_t more;
	int r = (int)n;

	if (n < 0) {
		snprintf(why, KEYRING_WHY, "can't read %s: %s; was 'kmcctl init' run?", path, strerror(errno));
		r = E_NOTFOUND;
	} else if (n == 0 || read(fd, &more, 1) != 0) {
		snprintf(why, KEYRING_WHY, "%s is damaged: restore it from the backup", path);
		r = E_RANGE;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int write_file(const struct kmcconf *conf, const char *name, const void *p, size_t n, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	int fd = open(kmcconf_path(conf, name, path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, p, n) == (ssize_t)n && fsync(fd) == 0;

	if (!ok)
		snprintf(why, KEYRING_WHY, "can't write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok ? 0 : E_IO;
}

static int read_blob(const struct kmcconf *conf, const char *name, struct kmctpm_blob *blob, char why[KEYRING_WHY])
{
	int n = read_file(conf, name, blob->data, sizeof(blob->data), why);

	blob->size = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : n;
}

/* Connect and load K. */
static int open_tpm(struct keyring *k, char why[KEYRING_WHY])
{
	int r = kmctpm_open(&k->tpm, k->tcti, why);

	if (r == 0 && ((r = kmctpm_load_parent(k->tpm, &k->parent, why)) != 0 || (r = kmctpm_load_hmac_key(k->tpm, &k->seed_key, why)) != 0))
		kmctpm_close(&k->tpm);
	return r;
}

static int open_wrapping(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	struct kmctpm_blob blob;
	int r;

	k->wrapping.number = FIRST_WRAPPING;
	if ((r = read_blob(conf, "vault/wrapping.tpm", &blob, why)) != 0 ||
	    (r = kmctpm_unseal(k->tpm, &blob, &k->wrapping.key, why)) != 0)
		return r;
	if (k->wrapping.key->size == WRAP_KEY_SIZE)
		return 0;
	snprintf(why, KEYRING_WHY, "the sealed wrapping key has %zu bytes instead of %d", k->wrapping.key->size, WRAP_KEY_SIZE);
	return E_FORMAT;
}

static int open_key(const struct keyring *k, const struct kmcconf *conf, const char *file, enum wrap_purpose purpose,
		    const char *context, struct x509_key **key, char why[KEYRING_WHY])
{
	uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD];
	struct secret *der = NULL;
	char path[KMCCONF_PATH];
	int n = read_file(conf, file, wrapped, sizeof(wrapped), why), r;

	if (n < 0)
		return n;
	r = wrap_open(&k->wrapping, purpose, view_text(context), view_of(wrapped, (size_t)n), &der);
	if (r == 0)
		r = ca_key_load(key, der);
	secret_free(&der);
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't use %s: %s; restore the vault directory as a whole", kmcconf_path(conf, file, path),
			 error_text(r));
	return r;
}

static int open_ca(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	int r = open_key(k, conf, "vault/ca.key", WRAP_CA_KEY, CA_CONTEXT, &k->ca_key, why);

	if (r != 0)
		return r;
	r = ca_cert_read(&k->ca, kmcconf_path(conf, "ca.crt", path));
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't read the CA's certificate %s: %s", path, error_text(r));
	return r;
}

int keyring_open(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	int r;

	*k = (struct keyring){.tcti = conf->tpm};
	if ((r = read_blob(conf, "vault/parent.tpm", &k->parent, why)) != 0 || (r = read_blob(conf, "vault/seed.tpm", &k->seed_key, why)) != 0 || (r = open_tpm(k, why)) != 0 ||
	    (r = open_wrapping(k, conf, why)) != 0 || (r = open_ca(k, conf, why)) != 0 ||
	    (r = open_key(k, conf, "vault/audit.key", WRAP_AUDIT_KEY, AUDIT_CONTEXT, &k->audit_key, why)) != 0)
		keyring_close(k);
	return r;
}

void keyring_close(struct keyring *k)
{
	ca_key_free(&k->ca_key);
	ca_key_free(&k->audit_key);
	secret_free(&k->wrapping.key);
	kmctpm_close(&k->tpm);
}

int keyring_wrap_ca(const struct keyring *k, const struct x509_key *key, uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD])
{
	struct secret *der = NULL;
	int r = ca_key_save(key, &der);

	if (r == 0)
		r = wrap_seal(&k->wrapping, WRAP_CA_KEY, view_text(CA_CONTEXT), der, wrapped);
	if (r == 0)
		r = (int)(der->size + WRAP_OVERHEAD);
	secret_free(&der);
	return r;
}

int keyring_unwrap_ca(const struct keyring *k, const struct ca_cert *cert, struct view wrapped, struct x509_key **key)
{
	struct secret *der = NULL;
	int r = wrap_open(&k->wrapping, WRAP_CA_KEY, view_text(CA_CONTEXT), wrapped, &der);

	*key = NULL;
	if (r == 0)
		r = ca_key_load(key, der);
	secret_free(&der);
	if (r == 0 && !ca_is_root_of(cert, *key)) {
		ca_key_free(key);
		r = E_INTEGRITY;
	}
	return r;
}

int keyring_hmac(struct keyring *k, struct view message, struct secret **mac, char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_hmac(k->tpm, message, mac, why) : E_TPM;

	if (r != E_TPM)
		return r;
	kmctpm_close(&k->tpm);
	r = open_tpm(k, why);
	return r != 0 ? r : kmctpm_hmac(k->tpm, message, mac, why);
}

int keyring_make_credential(struct keyring *k, struct view ek, struct view name, const struct secret *value, struct kmctpm_credential *out,
			    char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_make_credential(k->tpm, ek, name, value, out, why) : E_TPM;

	if (r != E_TPM)
		return r;
	kmctpm_close(&k->tpm);
	r = open_tpm(k, why);
	return r != 0 ? r : kmctpm_make_credential(k->tpm, ek, name, value, out, why);
}

int keyring_duplicate(struct keyring *k, struct kmctpm_order *o, struct kmctpm_copy *out, char why[KEYRING_WHY])
{
	int r;

	o->parent = &k->parent;
	r = k->tpm ? kmctpm_duplicate(k->tpm, o, out, why) : E_TPM;
	if (r != E_TPM)
		return r;
	kmctpm_close(&k->tpm);
	r = open_tpm(k, why);
	return r != 0 ? r : kmctpm_duplicate(k->tpm, o, out, why);
}

int keyring_make_tpm_keys(struct keyring *k, const struct kmcconf *conf, const struct kmctpm_authority *authority,
			  char why[KEYRING_WHY])
{
	struct kmctpm_blob sealed;
	int r;

	if ((r = kmctpm_open(&k->tpm, k->tcti, why)) != 0 ||
	    (r = kmctpm_make_parent(k->tpm, authority, &k->parent, why)) != 0 ||
	    (r = kmctpm_load_parent(k->tpm, &k->parent, why)) != 0 || (r = kmctpm_make_hmac_key(k->tpm, &k->seed_key, why)) != 0 ||
	    (r = kmctpm_load_hmac_key(k->tpm, &k->seed_key, why)) != 0)
		return r;
	k->wrapping = (struct wrap_key){.number = FIRST_WRAPPING, .key = secret_random(WRAP_KEY_SIZE)};
	if (!k->wrapping.key) {
		snprintf(why, KEYRING_WHY, "no memory that can be locked: raise RLIMIT_MEMLOCK ('ulimit -l')");
		return E_NOMEM;
	}
	if ((r = kmctpm_seal(k->tpm, k->wrapping.key, &sealed, why)) != 0 ||
	    (r = write_file(conf, "vault/parent.tpm", k->parent.data, k->parent.size, why)) != 0 ||
	    (r = write_file(conf, "vault/seed.tpm", k->seed_key.data, k->seed_key.size, why)) != 0)
		return r;
	return write_file(conf, "vault/wrapping.tpm", sealed.data, sealed.size, why);
}

static int write_key(const struct keyring *k, const struct kmcconf *conf, const char *file, enum wrap_purpose purpose,
		     const char *context, const struct x509_key *key, char why[KEYRING_WHY])
{
	uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD];
	struct secret *der = NULL;
	int r = ca_key_save(key, &der);

	if (r == 0)
		r = wrap_seal(&k->wrapping, purpose, view_text(context), der, wrapped);
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't wrap a key for %s: %s", file, error_text(r));
	else
		r = write_file(conf, file, wrapped, der->size + WRAP_OVERHEAD, why);
	secret_free(&der);
	return r;
}

int keyring_make_ca(struct keyring *k, const struct kmcconf *conf, int64_t not_before, int64_t not_after, char why[KEYRING_WHY])
{
	char name[KMC_NAME_MAX + 16], path[KMCCONF_PATH];
	const struct ca_profile profile = {.kind = CA_ROOT, .name = name, .not_before = not_before, .not_after = not_after};
	int r;

	snprintf(name, sizeof(name), "%.50s CA", conf->name); /* a common name has at most 64 characters */
	if (ca_key_make(&k->ca_key) != 0) {
		snprintf(why, KEYRING_WHY, "can't make the CA's key: OpenSSL failed");
		return E_CRYPTO;
	}
	if ((r = ca_root(k->ca_key, &profile, &k->ca, why)) != 0 ||
	    (r = write_key(k, conf, "vault/ca.key", WRAP_CA_KEY, CA_CONTEXT, k->ca_key, why)) != 0)
		return r;
	r = ca_cert_write(&k->ca, kmcconf_path(conf, "ca.crt", path));
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't write %s: %s", path, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

int keyring_make_audit_key(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	int r;

	if (ca_key_make(&k->audit_key) != 0) {
		snprintf(why, KEYRING_WHY, "can't make the audit trail's key: OpenSSL failed");
		return E_CRYPTO;
	}
	r = write_key(k, conf, "vault/audit.key", WRAP_AUDIT_KEY, AUDIT_CONTEXT, k->audit_key, why);
	if (r == 0 && (r = ca_public_write(k->audit_key, kmcconf_path(conf, "audit.pub", path))) != 0)
		snprintf(why, KEYRING_WHY, "can't write %s: %s", path, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

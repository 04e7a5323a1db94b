/* The keys of a KMC machine. */
#include "kmc/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/secret.h"

#define FIRST_WRAPPING 1 /* the number of the first wrapping key */

const char *const keyring_file_name[KEYRING_FILES] = {[KEYRING_CA] = "ca.key", [KEYRING_AUDIT] = "audit.key"};
static const char *const file_path[KEYRING_FILES] = {[KEYRING_CA] = "vault/ca.key", [KEYRING_AUDIT] = "vault/audit.key"};
static const char *const file_context[KEYRING_FILES] = {[KEYRING_CA] = KEYRING_CA_CONTEXT, [KEYRING_AUDIT] = "audit"};
static const enum wrap_purpose file_purpose[KEYRING_FILES] = {[KEYRING_CA] = WRAP_CA_KEY, [KEYRING_AUDIT] = WRAP_AUDIT_KEY};

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

int keyring_read_blob(const struct kmcconf *conf, const char *name, struct kmctpm_blob *blob, char why[KEYRING_WHY])
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

static int open_key(struct keyring *k, const struct kmcconf *conf, enum keyring_file file, struct x509_key **key, char why[KEYRING_WHY])
{
	uint8_t wrapped[KEYRING_WRAPPED_MAX];
	struct secret *der = NULL;
	char path[KMCCONF_PATH];
	int n = read_file(conf, file_path[file], wrapped, sizeof(wrapped), why), r;
	struct view in = view_of(wrapped, n > 0 ? (size_t)n : 0);

	if (n < 0)
		return n;
	r = wrap_ring_open(&k->wrapping, file_purpose[file], view_text(file_context[file]), in, &der);
	if (r == 0)
		r = ca_key_load(key, der);
	secret_free(&der);
	if (r == 0) /* until the database says otherwise */
		k->wrapping.use = wrap_number(in);
	else if (r == E_VERSION)
		snprintf(why, KEYRING_WHY, "can't use %s: it is under wrapping key %u, which is not in that directory; restore the vault directory as a whole",
			 kmcconf_path(conf, file_path[file], path), wrap_number(in));
	else
		snprintf(why, KEYRING_WHY, "can't use %s: %s; restore the vault directory as a whole",
			 kmcconf_path(conf, file_path[file], path), error_text(r));
	return r;
}

static int open_ca(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	char path[KMCCONF_PATH];
	int r = open_key(k, conf, KEYRING_CA, &k->ca_key, why);

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
	if ((r = keyring_read_blob(conf, "vault/parent.tpm", &k->parent, why)) != 0 || (r = keyring_read_blob(conf, "vault/seed.tpm", &k->seed_key, why)) != 0 || (r = open_tpm(k, why)) != 0 ||
	    (r = keyring_open_wrapping(k, conf, why)) != 0 || (r = open_ca(k, conf, why)) != 0 ||
	    (r = open_key(k, conf, KEYRING_AUDIT, &k->audit_key, why)) != 0)
		keyring_close(k);
	return r;
}

void keyring_close(struct keyring *k)
{
	ca_key_free(&k->ca_key);
	ca_key_free(&k->audit_key);
	wrap_ring_drop(&k->wrapping, 0);
	kmctpm_close(&k->tpm);
}

int keyring_wrap_ca(const struct keyring *k, const struct x509_key *key, uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD])
{
	struct secret *der = NULL;
	int r = ca_key_save(key, &der);

	if (r == 0)
		r = wrap_ring_seal(&k->wrapping, WRAP_CA_KEY, view_text(KEYRING_CA_CONTEXT), der, wrapped);
	if (r == 0)
		r = (int)(der->size + WRAP_OVERHEAD);
	secret_free(&der);
	return r;
}

int keyring_unwrap_ca(const struct keyring *k, const struct ca_cert *cert, struct view wrapped, struct x509_key **key)
{
	struct secret *der = NULL;
	int r = wrap_ring_open(&k->wrapping, WRAP_CA_KEY, view_text(KEYRING_CA_CONTEXT), wrapped, &der);

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

int keyring_again(struct keyring *k, char why[KEYRING_WHY])
{
	kmctpm_close(&k->tpm);
	return open_tpm(k, why);
}

int keyring_hmac(struct keyring *k, struct view message, struct secret **mac, char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_hmac(k->tpm, message, mac, why) : E_TPM;

	if (r != E_TPM)
		return r;
	r = keyring_again(k, why);
	return r != 0 ? r : kmctpm_hmac(k->tpm, message, mac, why);
}

int keyring_make_credential(struct keyring *k, struct view ek, struct view name, const struct secret *value, struct kmctpm_credential *out,
			    char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_make_credential(k->tpm, ek, name, value, out, why) : E_TPM;

	if (r != E_TPM)
		return r;
	r = keyring_again(k, why);
	return r != 0 ? r : kmctpm_make_credential(k->tpm, ek, name, value, out, why);
}

int keyring_duplicate(struct keyring *k, struct kmctpm_order *o, struct kmctpm_copy *out, char why[KEYRING_WHY])
{
	int r;

	o->parent = &k->parent;
	r = k->tpm ? kmctpm_duplicate(k->tpm, o, out, why) : E_TPM;
	if (r != E_TPM)
		return r;
	r = keyring_again(k, why);
	return r != 0 ? r : kmctpm_duplicate(k->tpm, o, out, why);
}

int keyring_open_credential(struct keyring *k, struct view blob, struct view secret, struct secret **out, char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_open_credential(k->tpm, blob, secret, out, why) : E_TPM;

	if (r != E_TPM)
		return r;
	r = keyring_again(k, why);
	return r != 0 ? r : kmctpm_open_credential(k->tpm, blob, secret, out, why);
}

int keyring_make_tpm_keys(struct keyring *k, const struct kmcconf *conf, const struct kmctpm_authority *authority,
			  char why[KEYRING_WHY])
{
	struct secret *wrapping = NULL;
	struct kmctpm_blob sealed;
	int r;

	if ((r = kmctpm_open(&k->tpm, k->tcti, why)) != 0 ||
	    (r = kmctpm_make_parent(k->tpm, authority, &k->parent, why)) != 0 ||
	    (r = kmctpm_load_parent(k->tpm, &k->parent, why)) != 0 || (r = kmctpm_make_hmac_key(k->tpm, &k->seed_key, why)) != 0 ||
	    (r = kmctpm_load_hmac_key(k->tpm, &k->seed_key, why)) != 0)
		return r;
	wrapping = secret_random(WRAP_KEY_SIZE);
	if (!wrapping) {
		snprintf(why, KEYRING_WHY, "no memory that can be locked: raise RLIMIT_MEMLOCK ('ulimit -l')");
		return E_NOMEM;
	}
	if ((r = kmctpm_seal(k->tpm, wrapping, &sealed, why)) == 0 &&
	    (r = write_file(conf, "vault/parent.tpm", k->parent.data, k->parent.size, why)) == 0 &&
	    (r = write_file(conf, "vault/seed.tpm", k->seed_key.data, k->seed_key.size, why)) == 0)
		r = write_file(conf, "vault/wrapping.tpm", sealed.data, sealed.size, why);
	if (r == 0 && (r = wrap_ring_add(&k->wrapping, FIRST_WRAPPING, &wrapping)) == 0)
		k->wrapping.use = FIRST_WRAPPING;
	secret_free(&wrapping);
	return r;
}

int keyring_rewrap_file(const struct keyring *k, enum keyring_file file, struct view in, uint8_t out[KEYRING_WRAPPED_MAX], size_t *n,
			char why[KEYRING_WHY])
{
	struct secret *der = NULL;
	int r = wrap_ring_open(&k->wrapping, file_purpose[file], view_text(file_context[file]), in, &der);

	if (r == 0)
		r = der->size + WRAP_OVERHEAD <= KEYRING_WRAPPED_MAX ?
		    wrap_ring_seal(&k->wrapping, file_purpose[file], view_text(file_context[file]), der, out) : E_RANGE;
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't wrap the key in %s anew: %s", file_path[file], error_text(r));
	*n = r == 0 ? der->size + WRAP_OVERHEAD : 0;
	secret_free(&der);
	return r;
}

static int write_key(const struct keyring *k, const struct kmcconf *conf, enum keyring_file file, char why[KEYRING_WHY])
{
	uint8_t wrapped[KEYRING_WRAPPED_MAX];
	struct secret *der = NULL;
	int r = ca_key_save(file == KEYRING_CA ? k->ca_key : k->audit_key, &der);

	if (r == 0)
		r = wrap_ring_seal(&k->wrapping, file_purpose[file], view_text(file_context[file]), der, wrapped);
	if (r != 0)
		snprintf(why, KEYRING_WHY, "can't wrap a key for %s: %s", file_path[file], error_text(r));
	else
		r = write_file(conf, file_path[file], wrapped, der->size + WRAP_OVERHEAD, why);
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
	    (r = write_key(k, conf, KEYRING_CA, why)) != 0)
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
	r = write_key(k, conf, KEYRING_AUDIT, why);
	if (r == 0 && (r = ca_public_write(k->audit_key, kmcconf_path(conf, "audit.pub", path))) != 0)
		snprintf(why, KEYRING_WHY, "can't write %s: %s", path, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

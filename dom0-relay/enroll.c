/* vtpmctl enroll. */
#include "dom0-relay/enroll.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/eckey.h"
#include "common/error.h"
#include "common/results.h"
#include "common/proof.h"
#include "common/secret.h"
#include "dom0-relay/host_identity.h"
#include "dom0-relay/host_tlskey.h"
#include "dom0-relay/kmcask.h"
#include "dom0-relay/relayconf.h"

#define PATH_BYTES 1024
#define NEW ".new" /* behind the name of a file that is not complete yet */

/* What is known on the way. */
struct enrolling {
	const struct enroll_options *o;
	struct host_tpm *tpm;
	struct host_identity id;
	struct eckey *key; /* in a file */
	struct host_tlskey tls; /* or in the TPM */
	uint8_t spki[ECKEY_SPKI_MAX];
	size_t spki_size;
	struct kmcask *kmc;
	char address[256]; /* of the KMC that answered */
	char *why;
};

static int complain(struct enrolling *e, int r, const char *what)
{
	snprintf(e->why, ENROLL_WHY, "%.400s: %s", what, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

static int sha256(struct view v, uint8_t hash[32])
{
	return EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

/* --- the TPM and the KMC --- */

static int open_identity(struct enrolling *e, const char *tcti)
{
	int r;

	snprintf(e->why, ENROLL_WHY, "out of memory");
	results_tell("making the endorsement and attestation keys in the TPM\n");
	fflush(stdout);
	if ((r = host_tpm_open(&e->tpm, tcti, e->why)) != 0)
		return r;
	return host_identity_read(e->tpm, &e->id, e->why);
}

static int make_key(struct enrolling *e)
{
	int n, r;

	if (!e->o->software_key) {
		if ((r = host_tlskey_read(e->tpm, &e->tls, e->why)) != 0)
			return r;
		memcpy(e->spki, e->tls.spki, e->spki_size = e->tls.spki_size);
		return 0;
	}
	r = eckey_make(&e->key);
	n = r == 0 ? eckey_public(e->key, e->spki) : r;
	if (n < 0)
		return complain(e, n, "can't make the TLS key");
	e->spki_size = (size_t)n;
	return 0;
}

/* The first address of the token that answers. */
static int connect_any(struct enrolling *e)
{
	int r = E_NOTFOUND;

	for (unsigned int i = 0; token_address(e->o->token, i, e->address, sizeof(e->address)) == 0; i++) {
		r = kmcask_enrol(&e->kmc, e->address, e->o->token->ca, e->why);
		if (r == 0)
			return 0;
	}
	return r;
}

static int ask_challenge(struct enrolling *e, struct kmc_challenge *challenge)
{
	struct kmc_enrol m = {
		.token = view_of(e->o->token->secret, TOKEN_SECRET_SIZE), .ek = view_of(e->id.ek, e->id.ek_size), .ak = view_of(e->id.ak, e->id.ak_size),
		.spki = view_of(e->spki, e->spki_size), .software_key = e->o->software_key};

	if (!e->o->software_key)
		m.tls_key = view_of(e->tls.area, e->tls.area_size);
	if (e->id.certificate_size)
		m.certificate = view_of(e->id.certificate, e->id.certificate_size);
	return kmcask(e->kmc, KMC_ENROL, &m, KMC_CHALLENGE, challenge, e->why);
}

/* Sign with the TLS key, wherever it is. Return: bytes or an error. */
static int possess(struct enrolling *e, const uint8_t proof[PROOF_SIZE], uint8_t possession[ECKEY_SIGNATURE_MAX])
{
	uint8_t digest[32];
	int r;

	if (e->key)
		return eckey_sign(e->key, view_of(proof, PROOF_SIZE), possession);
	r = sha256(view_of(proof, PROOF_SIZE), digest);
	return r != 0 ? r : host_tlskey_sign(e->tpm, digest, possession, e->why);
}

static int prove(struct enrolling *e, const struct kmc_challenge *c, struct kmc_enrolled *done)
{
	uint8_t subject[32], proof[PROOF_SIZE], possession[ECKEY_SIGNATURE_MAX];
	struct secret *answer = NULL;
	struct host_certified certified;
	struct kmc_prove m;
	struct host_quote q;
	int n, r;

	if ((r = host_identity_activate(e->tpm, &e->id, c->credential, c->secret, &answer, e->why)) != 0)
		return r;
	if ((r = sha256(view_of(e->spki, e->spki_size), subject)) != 0 || (r = proof_make(PROOF_ENROL, c->nonce.p, subject, proof)) != 0 ||
	    (r = n = possess(e, proof, possession)) < 0) {
		if (r != E_TPM)
			complain(e, r, "can't sign with the TLS key");
	} else if (!e->key && (r = host_tlskey_certify(e->tpm, proof, &certified, e->why)) != 0) {
		/* it says why */
	} else if ((r = host_identity_quote(e->tpm, proof, (uint32_t)c->pcrs, &q, e->why)) == 0) {
		m = (struct kmc_prove){.credential = view_of(answer->data, answer->size), .quote = view_of(q.attest, q.attest_size),
				       .signature = view_of(q.signature, q.signature_size), .values = view_of(q.values, q.values_size),
				       .possession = view_of(possession, (size_t)n)};
		if (!e->key) {
			m.certified = view_of(certified.attest, certified.attest_size);
			m.certified_by = view_of(certified.signature, certified.signature_size);
		}
		r = kmcask(e->kmc, KMC_PROVE, &m, KMC_ENROLLED, done, e->why);
	}
	secret_free(&answer);
	return r;
}

/* --- the files --- */

static int write_bytes(const char *path, const void *p, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode), r = E_IO;

	if (fd < 0)
		return E_IO;
	if (fchmod(fd, mode) == 0 && write(fd, p, n) == (ssize_t)n && fsync(fd) == 0)
		r = 0;
	return close(fd) == 0 ? r : E_IO;
}

/* As PEM, which is what openssl(1) and people read. */
static int write_certificate(const char *path, struct view der)
{
	char *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	long n = bio && PEM_write_bio(bio, "CERTIFICATE", "", der.p, (long)der.n) > 0 ? BIO_get_mem_data(bio, &text) : 0;
	int r = n > 0 ? write_bytes(path, text, (size_t)n, 0644) : E_CRYPTO;

	BIO_free(bio);
	return r;
}

static int write_key(const struct enrolling *e, const char *path)
{
	struct secret *pem;
	int r = eckey_pem(e->key, &pem);

	if (r == 0)
		r = write_bytes(path, pem->data, pem->size, 0600);
	secret_free(&pem);
	return r;
}

static int write_conf(const struct enrolling *e, const char *path, struct view name)
{
	const struct enroll_options *o = e->o;
	char text[4 * PATH_BYTES + TOKEN_ADDRESSES_MAX];
	int n = snprintf(text, sizeof(text), "# Made by 'vtpmctl enroll' for host '%.*s'.\n[kmc]\naddress = %s\n\n[tls]\nca = %s\ncertificate = %s\nkey = %s\n\n"
					     "[host]\ntpm = %s\n",
			 (int)name.n, (const char *)name.p, o->token->addresses, o->ca, o->certificate, o->software_key ? o->key : RELAYCONF_KEY_TPM,
			 o->tcti);

	return n < (int)sizeof(text) ? write_bytes(path, text, (size_t)n, 0644) : E_RANGE;
}

static const char *new_name(const char *path, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s%s", path, NEW);
	return out;
}

static int sync_directory(const char *path)
{
	char copy[PATH_BYTES];
	int fd, r;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return E_IO;
	r = fsync(fd) == 0 ? 0 : E_IO;
	close(fd);
	return r;
}

/* All files beside their places first, then each into its place; the certificate last: without it nothing is enrolled. */
static int write_files(struct enrolling *e, const struct kmc_enrolled *m)
{
	const struct enroll_options *o = e->o;
	bool has_conf = access(o->conf, F_OK) == 0;
	const char *paths[] = {o->software_key ? o->key : NULL, o->ca, o->certificate, has_conf ? NULL : o->conf};
	char temporary[PATH_BYTES];
	int r;

	if ((o->software_key && (r = write_key(e, new_name(o->key, temporary))) != 0) || (r = write_certificate(new_name(o->ca, temporary), m->ca)) != 0 ||
	    (r = write_certificate(new_name(o->certificate, temporary), m->certificate)) != 0 ||
	    (!has_conf && (r = write_conf(e, new_name(o->conf, temporary), m->name)) != 0))
		return complain(e, r, temporary);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] && rename(new_name(paths[i], temporary), paths[i]) != 0)
			return complain(e, E_IO, paths[i]);
	if ((r = sync_directory(o->certificate)) != 0 || (r = sync_directory(o->key)) != 0)
		return complain(e, r, "can't write to the disk");
	return 0;
}

static void remove_new(const struct enroll_options *o)
{
	const char *const paths[] = {o->key, o->ca, o->certificate, o->conf};
	char temporary[PATH_BYTES];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		unlink(new_name(paths[i], temporary));
}

/* Before the token is spent: that all files can be written. */
static int check_files(struct enrolling *e)
{
	const char *const paths[] = {e->o->key, e->o->ca, e->o->certificate, e->o->conf};
	char temporary[PATH_BYTES], copy[PATH_BYTES];

	if (access(e->o->certificate, F_OK) == 0 && !e->o->replace) {
		snprintf(e->why, ENROLL_WHY, "%s exists: this host is enrolled already; --replace enrols it anew", e->o->certificate);
		return E_EXISTS;
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (strlen(paths[i]) + sizeof(NEW) > PATH_BYTES)
			return complain(e, E_RANGE, paths[i]);
		snprintf(copy, sizeof(copy), "%s", paths[i]);
		(void)mkdir(dirname(copy), 0755); /* what is missing shows at once */
		if (write_bytes(new_name(paths[i], temporary), "", 0, 0600) != 0)
			return complain(e, E_IO, temporary);
	}
	return 0;
}

/* --- all of it --- */

static int check_ca(struct enrolling *e, struct view ca)
{
	uint8_t hash[32];

	if (sha256(ca, hash) == 0 && bytes_equal(hash, e->o->token->ca, sizeof(hash)))
		return 0;
	return complain(e, E_INTEGRITY, "the KMC sent another CA certificate than the token names");
}

static void tell_name(const char *what, struct view name)
{
	char text[KMC_NAME_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)name.n, (const char *)name.p);
	results_text(what, text);
}

static int run(struct enrolling *e)
{
	struct kmc_challenge challenge;
	struct kmc_enrolled done;
	int r;

	if ((r = check_files(e)) != 0 || (r = open_identity(e, e->o->tcti)) != 0 || (r = make_key(e)) != 0 || (r = connect_any(e)) != 0)
		return r;
	results_tell("KMC %s: proving the TPM\n", e->address);
	if ((r = ask_challenge(e, &challenge)) != 0 || (r = prove(e, &challenge, &done)) != 0 || (r = check_ca(e, done.ca)) != 0 ||
	    (r = write_files(e, &done)) != 0)
		return r;
	tell_name("host", done.name);
	tell_name("pool", done.pool);
	results_text("certificate", e->o->certificate);
	results_text("tls_key", e->o->software_key ? e->o->key : "tpm");
	results_tell("this is host '%.*s' of pool '%.*s' from now on: certificate %s, TLS key %s%s\n", (int)done.name.n, (const char *)done.name.p,
	       (int)done.pool.n, (const char *)done.pool.p, e->o->certificate, e->o->software_key ? e->o->key : "in its TPM",
	       e->o->software_key ? " (insecure-software-key)" : "");
	return 0;
}

static void end(struct enrolling *e)
{
	kmcask_free(&e->kmc);
	eckey_free(&e->key);
	host_tpm_close(&e->tpm);
}

int enroll_run(const struct enroll_options *o, char why[ENROLL_WHY])
{
	struct enrolling e = {.o = o, .why = why};
	int r = run(&e);

	remove_new(o); /* what was written has its place by now, if all went well */
	end(&e);
	return r;
}

int enroll_print_ek(const char *tcti, char why[ENROLL_WHY])
{
	struct enrolling e = {.why = why};
	uint8_t hash[32];
	char hex[65];
	int r;

	snprintf(why, ENROLL_WHY, "out of memory");
	if ((r = host_tpm_open(&e.tpm, tcti, why)) == 0 && (r = host_identity_read(e.tpm, &e.id, why)) == 0 &&
	    (r = sha256(view_of(e.id.ek, e.id.ek_size), hash)) == 0) {
		for (int i = 0; i < 32; i++)
			snprintf(hex + 2 * i, 3, "%02x", hash[i]);
		results_text("ek_sha256", hex);
		results_text("ek_type", e.id.is_ecc ? "P-256" : "RSA-2048");
		results_truth("ek_certificate", e.id.certificate_size != 0);
		if (!results_are_json())
			printf("%s\n", hex);
		fprintf(stderr, "endorsement key %s, %s certificate\n", e.id.is_ecc ? "P-256" : "RSA-2048", e.id.certificate_size ? "with a" : "without");
	}
	end(&e);
	return r;
}

/*
 * kmcctl server renew: the key is made here, the KMC signs its public half.
 *
 * Both files are whole beside the old ones before the first of them changes its name. A crash between the two renamings leaves a new
 * key with an old certificate, which kmcd refuses to start with: then the old key is still there, with ".old" behind its name.
 */
#include "kmc/ctl_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "kmc/ca.h"
#include "kmc/kmcconf.h"

#define DAY 86400
#define BACKDATE 300 /* seconds: clocks of hosts may be behind */

struct renewal {
	const struct kmcconf *conf;
	struct ca_cert cert;
	char new_key[KMCCONF_PATH], new_cert[KMCCONF_PATH], old_key[KMCCONF_PATH];
};

static bool on_answer(void *arg, uint64_t type, const void *fields)
{
	const struct adm_server_renewed *m = fields;
	struct ca_cert *cert = arg;

	if (type == ADM_SERVER_RENEWED && m->cert.n <= sizeof(cert->der)) {
		memcpy(cert->der, m->cert.p, m->cert.n);
		cert->size = m->cert.n;
	}
	return false;
}

static int ask(struct ctl_client *c, const struct x509_key *key, const char *names, unsigned int days, struct ca_cert *cert)
{
	int64_t now = (int64_t)time(NULL);
	struct adm_server_renew m = {.names = view_text(names), .not_before = (uint64_t)(now - BACKDATE),
				     .not_after = (uint64_t)(now + (int64_t)days * DAY)};
	uint8_t spki[CA_SPKI_MAX];
	int n = ca_key_public(key, spki), code;

	if (n < 0) {
		ctl_say("can't make the server's key");
		return EXIT_ERROR;
	}
	m.spki = view_of(spki, (size_t)n);
	code = ctl_ask(c, ADM_SERVER_RENEW, &m, on_answer, cert);
	if (code == EXIT_FINE && cert->size == 0) {
		ctl_say("kmcd has answered something else: kmcctl and kmcd are of different versions");
		code = EXIT_ERROR;
	}
	return code;
}

static int complain(const char *path)
{
	ctl_say("can't write %s: %s; the old certificate stays in use", path, strerror(errno));
	return EXIT_ERROR;
}

/* The new pair takes the old one's place. */
static int put(const struct renewal *n)
{
	const struct kmcconf *conf = n->conf;

	if (ca_cert_write(&n->cert, n->new_cert) != 0)
		return complain(n->new_cert);
	if ((unlink(n->old_key) != 0 && errno != ENOENT) || link(conf->tls_key, n->old_key) != 0)
		return complain(n->old_key);
	if (rename(n->new_key, conf->tls_key) != 0) {
		int error = errno;

		unlink(n->old_key);
		errno = error;
		return complain(conf->tls_key);
	}
	if (rename(n->new_cert, conf->tls_certificate) != 0) {
		int error = errno;

		if (rename(n->old_key, conf->tls_key) != 0)
			ctl_say("the old key can't be put back: rename %s to %s", n->old_key, conf->tls_key);
		errno = error;
		return complain(conf->tls_certificate);
	}
	unlink(n->old_key);
	return EXIT_FINE;
}

static bool name_files(struct renewal *n)
{
	return snprintf(n->new_key, KMCCONF_PATH, "%s.new", n->conf->tls_key) < KMCCONF_PATH &&
	       snprintf(n->old_key, KMCCONF_PATH, "%s.old", n->conf->tls_key) < KMCCONF_PATH &&
	       snprintf(n->new_cert, KMCCONF_PATH, "%s.new", n->conf->tls_certificate) < KMCCONF_PATH;
}

static void tell(const struct ca_cert *cert, const char *names)
{
	struct ca_description d;
	char until[24] = "-";
	struct tm tm;

	if (ca_cert_describe(cert, &d) == 0 && gmtime_r(&(time_t){(time_t)d.not_after}, &tm))
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	results_text("names", names);
	results_text("valid_until", until);
	results_tell("a new certificate for %s, valid until %s: restart kmcd to use it; hosts connect again by themselves\n", names, until);
}

int ctl_server_renew(const struct kmcconf *conf, struct ctl_client *c, const char *names, unsigned int days)
{
	struct renewal n = {.conf = conf};
	struct x509_key *key = NULL;
	char present[CA_NAMES];
	struct ca_cert old;
	int code = EXIT_ERROR;

	if (!name_files(&n)) {
		ctl_say("the files' names are too long: %s", conf->tls_key);
		return EXIT_ERROR;
	}
	if (!names && (ca_cert_read(&old, conf->tls_certificate) != 0 || ca_cert_names(&old, present) != 0)) {
		ctl_say("can't read the present certificate's names from %s: give them with --san", conf->tls_certificate);
		return EXIT_ERROR;
	}
	names = names ? names : present;
	unlink(n.new_key); /* of a renewal that was broken off */
	unlink(n.new_cert);
	if (ca_key_make(&key) != 0 || ca_key_write(key, n.new_key) != 0)
		code = complain(n.new_key);
	else if ((code = ask(c, key, names, days, &n.cert)) == EXIT_FINE && (code = put(&n)) == EXIT_FINE)
		tell(&n.cert, names);
	ca_key_free(&key);
	if (code != EXIT_FINE) {
		unlink(n.new_key);
		unlink(n.new_cert);
	}
	return code;
}

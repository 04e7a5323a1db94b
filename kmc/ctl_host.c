/* kmcctl host add: the key is made here, the KMC signs its public half. */
#include "kmc/ctl_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "kmc/ca.h"
#include "kmc/ctl_client.h"

#define PATH_MAX_BYTES 1024
#define BACKDATE 300 /* seconds: clocks of hosts may be behind */

static const char *const files[] = {"host.key", "host.crt", "ca.crt", "relay.conf"};
#define N_FILES (sizeof(files) / sizeof(files[0]))

struct adding {
	const struct ctl_host_options *o;
	const struct x509_key *key;
	int r;
	char failed[PATH_MAX_BYTES]; /* the file that could not be written */
};

static const char *path_of(const struct ctl_host_options *o, const char *file, char path[PATH_MAX_BYTES])
{
	snprintf(path, PATH_MAX_BYTES, "%s/%s", o->out, file);
	return path;
}

static int write_cert(struct adding *a, const char *file, struct view der)
{
	struct ca_cert cert = {.size = der.n};

	if (der.n > sizeof(cert.der))
		return E_RANGE;
	memcpy(cert.der, der.p, der.n);
	return ca_cert_write(&cert, path_of(a->o, file, a->failed));
}

static int write_conf(struct adding *a, struct view address)
{
	FILE *f = fopen(path_of(a->o, "relay.conf", a->failed), "wxe");
	int ok;

	if (!f)
		return E_IO;
	ok = fprintf(f, "# Made by 'kmcctl host add %s': put it with the other files into /etc/xen-vtpm/.\n"
			"[kmc]\naddress = %.*s\n\n"
			"[tls]\nca = /etc/xen-vtpm/ca.crt\ncertificate = /etc/xen-vtpm/host.crt\nkey = /etc/xen-vtpm/host.key\n",
		     a->o->name, (int)address.n, (const char *)address.p) > 0;
	return fclose(f) == 0 && ok ? 0 : E_IO;
}

static bool on_answer(void *arg, uint64_t type, const void *fields)
{
	const struct adm_host_added *m = fields;
	struct adding *a = arg;

	if (type != ADM_HOST_ADDED)
		a->r = E_UNKNOWN;
	else if ((a->r = write_cert(a, "host.crt", m->cert)) == 0 && (a->r = write_cert(a, "ca.crt", m->ca)) == 0)
		a->r = write_conf(a, m->address);
	return false;
}

static void remove_files(const struct ctl_host_options *o)
{
	char path[PATH_MAX_BYTES];

	for (size_t i = 0; i < N_FILES; i++)
		unlink(path_of(o, files[i], path));
}

static int refuse_old(const struct ctl_host_options *o)
{
	char path[PATH_MAX_BYTES];

	if (strlen(o->out) > PATH_MAX_BYTES - 32) {
		ctl_say("the directory's name is too long");
		return EXIT_ERROR;
	}
	if (mkdir(o->out, 0700) != 0 && errno != EEXIST) {
		ctl_say("can't make the directory %s: %s", o->out, strerror(errno));
		return EXIT_ERROR;
	}
	for (size_t i = 0; i < N_FILES; i++) {
		if (access(path_of(o, files[i], path), F_OK) != 0)
			continue;
		ctl_say("%s exists already: choose another directory with --out", path);
		return EXIT_EXISTS;
	}
	return EXIT_FINE;
}

static int ask(struct ctl_client *c, struct adding *a)
{
	int64_t now = (int64_t)time(NULL), until = a->o->not_after;
	struct adm_host_add m = {
		.name = view_text(a->o->name), .pool = view_text(a->o->pool), .not_after = (uint64_t)until,
		.not_before = (uint64_t)((until < now ? until - 1 : now) - BACKDATE),
	};
	uint8_t spki[CA_SPKI_MAX];
	int n = ca_key_public(a->key, spki), code;

	if (n < 0) {
		ctl_say("can't make the host's key");
		return EXIT_ERROR;
	}
	m.spki = view_of(spki, (size_t)n);
	code = ctl_ask(c, ADM_HOST_ADD, &m, on_answer, a);
	if (code == EXIT_FINE && a->r != 0) {
		ctl_say("can't write %s: %s; then run 'kmcctl host remove %s' and try again", a->failed,
			a->r == E_IO ? strerror(errno) : error_text(a->r), a->o->name);
		code = EXIT_ERROR;
	}
	return code;
}

int ctl_host_add(struct ctl_client *c, const struct ctl_host_options *o)
{
	struct adding a = {.o = o};
	struct x509_key *key = NULL;
	char path[PATH_MAX_BYTES];
	int code = refuse_old(o);

	if (code != EXIT_FINE)
		return code;
	if (ca_key_make(&key) != 0 || ca_key_write(key, path_of(o, "host.key", path)) != 0) {
		ctl_say("can't make the host's key in %s: %s", o->out, strerror(errno));
		code = EXIT_ERROR;
	} else {
		a.key = key;
		code = ask(c, &a);
	}
	ca_key_free(&key);
	if (code != EXIT_FINE)
		remove_files(o);
	else if (results_are_json())
		results_text("directory", o->out);
	else
		results_tell("host '%s' of pool '%s' may connect: copy %s/{host.key,host.crt,ca.crt,relay.conf} to /etc/xen-vtpm/ there\n", o->name, o->pool, o->out);
	return code;
}

/*
 * kmcctl ca renew, status, switch, retire.
 *
 * The database has all authorities. The files vault/ca.key and ca.crt are of the one that signs: 'init', 'backup', 'recover' and
 * 'replica' work with these, so a switch puts the new one in their place: kmcd the key, which it alone writes while it runs, and kmcctl the
 * certificate. A crash between the two leaves files that do not fit each other; kmcd believes the database, and 'kmcctl ca switch' once more
 * writes both.
 */
#include "kmc/ctl_authority.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/error.h"
#include "common/results.h"
#include "kmc/ca.h"
#include "kmc/ctl_ca.h"
#include "kmc/kmcconf.h"
#include "kmc/store.h"

#define DAY 86400
#define BACKDATE 300 /* seconds: clocks of hosts may be behind */

int ctl_ca_renew(struct ctl_client *c, unsigned int days)
{
	int64_t now = (int64_t)time(NULL);
	const struct adm_ca_renew m = {.not_before = (uint64_t)(now - BACKDATE), .not_after = (uint64_t)(now + (int64_t)days * DAY)};
	int code = ctl_order(c, ADM_CA_RENEW, &m);

	if (code == EXIT_FINE)
		results_tell("the next authority is made; hosts learn to trust it: 'kmcctl ca status' says which do not yet, then 'kmcctl ca switch'\n");
	return code;
}

/* --- status --- */

struct listing {
	json_t *rows; /* NULL: a table */
	bool heading;
};

static const char *state_text(uint64_t state)
{
	static const char *const texts[] = {
		[AUTHORITY_NEXT] = "next", [AUTHORITY_CURRENT] = "current", [AUTHORITY_FORMER] = "former", [AUTHORITY_RETIRED] = "retired"};

	return state < sizeof(texts) / sizeof(texts[0]) && texts[state] ? texts[state] : "?";
}

static bool take_cert(struct view der, struct ca_cert *cert)
{
	if (der.n > sizeof(cert->der))
		return false;
	memcpy(cert->der, der.p, der.n);
	cert->size = der.n;
	return true;
}

static void put_time(char out[24], int64_t t)
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 24, "-");
}

static bool on_ca(void *arg, uint64_t type, const void *fields)
{
	const struct adm_ca *m = fields;
	struct listing *l = arg;
	struct ca_description d;
	struct ca_cert cert;
	char until[24] = "-", sha256[65] = "";
	uint8_t hash[32];

	if (type != ADM_CA)
		return false;
	if (take_cert(m->certificate, &cert) && ca_cert_describe(&cert, &d) == 0 && ca_cert_fingerprint(&cert, hash) == 0) {
		put_time(until, d.not_after);
		for (size_t i = 0; i < sizeof(hash); i++)
			snprintf(sha256 + 2 * i, 3, "%02x", hash[i]);
	}
	if (l->rows) {
		json_array_append_new(l->rows, json_pack("{s:I, s:s, s:s, s:s, s:I, s:o}", "number", (json_int_t)m->number, "state", state_text(m->state),
			"not_after", until, "sha256", sha256, "waiting", (json_int_t)m->waiting,
			"waiting_for", m->names.p ? json_stringn((const char *)m->names.p, m->names.n) : json_null()));
		return true;
	}
	if (!l->heading)
		printf("%6s  %-8s  %-20s  %-16s  %7s  %s\n", "NUMBER", "STATE", "VALID UNTIL", "SHA-256", "WAITING", "FOR");
	l->heading = true;
	printf("%6" PRIu64 "  %-8s  %-20s  %.16s  %7" PRIu64 "  %.*s\n", m->number, state_text(m->state), until, sha256, m->waiting,
	       m->names.p ? (int)m->names.n : 1, m->names.p ? (const char *)m->names.p : "-");
	return true;
}

int ctl_ca_status(struct ctl_client *c, bool json)
{
	struct listing l = {.rows = json ? json_array() : NULL};
	int code = ctl_ask(c, ADM_CA_LIST, NULL, on_ca, &l);

	if (json && code == EXIT_FINE) {
		json_dumpf(l.rows, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(l.rows);
	return code;
}

/* --- switch --- */

struct files {
	const struct kmcconf *conf;
	char failed[KMCCONF_PATH]; /* "": none */
	bool done;
};

/* The certificate in place of the file. */
static bool put(struct files *f, const char *path, const struct ca_cert *cert)
{
	char new[KMCCONF_PATH + 8];

	snprintf(new, sizeof(new), "%s.new", path);
	unlink(new); /* of a switch that was broken off */
	if (ca_cert_write(cert, new) == 0 && rename(new, path) == 0) /* NOLINT(readability-suspicious-call-argument): from new */
		return true;
	snprintf(f->failed, sizeof(f->failed), "%s", path);
	return false;
}

static bool on_signs(void *arg, uint64_t type, const void *fields)
{
	const struct adm_ca_signs *m = fields;
	struct files *f = arg;
	struct ca_cert cert;

	if (type == ADM_CA_SIGNS && take_cert(m->certificate, &cert))
		f->done = put(f, f->conf->tls_ca, &cert);
	return false;
}

int ctl_ca_switch(const struct kmcconf *conf, struct ctl_client *c, bool force)
{
	struct files f = {.conf = conf};
	const struct adm_ca_change m = {.force = force};
	int code = ctl_ask(c, ADM_CA_SWITCH, &m, on_signs, &f);

	if (code != EXIT_FINE)
		return code;
	if (!f.done) {
		ctl_say("the new authority signs, but %s can't be written: %s; make room, then 'kmcctl ca switch' once more", *f.failed ? f.failed : "its certificate",
			strerror(errno));
		return EXIT_ERROR;
	}
	results_tell("the new authority signs; now 'kmcctl server renew' and a restart of kmcd here, the same after 'kmcctl ca switch' on every other KMC,"
	       " and 'kmcctl ca retire' once 'kmcctl ca status' waits for nobody\n");
	return EXIT_FINE;
}

int ctl_ca_retire(struct ctl_client *c, bool force)
{
	const struct adm_ca_change m = {.force = force};
	int code = ctl_order(c, ADM_CA_RETIRE, &m);

	if (code == EXIT_FINE)
		results_tell("the former authority is trusted no more, and its key is destroyed in the database; backups from before still have it\n");
	return code;
}

/* --- export --- */

struct wanted {
	uint64_t number;
	struct ca_cert cert; /* size 0: not found */
};

static bool on_wanted(void *arg, uint64_t type, const void *fields)
{
	const struct adm_ca *m = fields;
	struct wanted *w = arg;

	if (type != ADM_CA)
		return false;
	if (m->number == w->number)
		take_cert(m->certificate, &w->cert);
	return true;
}

int ctl_ca_export_number(struct ctl_client *c, uint64_t number, bool der, bool json)
{
	struct wanted w = {.number = number};
	int code = ctl_ask(c, ADM_CA_LIST, NULL, on_wanted, &w);

	if (code != EXIT_FINE)
		return code;
	if (!w.cert.size) {
		ctl_say("there is no authority %" PRIu64 ": see 'kmcctl ca status'", number);
		return EXIT_NOTFOUND;
	}
	return ctl_ca_print(&w.cert, der, json);
}

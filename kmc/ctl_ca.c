/* kmcctl ca. */
#include "kmc/ctl_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/error.h"
#include "kmc/ca.h"
#include "kmc/ctl_client.h"
#include "kmc/kmcconf.h"

struct shown {
	struct ca_description d;
	char sha256[2 * 32 + 1], not_before[24], not_after[24];
};

static int read_ca(const struct kmcconf *conf, struct ca_cert *ca)
{
	char path[KMCCONF_PATH];
	int r = ca_cert_read(ca, kmcconf_path(conf, "ca.crt", path));

	if (r == 0)
		return EXIT_FINE;
	ctl_say("can't read the CA's certificate %s: %s; was 'kmcctl init' run?", path, error_text(r));
	return r == E_NOTFOUND ? EXIT_NOTFOUND : EXIT_ERROR;
}

static void put_time(char out[24], int64_t t)
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 24, "-");
}

static int describe(const struct ca_cert *ca, struct shown *s)
{
	uint8_t hash[32];
	int r = ca_cert_describe(ca, &s->d);

	if (r == 0)
		r = ca_cert_fingerprint(ca, hash);
	if (r != 0)
		return r;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(s->sha256 + 2 * i, 3, "%02x", hash[i]);
	put_time(s->not_before, s->d.not_before);
	put_time(s->not_after, s->d.not_after);
	return 0;
}

static void print_json(const struct shown *s)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "subject", s->d.subject, "issuer", s->d.issuer, "serial", s->d.serial, "not_before",
			      s->not_before, "not_after", s->not_after, "sha256", s->sha256);

	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

int ctl_ca_show(const struct kmcconf *conf, bool json)
{
	struct ca_cert ca;
	struct shown s;
	int code = read_ca(conf, &ca);

	if (code != EXIT_FINE)
		return code;
	if (describe(&ca, &s) != 0) {
		ctl_say("the CA's certificate is damaged: restore it from the backup");
		return EXIT_ERROR;
	}
	if (json)
		print_json(&s);
	else
		printf("subject     %s\nissuer      %s\nserial      %s\nvalid from  %s\nvalid until %s\nSHA-256     %s\n", s.d.subject, s.d.issuer,
		       s.d.serial, s.not_before, s.not_after, s.sha256);
	return EXIT_FINE;
}

static bool export_json(const struct ca_cert *ca)
{
	char *pem = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&pem, &size);
	bool ok = f && ca_cert_print(ca, f) == 0;
	json_t *o;

	if (f)
		ok = fclose(f) == 0 && ok;
	o = ok ? json_pack("{s:s}", "certificate", pem) : NULL;
	ok = o && json_dumpf(o, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
	json_decref(o);
	free(pem);
	return ok;
}

int ctl_ca_print(const struct ca_cert *ca, bool der, bool json)
{
	bool ok = json ? export_json(ca) : der ? fwrite(ca->der, 1, ca->size, stdout) == ca->size && fflush(stdout) == 0 : ca_cert_print(ca, stdout) == 0;

	if (ok)
		return EXIT_FINE;
	ctl_say("can't write the certificate to standard output");
	return EXIT_ERROR;
}

int ctl_ca_export(const struct kmcconf *conf, bool der, bool json)
{
	struct ca_cert ca;
	int code = read_ca(conf, &ca);

	return code == EXIT_FINE ? ctl_ca_print(&ca, der, json) : code;
}

/* kmcctl host add without --out, and kmcctl policy. */
#include "kmc/ctl_trust.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/error.h"
#include "common/results.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/token.h"
#include "kmc/ctl_client.h"

#define TOKEN_TTL "1h"
#define TTL_MAX_S (30 * 86400)
#define PCRS 24
#define TIME_TEXT 24
#define IMAGES_MAX 8

static const char *const ek_words[] = {"first", "listed", "require"};
#define N_EK_WORDS (sizeof(ek_words) / sizeof(ek_words[0]))

bool ctl_parse_duration(const char *text, uint64_t *seconds)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || n > 1000000000 || (*end && end[1]))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit) {
			*seconds = n * units[i].seconds;
			return true;
		}
	return false;
}

/* One number of a list, below 24. */
static bool take_pcr(const char **p, unsigned int *pcr)
{
	char *end;
	unsigned long n = strtoul(*p, &end, 10);

	if (**p < '0' || **p > '9' || n >= PCRS)
		return false;
	*p = end;
	*pcr = (unsigned int)n;
	return true;
}

bool ctl_parse_pcrs(const char *text, uint64_t *mask)
{
	const char *p = text;
	unsigned int from, to;

	*mask = 0;
	if (strcmp(text, "none") == 0)
		return true;
	for (;; p++) {
		if (!take_pcr(&p, &from))
			return false;
		to = from;
		if (*p == '-' && (p++, !take_pcr(&p, &to)))
			return false;
		if (to < from)
			return false;
		for (; from <= to; from++)
			*mask |= 1u << from;
		if (!*p)
			return true;
		if (*p != ',')
			return false;
	}
}

static const char *when(uint64_t t, char text[TIME_TEXT])
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		return "?";
	strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

static bool on_token(void *arg, uint64_t type, const void *fields)
{
	const struct adm_token *m = fields;
	char text[TIME_TEXT], token[TOKEN_TEXT_MAX + 1];

	(void)arg;
	if (type != ADM_TOKEN)
		return false;
	if (results_are_json()) {
		snprintf(token, sizeof(token), "%.*s", (int)m->text.n, (const char *)m->text.p);
		results_text("token", token);
		results_text("expires", when(m->expires_at, text));
		wipe(token, sizeof(token));
		return false;
	}
	printf("%.*s\n", (int)m->text.n, (const char *)m->text.p);
	fflush(stdout);
	fprintf(stderr, "On the host, once, before %s: vtpmctl enroll TOKEN\n", when(m->expires_at, text));
	return false;
}

static bool parse_hash(const char *hex, uint8_t hash[32])
{
	char pair[3] = "", *end;

	if (strlen(hex) != 64)
		return false;
	for (int i = 0; i < 32; i++) {
		memcpy(pair, hex + 2 * i, 2);
		hash[i] = (uint8_t)strtoul(pair, &end, 16);
		if (*end || pair[0] == '-' || pair[0] == '+' || pair[0] == ' ')
			return false;
	}
	return true;
}

int ctl_token(struct ctl_client *c, const char *host, const char *pool, const char *ttl, const char *ek)
{
	struct adm_token_add m = {.name = view_text(host), .pool = view_text(pool)};
	uint8_t hash[32];

	if (!ctl_parse_duration(ttl ? ttl : TOKEN_TTL, &m.ttl) || m.ttl < 1 || m.ttl > TTL_MAX_S) {
		ctl_say("--ttl: '%s' is no duration such as 30m, 1h or 2d, of 30 days at most", ttl);
		return EXIT_USAGE;
	}
	if (ek && !parse_hash(ek, hash)) {
		ctl_say("--ek: give the SHA-256 of the endorsement key's public area in hex; 'vtpmctl ek' on the host prints it");
		return EXIT_USAGE;
	}
	if (ek)
		m.ek = view_of(hash, sizeof(hash));
	return ctl_ask(c, ADM_TOKEN_ADD, &m, on_token, NULL);
}

/* A pool's policy, and the memory that its views point into. */
struct policy {
	struct adm_policy m;
	uint8_t images[IMAGES_MAX][32];
};

static bool on_policy(void *arg, uint64_t type, const void *fields)
{
	struct policy *p = arg;
	struct view pool = p->m.pool;

	if (type != ADM_POLICY)
		return false;
	memcpy(&p->m, fields, sizeof(p->m));
	p->m.pool = pool;
	if (p->m.images.p) {
		memcpy(p->images, p->m.images.p, p->m.images.n);
		p->m.images.p = p->images[0];
	}
	return false;
}

static int get(struct ctl_client *c, const char *pool, struct policy *p)
{
	const struct adm_name m = {.name = view_text(pool)};

	*p = (struct policy){.m.pool = view_text(pool)};
	return ctl_ask(c, ADM_POLICY_SHOW, &m, on_policy, p);
}

static const char *list_pcrs(uint64_t mask, char out[96])
{
	size_t n = 0;

	snprintf(out, 96, "none");
	for (unsigned int i = 0; i < PCRS; i++)
		if (mask & 1u << i)
			n += (size_t)snprintf(out + n, 96 - n, "%s%u", n ? "," : "", i);
	return out;
}

static void print_json(const struct adm_policy *p)
{
	char list[96], until[TIME_TEXT], hex[65];
	json_t *images = json_array();
	json_t *o = json_pack("{s:s%, s:s, s:I, s:b, s:s, s:s, s:s, s:o}", "pool", (const char *)p->pool.p, p->pool.n, "pcrs",
			      list_pcrs(p->pcrs, list), "interval_s", (json_int_t)p->interval, "require_attestation", (int)p->require, "ek",
			      ek_words[p->ek], "clock", p->note_clock ? "note" : "refuse", "firmware", p->note_firmware ? "note" : "refuse",
			      "maintenance_until", p->maintenance_until ? json_string(when(p->maintenance_until, until)) : json_null());

	for (size_t i = 0; i < p->images.n / 32; i++)
		json_array_append_new(images, json_string(text_hex(p->images.p + 32 * i, 32, hex)));
	json_object_set_new(o, "images", images);
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

int ctl_policy_show(struct ctl_client *c, const char *pool, bool json)
{
	char list[96], until[TIME_TEXT], hex[65];
	struct policy got;
	int code = get(c, pool, &got);
	const struct adm_policy p = got.m;

	if (code != EXIT_FINE)
		return code;
	if (json) {
		print_json(&p);
		return code;
	}
	printf("pool                  %s\n", pool);
	printf("PCRs (SHA-256)        %s\n", list_pcrs(p.pcrs, list));
	printf("a quote every         %" PRIu64 " s, and at each connection\n", p.interval);
	printf("attestation           %s\n", p.require ? "required: hosts added by files get no seeds" : "of hosts that were enrolled by token");
	printf("endorsement key       %s\n", ek_words[p.ek]);
	if (!p.images.p)
		printf("stub domains' image   any\n");
	for (size_t i = 0; i < p.images.n / 32; i++)
		printf("stub domains' image   %s\n", text_hex(p.images.p + 32 * i, 32, hex));
	printf("clock going back      %s\n", p.note_clock ? "noted" : "refused");
	printf("other TPM firmware    %s\n", p.note_firmware ? "noted" : "refused");
	if (p.maintenance_until > (uint64_t)time(NULL))
		printf("maintenance           until %s: other PCRs and firmware are noted only\n", when(p.maintenance_until, until));
	return code;
}

/* The place of @word in a list; -1: not there. */
static int choice(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return (int)i;
	return -1;
}

static bool set_choice(const char *word, const char *const *words, size_t n, uint64_t *value)
{
	int i = word ? choice(word, words, n) : 0;

	if (word && i >= 0)
		*value = (uint64_t)i;
	return i >= 0;
}

/* A duration from now, a time, or "off". */
static bool set_maintenance(const char *text, uint64_t *until)
{
	struct tm tm = {0};
	const char *end;
	uint64_t s;

	if (strcmp(text, "off") == 0) {
		*until = 0;
		return true;
	}
	if (ctl_parse_duration(text, &s)) {
		*until = (uint64_t)time(NULL) + s;
		return true;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end || timegm(&tm) < 0)
		return false;
	*until = (uint64_t)timegm(&tm);
	return true;
}

/* "any", or a list of digests. */
static bool set_images(const char *text, struct policy *p)
{
	char list[IMAGES_MAX * 65 + 1], *save = NULL, *word;
	size_t n = 0;

	p->m.images = (struct view){0};
	if (strcmp(text, "any") == 0)
		return true;
	if (strlen(text) >= sizeof(list))
		return false;
	memcpy(list, text, strlen(text) + 1);
	for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (n == IMAGES_MAX || !parse_hash(word, p->images[n++]))
			return false;
	p->m.images = view_of(p->images[0], n * 32);
	return n > 0;
}

/* NULL: all is understood; else what is not. */
static const char *change(struct policy *policy, const struct ctl_policy_options *o)
{
	static const char *const no_yes[] = {"no", "yes"}, *const refuse_note[] = {"refuse", "note"};
	struct adm_policy *p = &policy->m;

	if (o->pcrs && !ctl_parse_pcrs(o->pcrs, &p->pcrs))
		return "--pcrs: write a list such as 0,1,2,3,7 or 0-3,7";
	if (o->interval && !ctl_parse_duration(o->interval, &p->interval))
		return "--interval: write a duration such as 10m";
	if (!set_choice(o->require, no_yes, 2, &p->require))
		return "--require-attestation: yes or no";
	if (!set_choice(o->ek, ek_words, N_EK_WORDS, &p->ek))
		return "--ek: first, listed or require";
	if (!set_choice(o->clock, refuse_note, 2, &p->note_clock) || !set_choice(o->firmware, refuse_note, 2, &p->note_firmware))
		return "--clock, --firmware: refuse or note";
	if (o->maintenance && !set_maintenance(o->maintenance, &p->maintenance_until))
		return "--until: a duration such as 2h, a time such as 2030-01-31T20:00:00Z, or off";
	if (o->images && !set_images(o->images, policy))
		return "--stub-image: up to eight digests with commas between them, as 'vtpmctl image' on a host prints them, or any";
	return NULL;
}

int ctl_policy_set(struct ctl_client *c, const char *pool, const struct ctl_policy_options *o)
{
	struct policy p;
	const char *wrong;
	int code = get(c, pool, &p);

	if (code != EXIT_FINE)
		return code;
	wrong = change(&p, o);
	if (wrong) {
		ctl_say("%s", wrong);
		return EXIT_USAGE;
	}
	return ctl_order(c, ADM_POLICY_SET, &p.m);
}

int ctl_policy_accept(struct ctl_client *c, const char *host)
{
	const struct adm_name m = {.name = view_text(host)};

	return ctl_order(c, ADM_POLICY_ACCEPT, &m);
}

/* kmcctl audit: records for people and for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"
#include "common/kmcmsg.h"
#include "kmc/ctl_audit.h"

#define LAST 50 /* records that are shown unless a number is given */
#define TIME_TEXT 24
#define FACILITY_AUDIT 13 /* RFC 5424 table 1: log audit */

enum style { STYLE_TABLE, STYLE_JSON, STYLE_SYSLOG };

struct showing {
	enum style style;
	uint64_t last, shown;
	bool more;
};

static const char *when(uint64_t t, char text[TIME_TEXT])
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(text, TIME_TEXT, "?");
	return text;
}

static const char *uuid_text(struct view v, char text[UUID_TEXT])
{
	struct uuid u;

	if (!v.p)
		return "";
	memcpy(u.b, v.p, UUID_SIZE);
	return uuid_format(&u, text);
}

/* JSON (RFC 8259) and RFC 5424's parameters want a backslash before the @special ones; a control character becomes a blank. */
static void put_escaped(struct view v, const char *special)
{
	for (size_t i = 0; i < v.n; i++) {
		bool control = v.p[i] < 0x20 || v.p[i] == 0x7f;

		if (!control && strchr(special, v.p[i]))
			putchar('\\');
		putchar(control ? ' ' : v.p[i]);
	}
}

static void put_json(const char *key, struct view v)
{
	printf(", \"%s\": ", key);
	if (!v.p) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	put_escaped(v, "\"\\");
	putchar('"');
}

static void put_hex(struct view v)
{
	for (size_t i = 0; i < v.n; i++)
		printf("%02x", v.p[i]);
}

static struct view text_or_absent(const char *s)
{
	return *s ? view_text(s) : (struct view){0};
}

/* @frame besides: with it, the line can be checked without the database. */
static void print_json(uint64_t seq, uint64_t event, const struct audit_record *r, struct view frame)
{
	char time[TIME_TEXT], u[UUID_TEXT];

	printf("{\"seq\": %" PRIu64 ", \"time\": \"%s\", \"event\": \"%s\"", seq, when(r->time, time), audit_event_name(event));
	put_json("kmc", r->kmc);
	put_json("actor", r->actor);
	put_json("vtpm", text_or_absent(uuid_text(r->vtpm, u)));
	put_json("host", r->host);
	put_json("pool", r->pool);
	printf(", \"lease_epoch\": %" PRIu64 ", \"code\": %" PRIu64, r->lease_epoch, r->code);
	put_json("detail", r->detail);
	fputs(", \"prev\": \"", stdout);
	put_hex(r->prev);
	fputs("\", \"record\": \"", stdout);
	put_hex(frame);
	fputs("\"}\n", stdout);
}

static void put_param(const char *key, struct view v)
{
	if (!v.p)
		return;
	printf(" %s=\"", key);
	put_escaped(v, "\"\\]");
	putchar('"');
}

/* RFC 5424. The structured data's name is local: it has no enterprise number. */
static void print_syslog(uint64_t seq, uint64_t event, const struct audit_record *r)
{
	char time[TIME_TEXT], u[UUID_TEXT];
	int severity = event == AUDIT_REFUSED ? 4 : 5;

	printf("<%d>1 %s %.*s kmcd - %s [audit@xen-vtpm seq=\"%" PRIu64 "\"", FACILITY_AUDIT * 8 + severity, when(r->time, time),
	       (int)r->kmc.n, (const char *)r->kmc.p, audit_event_name(event), seq);
	put_param("actor", r->actor);
	put_param("vtpm", text_or_absent(uuid_text(r->vtpm, u)));
	put_param("host", r->host);
	put_param("pool", r->pool);
	if (r->lease_epoch)
		printf(" lease=\"%" PRIu64 "\"", r->lease_epoch);
	if (r->code)
		printf(" code=\"%s\"", kmc_refusal_text(r->code));
	fputs(" prev=\"", stdout);
	put_hex(r->prev);
	fputs("\"]", stdout);
	if (r->detail.p)
		printf(" %.*s", (int)r->detail.n, (const char *)r->detail.p);
	putchar('\n');
}

#define T(v) (int)((v).p ? (v).n : 1), (v).p ? (const char *)(v).p : "-"

static void print_row(const struct showing *s, uint64_t seq, uint64_t event, const struct audit_record *r)
{
	static const struct view administrator = {(const uint8_t *)"administrator", 13};
	const struct view about = r->host.p ? r->host : r->pool, who = r->actor.p ? r->actor : administrator;
	char time[TIME_TEXT], u[UUID_TEXT];

	if (s->shown == 0)
		printf("%8s  %-20s  %-15s  %-16s  %-36s  %-16s  %s\n", "NUMBER", "TIME", "EVENT", "WHO", "VTPM", "HOST, POOL", "DETAIL");
	printf("%8" PRIu64 "  %-20s  %-15s  %-16.*s  %-36s  %-16.*s  %.*s\n", seq, when(r->time, time), audit_event_name(event), T(who),
	       r->vtpm.p ? uuid_text(r->vtpm, u) : "-", T(about), r->detail.p ? (int)r->detail.n : 0, (const char *)r->detail.p);
}

static bool on_record(void *arg, uint64_t type, const void *fields)
{
	const struct adm_audit_record *m = fields;
	const struct adm_end *end = fields;
	struct showing *s = arg;
	struct audit_record r;
	uint64_t seq, event;

	if (type != ADM_AUDIT_RECORD) {
		s->more = type == ADM_END && end->more;
		return false;
	}
	s->last = m->seq;
	if (audit_read(m->record, &seq, &event, &r) != 0) {
		ctl_say("record %" PRIu64 " can't be read: run 'kmcctl audit verify'", m->seq);
		return true;
	}
	if (s->style == STYLE_TABLE)
		print_row(s, m->seq, event, &r);
	else if (s->style == STYLE_JSON)
		print_json(m->seq, event, &r, m->record);
	else
		print_syslog(m->seq, event, &r);
	s->shown++;
	return true;
}

static int show(struct ctl_client *c, uint64_t from, enum style style)
{
	struct showing s = {.style = style, .last = from ? from - 1 : 0};
	struct adm_audit_list m;
	int code;

	do {
		m.after = s.last;
		s.more = false;
		code = ctl_ask(c, ADM_AUDIT_LIST, &m, on_record, &s);
	} while (code == EXIT_FINE && s.more);
	return code;
}

static bool on_chain(void *arg, uint64_t type, const void *fields)
{
	const struct adm_audit_chain *m = fields;
	uint64_t *from = arg;

	if (type == ADM_AUDIT_CHAIN)
		*from = m->seq > LAST ? m->seq - LAST + 1 : 1;
	return false;
}

int ctl_audit_show(struct ctl_client *c, uint64_t from, bool json)
{
	int code = from ? EXIT_FINE : ctl_ask(c, ADM_AUDIT_LAST, NULL, on_chain, &from);

	return code == EXIT_FINE ? show(c, from, json ? STYLE_JSON : STYLE_TABLE) : code;
}

int ctl_audit_export(struct ctl_client *c, uint64_t from, bool syslog)
{
	return show(c, from, syslog ? STYLE_SYSLOG : STYLE_JSON);
}

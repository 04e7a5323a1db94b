/* The engine's middle. */
#include "kmc/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "kmc/clock.h"
#include "kmc/hostcert.h"

bool engine_is_name(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(s) && *s != '.' &&
	       *s != '-';
}

static struct kmc_clock engine_clock;

void engine_clock_start(int64_t latest)
{
	engine_clock = (struct kmc_clock){.latest = latest, .steady_ms = loop_now_ms()};
}

int64_t engine_clock_behind(void)
{
	return kmc_clock_behind(&engine_clock, engine_machine_time(), loop_now_ms());
}

int64_t engine_now(void)
{
	return kmc_clock_tell(&engine_clock, engine_machine_time(), loop_now_ms());
}

int64_t engine_machine_time(void)
{
	return (int64_t)time(NULL);
}

void engine_answer(struct engine *e, const struct asker *a, enum kmc_type type, const void *fields)
{
	struct front_answer m = {.conn = a->conn};
	int r;

	buf_reset(&e->frame);
	r = kmc_write(&e->frame, type, a->id, fields);
	if (r != 0)
		fatal("can't write message %d: %s", (int)type, error_text(r));
	m.frame = view_of(buf_ptr(&e->frame), buf_left(&e->frame));
	link_send(e->front, FRONT_ANSWER, 0, &m);
}

/* A host is told 240 bytes: no half character at the end. */
static size_t whole_characters(const char *s, size_t n)
{
	while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Log and audit trail have no more of a host than kmc/repeats.h says. */
static void record_refusal(struct engine *e, const struct asker *a, enum kmc_refusal code, const char *reason)
{
	struct audit_act act = {.event = AUDIT_REFUSED, .actor = a->host, .code = code, .detail = reason};

	switch (repeats_look(&e->repeats, a->host, code, reason, loop_now_ms())) {
	case REPEATS_SILENT:
		return;
	case REPEATS_LAST:
		act.detail = "and more: of this minute's refusals of this host no further ones are recorded";
		break;
	case REPEATS_FRESH:
		break;
	}
	log_about(LOG_LV_WARN, ABOUT(.host = a->host), "host '%s' was refused (%s): %s", a->host, kmc_refusal_text(code), act.detail);
	if (auditlog_add_alone(&e->audit, &act) == 0)
		return;
	log_error("a refusal could not be recorded: %s", e->store->why);
	repeats_forget(&e->repeats, a->host);
}

static void refuse(struct engine *e, const struct asker *a, enum kmc_refusal code, const char *reason)
{
	const struct kmc_refused m = {.code = code, .reason = view_text(reason)};

	e->refusals++;
	if ((unsigned int)code < REFUSAL_CODES)
		e->tally.refusals[code]++;
	engine_answer(e, a, KMC_REFUSED, &m);
}

void engine_refuse(struct engine *e, const struct asker *a, enum kmc_refusal code, const char *fmt, ...)
{
	char reason[REASON_MAX + 16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (strlen(reason) > REASON_MAX)
		reason[whole_characters(reason, REASON_MAX)] = '\0';
	record_refusal(e, a, code, reason);
	refuse(e, a, code, reason);
}

void engine_refuse_db(struct engine *e, const struct asker *a)
{
	static const char reason[] = "the KMC's database failed: its log says more";

	if (repeats_look(&e->repeats, a->host, KMC_REFUSED_INTERNAL, e->store->why, loop_now_ms()) == REPEATS_FRESH)
		log_about(LOG_LV_ERROR, ABOUT(.host = a->host), "host '%s' is refused: %s", a->host, e->store->why); /* and that can't be recorded */
	refuse(e, a, KMC_REFUSED_INTERNAL, reason);
}

bool engine_check_host(struct engine *e, struct asker *a, struct view fingerprint, bool hello)
{
	struct store_host host;
	int r = e->store->ops->host_get(e->store, a->host, &host);
	bool present = r == 0 && bytes_equal(host.fingerprint, fingerprint.p, sizeof(host.fingerprint));

	if (r != 0 && r != E_NOTFOUND)
		engine_refuse_db(e, a);
	else if (r != 0)
		engine_refuse(e, a, KMC_REFUSED_UNKNOWN_HOST, "host '%s' is not registered here: run 'kmcctl host add %s'", a->host,
			      a->host);
	else if (host.removed)
		engine_refuse(e, a, KMC_REFUSED_UNKNOWN_HOST, "host '%s' was removed here", a->host);
	else if (!present && (r = hostcert_find(e->store, a->host, fingerprint.p, engine_now())) != 0 && r != E_NOTFOUND)
		engine_refuse_db(e, a);
	else if (r != 0)
		engine_refuse(e, a, KMC_REFUSED_UNKNOWN_HOST, "this certificate of host '%s' counts no more: it has expired, or the host was enrolled anew",
			      a->host);
	else if (hello && present && host.expires_at <= engine_now()) /* TLS asks the machine's clock */
		engine_refuse(e, a, KMC_REFUSED_UNKNOWN_HOST, "the certificate of host '%s' has expired: give it a new one", a->host);
	else
		memcpy(a->pool, host.pool, sizeof(a->pool));
	return a->pool[0] != '\0';
}

struct ticket *engine_ticket(struct engine *e, enum ticket_kind kind)
{
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		struct ticket *t = &e->tickets[i];

		if (t->kind != TICKET_FREE)
			continue;
		*t = (struct ticket){.kind = kind, .id = ++e->last_ticket, .since_ms = loop_now_ms()};
		source_set_ms(e->timer, TICK_MS);
		return t;
	}
	return NULL;
}

struct ticket *engine_find(struct engine *e, uint64_t id)
{
	for (size_t i = 0; i < TICKETS_MAX; i++)
		if (e->tickets[i].kind != TICKET_FREE && e->tickets[i].id == id)
			return &e->tickets[i];
	fatal("the vault process answered ticket %llu, which there is not", (unsigned long long)id);
}

void engine_ticket_end(struct ticket *t)
{
	memset(t, 0, sizeof(*t));
}

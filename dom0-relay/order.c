/* What vtpmctl has the relay do. */
#include "dom0-relay/order.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/results.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/list.h"

#define WAITS_PER_S 5

/* How this host's certificate stands. */
struct renewal {
	uint64_t tries, until;
	char why[CTL_REASON_MAX + 1];
};

static void take_status(void *arg, const struct ctl_status *s)
{
	struct renewal *n = arg;

	n->tries = s->renewals;
	n->until = s->certificate_until;
	snprintf(n->why, sizeof(n->why), "%.*s", s->renew_failed.p ? (int)s->renew_failed.n : 0, s->renew_failed.p ? (const char *)s->renew_failed.p : "");
}

/* What the relay says of its certificate, and to @request: an exit code. */
static int ask_renewal(const char *socket_path, enum ctl_type request, struct renewal *n)
{
	static const struct ctlask_ops ops = {.status = take_status};

	return ctlask_run(socket_path, request, NULL, &ops, n);
}

int order_renew(const char *socket_path, unsigned int seconds)
{
	struct renewal before = {0}, now = {0};
	char until[24] = "-";
	struct tm tm;
	int r = ask_renewal(socket_path, CTL_RENEW, &before);

	for (unsigned int tries = 0; r == EXIT_FINE && tries <= seconds * WAITS_PER_S; tries++) {
		r = ask_renewal(socket_path, CTL_LIST, &now);
		if (r != EXIT_FINE || now.tries != before.tries)
			break;
		usleep(1000000 / WAITS_PER_S);
	}
	if (r != EXIT_FINE)
		return r;
	if (now.tries == before.tries || now.why[0]) {
		fprintf(stderr, "vtpmctl: not renewed: %s; the present certificate stays in use\n", now.why[0] ? now.why : "there is no answer yet");
		return EXIT_ERROR;
	}
	if (gmtime_r(&(time_t){(time_t)now.until}, &tm))
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	results_text("valid_until", until);
	results_tell("this host has a new certificate, valid until %s\n", until);
	return EXIT_FINE;
}

static void take_refusal(void *arg, const struct ctl_refused *r)
{
	snprintf(arg, CTL_REASON_MAX + 1, "%.*s", (int)r->reason.n, (const char *)r->reason.p);
}

/* Give the relay an order: an exit code, with a complaint unless it is EXIT_FINE. */
static int give(const char *socket_path, enum ctl_type order, const void *fields)
{
	static const struct ctlask_ops ops = {.refused = take_refusal};
	char why[CTL_REASON_MAX + 1] = "";
	int r = ctlask_run(socket_path, order, fields, &ops, why);

	if (r != EXIT_FINE || !why[0])
		return r;
	fprintf(stderr, "vtpmctl: %s\n", why);
	return EXIT_ERROR;
}

/* The row of what is called @name, or NULL. */
static const json_t *backend_row(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *backend = json_string_value(json_object_get(row, "backend"));

		if (backend && strcmp(backend, name) == 0)
			return row;
	}
	return NULL;
}

/* How far it is: EXIT_FINE with *done, or EXIT_ERROR with a complaint. */
static int look_at_backend(const json_t *row, const char *name, bool *done, char why[CTL_REASON_MAX + 1])
{
	const char *state = json_string_value(json_object_get(row, "state")), *reason = json_string_value(json_object_get(row, "reason"));

	*done = state && strcmp(state, "preparing") != 0 && strcmp(state, "refused") != 0;
	snprintf(why, CTL_REASON_MAX + 1, "%s", reason ? reason : "its stub domain is being built");
	if (state && strcmp(state, "refused") != 0)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: backend %s is not prepared: %s\n", name, state ? why : "vtpm-relayd knows it no more; was it restarted?");
	return EXIT_ERROR;
}

int order_prepare(const char *socket_path, const struct uuid *uuid, const char *name, unsigned int seconds)
{
	const struct ctl_prepare q = {.uuid = *uuid, .name = view_text(name)};
	char u[UUID_TEXT], why[CTL_REASON_MAX + 1] = "";
	int r = give(socket_path, CTL_PREPARE, &q);
	bool done = false;

	for (unsigned int tries = 0; r == EXIT_FINE && !done && tries <= seconds * WAITS_PER_S; tries++) {
		json_t *rows;

		r = list_rows(socket_path, &rows);
		if (r == EXIT_FINE)
			r = look_at_backend(backend_row(rows, name), name, &done, why);
		json_decref(rows);
		if (r == EXIT_FINE && !done)
			usleep(1000000 / WAITS_PER_S);
	}
	if (r != EXIT_FINE)
		return r;
	if (!done) {
		fprintf(stderr, "vtpmctl: backend %s is not prepared after %u s: %s; it goes on, see 'vtpmctl list'\n", name, seconds, why);
		return EXIT_ERROR;
	}
	results_text("uuid", uuid_format(uuid, u));
	results_text("backend", name);
	results_tell("backend %s is prepared: its guest's line is vtpm=[\"backend=%s,uuid=%s\"]\n", name, name, u);
	return EXIT_FINE;
}

int order_unprepare(const char *socket_path, const char *name)
{
	const struct ctl_unprepare q = {.name = view_text(name)};
	int r = give(socket_path, CTL_UNPREPARE, &q);

	if (r == EXIT_FINE) {
		results_text("backend", name);
		results_tell("backend %s is prepared no more\n", name);
	}
	return r;
}

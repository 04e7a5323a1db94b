/* The vTPMs of this host, and what was refused. */
#include "dom0-relay/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/results.h"
#include "common/uuid.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/guest_machine.h"

#define WAITS_PER_S 5

static void add_row(void *arg, const struct ctl_entry *e)
{
	char uuid[UUID_TEXT];
	json_t *rows = arg, *row;

	uuid_format(&e->uuid, uuid);
	row = json_pack("{s:o, s:o, s:s, s:s%, s:I, s:b}", "guest", e->guest ? json_integer((json_int_t)e->guest) : json_null(),
				"device", e->guest ? json_integer((json_int_t)e->dev) : json_null(), "uuid", uuid, "state", (const char *)e->state.p, e->state.n, "since", (json_int_t)e->since, "connected",
				(int)e->connected);

	json_object_set_new(row, "commands", json_integer((json_int_t)e->commands));
	json_object_set_new(row, "malformed", json_integer((json_int_t)e->malformed));
	json_object_set_new(row, "service_us", json_integer((json_int_t)(e->service_ns / 1000)));
	json_object_set_new(row, "memory_kib", json_integer((json_int_t)e->memory_kib));
	json_object_set_new(row, "stub_domain", e->stub ? json_integer((json_int_t)e->stub) : json_null());
	json_object_set_new(row, "backend", e->backend.p ? json_stringn((const char *)e->backend.p, e->backend.n) : json_null());
	json_object_set_new(row, "reason", e->reason.p ? json_stringn((const char *)e->reason.p, e->reason.n) : json_null());
	json_array_append_new(rows, row);
}

static void print_entry(void *arg, const struct ctl_entry *e)
{
	bool *has_heading = arg;
	char uuid[UUID_TEXT], stub[21] = "-", guest[21] = "-", dev[21] = "-", note[CTL_NAME_MAX + 16] = "";

	uuid_format(&e->uuid, uuid);
	if (!*has_heading)
		printf("%5s %3s  %-36s  %4s  %-9s  %-6s  %s\n", "GUEST", "DEV", "VTPM", "STUB", "STATE", "DRIVER", "REASON");
	*has_heading = true;
	if (e->stub)
		snprintf(stub, sizeof(stub), "%" PRIu64, e->stub);
	if (e->guest) {
		snprintf(guest, sizeof(guest), "%" PRIu64, e->guest);
		snprintf(dev, sizeof(dev), "%" PRIu64, e->dev);
	}
	if (e->backend.p)
		snprintf(note, sizeof(note), "backend %.*s%s", (int)e->backend.n, (const char *)e->backend.p, e->reason.p ? ": " : "");
	printf("%5s %3s  %-36s  %4s  %-9.*s  %-6s  %s%.*s\n", guest, dev, uuid, stub, (int)e->state.n, (const char *)e->state.p,
	       e->connected ? "yes" : "no", note, (int)e->reason.n, e->reason.p ? (const char *)e->reason.p : "");
}

static void print_status(void *arg, const struct ctl_status *s)
{
	(void)arg;
	if (!s->kmc_up)
		printf("not connected to the KMC: %.*s\n", (int)s->kmc.n, (const char *)s->kmc.p);
	if (s->renew_failed.p)
		printf("this host's certificate could not be renewed: %.*s\n", (int)s->renew_failed.n, (const char *)s->renew_failed.p);
	if (s->software_key)
		printf("this host's TLS key is a file (insecure-software-key): enrol it anew for a key in its TPM\n");
	if (s->spares_wanted)
		printf("spare stub domains: %" PRIu64 " of %" PRIu64 " ready\n", s->spares_ready, s->spares_wanted);
}

int list_rows(const char *socket_path, json_t **rows)
{
	static const struct ctlask_ops ops = {.entry = add_row};
	int r;

	*rows = json_array();
	r = ctlask_run(socket_path, CTL_LIST, NULL, &ops, *rows);
	if (r != EXIT_FINE) {
		json_decref(*rows);
		*rows = NULL;
	}
	return r;
}

int list_run(const char *socket_path, bool json)
{
	static const struct ctlask_ops table = {.status = print_status, .entry = print_entry};
	bool has_heading = false;
	json_t *rows;
	int r;

	if (!json)
		return ctlask_run(socket_path, CTL_LIST, NULL, &table, &has_heading);
	r = list_rows(socket_path, &rows);
	if (r == EXIT_FINE) {
		json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	}
	json_decref(rows);
	return r;
}

/* Is one of the entries of @uuid in @state? "gone": is there none but of what was refused? */
static bool shows(const json_t *rows, const char *uuid, const char *state)
{
	bool gone = true, found = false;
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *s = json_string_value(json_object_get(row, "state"));

		if (!s || strcmp(json_string_value(json_object_get(row, "uuid")), uuid) != 0)
			continue;
		gone = gone && strcmp(s, "refused") == 0;
		found = found || strcmp(s, state) == 0;
	}
	return strcmp(state, "gone") == 0 ? gone : found;
}

bool list_is_state(const char *text)
{
	bool found = strcmp(text, "refused") == 0 || strcmp(text, "prepared") == 0 || strcmp(text, "gone") == 0;

	for (int s = 0; s < GUEST_STATES && !found; s++)
		found = strcmp(text, guest_state_text((enum guest_state)s)) == 0;
	return found;
}

int list_wait(const char *socket_path, const char *uuid, const char *state, unsigned int seconds)
{
	for (unsigned int tries = 0; tries <= seconds * WAITS_PER_S; tries++) {
		json_t *rows;
		int r = list_rows(socket_path, &rows);
		bool done = r == EXIT_FINE && shows(rows, uuid, state);

		json_decref(rows);
		if (done) {
			results_text("uuid", uuid);
			results_text("state", state);
		}
		if (done || r != EXIT_FINE)
			return r;
		usleep(1000000 / WAITS_PER_S);
	}
	fprintf(stderr, "vtpmctl: vTPM %s is not %s after %u s: see 'vtpmctl list'\n", uuid, state, seconds);
	return EXIT_ERROR;
}

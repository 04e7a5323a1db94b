/* One vTPM, as it is here and what happened to it here. */
#include "dom0-relay/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/error.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/history.h"

#define TIME_TEXT 24

/* What the relay says: nothing if it can't be asked. */
struct present {
	const struct uuid *uuid;
	bool answered;
	json_t *rows; /* those of @uuid */
};

static const char *time_text(uint64_t seconds, char out[TIME_TEXT])
{
	struct tm tm;

	if (!gmtime_r(&(time_t){(time_t)seconds}, &tm) || strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, TIME_TEXT, "-");
	return out;
}

static json_t *text_or_null(struct view v)
{
	return v.p ? json_stringn((const char *)v.p, v.n) : json_null();
}

static bool is_refused(struct view state)
{
	return state.n == strlen("refused") && memcmp(state.p, "refused", state.n) == 0;
}

static void take_entry(void *arg, const struct ctl_entry *e)
{
	struct present *p = arg;

	if (uuid_equal(&e->uuid, p->uuid) && !is_refused(e->state)) /* what was is on record */
		json_array_append_new(p->rows, json_pack("{s:I, s:I, s:o, s:o, s:I, s:b, s:o}", "guest", (json_int_t)e->guest, "device",
			(json_int_t)e->dev, "stub_domain", e->stub ? json_integer((json_int_t)e->stub) : json_null(), "state", text_or_null(e->state),
			"since", (json_int_t)e->since, "connected", (int)e->connected, "reason", text_or_null(e->reason)));
}

static void ask(const char *socket_path, struct present *p)
{
	static const struct ctlask_ops ops = {.entry = take_entry};

	p->answered = ctlask_list(socket_path, &ops, p) == 0;
}

static const char *string(const json_t *row, const char *name)
{
	const char *s = json_string_value(json_object_get(row, name));

	return s ? s : "";
}

static json_int_t number(const json_t *row, const char *name)
{
	return json_integer_value(json_object_get(row, name));
}

static void print_present(const struct present *p)
{
	char since[TIME_TEXT];
	const json_t *row;
	size_t i;

	if (!p->answered)
		printf("vtpm-relayd can't be asked: what follows is its record\n");
	else if (json_array_size(p->rows) == 0)
		printf("it is not here now\n");
	json_array_foreach(p->rows, i, row) {
		printf("domain %" JSON_INTEGER_FORMAT " device %" JSON_INTEGER_FORMAT ": %s since %s", number(row, "guest"), number(row, "device"),
		       string(row, "state"), time_text((uint64_t)number(row, "since"), since));
		if (number(row, "stub_domain"))
			printf(", stub domain %" JSON_INTEGER_FORMAT ", the guest's driver is %sconnected", number(row, "stub_domain"),
			       json_is_true(json_object_get(row, "connected")) ? "" : "not ");
		printf("%s%s\n", *string(row, "reason") ? ": " : "", string(row, "reason"));
	}
}

static void print_history(const struct history_record *records, int n)
{
	char when[TIME_TEXT];

	if (n > 0)
		printf("%-20s  %5s %3s  %-9s  %s\n", "TIME", "GUEST", "DEV", "EVENT", "DETAIL");
	for (int i = 0; i < n; i++)
		printf("%-20s  %5" PRIu32 " %3" PRIu32 "  %-9s  %s\n", time_text(records[i].time, when), records[i].guest, records[i].dev,
		       history_text(records[i].event), records[i].detail);
}

static void print_json(const struct present *p, const struct history_record *records, int n)
{
	char uuid[UUID_TEXT];
	json_t *o = json_pack("{s:s, s:O, s:[]}", "uuid", uuid_format(p->uuid, uuid), "now", p->answered ? p->rows : json_null(), "history");

	for (int i = 0; i < n; i++)
		json_array_append_new(json_object_get(o, "history"), json_pack("{s:I, s:I, s:I, s:s, s:o}", "time", (json_int_t)records[i].time, "guest",
			(json_int_t)records[i].guest, "device", (json_int_t)records[i].dev, "event", history_text(records[i].event), "detail",
			records[i].detail[0] ? json_string(records[i].detail) : json_null()));
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(o);
}

int show_run(const char *socket_path, const char *state_directory, const struct uuid *uuid, bool json)
{
	static struct history_record records[HISTORY_RECORDS];
	struct present p = {.uuid = uuid};
	int n = history_read(state_directory, uuid, records), r = 1;
	char text[UUID_TEXT];

	if (n < 0 && n != E_NOTFOUND) {
		fprintf(stderr, "vtpmctl: can't read %s/%s: %s; are you root?\n", state_directory, HISTORY_FILE, n == E_IO ? strerror(errno) : error_text(n));
		return r;
	}
	p.rows = json_array();
	ask(socket_path, &p);
	if (n <= 0 && json_array_size(p.rows) == 0) {
		fprintf(stderr, "vtpmctl: nothing is known of vTPM %s on this host%s: see 'vtpmctl list'\n", uuid_format(uuid, text),
			p.answered ? "" : ", and vtpm-relayd can't be asked");
	} else if (json) {
		print_json(&p, records, n);
		r = 0;
	} else {
		printf("vTPM %s\n", uuid_format(uuid, text));
		print_present(&p);
		print_history(records, n);
		r = 0;
	}
	json_decref(p.rows);
	return r;
}

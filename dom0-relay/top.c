/* The busiest vTPMs first, from one look at the relay's listing to the next. */
#include "dom0-relay/top.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/error.h"
#include "dom0-relay/ctlask.h"

#define ROWS_MAX 256

struct look {
	struct top_row rows[ROWS_MAX];
	size_t n;
	uint64_t at_ms;
	bool kmc_up;
};

struct line {
	const struct top_row *row;
	struct top_rate rate;
};

struct top_rate top_rate(const struct top_row *before, const struct top_row *now, uint64_t ms)
{
	struct top_rate r = {0};
	uint64_t commands, ns;

	if (!before || before->stub != now->stub || before->commands > now->commands || before->service_ns > now->service_ns || ms == 0)
		return r;
	commands = now->commands - before->commands;
	ns = now->service_ns - before->service_ns;
	r.per_minute = commands * 60000 / ms;
	r.mean_us = commands ? ns / 1000 / commands : 0;
	r.busy_permil = ns / 1000 / ms;
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_status(void *arg, const struct ctl_status *s)
{
	((struct look *)arg)->kmc_up = s->kmc_up;
}

static void on_entry(void *arg, const struct ctl_entry *e)
{
	struct look *l = arg;

	if (l->n < ROWS_MAX && e->stub)
		l->rows[l->n++] = (struct top_row){.guest = e->guest, .stub = e->stub, .uuid = e->uuid, .commands = e->commands,
						   .service_ns = e->service_ns, .memory_kib = e->memory_kib};
}

static int look(const char *path, struct look *l)
{
	static const struct ctlask_ops ops = {.status = on_status, .entry = on_entry};
	int r;

	memset(l, 0, sizeof(*l));
	r = ctlask_list(path, &ops, l);
	l->at_ms = now_ms();
	return r;
}

static const struct top_row *find(const struct look *l, const struct top_row *row)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->rows[i].stub == row->stub && uuid_equal(&l->rows[i].uuid, &row->uuid))
			return &l->rows[i];
	return NULL;
}

static int by_load(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->rate.busy_permil != y->rate.busy_permil)
		return x->rate.busy_permil < y->rate.busy_permil ? 1 : -1;
	if (x->rate.per_minute != y->rate.per_minute)
		return x->rate.per_minute < y->rate.per_minute ? 1 : -1;
	return x->row->guest < y->row->guest ? -1 : 1;
}

static void show_json(const struct look *now, const struct line *lines)
{
	json_t *o = json_pack("{s:b, s:[]}", "kmc_connected", (int)now->kmc_up, "vtpms");
	char uuid[UUID_TEXT];

	for (size_t i = 0; i < now->n; i++)
		json_array_append_new(json_object_get(o, "vtpms"),
			json_pack("{s:I, s:I, s:s, s:I, s:I, s:f, s:I}", "guest", (json_int_t)lines[i].row->guest, "stub_domain",
				  (json_int_t)lines[i].row->stub, "uuid", uuid_format(&lines[i].row->uuid, uuid), "commands_per_minute",
				  (json_int_t)lines[i].rate.per_minute, "mean_us", (json_int_t)lines[i].rate.mean_us, "busy_percent",
				  (double)lines[i].rate.busy_permil / 10, "memory_kib", (json_int_t)lines[i].row->memory_kib));
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static void show(const struct look *before, const struct look *now, bool terminal, bool json)
{
	struct line lines[ROWS_MAX];
	uint64_t memory = 0;
	char uuid[UUID_TEXT];

	for (size_t i = 0; i < now->n; i++) {
		lines[i] = (struct line){.row = &now->rows[i], .rate = top_rate(find(before, &now->rows[i]), &now->rows[i], now->at_ms - before->at_ms)};
		memory += now->rows[i].memory_kib;
	}
	qsort(lines, now->n, sizeof(lines[0]), by_load);
	if (json) {
		show_json(now, lines);
		return;
	}
	if (terminal)
		fputs("\033[H\033[2J", stdout);
	printf("%zu vTPMs, %" PRIu64 " MiB in their programs; KMC %s\n", now->n, memory / 1024, now->kmc_up ? "connected" : "not connected");
	printf("%5s %5s  %-36s %8s %9s %6s %8s\n", "GUEST", "STUB", "VTPM", "CMD/MIN", "MEAN US", "BUSY%", "MEM KIB");
	for (size_t i = 0; i < now->n; i++)
		printf("%5" PRIu64 " %5" PRIu64 "  %-36s %8" PRIu64 " %9" PRIu64 " %4" PRIu64 ".%u %8" PRIu64 "\n", lines[i].row->guest, lines[i].row->stub,
		       uuid_format(&lines[i].row->uuid, uuid), lines[i].rate.per_minute, lines[i].rate.mean_us, lines[i].rate.busy_permil / 10,
		       (unsigned int)(lines[i].rate.busy_permil % 10), lines[i].row->memory_kib);
	fflush(stdout);
}

/* The relay answers with what stub domains told since the listing before, so the first look only has them asked. */
int top_run(const char *socket_path, unsigned int seconds, unsigned int rounds, bool json)
{
	static struct look looks[2];
	unsigned int round = 0;
	int r;

	while ((r = look(socket_path, &looks[round & 1])) == 0) {
		if (round > 0)
			show(&looks[(round - 1) & 1], &looks[round & 1], isatty(STDOUT_FILENO), json);
		if (rounds && round >= rounds)
			return 0;
		round++;
		sleep(seconds);
	}
	fprintf(stderr, "vtpmctl: asking vtpm-relayd at %s failed: %s; is the service running, and are you root?\n", socket_path,
		r == E_IO ? strerror(errno) : error_text(r));
	return EXIT_NO_RELAY;
}

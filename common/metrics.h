/*
 * Numbers about a daemon for Prometheus, in its text format: node_exporter's textfile collector reads them out of a file.
 *
 * The file stands in a directory "metrics" beside the daemon's control socket; it is written anew as a whole, so that nobody
 * reads half of it. Nothing in it is secret: everybody on the machine may read it.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

struct buf;

#define METRICS_PATH 256	/* bytes of a file's path with its NUL */
#define METRICS_PERIOD_MS 15000 /* between two writings: as often as Prometheus commonly asks */
#define HISTOGRAM_BUCKETS 13

/* How long things took: for each bound of metrics.c how many took no longer. */
struct histogram {
	uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_ms;
};

/** histogram_add() - one more, which took @ms. */
void histogram_add(struct histogram *h, uint64_t ms);

/**
 * metrics_prepare() - make the directory beside @control, while this process may still do so, and give it to @user
 * @path: becomes the path of @file in it; "" if the directory can't be made: then metrics_write() does nothing
 *
 * Logs a warning if the directory can't be made.
 */
void metrics_prepare(const char *control, const char *file, const char *user, char path[METRICS_PATH]);

/** metrics_family() - the lines that stand before a metric's values; @type: "gauge", "counter" or "histogram". */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/** metrics_gauge(), metrics_counter() - such a family with its one value. */
void metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t value);
void metrics_counter(struct buf *out, const char *name, const char *help, uint64_t value);

/** metrics_value() - one value; @label: its name, or NULL; @of: its value, of characters that need no quoting. */
void metrics_value(struct buf *out, const char *name, const char *label, const char *of, uint64_t value);

/** metrics_value_ms() - the same for a time in milliseconds, which is written in seconds. */
void metrics_value_ms(struct buf *out, const char *name, const char *label, const char *of, uint64_t ms);

void metrics_value_uuid(struct buf *out, const char *name, const struct uuid *uuid, uint64_t value);

/** metrics_histogram() - a family with its values, in seconds. */
void metrics_histogram(struct buf *out, const char *name, const char *help, const struct histogram *h);

/** metrics_write() - put what is in @out into the place of @path: 0 or E_IO, with the reason in the log once. */
int metrics_write(const char *path, struct buf *out);

#endif

/* Prometheus' text format, and the file for node_exporter. */
#include "common/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/process.h"

#define LINE_MAX_BYTES 320

static const uint64_t bounds_ms[HISTOGRAM_BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};

void histogram_add(struct histogram *h, uint64_t ms)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->bucket[i] += ms <= bounds_ms[i];
	h->count++;
	h->sum_ms += ms;
}

void metrics_prepare(const char *control, const char *file, const char *user, char path[METRICS_PATH])
{
	const char *slash = strrchr(control, '/');
	const struct passwd *owner = process_is_root() ? getpwnam(user) : NULL;
	int directory = slash ? (int)(slash - control) : 0;
	int n = snprintf(path, METRICS_PATH, "%.*s/metrics", directory, control);
	bool made;

	if (!slash || n + 1 + strlen(file) >= METRICS_PATH)
		errno = ENAMETOOLONG;
	else if (((made = mkdir(path, 0755) == 0) || errno == EEXIST) && (!made || chmod(path, 0755) == 0) && /* whatever the umask */
		 (!owner || chown(path, owner->pw_uid, owner->pw_gid) == 0)) {
		snprintf(path + n, (size_t)(METRICS_PATH - n), "/%s", file);
		return;
	}
	log_warn("can't make the directory %s for node_exporter: %s; going on without it", path, strerror(errno));
	path[0] = '\0';
}

static void put(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line that does not fit is left out, here and by metrics_write(). */
static void put(struct buf *out, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(line))
		buf_put(out, line, (size_t)n);
}

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
	put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_value(struct buf *out, const char *name, const char *label, const char *of, uint64_t value)
{
	if (label)
		put(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, of, value);
	else
		put(out, "%s %" PRIu64 "\n", name, value);
}

void metrics_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
	metrics_family(out, name, "gauge", help);
	metrics_value(out, name, NULL, NULL, value);
}

void metrics_counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	metrics_family(out, name, "counter", help);
	metrics_value(out, name, NULL, NULL, value);
}

void metrics_value_ms(struct buf *out, const char *name, const char *label, const char *of, uint64_t ms)
{
	if (label)
		put(out, "%s{%s=\"%s\"} %" PRIu64 ".%03u\n", name, label, of, ms / 1000, (unsigned int)(ms % 1000));
	else
		put(out, "%s %" PRIu64 ".%03u\n", name, ms / 1000, (unsigned int)(ms % 1000));
}

void metrics_value_uuid(struct buf *out, const char *name, const struct uuid *uuid, uint64_t value)
{
	char text[UUID_TEXT];

	metrics_value(out, name, "uuid", uuid_format(uuid, text), value);
}

void metrics_histogram(struct buf *out, const char *name, const char *help, const struct histogram *h)
{
	char of[LINE_MAX_BYTES / 2], bound[32];

	metrics_family(out, name, "histogram", help);
	snprintf(of, sizeof(of), "%s_bucket", name);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		snprintf(bound, sizeof(bound), "%" PRIu64 ".%03u", bounds_ms[i] / 1000, (unsigned int)(bounds_ms[i] % 1000));
		metrics_value(out, of, "le", bound, h->bucket[i]);
	}
	metrics_value(out, of, "le", "+Inf", h->count);
	put(out, "%s_sum %" PRIu64 ".%03u\n%s_count %" PRIu64 "\n", name, h->sum_ms / 1000, (unsigned int)(h->sum_ms % 1000), name, h->count);
}

/* The umask keeps files to ourselves; this one is for everybody. */
static int write_whole(const char *path, const struct buf *out)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, buf_ptr(out), buf_left(out)) == (ssize_t)buf_left(out) ? 0 : E_IO;

	if (fd >= 0)
		close(fd);
	return r;
}

int metrics_write(const char *path, struct buf *out)
{
	static int complained;
	char next[METRICS_PATH + 8];

	if (!path[0])
		return 0;
	snprintf(next, sizeof(next), "%s.new", path);
	if (write_whole(next, out) == 0 && rename(next, path) == 0) {
		complained = 0;
		return 0;
	}
	if (!complained++)
		log_warn("can't write %s for node_exporter: %s", path, strerror(errno));
	return E_IO;
}

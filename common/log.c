/*
 * One line per event, to standard error or systemd's journal.
 *
 * To the journal a line goes as one datagram of fields, "NAME=value" and a line break each (systemd's native protocol): that way an entry has fields of
 * its own, and a process without any way to the file system keeps its log, as its socket is connected before. What the journal does not take at once
 * goes to standard error: nobody waits for a journal that stands still.
 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/text.h"
#include "common/uuid.h"

#define LINE_MAX_BYTES 1024
#define FIELDS_MAX_BYTES 512
#define JOURNAL "/run/systemd/journal/socket"

static const char *process_name = "xen-vtpm";
static enum log_level level_max = LOG_LV_INFO;
static bool under_journal; /* standard error is systemd's */
static int journal = -1;

void log_close(void)
{
	if (journal >= 0)
		close(journal);
	journal = -1;
}

int log_journal(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	log_close();
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= (int)sizeof(a.sun_path))
		return E_IO;
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (journal >= 0 && connect(journal, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return 0;
	log_close();
	return E_IO;
}

/* Standard error may have been led elsewhere since: systemd says which device and inode it gave. */
static bool is_under_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(stream, own) == 0;
}

void log_open(const char *name, enum log_level max)
{
	process_name = name;
	level_max = max;
	under_journal = is_under_journal();
	if (under_journal)
		(void)log_journal(JOURNAL);
}

static const char *const words[] = {[LOG_LV_ERROR] = "error: ", [LOG_LV_WARN] = "warning: ", [LOG_LV_INFO] = "", [LOG_LV_DEBUG] = "debug: "};

static bool put_journal(enum log_level level, const struct log_about *a, const char *text)
{
	char fields[LINE_MAX_BYTES + FIELDS_MAX_BYTES], uuid[UUID_TEXT], host[81];
	size_t program = strcspn(process_name, "[");
	int n = snprintf(fields, sizeof(fields), "PRIORITY=%d\nSYSLOG_IDENTIFIER=%.*s\nMESSAGE=%s: %s%s\n", (int)level, (int)program, process_name,
			 process_name, words[level], text);

	if (a->vtpm)
		n += snprintf(fields + n, sizeof(fields) - (size_t)n, "VTPM_UUID=%s\n", uuid_format(a->vtpm, uuid));
	if (a->domid)
		n += snprintf(fields + n, sizeof(fields) - (size_t)n, "DOMID=%u\n", a->domid);
	if (a->host) {
		snprintf(host, sizeof(host), "%s", a->host);
		n += snprintf(fields + n, sizeof(fields) - (size_t)n, "HOST=%s\n", text_make_printable(host));
	}
	return send(journal, fields, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n; /* its queue is short and everybody's */
}

static void put_stderr(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 128], when[32];
	struct timespec now;
	struct tm tm;
	int n;

	if (under_journal) { /* sd-daemon(3) */
		n = snprintf(line, sizeof(line), "<%d>%s: %s%s\n", (int)level, process_name, words[level], text);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line, sizeof(line), "%s.%03ldZ %s: %s%s\n", when, now.tv_nsec / 1000000, process_name, words[level], text);
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody is left to tell */
}

static void put_line(enum log_level level, const struct log_about *a, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES];

	if (level > level_max)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text_make_printable(text); /* peers and guests get their words into our lines, but no escapes or line breaks */
	if (journal < 0 || !put_journal(level, a, text))
		put_stderr(level, text);
}

#define LOG_FUNCTION(name, level)                                \
	void name(const char *fmt, ...)                          \
	{                                                        \
		va_list ap;                                      \
								 \
		va_start(ap, fmt);                               \
		put_line(level, &(struct log_about){0}, fmt, ap); \
		va_end(ap);                                      \
	}

LOG_FUNCTION(log_error, LOG_LV_ERROR)
LOG_FUNCTION(log_warn, LOG_LV_WARN)
LOG_FUNCTION(log_info, LOG_LV_INFO)
LOG_FUNCTION(log_debug, LOG_LV_DEBUG)

void log_about(enum log_level level, const struct log_about *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(level, a, fmt, ap);
	va_end(ap);
}

void fatal(const char *fmt, ...)
{
	va_list ap;

	log_close(); /* the journal looks up whose a datagram is, and finds nobody any more; of a stream it knows */
	va_start(ap, fmt);
	put_line(LOG_LV_ERROR, &(struct log_about){0}, fmt, ap);
	va_end(ap);
	_exit(1);
}

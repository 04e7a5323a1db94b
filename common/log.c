/* One line per event, to standard error or the journal. */
#include "common/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"

#define LINE_MAX_BYTES 1024

static const char *process_name = "xen-vtpm";
static enum log_level level_max = LOG_LV_INFO;
static bool to_journal;

void log_open(const char *name, enum log_level max)
{
	process_name = name;
	level_max = max;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
}

static void put_line(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const words[] = {[LOG_LV_ERROR] = "error: ", [LOG_LV_WARN] = "warning: ", [LOG_LV_INFO] = "", [LOG_LV_DEBUG] = "debug: "};
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128], when[32];
	struct timespec now;
	struct tm tm;
	int n;

	if (level > level_max)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text_make_printable(text); /* peers and guests get their words into our lines, but no escapes or line breaks */
	if (to_journal) {
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

#define LOG_FUNCTION(name, level)          \
	void name(const char *fmt, ...)    \
	{                                  \
		va_list ap;                \
					   \
		va_start(ap, fmt);         \
		put_line(level, fmt, ap);  \
		va_end(ap);                \
	}

LOG_FUNCTION(log_error, LOG_LV_ERROR)
LOG_FUNCTION(log_warn, LOG_LV_WARN)
LOG_FUNCTION(log_info, LOG_LV_INFO)
LOG_FUNCTION(log_debug, LOG_LV_DEBUG)

void fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(LOG_LV_ERROR, fmt, ap);
	va_end(ap);
	_exit(1);
}

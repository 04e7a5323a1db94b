/* One line per event, to standard error or the journal; control characters never get through. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_LV_ERROR = 3, LOG_LV_WARN = 4, LOG_LV_INFO = 6, LOG_LV_DEBUG = 7 }; /* syslog(3) priorities */

/**
 * log_open() - set the process's name and the least important level that is written
 *
 * Lines go to standard error; under systemd they carry the <N> priority prefix of sd-daemon(3).
 * @name: a static string such as "vtpm-relayd[builder]".
 */
void log_open(const char *name, enum log_level max);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * fatal() - log and end the process with status 1
 *
 * For start-up, and for a violation between our own processes; never for what a guest or network peer sends.
 */
void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

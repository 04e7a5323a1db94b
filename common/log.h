/* One line per event, to standard error or systemd's journal; control characters never get through. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

struct uuid;

enum log_level { LOG_LV_ERROR = 3, LOG_LV_WARN = 4, LOG_LV_INFO = 6, LOG_LV_DEBUG = 7 }; /* syslog(3) priorities */

/**
 * log_open() - set the process's name and the least important level that is written
 *
 * Lines go to the journal where that is what systemd made of standard error (systemd.exec(5), JOURNAL_STREAM), else to standard error. To be called before
 * the process confines itself.
 * @name: a static string such as "vtpm-relayd[builder]".
 */
void log_open(const char *name, enum log_level max);

/** log_journal() - lines go to the journal whose socket is at @path: 0, or E_IO and they go to standard error. */
int log_journal(const char *path);

/** log_close() - the journal's descriptor, if there is one, is free for others; lines go to standard error. */
void log_close(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whom a line is about: fields of its entry in the journal. The text names them as well. */
struct log_about {
	const struct uuid *vtpm; /* VTPM_UUID; NULL: none in particular */
	const char *host;	 /* HOST, as the KMC names it; likewise */
	unsigned int domid;	 /* DOMID; 0: likewise */
};

#define ABOUT(...) (&(const struct log_about){__VA_ARGS__})

void log_about(enum log_level level, const struct log_about *a, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * fatal() - log and end the process with status 1
 *
 * For start-up, and for a violation between our own processes; never for what a guest or network peer sends.
 */
void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

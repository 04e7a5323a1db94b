/* Linux's freezer: its log and its patience. */
#include "vtpm-stubdom/guest/freezer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"

#define RECORD_MAX 8192	      /* bytes of a record of /dev/kmsg, as Linux has it */
#define RECORDS_PER_LOOK 1000 /* and no guest writes more while it stands still */
#define GAVE_UP "do_suspend: freeze processes failed" /* drivers/xen/manage.c */

static uint64_t read_ms(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[24] = "";

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return strtoull(line, NULL, 10);
}

/* 0: empty it. */
static bool write_ms(const char *path, int flags, uint64_t ms)
{
	char text[24];
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600), n = snprintf(text, sizeof(text), "%" PRIu64 "\n", ms);
	bool ok = fd >= 0 && (ms == 0 || write(fd, text, (size_t)n) == n);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool keep(const struct freezer *f, uint64_t ms)
{
	return write_ms(f->kept, O_CREAT | O_TRUNC, ms);
}

uint64_t freezer_open(struct freezer *f, const char *twin)
{
	static char log_path[4096], patience_path[4096], kept_path[4096];

	snprintf(log_path, sizeof(log_path), twin ? "%s.log" : "/dev/kmsg", twin);
	snprintf(patience_path, sizeof(patience_path), twin ? "%s.timeout" : "/sys/power/pm_freeze_timeout", twin);
	snprintf(kept_path, sizeof(kept_path), twin ? "%s.kept" : "/run/vtpm-guestd.freezer", twin);
	*f = (struct freezer){.path = patience_path, .kept = kept_path, .log = open(log_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
	f->own_ms = read_ms(f->kept);
	if (f->own_ms && freezer_set_patience(f, f->own_ms) != 0)
		return 0; /* and what it is now is not its own */
	if (!f->own_ms)
		f->own_ms = read_ms(f->path);
	return f->log < 0 ? 0 : f->own_ms;
}

void freezer_forget(const struct freezer *f)
{
	lseek(f->log, 0, SEEK_END);
}

bool freezer_gave_up(const struct freezer *f)
{
	char record[RECORD_MAX];
	bool found = false;
	ssize_t n;

	for (int i = 0; i < RECORDS_PER_LOOK; i++) {
		n = read(f->log, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* records were overwritten before they were read */
		if (n <= 0)
			break;
		record[n] = '\0';
		found |= strstr(record, GAVE_UP) != NULL;
	}
	return found;
}

int freezer_set_patience(const struct freezer *f, uint64_t ms)
{
	if (ms != f->own_ms && !keep(f, f->own_ms))
		return E_IO;
	if (!write_ms(f->path, 0, ms))
		return E_IO;
	if (ms == f->own_ms)
		(void)keep(f, 0); /* if it stays: it is set back once more by the next daemon */
	return 0;
}

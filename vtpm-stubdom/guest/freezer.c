/* Linux's freezer: its log and its patience. */
#include "vtpm-stubdom/guest/freezer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"

#define RECORD_MAX 8192	      /* bytes of a record of /dev/kmsg, as Linux has it */
#define RECORDS_PER_LOOK 1000 /* and no guest writes more while it stands still */
#define GAVE_UP "do_suspend: freeze processes failed" /* drivers/xen/manage.c */

static uint64_t read_patience(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[16] = "";

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return strtoul(line, NULL, 10);
}

uint64_t freezer_open(struct freezer *f, const char *twin)
{
	static char log_path[4096], patience_path[4096];

	snprintf(log_path, sizeof(log_path), twin ? "%s.log" : "/dev/kmsg", twin);
	snprintf(patience_path, sizeof(patience_path), twin ? "%s.timeout" : "/sys/power/pm_freeze_timeout", twin);
	f->path = patience_path;
	f->log = open(log_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return f->log < 0 ? 0 : read_patience(f->path);
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
	char text[24];
	int fd = open(f->path, O_WRONLY | O_CLOEXEC), n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)ms);
	bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : E_IO;
}

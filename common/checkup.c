/* Checks of files, users, certificates and devices, said for people. */
#include "common/checkup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/certinfo.h"
#include "common/error.h"
#include "common/results.h"
#include "common/text.h"

#define DAY 86400
#define SOON (14 * DAY)

void checkup_say(struct checkup *c, enum finding f, const char *fmt, ...)
{
	static const char *const words[] = {[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_WRONG] = "wrong"};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	results_finding(words[f], text_make_printable(text));
	c->notes += f == FINDING_NOTE;
	c->wrong += f == FINDING_WRONG;
}

int checkup_end(const struct checkup *c)
{
	results_number("wrong", c->wrong);
	results_number("to_note", c->notes);
	if (results_are_json())
		return c->wrong ? 1 : 0;
	if (c->wrong)
		printf("%u wrong, %u to note\n", c->wrong, c->notes);
	else
		printf("nothing wrong, %u to note\n", c->notes);
	return c->wrong ? 1 : 0;
}

bool checkup_file(struct checkup *c, const char *what, const char *path, const char *remedy)
{
	if (access(path, R_OK) == 0) {
		checkup_say(c, FINDING_OK, "%s: %s is there", what, path);
		return true;
	}
	checkup_say(c, FINDING_WRONG, "%s: %s: %s; %s", what, path, strerror(errno), remedy);
	return false;
}

void checkup_private(struct checkup *c, const char *what, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077))
		checkup_say(c, FINDING_WRONG, "%s: others than its owner may use %s (mode %03o): 'chmod go= %s', and make a new key if somebody may have read it",
			    what, path, (unsigned int)(st.st_mode & 0777), path);
}

void checkup_user(struct checkup *c, const char *name)
{
	if (getpwnam(name))
		checkup_say(c, FINDING_OK, "user '%s' exists", name);
	else
		checkup_say(c, FINDING_WRONG, "there is no user '%s': 'adduser --system --group %s', or install the package anew", name, name);
}

void checkup_space(struct checkup *c, const char *directory, uint64_t mib)
{
	struct statvfs fs;
	uint64_t free_mib;

	if (statvfs(directory, &fs) != 0) {
		checkup_say(c, FINDING_WRONG, "state directory %s: %s", directory, strerror(errno));
		return;
	}
	free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	if (free_mib < mib)
		checkup_say(c, FINDING_WRONG, "%s has %" PRIu64 " MiB left: writes of guests will fail when it is full; make room for %" PRIu64 " MiB at least",
			    directory, free_mib, mib);
	else
		checkup_say(c, FINDING_OK, "%s has %" PRIu64 " MiB left", directory, free_mib);
}

static const char *date(int64_t when, char text[32])
{
	time_t t = (time_t)when;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, 32, "%Y-%m-%d", &tm);
	return text;
}

void checkup_certificate(struct checkup *c, const char *what, const char *path, const char *key_path, const char *remedy, const char *early)
{
	int64_t now = (int64_t)time(NULL);
	struct certinfo info;
	char when[32];
	int r = certinfo_read(path, key_path, &info);

	if (r != 0)
		checkup_say(c, FINDING_WRONG, "%s: can't read %s: %s; %s", what, path, r == E_IO ? strerror(errno) : "no certificate in PEM", remedy);
	else if (info.until <= now)
		checkup_say(c, FINDING_WRONG, "%s: %s expired on %s; %s", what, path, date(info.until, when), remedy);
	else if (info.from > now)
		checkup_say(c, FINDING_WRONG, "%s: %s is valid from %s on only: set this machine's clock", what, path, date(info.from, when));
	else if (key_path && info.has_key && !info.is_its_key)
		checkup_say(c, FINDING_WRONG, "%s: %s is not the key of %s: the files are of different enrolments; %s", what, key_path, path, remedy);
	else if (key_path && !info.has_key)
		checkup_say(c, FINDING_WRONG, "%s: can't read the key %s; %s", what, key_path, remedy);
	else if (info.until - now < SOON)
		checkup_say(c, FINDING_NOTE, "%s: %s expires on %s; %s", what, path, date(info.until, when), early);
	else
		checkup_say(c, FINDING_OK, "%s: %s is valid until %s", what, path, date(info.until, when));
}

void checkup_tpm(struct checkup *c, const char *tcti)
{
	const char *path = strncmp(tcti, "device:", 7) == 0 ? tcti + 7 : NULL;
	int fd;

	if (!path) {
		checkup_say(c, FINDING_NOTE, "the TPM is '%s', no device of this machine: only for tests", tcti);
		return;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno == EBUSY)
		checkup_say(c, FINDING_OK, "the TPM %s is there", path);
	else if (errno == ENOENT)
		checkup_say(c, FINDING_WRONG, "the TPM %s is not there: switch it on in the firmware's setup ('TPM 2.0', 'PTT' or 'fTPM'), then look at 'dmesg | grep -i tpm'", path);
	else
		checkup_say(c, FINDING_WRONG, "the TPM %s: %s; run this as root", path, strerror(errno));
}

/*
 * Preloaded into a kmcd: its clock and its disk, as the test says; or into a vtpm-stubdom: its memory. RING2_FAULTS names a file with one
 * line, "SECONDS HOW": so much is added to the wall clock, and HOW is "well", "full" (no room), "readonly" or "error" for what is written, or
 * "memory" for none, when libtpms wants as much as its permanent state takes. The file is mapped before anything else runs, so that neither
 * chroot nor a system call filter hides it. It reaches libraries too: OpenSSL's certificates, SQLite.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define LARGE 200000 /* bytes */

static const char *said = "0 well";

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("RING2_FAULTS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED) {
		fprintf(stderr, "faults: RING2_FAULTS can't be read\n");
		_exit(1);
	}
	said = p;
	close(fd);
}

static long offset(void)
{
	return strtol(said, NULL, 10);
}

int clock_gettime(clockid_t which, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(which, t);
	if (r == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		t->tv_sec += offset();
	return r;
}

time_t time(time_t *out)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec t = {0};

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}

/* The error that a write gets now, 0 for none. */
static int trouble(void)
{
	static const struct {
		const char *how;
		int error;
	} table[] = {{"full", ENOSPC}, {"readonly", EROFS}, {"error", EIO}};
	const char *how = strchr(said, ' ');

	for (size_t i = 0; how && i < sizeof(table) / sizeof(table[0]); i++)
		if (strncmp(how + 1, table[i].how, strlen(table[i].how)) == 0)
			return table[i].error;
	return 0;
}

void *realloc(void *p, size_t n)
{
	static void *(*real)(void *, size_t);
	const char *how = strchr(said, ' ');

	if (!real)
		real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	if (n < LARGE || !how || strncmp(how + 1, "memory", 6) != 0)
		return real(p, n);
	errno = ENOMEM;
	return NULL;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);
	int error = trouble();

	if (!real)
		real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
	if (error) {
		errno = error;
		return -1;
	}
	return real(fd, p, n, at);
}

static int sync_with(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	if (trouble() == EIO) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

int fsync(int fd)
{
	return sync_with("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_with("fdatasync", fd);
}

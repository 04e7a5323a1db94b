/*
 * The disk below the state directory, as bad as a disk may be: linked between the relay's state process and the C library (--wrap).
 *
 * What is written is not there before it is synced: until then it stands in this process's memory only, and kill -9 is a power cut
 * that drops it. A sync writes its blocks in no order, so that the cut may tear them. A removed file stays until the directory is
 * synced. And a file named "fails" in the state directory makes the disk fail: "full" refuses room, "error" refuses to sync,
 * "lies" says that it has. What is opened with open(), the history, is for people: nothing is promised over a power cut, and it goes its way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define BLOCK 4096

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming): the linker's names */
int __real_openat(int dir, const char *name, int flags, ...);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_unlinkat(int dir, const char *name, int flags);
int __real_posix_fallocate(int fd, off_t offset, off_t size);

/* What the linker makes of the product's calls. */
int __wrap_openat(int dir, const char *name, int flags, ...);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_fsync(int fd);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming) */

static int state_dir = -1;

/* One write and one removal at a time: statedir.c syncs each before the next. */
static struct {
	int fd;
	uint8_t *p;
	size_t n;
	off_t at;
} pending = {.fd = -1};

#define FDS_MAX 2048

static char removed[64];
static bool is_ours[FDS_MAX]; /* descriptors that openat() gave */

static bool is_state_file(const char *name)
{
	size_t n = strlen(name);

	return n > 6 && strcmp(name + n - 6, ".state") == 0;
}

/* Is that the way in which the disk fails now? */
static bool fails(const char *how)
{
	char text[8] = "";
	int fd = state_dir < 0 ? -1 : __real_openat(state_dir, "fails", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return strncmp(text, how, strlen(how)) == 0;
}

int __wrap_openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (is_state_file(name))
		state_dir = dir;
	fd = __real_openat(dir, name, flags, mode);
	if (fd >= 0 && fd < FDS_MAX)
		is_ours[fd] = true;
	return fd;
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
	return fails("full") ? ENOSPC : __real_posix_fallocate(fd, offset, size);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (fd >= FDS_MAX || !is_ours[fd])
		return pwrite64(fd, p, n, at);
	if (pending.fd >= 0)
		free(pending.p); /* a write that could not be synced */
	pending.fd = fd;
	pending.p = malloc(n);
	pending.n = n;
	pending.at = at;
	if (!pending.p)
		abort();
	memcpy(pending.p, p, n);
	return (ssize_t)n;
}

/* Blocks with an odd number first, last to first: any order is a disk's right. */
static int write_out(void)
{
	size_t blocks = (pending.n + BLOCK - 1) / BLOCK;

	for (size_t i = 2 * blocks; i-- > 0;) {
		size_t block = i % blocks;
		size_t n = block + 1 < blocks ? BLOCK : pending.n - block * BLOCK;

		if ((block % 2 == 1) == (i < blocks))
			continue;
		if (pwrite64(pending.fd, pending.p + block * BLOCK, n, pending.at + (off_t)(block * BLOCK)) != (ssize_t)n)
			return -1;
	}
	return 0;
}

int __wrap_fdatasync(int fd)
{
	int r = 0;

	if (fails("error")) {
		errno = EIO;
		return -1;
	}
	if (pending.fd == fd) {
		r = fails("lies") ? 0 : write_out();
		free(pending.p);
		pending.p = NULL;
		pending.fd = -1;
	}
	return r == 0 ? __real_fdatasync(fd) : r;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	if (!is_state_file(name))
		return __real_unlinkat(dir, name, flags);
	snprintf(removed, sizeof(removed), "%s", name);
	state_dir = dir;
	return 0;
}

int __wrap_fsync(int fd)
{
	if (fd == state_dir && removed[0]) {
		if (__real_unlinkat(fd, removed, 0) != 0 && errno != ENOENT)
			return -1;
		removed[0] = '\0';
	}
	return __real_fsync(fd);
}

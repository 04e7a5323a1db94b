/* The builder's records of its stub domains. */
#include "dom0-relay/stub_records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"

int stub_records_open(const char *path)
{
	struct stat st;
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return E_IO;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return E_IO;
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		close(fd);
		errno = EPERM;
		return E_IO;
	}
	return fd;
}

int stub_records_add(int dir, const struct uuid *handle)
{
	char name[UUID_TEXT];
	int fd = openat(dir, uuid_format(handle, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return E_IO;
	close(fd);
	return 0;
}

void stub_records_remove(int dir, const struct uuid *handle)
{
	char name[UUID_TEXT];

	unlinkat(dir, uuid_format(handle, name), 0);
}

int stub_records_each(int dir, void (*fn)(void *arg, const struct uuid *handle), void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct uuid handle;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return E_IO;
	}
	while ((e = readdir(d)) != NULL)
		if (uuid_parse(e->d_name, &handle) == 0)
			fn(arg, &handle);
	closedir(d);
	return 0;
}

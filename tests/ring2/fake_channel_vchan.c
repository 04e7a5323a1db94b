/*
 * common/channel.h's vchan client without Xen: the Unix socket that belongs to a stub domain, or to a domain that offers a way to the KMC.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/channel.h"
#include "tests/ring2/domains.h"

struct channel *channel_vchan_client(unsigned int domid, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char name[DOMAIN_PATH];
	int fd;

	ring2_path(name, strstr(path, "/data/vtpm-kmc/") ? "kmc-%u.sock" : "stub-%u.sock", domid);
	if (strlen(name) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	memcpy(addr.sun_path, name, strlen(name) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	return channel_unix(fd);
}

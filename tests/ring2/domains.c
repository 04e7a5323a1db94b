/* The domains of a host without hypervisor. */
#include "tests/ring2/domains.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *ring2_path(char out[DOMAIN_PATH], const char *fmt, ...)
{
	const char *dir = getenv("RING2_DIR");
	va_list ap;
	int n;

	if (!dir)
		abort();
	n = snprintf(out, DOMAIN_PATH, "%s/", dir);
	va_start(ap, fmt);
	n += vsnprintf(out + n, DOMAIN_PATH - (size_t)n, fmt, ap);
	va_end(ap);
	if (n >= DOMAIN_PATH)
		abort();
	return out;
}

int domain_read(unsigned int domid, struct domain *d)
{
	char path[DOMAIN_PATH], shutdown[12] = "-", text[96] = "";
	ssize_t n;
	int fd;

	*d = (struct domain){.handle = "00000000-0000-0000-0000-000000000000", .incarnation = 1, .shutdown = -1};
	if (domid == 0)
		return 0;
	fd = open(ring2_path(path, "domains/%u", domid), O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0 || sscanf(text, "%36s %u %11s %d", d->handle, &d->incarnation, shutdown, &d->paused) != 4)
		return -1;
	if (shutdown[0] != '-')
		d->shutdown = atoi(shutdown);
	return 0;
}

/* As VIRQ_DOM_EXC: nobody hears it while no xenstored runs. */
static void ring_bell(void)
{
	char path[DOMAIN_PATH];
	int fd = open(ring2_path(path, "virq"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "!", 1) != 1)
		fprintf(stderr, "domains: nobody empties %s\n", path);
	close(fd);
}

int domain_write(unsigned int domid, const struct domain *d, int exclusive)
{
	char path[DOMAIN_PATH], part[DOMAIN_PATH], text[96], shutdown[12] = "-";
	int fd, n;

	if (d->shutdown >= 0)
		snprintf(shutdown, sizeof(shutdown), "%d", d->shutdown);
	n = snprintf(text, sizeof(text), "%s %u %s %d\n", d->handle, d->incarnation, shutdown, d->paused);
	fd = open(ring2_path(part, "domains/.%u.%d", domid, getpid()), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
	ring2_path(path, "domains/%u", domid);
	if (exclusive ? link(part, path) != 0 : rename(part, path) != 0)
		n = -1;
	unlink(part);
	ring_bell();
	return n < 0 ? -1 : 0;
}

void domain_remove(unsigned int domid)
{
	char path[DOMAIN_PATH];

	unlink(ring2_path(path, "domains/%u", domid));
	ring_bell();
}

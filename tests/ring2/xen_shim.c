/*
 * What a real xenstored asks of Xen, for a machine without: preloaded into xenstored and into nothing else.
 *
 * Domains come from $RING2_DIR/domains, VIRQ_DOM_EXC from the FIFO $RING2_DIR/virq, and every grant is a page of
 * zeros: a ring in which no domain ever asks anything. Clients use xenstored's Unix socket, as dom0's own do.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "common/uuid.h"
#include "tests/ring2/domains.h"

#define VIRQ_PORT 1
#define RING_PORT 2 /* of every domain: never rung */

static char handle[1]; /* what all the handles point to */
static int virq_fd = -1;

/* --- xenctrl --- */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned int flags)
{
	(void)logger, (void)dombuild_logger, (void)flags;
	return (xc_interface *)handle;
}

int xc_interface_close(xc_interface *xc)
{
	(void)xc;
	return 0;
}

int xc_domain_getinfo(xc_interface *xc, uint32_t domid, unsigned int max, xc_dominfo_t *info)
{
	struct domain d;

	(void)xc;
	if (max != 1)
		return -1;
	if (domain_read(domid, &d) != 0)
		return 0;
	memset(info, 0, sizeof(*info));
	info->domid = domid;
	info->shutdown = d.shutdown >= 0;
	info->shutdown_reason = d.shutdown >= 0 ? (unsigned int)d.shutdown : 0;
	return 1;
}

/* --- event channels --- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	char path[DOMAIN_PATH];

	(void)logger, (void)flags;
	virq_fd = open(ring2_path(path, "virq"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return virq_fd < 0 ? NULL : (xenevtchn_handle *)handle;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	(void)xce;
	return virq_fd;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce, (void)port;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
	(void)xce, (void)domid, (void)remote_port;
	return RING_PORT;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	(void)xce, (void)virq;
	return VIRQ_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce, (void)port;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	char bells[64];

	(void)xce;
	return read(virq_fd, bells, sizeof(bells)) > 0 ? VIRQ_PORT : -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce, (void)port;
	return 0;
}

/* --- grants --- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger, (void)flags;
	return (xengnttab_handle *)handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	(void)xgt;
	return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t max)
{
	(void)xgt, (void)max;
	return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	void *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)xgt, (void)domid, (void)ref;
	return p == MAP_FAILED ? NULL : p;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	(void)xgt;
	return munmap(start, 4096UL * count);
}

/* --- /proc/xen: dom0's own ring and its port --- */

static int page_with(const char *text)
{
	int fd = memfd_create("xsd", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096) != 0 || pwrite(fd, text, strlen(text), 0) < 0)
		return -1;
	return fd;
}

int open(const char *path, int flags, ...)
{
	static int (*real)(const char *path, int flags, ...);
	va_list ap;
	int mode;

	if (strcmp(path, "/proc/xen/xsd_kva") == 0)
		return page_with("");
	if (strcmp(path, "/proc/xen/xsd_port") == 0)
		return page_with("1");
	if (!real)
		real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return real(path, flags, mode);
}

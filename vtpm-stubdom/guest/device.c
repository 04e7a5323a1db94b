/* The guest kernel's side. */
#include "vtpm-stubdom/guest/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vtpm_proxy.h>

#include "common/error.h"

static const struct {
	const char *path, *module;
} needed[] = {
	{"/dev/vtpmx", "tpm_vtpm_proxy"},
	{"/dev/xen/gntalloc", "xen-gntalloc"},
	{"/dev/xen/evtchn", "xen-evtchn"},
};

static bool present(const char *before, unsigned int n, const char *after)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%u%s", before, n, after);
	return access(path, F_OK) == 0;
}

int device_lock(unsigned int dev)
{
	char path[64];
	bool busy;
	int fd;

	snprintf(path, sizeof(path), "/run/vtpm-guestd-%u.lock", dev);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return E_IO;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0; /* and stays open */
	busy = errno == EWOULDBLOCK;
	close(fd);
	return busy ? E_BUSY : E_IO;
}

enum device_verdict device_check(unsigned int dev, char *why, size_t size)
{
	if (!present("/sys/bus/xen/devices/vtpm-", dev, "")) {
		snprintf(why, size, "this domain has no vTPM number %u: give it a vtpm line in its xl configuration", dev);
		return DEVICE_TAKEN;
	}
	if (present("/sys/bus/xen/devices/vtpm-", dev, "/driver")) {
		snprintf(why, size, "the kernel's xen-tpmfront has vTPM number %u: 'echo vtpm-%u >/sys/bus/xen/drivers/vtpm/unbind' as root takes it away",
			 dev, dev);
		return DEVICE_TAKEN;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (access(needed[i].path, R_OK | W_OK) != 0) {
			snprintf(why, size, "can't use %s (errno %d): load the module %s, as root; xen-tpmfront can serve the vTPM without it",
				 needed[i].path, errno, needed[i].module);
			return DEVICE_UNUSABLE;
		}
	return DEVICE_USABLE;
}

int device_open(unsigned int *number)
{
	struct vtpm_proxy_new_dev new = {.flags = VTPM_PROXY_FLAG_TPM2};
	int fd = open("/dev/vtpmx", O_RDWR | O_CLOEXEC), r;

	if (fd < 0)
		return E_IO;
	r = ioctl(fd, VTPM_PROXY_IOC_NEW_DEV, &new);
	close(fd);
	if (r != 0)
		return E_IO;
	fcntl((int)new.fd, F_SETFD, FD_CLOEXEC);
	*number = new.tpm_num;
	return (int)new.fd;
}

bool device_registered(unsigned int number)
{
	return present("/sys/class/tpmrm/tpmrm", number, "");
}

/* The guest kernel's side: its proxy for TPMs in user space, and who else may want the vTPM. */
#ifndef VTPM_STUBDOM_GUEST_DEVICE_H
#define VTPM_STUBDOM_GUEST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

enum device_verdict {
	DEVICE_USABLE = 0,
	DEVICE_UNUSABLE = 1, /* something is missing: xen-tpmfront should have it */
	DEVICE_TAKEN = 2,    /* there is nothing to do: no vTPM, or somebody has it already */
};

/** device_check() - can this guest's vTPM number @dev be served by us? What is in the way, and what to do about it, goes into @why. */
enum device_verdict device_check(unsigned int dev, char *why, size_t size);

/** device_lock() - be the only daemon for number @dev until the end of the process: 0, E_BUSY, or E_IO (errno). */
int device_lock(unsigned int dev);

/**
 * device_open() - make a new TPM 2.0 device
 * @number: N of /dev/tpmN and /dev/tpmrmN, which appear once the kernel's first commands have been answered
 *
 * Return: the descriptor from which its commands come and to which responses go, one message each; closing it removes the
 * device. E_IO: errno says why.
 */
int device_open(unsigned int *number);

/** device_registered() - has the kernel finished making it? */
bool device_registered(unsigned int number);

#endif

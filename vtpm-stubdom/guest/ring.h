/* The shared page from the guest's side (vtpm-stubdom/tpmif.h has the layout and the backend's side). No extra pages. */
#ifndef VTPM_STUBDOM_GUEST_RING_H
#define VTPM_STUBDOM_GUEST_RING_H

#include <stddef.h>
#include <stdint.h>

enum ring_state {
	RING_BUSY,     /* a command or a cancellation that the backend has not answered */
	RING_FINISHED, /* a response */
	RING_IDLE,     /* nothing */
};

/** ring_state() - look at the page once. */
enum ring_state ring_state(const void *page);

/** ring_submit() - put a command of at most TPMIF_DATA_MAX bytes into the page, which is not busy. The caller notifies. */
void ring_submit(void *page, unsigned int locality, const uint8_t *command, size_t n);

/** ring_cancel() - ask for the end of what was submitted. The caller notifies. */
void ring_cancel(void *page);

/**
 * ring_response() - copy the response out of a finished page
 * @out: TPMIF_DATA_MAX bytes
 *
 * Return: its size; 0 if what is there is no TPM response: too short, longer than the page, or at odds with its own header.
 */
size_t ring_response(const void *page, uint8_t *out);

/** ring_wipe() - clear the data, which may hold a password or what it opens. */
void ring_wipe(void *page);

#endif

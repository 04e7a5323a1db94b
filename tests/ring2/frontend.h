/* The guest's end of the Unix twin (vtpm-stubdom/port.h): what xen-tpmfront is to a guest, and as hostile as a test wants it. */
#ifndef TESTS_RING2_FRONTEND_H
#define TESTS_RING2_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

struct frontend {
	int socket;	       /* SOCK_SEQPACKET to the backend */
	int to_backend, to_us; /* eventfds */
	int page_fd;
	uint8_t *page;
	uint32_t ring_ref;
};

/** frontend_open() - over the connected socket @fd, owned from now on: make a page and events. 0 or -1. */
int frontend_open(struct frontend *f, int fd);

/** frontend_connect() - connect to the socket at @path, then frontend_open(). */
int frontend_connect(struct frontend *f, const char *path);

/** frontend_say() - tell the backend a state; 3 hands over page and events under a new ring reference. 0 or -1. */
int frontend_say(struct frontend *f, uint32_t state);

/** frontend_await() - wait up to @ms until the backend says @state: 0 or -1. */
int frontend_await(struct frontend *f, uint32_t state, int ms);

/** frontend_notify() - raise the backend's event. */
void frontend_notify(struct frontend *f);

/** frontend_wait() - wait up to @ms for the backend's event: 0 or -1. */
int frontend_wait(struct frontend *f, int ms);

/** frontend_submit() - put a command into the page and notify. */
void frontend_submit(struct frontend *f, const void *command, size_t n);

/** frontend_command() - one command and its response of at most 4088 bytes, within @ms: its size or -1. */
int frontend_command(struct frontend *f, const void *command, size_t n, uint8_t *response, int ms);

/** frontend_close() - unmap and close; the backend sees the guest vanish. */
void frontend_close(struct frontend *f);

#endif

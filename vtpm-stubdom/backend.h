/*
 * The backend of one guest's vTPM device: connects to the frontend whenever it asks, copies its requests out, puts answers in.
 *
 * Everything that comes from the guest is rubbish until proved otherwise, and costs at most its own device. Each call from the event
 * loop does a bounded amount of work, so that a flood of events starves nobody.
 */
#ifndef VTPM_STUBDOM_BACKEND_H
#define VTPM_STUBDOM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct loop;
struct port;
struct tpmif_request;

struct backend_ops {
	/* One command. It is answered with backend_answer(), now or later; no other comes before. */
	void (*request)(void *arg, const struct tpmif_request *r);
	/* A request that is no command was answered with an error. */
	void (*malformed)(void *arg);
	void (*connected)(void *arg, bool connected);
};

/** backend_new() - serve the frontend behind @port, owned by the backend from now on, even if NULL (no memory) is returned. */
struct backend *backend_new(struct loop *loop, struct port *port, const struct backend_ops *ops, void *arg);

/** backend_answer() - the response to the last request; dropped if the guest has closed its device meanwhile. */
void backend_answer(struct backend *b, const uint8_t *response, size_t n);

/** backend_hold() - while @held no request is taken from the page, though a frontend may connect; then what waits there is. */
void backend_hold(struct backend *b, bool held);

/** backend_connected() - is a frontend's page mapped? */
bool backend_connected(const struct backend *b);

/** backend_free() - stop serving and unmap; the guest is told nothing. *@b may be NULL. */
void backend_free(struct backend **b);

#endif

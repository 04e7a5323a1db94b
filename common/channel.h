/*
 * A stream of bytes between two domains (relay and stub domain, relay and KMC): libxenvchan in production, a Unix socket in tests.
 *
 * Non-blocking. Readiness shows on channel_fd(); when it does, call channel_wait() once before reading or writing.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

struct channel;

/* One transport; a transport's file makes channels of it with channel_new(). */
struct channel_ops {
	int (*fd)(void *transport);
	int (*wait)(void *transport);
	int (*read)(void *transport, void *p, size_t n, size_t *got);
	int (*write)(void *transport, const void *p, size_t n, size_t *put);
	bool (*is_met)(void *transport);
	void (*close)(void *transport);
};

/** channel_new() - wrap @transport, owned by the channel from now on, closed even if NULL (no memory) is returned. */
struct channel *channel_new(const struct channel_ops *ops, void *transport);

/** channel_fd() - poll it for reading only: it tells of room to write, too. */
int channel_fd(const struct channel *c);

/** channel_wait() - take note of the event that made the descriptor readable: 0 or E_EOF. */
int channel_wait(struct channel *c);

/** channel_read() - up to @n bytes, at least 1: 0, E_AGAIN_IN, E_EOF or E_IO. */
int channel_read(struct channel *c, void *p, size_t n, size_t *got);

/** channel_write() - up to @n bytes, at least 1: 0, E_AGAIN_OUT, E_EOF or E_IO. */
int channel_write(struct channel *c, const void *p, size_t n, size_t *put);

/** channel_is_met() - somebody has connected to a server's channel, and may have gone again; true for a client's. */
bool channel_is_met(struct channel *c);

/** channel_close() - close and release *@c; it may be NULL. */
void channel_close(struct channel **c);

/* --- libxenvchan (channel_vchan.c) --- */

/**
 * channel_vchan_server() - offer a channel to dom0
 * @path: absolute xenstore directory below this domain's own data/
 *
 * Return: the channel, before anybody has connected, or NULL with errno set.
 */
struct channel *channel_vchan_server(const char *path);

/** channel_vchan_client() - connect to what domain @domid offers at @path, which must be there. NULL with errno set. */
struct channel *channel_vchan_client(unsigned int domid, const char *path);

/* --- Unix sockets (channel_unix.c) --- */

/** channel_unix() - over the connected stream socket @fd, owned by the channel from now on. NULL: no memory. */
struct channel *channel_unix(int fd);

/**
 * channel_unix_server() - over the first connection that @listener, a non-blocking stream socket, gets
 *
 * The listener stays the caller's and must outlive the channel. Return: the channel, before anybody has connected, or NULL.
 */
struct channel *channel_unix_server(int listener);

#endif

/*
 * Plays libxl's part with a vtpm device, node for node and wait for wait:
 *
 *   libxl-player create DOMID HANDLE [N]      a domain, paused; restored from an image of incarnation N
 *   libxl-player attach DOMID DEV UUID [NAME] write the device, wait up to 10 s for state 2; NAME: of the backend's domain, else dom0
 *   libxl-player unpause DOMID                it runs
 *   libxl-player incarnation DOMID            print it: what an image of the domain carries
 *   libxl-player detach DOMID DEV             remove it, wait up to 10 s for state 6
 *   libxl-player destroy DOMID                the domain is gone
 *   libxl-player suspend DOMID REASON|-       it shut down with that reason, or runs on
 *
 * Exit status: 0, 1 for a wait in vain (as libxl complains), 2 for misuse. Prints how long a wait took, in ms.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include "tests/ring2/domains.h"
#include "xenstore-schema/nodes.h"

#define PATIENCE_MS 10000 /* LIBXL_INIT_TIMEOUT and LIBXL_DESTROY_TIMEOUT */

static struct xs_handle *xs;

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "libxl-player: %s failed\n", what);
	exit(2);
}

static unsigned long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000;
}

static void allow(xs_transaction_t t, const char *path, unsigned int owner, unsigned int reader)
{
	struct xs_permissions perms[2] = {{.id = owner, .perms = XS_PERM_NONE}, {.id = reader, .perms = XS_PERM_READ}};

	need(xs_set_permissions(xs, t, path, perms, owner == reader ? 1 : 2), path);
}

static void make(xs_transaction_t t, const char *path, unsigned int owner, unsigned int reader)
{
	need(xs_mkdir(xs, t, path), path);
	allow(t, path, owner, reader);
}

static void put(xs_transaction_t t, const char *directory, const char *name, const char *value)
{
	char path[2 * NODE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	need(xs_write(xs, t, path, value, (unsigned int)strlen(value)), path);
}

static void put_number(xs_transaction_t t, const char *directory, const char *name, unsigned int value)
{
	char text[12];

	snprintf(text, sizeof(text), "%u", value);
	put(t, directory, name, text);
}

static int create(unsigned int domid, const char *handle, unsigned int image)
{
	struct domain d = {.incarnation = image + 1, .shutdown = -1, .paused = 1};
	char path[NODE_PATH_MAX];

	snprintf(d.handle, sizeof(d.handle), "%s", handle);
	need(domain_write(domid, &d, true) == 0, "domain");
	need(xs_introduce_domain(xs, domid, 1, 1), "introduce");
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	make(XBT_NULL, path, 0, domid);
	snprintf(path, sizeof(path), "/local/domain/%u/device", domid);
	make(XBT_NULL, path, 0, domid);
	return 0;
}

static int destroy(unsigned int domid)
{
	char path[NODE_PATH_MAX];

	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	xs_rm(xs, XBT_NULL, path);
	snprintf(path, sizeof(path), "/libxl/%u", domid);
	xs_rm(xs, XBT_NULL, path);
	domain_remove(domid);
	xs_release_domain(xs, domid);
	return 0;
}

static int change_shutdown(unsigned int domid, const char *reason)
{
	struct domain d;

	need(domain_read(domid, &d) == 0, "domain");
	d.shutdown = reason[0] == '-' ? -1 : atoi(reason);
	domain_write(domid, &d, false);
	if (d.shutdown < 0)
		xs_resume_domain(xs, domid); /* else xenstored would not tell of its next shutdown */
	return 0;
}

static int unpause(unsigned int domid)
{
	struct domain d;

	need(domain_read(domid, &d) == 0, "domain");
	d.paused = 0;
	domain_write(domid, &d, false);
	return 0;
}

static int print_incarnation(unsigned int domid)
{
	struct domain d;

	need(domain_read(domid, &d) == 0, "domain");
	printf("%u\n", d.incarnation);
	return 0;
}

/* libxl__resolve_domid(): the domain of that name, or 0. */
static unsigned int find_domain(const char *name)
{
	char path[NODE_PATH_MAX];
	struct node_ids ids = {0};

	for (ids.guest = 1; ids.guest < 2000; ids.guest++) {
		unsigned int n;
		char *value = xs_read(xs, XBT_NULL, node_path(path, NODE_DOMAIN_NAME, ids), &n);
		bool same = value && strcmp(value, name) == 0;

		free(value);
		if (same)
			return ids.guest;
	}
	return 0;
}

/* The device's backend directory: below dom0, or below the domain ids.stub. */
static char *backend_path(char path[NODE_PATH_MAX], struct node_ids ids)
{
	return node_path(path, ids.stub ? NODE_BACKEND : NODE_CONTROL, ids);
}

/* libxl__device_generic_add() */
static void write_device(xs_transaction_t t, struct node_ids ids, const char *uuid)
{
	char front[NODE_PATH_MAX], back[NODE_PATH_MAX], libxl[NODE_PATH_MAX], path[2 * NODE_PATH_MAX];

	node_path(front, NODE_FRONTEND, ids);
	backend_path(back, ids);
	snprintf(libxl, sizeof(libxl), "/libxl/%u/device/vtpm/%u", ids.guest, ids.dev);
	make(t, libxl, 0, 0);
	make(t, front, ids.guest, ids.stub);
	make(t, back, ids.stub, ids.guest);
	put(t, libxl, "frontend", front);
	put(t, libxl, "backend", back);
	put_number(t, libxl, "frontend-id", ids.guest);
	put(t, libxl, "online", "1");
	put(t, libxl, "state", "1");
	put_number(t, libxl, "handle", ids.dev);
	put(t, libxl, "uuid", uuid);
	put(t, libxl, "resume", "False");
	put(t, front, "backend", back);
	put_number(t, front, "backend-id", ids.stub);
	put(t, front, "state", "1");
	put_number(t, front, "handle", ids.dev);
	put(t, back, "frontend", front);
	put_number(t, back, "frontend-id", ids.guest);
	put(t, back, "online", "1");
	put(t, back, "state", "1");
	put_number(t, back, "handle", ids.dev);
	put(t, back, "uuid", uuid);
	put(t, back, "resume", "False");
	snprintf(path, sizeof(path), "%s/state", back);
	allow(t, path, ids.stub, ids.guest);
}

static int read_state(const char *path)
{
	unsigned int n;
	char *value = xs_read(xs, XBT_NULL, path, &n);
	int state = value ? atoi(value) : -1;

	free(value);
	return state;
}

/* libxl's ev_devstate: exactly that state, or the node gone, or 10 s. */
static int wait_state(struct node_ids ids, int wanted)
{
	unsigned long began = now_ms();
	char path[NODE_PATH_MAX];
	int state;

	node_path(path, ids.stub ? NODE_BACKEND_STATE : NODE_CONTROL_STATE, ids);
	need(xs_watch(xs, path, "state"), "watch");
	while ((state = read_state(path)) != wanted && state >= 0 && now_ms() - began < PATIENCE_MS) {
		struct pollfd p = {.fd = xs_fileno(xs), .events = POLLIN};
		unsigned int n;

		if (poll(&p, 1, (int)(PATIENCE_MS - (now_ms() - began)) + 1) == 1)
			free(xs_read_watch(xs, &n));
	}
	xs_unwatch(xs, path, "state");
	if (state != wanted)
		fprintf(stderr, "libxl: error: domain %u device %u: state is %d after %lu ms, not %d\n", ids.guest, ids.dev, state, now_ms() - began,
			wanted);
	printf("%lu\n", now_ms() - began);
	return state == wanted ? 0 : 1;
}

static int attach(struct node_ids ids, const char *uuid, const char *name)
{
	xs_transaction_t t;

	ids.stub = name ? find_domain(name) : 0;
	if (name && !ids.stub) {
		fprintf(stderr, "libxl: error: unknown backend domain %s\n", name);
		return 1;
	}
	do {
		t = xs_transaction_start(xs);
		write_device(t, ids, uuid);
	} while (!xs_transaction_end(xs, t, false));
	return wait_state(ids, 2);
}

/* libxl__xs_path_cleanup(): the directory above goes with its last child. */
static void remove_if_empty(const char *path)
{
	unsigned int n = 0;
	char **names = xs_directory(xs, XBT_NULL, path, &n);

	if (names && n == 0)
		xs_rm(xs, XBT_NULL, path);
	free(names);
}

/* libxl__parse_backend_path() */
static unsigned int backend_of(struct node_ids ids)
{
	char path[NODE_PATH_MAX];
	unsigned int n, domid = 0;
	char *back = xs_read(xs, XBT_NULL, node_path(path, NODE_LIBXL_BACKEND, ids), &n);

	if (back && sscanf(back, "/local/domain/%u/", &domid) != 1)
		domid = 0;
	free(back);
	return domid;
}

/* device_destroy_be_watch_cb(): a backend in another domain removes its directory itself. */
static int wait_removed(const char *path)
{
	unsigned long began = now_ms();
	unsigned int n;

	while (now_ms() - began < PATIENCE_MS) {
		char *value = xs_read(xs, XBT_NULL, path, &n);

		if (!value)
			return 0;
		free(value);
		usleep(50000);
	}
	fprintf(stderr, "libxl: error: timed out while waiting for %s to be removed\n", path);
	return 1;
}

static int detach(struct node_ids ids)
{
	char back[NODE_PATH_MAX], path[2 * NODE_PATH_MAX];
	int r = 0;

	ids.stub = backend_of(ids);
	backend_path(back, ids);
	xs_rm(xs, XBT_NULL, node_path(path, NODE_FRONTEND, ids));
	snprintf(path, sizeof(path), "%s/state", back);
	if (read_state(path) >= 0) { /* else "backend already removed, cleanup frontend only" */
		put(XBT_NULL, back, "online", "0");
		put(XBT_NULL, back, "state", "5");
		r = wait_state(ids, 6);
	}
	if (ids.stub) {
		r = r == 0 ? wait_removed(back) : r;
	} else {
		xs_rm(xs, XBT_NULL, back);
		node_path(back, NODE_CONTROL_ROOT, ids);
		snprintf(path, sizeof(path), "%.90s/%u", back, ids.guest);
		remove_if_empty(path);
	}
	snprintf(path, sizeof(path), "/libxl/%u/device/vtpm/%u", ids.guest, ids.dev);
	xs_rm(xs, XBT_NULL, path);
	return r;
}

int main(int argc, char **argv)
{
	const struct node_ids ids = {.guest = argc > 2 ? (unsigned int)atoi(argv[2]) : 0, .dev = argc > 3 ? (unsigned int)atoi(argv[3]) : 0};

	xs = xs_open(0);
	need(xs != NULL, "opening xenstore");
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "create") == 0)
		return create(ids.guest, argv[3], argc == 5 ? (unsigned int)strtoul(argv[4], NULL, 10) : 0);
	if (argc == 3 && strcmp(argv[1], "unpause") == 0)
		return unpause(ids.guest);
	if (argc == 3 && strcmp(argv[1], "incarnation") == 0)
		return print_incarnation(ids.guest);
	if ((argc == 5 || argc == 6) && strcmp(argv[1], "attach") == 0)
		return attach(ids, argv[4], argc == 6 ? argv[5] : NULL);
	if (argc == 4 && strcmp(argv[1], "detach") == 0)
		return detach(ids);
	if (argc == 3 && strcmp(argv[1], "destroy") == 0)
		return destroy(ids.guest);
	if (argc == 4 && strcmp(argv[1], "suspend") == 0)
		return change_shutdown(ids.guest, argv[3]);
	fprintf(stderr, "usage: see the head of libxl_player.c\n");
	return 2;
}

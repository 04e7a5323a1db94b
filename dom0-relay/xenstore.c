/* Xenstore through libxenstore; every path comes from xenstore-schema/. */
#include "dom0-relay/xenstore.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "common/error.h"
#include "common/loop.h"

#define DOMID_MAX 0x7fef
#define OFFERS_LOOKED_AT 16

struct xenstore {
	struct xs_handle *xs;
	struct source *source;
	xenstore_fn *fn;
	void *arg;
};

static void on_watch(void *arg, unsigned int what)
{
	struct xenstore *x = arg;
	char **event;

	(void)what;
	while ((event = xs_check_watch(x->xs)) != NULL) {
		x->fn(x->arg, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
}

struct xenstore *xenstore_open(struct loop *loop, xenstore_fn *fn, void *arg)
{
	struct xenstore *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->fn = fn;
	x->arg = arg;
	x->xs = xs_open(0);
	if (!x->xs || (loop && !(x->source = source_fd(loop, xs_fileno(x->xs), LOOP_READ, on_watch, x))))
		xenstore_close(&x);
	return x;
}

void xenstore_close(struct xenstore **x)
{
	if (!*x)
		return;
	source_free(&(*x)->source);
	if ((*x)->xs)
		xs_close((*x)->xs);
	free(*x);
	*x = NULL;
}

int xenstore_watch(struct xenstore *x, const char *path, const char *token)
{
	return xs_watch(x->xs, path, token) ? 0 : E_XEN;
}

void xenstore_unwatch(struct xenstore *x, const char *path, const char *token)
{
	xs_unwatch(x->xs, path, token);
}

bool xenstore_has(struct xenstore *x, const char *path)
{
	unsigned int n;
	char *value = xs_read(x->xs, XBT_NULL, path, &n);

	free(value);
	return value != NULL;
}

/* After a failed read: what xenstored denies is not there. Whatever else it says, or if it is not there itself, nobody knows. */
static int nothing_read(void)
{
	return errno == ENOENT || errno == EACCES ? -1 : XENSTORE_UNREADABLE;
}

static int read_number(struct xenstore *x, xs_transaction_t t, const char *path)
{
	unsigned int n;
	char *value = xs_read(x->xs, t, path, &n), *end;
	long v;

	if (!value)
		return nothing_read();
	v = strtol(value, &end, 10);
	if (end == value || *end || v < 0 || v > 0xffff)
		v = -1;
	free(value);
	return (int)v;
}

/* Has it the value @wanted? 0, -1 or XENSTORE_UNREADABLE. */
static int check_value(struct xenstore *x, xs_transaction_t t, const char *path, const char *wanted)
{
	unsigned int n;
	char *value = xs_read(x->xs, t, path, &n);
	int r = !value ? nothing_read() : strcmp(value, wanted) == 0 ? 0 : -1;

	free(value);
	return r;
}

int xenstore_read_state(struct xenstore *x, const char *path)
{
	return read_number(x, XBT_NULL, path);
}

int xenstore_read_uuid(struct xenstore *x, const char *path, struct uuid *uuid)
{
	unsigned int n;
	char *value = xs_read(x->xs, XBT_NULL, path, &n);
	int r;

	if (!value)
		return E_NOTFOUND;
	r = uuid_parse(value, uuid);
	free(value);
	return r;
}

/* A node of @owner that @reader may read. */
static bool allow(struct xenstore *x, xs_transaction_t t, const char *path, unsigned int owner, unsigned int reader)
{
	struct xs_permissions perms[2] = {{.id = owner, .perms = XS_PERM_NONE}, {.id = reader, .perms = XS_PERM_READ}};

	return xs_set_permissions(x->xs, t, path, perms, 2);
}

static bool put(struct xenstore *x, xs_transaction_t t, enum node node, struct node_ids ids, const char *value)
{
	char path[NODE_PATH_MAX];

	node_path(path, node, ids);
	return xs_write(x->xs, t, path, value, (unsigned int)strlen(value)) && allow(x, t, path, ids.stub, ids.guest);
}

static bool put_number(struct xenstore *x, xs_transaction_t t, enum node node, struct node_ids ids, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return put(x, t, node, ids, text);
}

static bool make_backend(struct xenstore *x, xs_transaction_t t, struct node_ids ids)
{
	static const enum node directories[] = {NODE_STUB_BACKEND_ROOT, NODE_STUB_BACKEND_TYPE, NODE_STUB_BACKEND_GUEST, NODE_BACKEND};
	char path[NODE_PATH_MAX];

	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		node_path(path, directories[i], ids);
		if (!xs_mkdir(x->xs, t, path) || !allow(x, t, path, ids.stub, ids.guest))
			return false;
	}
	return put(x, t, NODE_BACKEND_FRONTEND, ids, node_path(path, NODE_FRONTEND, ids)) &&
	       put_number(x, t, NODE_BACKEND_FRONTEND_ID, ids, ids.guest) && put_number(x, t, NODE_BACKEND_ONLINE, ids, 1) &&
	       put_number(x, t, NODE_BACKEND_HANDLE, ids, ids.dev) && put_number(x, t, NODE_BACKEND_STATE, ids, 1);
}

/* xenstored tells a watcher only of nodes that it may read: rights go with the change that they are for. */
static bool open_frontend(struct xenstore *x, xs_transaction_t t, struct node_ids ids)
{
	char path[NODE_PATH_MAX], child[NODE_PATH_MAX + 64];
	unsigned int n = 0;
	bool ok;
	char **names = xs_directory(x->xs, t, node_path(path, NODE_FRONTEND, ids), &n);

	ok = names && allow(x, t, path, ids.guest, ids.stub);
	for (unsigned int i = 0; ok && i < n; i++) {
		if (snprintf(child, sizeof(child), "%s/%s", path, names[i]) >= (int)sizeof(child))
			continue; /* a guest's own invention: libxl's names are short */
		ok = allow(x, t, child, ids.guest, ids.stub);
	}
	free(names);
	return ok;
}

static bool point_frontend(struct xenstore *x, xs_transaction_t t, struct node_ids ids)
{
	char path[NODE_PATH_MAX], value[NODE_PATH_MAX];

	node_path(value, NODE_BACKEND, ids);
	if (!xs_write(x->xs, t, node_path(path, NODE_FRONTEND_BACKEND, ids), value, (unsigned int)strlen(value)))
		return false;
	snprintf(value, sizeof(value), "%u", ids.stub);
	return xs_write(x->xs, t, node_path(path, NODE_FRONTEND_BACKEND_ID, ids), value, (unsigned int)strlen(value));
}

/* Does libxl's own record say that the device's backend is the stub domain? 0, -1 or XENSTORE_UNREADABLE. */
static int check_named(struct xenstore *x, xs_transaction_t t, struct node_ids ids)
{
	char path[NODE_PATH_MAX], wanted[NODE_PATH_MAX];

	return check_value(x, t, node_path(path, NODE_LIBXL_BACKEND, ids), node_path(wanted, NODE_BACKEND, ids));
}

static int named_state(struct xenstore *x, xs_transaction_t t, struct node_ids ids)
{
	char path[NODE_PATH_MAX];
	int state = read_number(x, t, node_path(path, NODE_BACKEND_STATE, ids)), named = check_named(x, t, ids);

	if (named != 0 || state == XENSTORE_UNREADABLE)
		return named != 0 ? named : state;
	if (state < 0)
		return 0;
	if (state <= 4 && read_number(x, t, node_path(path, NODE_BACKEND_ONLINE, ids)) == 0)
		return 5; /* the stub domain has written its own state over libxl's */
	return state > 6 ? 6 : state;
}

void xenstore_remove_backend(struct xenstore *x, struct node_ids ids)
{
	char path[NODE_PATH_MAX];
	unsigned int n = 0;
	char **devices;

	xs_rm(x->xs, XBT_NULL, node_path(path, NODE_BACKEND, ids));
	devices = xs_directory(x->xs, XBT_NULL, node_path(path, NODE_STUB_BACKEND_GUEST, ids), &n);
	if (devices && n == 0)
		xs_rm(x->xs, XBT_NULL, path);
	free(devices);
}

int xenstore_named_state(struct xenstore *x, struct node_ids ids)
{
	return named_state(x, XBT_NULL, ids);
}

static int rehome_once(struct xenstore *x, xs_transaction_t t, struct node_ids ids, bool named, bool release)
{
	char path[NODE_PATH_MAX];
	int state = named ? named_state(x, t, ids) : read_number(x, t, node_path(path, NODE_CONTROL_STATE, ids));

	if (state < 0 || state > 4)
		return state == XENSTORE_UNREADABLE ? E_XEN : E_NOTFOUND;
	if (!make_backend(x, t, ids) || !point_frontend(x, t, ids) || !open_frontend(x, t, ids))
		return E_XEN;
	node_path(path, named ? NODE_BACKEND_STATE : NODE_CONTROL_STATE, ids);
	return !release || xs_write(x->xs, t, path, "2", 1) ? 0 : E_XEN;
}

static int rehome(struct xenstore *x, struct node_ids ids, bool named, bool release)
{
	for (int tries = 0; tries < 50; tries++) { /* EAGAIN: somebody else wrote meanwhile */
		xs_transaction_t t = xs_transaction_start(x->xs);
		int r = t == XBT_NULL ? E_XEN : rehome_once(x, t, ids, named, release);

		if (t == XBT_NULL)
			return r;
		if (xs_transaction_end(x->xs, t, r != 0) || r != 0)
			return r;
		if (errno != EAGAIN)
			return E_XEN;
	}
	return E_XEN;
}

int xenstore_rehome(struct xenstore *x, struct node_ids ids, bool release)
{
	return rehome(x, ids, false, release);
}

int xenstore_rehome_named(struct xenstore *x, struct node_ids ids, bool release)
{
	return rehome(x, ids, true, release);
}

/* Write @text over the state at @path, or with NULL remove it, if it is there and from @least to @most: 0 or E_XEN. */
static int change_state(struct xenstore *x, const char *path, int least, int most, const char *text)
{
	for (int tries = 0; tries < 50; tries++) {
		xs_transaction_t t = xs_transaction_start(x->xs);
		int now = t != XBT_NULL ? read_number(x, t, path) : XENSTORE_UNREADABLE;
		bool due = now >= least && now <= most;
		bool done = due && (text ? xs_write(x->xs, t, path, text, (unsigned int)strlen(text)) : xs_rm(x->xs, t, path));

		if (t == XBT_NULL)
			return E_XEN;
		if (xs_transaction_end(x->xs, t, !done))
			return done || (!due && now != XENSTORE_UNREADABLE) ? 0 : E_XEN;
		if (errno != EAGAIN)
			return E_XEN;
	}
	return E_XEN;
}

int xenstore_answer(struct xenstore *x, enum node node, struct node_ids ids, int state)
{
	char path[NODE_PATH_MAX], text[12];

	snprintf(text, sizeof(text), "%d", state);
	return change_state(x, node_path(path, node, ids), 2, 5, text);
}

int xenstore_refuse(struct xenstore *x, struct node_ids ids)
{
	char path[NODE_PATH_MAX];

	return change_state(x, node_path(path, NODE_CONTROL_STATE, ids), 1, 1, NULL);
}

int xenstore_backend_of(struct xenstore *x, struct node_ids ids)
{
	char path[NODE_PATH_MAX];

	return read_number(x, XBT_NULL, node_path(path, NODE_FRONTEND_BACKEND_ID, ids));
}

/* A decimal number up to @max and nothing else. */
static bool is_number(const char *text, unsigned int max, unsigned int *v)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*v = (unsigned int)n;
	return text[0] >= '0' && text[0] <= '9' && !*end && n <= max;
}

int xenstore_find_domain(struct xenstore *x, const char *name, unsigned int *domid)
{
	char path[NODE_PATH_MAX];
	unsigned int n = 0;
	char **domains;
	int r = E_NOTFOUND;

	if (is_number(name, DOMID_MAX, domid))
		return xenstore_has_domain(x, *domid) ? 0 : E_NOTFOUND;
	domains = xs_directory(x->xs, XBT_NULL, node_path(path, NODE_DOMAINS, (struct node_ids){0}), &n);
	for (unsigned int i = 0; domains && r != 0 && i < n; i++) {
		struct node_ids ids = {0};

		if (!is_number(domains[i], DOMID_MAX, &ids.guest) || check_value(x, XBT_NULL, node_path(path, NODE_DOMAIN_NAME, ids), name) != 0)
			continue;
		*domid = ids.guest;
		r = xenstore_has_domain(x, ids.guest) ? 0 : E_NOTFOUND; /* one that is being destroyed has its name a while longer */
	}
	free(domains);
	return r;
}

bool xenstore_has_domain(struct xenstore *x, unsigned int domid)
{
	return xs_is_domain_introduced(x->xs, domid);
}

int xenstore_find_offer(struct xenstore *x, unsigned int domid, char path[NODE_PATH_MAX])
{
	struct node_ids ids = {.guest = domid};
	unsigned int n = 0;
	char **offers = xs_directory(x->xs, XBT_NULL, node_path(path, NODE_KMC_OFFERS, ids), &n);
	int r = E_NOTFOUND;

	/* What was left behind stands before what is new; and of a domain that makes up thousands a few are looked at. */
	for (unsigned int i = n; offers && r != 0 && i > 0 && n - i < OFFERS_LOOKED_AT; i--) {
		if (!is_number(offers[i - 1], UINT_MAX, &ids.dev) || !xenstore_has(x, node_path(path, NODE_KMC_OFFER_EVENT, ids)))
			continue;
		node_path(path, NODE_KMC_OFFER, ids);
		r = 0;
	}
	free(offers);
	return r;
}

void xenstore_each_control(struct xenstore *x, unsigned int backend, void (*fn)(void *arg, struct node_ids ids), void *arg)
{
	char root[NODE_PATH_MAX], path[2 * NODE_PATH_MAX];
	struct node_ids ids = {.stub = backend};
	unsigned int n = 0, m = 0;
	char **guests = xs_directory(x->xs, XBT_NULL, node_path(root, backend ? NODE_STUB_BACKEND_TYPE : NODE_CONTROL_ROOT, ids), &n);

	for (unsigned int i = 0; guests && i < n; i++) {
		char **devices;

		snprintf(path, sizeof(path), "%s/%s", root, guests[i]);
		devices = xs_directory(x->xs, XBT_NULL, path, &m);
		for (unsigned int j = 0; devices && j < m; j++) {
			snprintf(path, sizeof(path), "%s/%s/%s", root, guests[i], devices[j]);
			if (backend ? node_match_backend(path, &ids) : node_match_control(path, &ids))
				fn(arg, ids);
		}
		free(devices);
	}
	free(guests);
}

/* --- the record of prepared stub domains --- */

static bool note(struct xenstore *x, enum node node, struct node_ids ids, const char *value)
{
	char path[NODE_PATH_MAX];

	return xs_write(x->xs, XBT_NULL, node_path(path, node, ids), value, (unsigned int)strlen(value));
}

static bool note_number(struct xenstore *x, enum node node, struct node_ids ids, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return note(x, node, ids, text);
}

int xenstore_prepare(struct xenstore *x, unsigned int stub, const struct uuid *uuid, const char *name)
{
	const struct node_ids ids = {.stub = stub};
	char text[UUID_TEXT];

	xenstore_unprepare(x, stub); /* of an earlier domain with this number */
	return note(x, NODE_PREPARED_UUID, ids, uuid_format(uuid, text)) && note(x, NODE_PREPARED_NAME, ids, name) ? 0 : E_XEN;
}

int xenstore_prepared_for(struct xenstore *x, struct node_ids ids)
{
	return note_number(x, NODE_PREPARED_DEV, ids, ids.dev) && note_number(x, NODE_PREPARED_GUEST, ids, ids.guest) ? 0 : E_XEN;
}

void xenstore_unprepare(struct xenstore *x, unsigned int stub)
{
	char path[NODE_PATH_MAX];

	xs_rm(x->xs, XBT_NULL, node_path(path, NODE_PREPARED, (struct node_ids){.stub = stub}));
}

void xenstore_each_prepared(struct xenstore *x, void (*fn)(void *arg, struct node_ids ids, const struct uuid *uuid, const char *name), void *arg)
{
	char path[NODE_PATH_MAX];
	unsigned int n = 0, size;
	char **stubs = xs_directory(x->xs, XBT_NULL, node_path(path, NODE_PREPARED_ROOT, (struct node_ids){0}), &n);

	for (unsigned int i = 0; stubs && i < n; i++) {
		struct node_ids ids = {0};
		struct uuid uuid;
		int guest, dev;
		char *name;

		if (!is_number(stubs[i], DOMID_MAX, &ids.stub) || xenstore_read_uuid(x, node_path(path, NODE_PREPARED_UUID, ids), &uuid) != 0)
			continue;
		guest = read_number(x, XBT_NULL, node_path(path, NODE_PREPARED_GUEST, ids));
		dev = read_number(x, XBT_NULL, node_path(path, NODE_PREPARED_DEV, ids));
		name = xs_read(x->xs, XBT_NULL, node_path(path, NODE_PREPARED_NAME, ids), &size);
		ids.guest = guest > 0 && dev >= 0 ? (unsigned int)guest : 0;
		ids.dev = ids.guest ? (unsigned int)dev : 0;
		if (name && strlen(name) <= XENSTORE_NAME_MAX)
			fn(arg, ids, &uuid, name);
		free(name);
	}
	free(stubs);
}

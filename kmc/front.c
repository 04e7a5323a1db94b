/*
 * The front process.
 *
 * Theory of operation: a stranger passes admission (network, rate, slots), then TLS, then is a host with a name. Its requests go to the
 * engine one at a time, with name and fingerprint, and only as many at once as the link to the engine can hold in both directions, by turns
 * (turns.h). When all places are taken, the oldest connection that has not said HELLO yet makes room for the next one.
 */
#include "kmc/front.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/certinfo.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "common/tls.h"
#include "kmc/admission.h"
#include "kmc/conn.h"
#include "kmc/kmcconf.h"
#include "kmc/procmsg.h"
#include "kmc/turns.h"

#define BACKLOG 256
#define AUTHORITIES_MAX 4 /* that hosts' certificates may be by */
#define ENROL_SLOTS 8	/* peers without certificate that enrol at a time */
#define KEEPALIVE_S 30	/* of silence before the peer is probed */
#define LOGGED_PER_S 10 /* lines that strangers can cause */

struct entry {
	struct conn *conn; /* NULL: free */
	enum turn_size size;
	struct view frame; /* of the request that waits */
};

struct front {
	const struct kmcconf *conf;
	struct loop *loop;
	struct link *engine;
	struct tls_context *tls;
	struct admission *admission;
	struct turns *turns;
	struct source *turns_timer;
	struct entry *entries;
	size_t n_entries;
	uint64_t last_serial;
	uint64_t log_second, logged, unlogged;
	int listen_fd[KMCCONF_LISTEN_MAX];
};

static const struct syscall_rule system_calls[] = {
	{SCMP_SYS(accept4), "hosts connect"},
	{SCMP_SYS(setsockopt), "keep-alive of a connection"},
	{SCMP_SYS(getsockopt), "OpenSSL asks for a socket's type"},
	{SCMP_SYS(shutdown), "end of a connection"},
	{SCMP_SYS(openat), "OpenSSL looks for its random devices where getrandom() fails"},
};

static struct front front;

/* Whether one more line that a stranger caused may be written. */
static bool may_log(struct front *f)
{
	uint64_t second = loop_now_ms() / 1000;

	if (second != f->log_second) {
		if (f->unlogged)
			log_warn("%llu more connections failed", (unsigned long long)f->unlogged);
		f->log_second = second;
		f->logged = f->unlogged = 0;
	}
	if (f->logged < LOGGED_PER_S)
		return ++f->logged;
	f->unlogged++;
	return false;
}

static struct entry *entry_of(struct front *f, uint64_t id)
{
	struct entry *e = &f->entries[id % f->n_entries];

	return e->conn && conn_id(e->conn) == id ? e : NULL;
}

static void pass_on(struct front *f, struct entry *e)
{
	const struct front_ask m = {
		.conn = conn_id(e->conn) << 1 | (e->size == TURN_LARGE),
		.host = conn_is_anonymous(e->conn) ? (struct view){0} : view_text(conn_name(e->conn)),
		.fingerprint = view_of(conn_fingerprint(e->conn), 32),
		.frame = e->frame,
	};

	link_send(f->engine, FRONT_ASK, 0, &m);
}

/* Pass on what may go now. */
static void take_turns(struct front *f)
{
	uint64_t wait_ms;
	size_t place;

	while (turns_next(f->turns, loop_now_ms(), &place, &wait_ms))
		pass_on(f, &f->entries[place]);
	if (wait_ms)
		source_set_ms(f->turns_timer, wait_ms);
}

static void on_turn(void *arg, unsigned int what)
{
	(void)what;
	take_turns(arg);
}

static void drop(struct front *f, struct entry *e)
{
	admission_leave(f->admission, address_key(conn_peer(e->conn)));
	turns_leave(f->turns, (size_t)(e - f->entries));
	conn_free(&e->conn); /* what it has at the engine stays counted until the engine answers */
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
	struct front *f = arg;
	struct entry *e = entry_of(f, conn_id(c));
	char text[ADDRESS_TEXT];

	if (*why && may_log(f))
		log_warn("%s%s%s: %s", address_format(conn_peer(c), text), *conn_name(c) ? ", host " : "", conn_name(c), why);
	drop(f, e);
}

/* A host that opens ever more connections loses its oldest; never @latest, which says HELLO, though it may have connected before all others. */
static void limit_host(struct front *f, const struct entry *latest)
{
	const char *name = conn_name(latest->conn);
	struct entry *oldest = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < f->n_entries; i++) {
		struct entry *e = &f->entries[i];

		if (!e->conn || strcmp(conn_name(e->conn), name) != 0)
			continue;
		n++;
		if (e == latest)
			continue;
		if (!oldest || conn_id(e->conn) < conn_id(oldest->conn))
			oldest = e;
	}
	if (!oldest || n <= f->conf->per_host)
		return;
	if (may_log(f))
		log_about(LOG_LV_WARN, ABOUT(.host = name), "host '%s' has more than %llu connections: its oldest is closed", name,
			 (unsigned long long)f->conf->per_host);
	drop(f, oldest);
}

static bool is_enrolment_full(const struct front *f)
{
	unsigned int n = 0;

	for (size_t i = 0; i < f->n_entries; i++)
		n += f->entries[i].conn && conn_is_enrolling(f->entries[i].conn);
	return n > ENROL_SLOTS; /* the one that asks is among them */
}

static void on_request(void *arg, struct conn *c, enum kmc_type type, struct view frame)
{
	struct front *f = arg;
	struct entry *e = entry_of(f, conn_id(c));

	if (type == KMC_ENROL && is_enrolment_full(f)) {
		conn_refuse(c, KMC_REFUSED_BUSY, "too many hosts are being enrolled: try again");
		return;
	}
	if (type == KMC_HELLO)
		limit_host(f, e);
	e->size = type == KMC_OPEN || type == KMC_STORE || type == KMC_SUSPEND || type == KMC_RESERVE ? TURN_LARGE : TURN_SMALL;
	e->frame = frame;
	turns_ask(f->turns, (size_t)(e - f->entries), conn_id(c), conn_name(c), e->size, loop_now_ms());
	take_turns(f);
}

static const struct conn_ops conn_ops = {.request = on_request, .closed = on_closed};

static void on_answer(struct front *f, const struct front_answer *m)
{
	struct entry *e = entry_of(f, m->conn >> 1);

	if (!turns_answered(f->turns, m->conn >> 1))
		fatal("the engine process answered what was not asked");
	if (e)
		conn_answer(e->conn, m->frame);
	take_turns(f);
}

static void on_cut(struct front *f, const struct front_cut *m)
{
	char name[KMC_NAME_MAX + 1];

	view_copy_text(m->host, name, sizeof(name));
	for (size_t i = 0; i < f->n_entries; i++) {
		struct entry *e = &f->entries[i];

		if (!e->conn || strcmp(conn_name(e->conn), name) != 0)
			continue;
		log_about(LOG_LV_INFO, ABOUT(.host = name), "a connection of host '%s' is cut off", name);
		drop(f, e);
	}
}

static void on_trust(struct front *f, const struct front_trust *m)
{
	struct certinfo_der list[AUTHORITIES_MAX];
	struct view views[AUTHORITIES_MAX];
	int n = certinfo_split(m->authorities, list, AUTHORITIES_MAX);

	for (int i = 0; i < n; i++)
		views[i] = view_of(list[i].bytes, list[i].size);
	if (n < 0 || tls_context_trust(f->tls, views, (size_t)n) != 0)
		fatal("the engine process sent authorities that are none");
}

static void on_engine(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	(void)id;
	if (type == FRONT_ANSWER)
		on_answer(arg, fields);
	else if (type == FRONT_CUT)
		on_cut(arg, fields);
	else if (type == FRONT_TRUST)
		on_trust(arg, fields);
	else
		fatal("the engine process sent a request");
}

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S / 3},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
		{IPPROTO_TCP, TCP_NODELAY, 1},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static void welcome(struct front *f, int fd, const struct sockaddr_storage *peer)
{
	for (size_t i = 0; i < f->n_entries; i++) {
		struct entry *e = &f->entries[i];

		if (e->conn)
			continue;
		set_options(fd);
		*e = (struct entry){.conn = conn_new(f->loop, f->tls, fd, peer, f->conf->handshake_s * 1000, &conn_ops, f)};
		if (e->conn) {
			conn_set_id(e->conn, ++f->last_serial * f->n_entries + i);
		} else {
			log_error("no memory for another connection");
			admission_leave(f->admission, address_key(peer));
		}
		return;
	}
	close(fd); /* never: admission counts the same connections */
}

static struct entry *oldest_arriving(struct front *f, const struct address_key *of)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < f->n_entries; i++) {
		struct entry *e = &f->entries[i];
		struct address_key key;

		if (!e->conn || !conn_is_arriving(e->conn) || (oldest && conn_id(e->conn) > conn_id(oldest->conn)))
			continue;
		key = address_key(conn_peer(e->conn));
		if (!of || memcmp(&key, of, sizeof(key)) == 0)
			oldest = e;
	}
	return oldest;
}

/*
 * Who opens connections and says nothing has every place sooner or later, from many addresses; who wants to be served is welcome within a
 * few round trips. So one that is not yet gives way: the oldest of the newcomer's own address, or, when that has none, of all. False: all
 * are welcome.
 */
static bool make_room(struct front *f, const struct sockaddr_storage *peer)
{
	const struct address_key key = address_key(peer);
	struct entry *e = oldest_arriving(f, &key);
	char text[ADDRESS_TEXT];

	if (!e)
		e = oldest_arriving(f, NULL);
	if (!e)
		return false;
	if (may_log(f))
		log_warn("%s: closed before its HELLO: all connections are taken, and another one comes", address_format(conn_peer(e->conn), text));
	drop(f, e);
	return true;
}

static void on_accept(void *arg, unsigned int what)
{
	int listen_fd = *(const int *)arg, fd;
	struct sockaddr_storage peer = {0};
	socklen_t size = sizeof(peer);
	enum admission_verdict verdict;
	char text[ADDRESS_TEXT];

	(void)what;
	fd = accept4(listen_fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	verdict = admission_enter(front.admission, address_key(&peer), loop_now_ms());
	if (verdict == ADMISSION_TOO_MANY && make_room(&front, &peer))
		verdict = admission_enter(front.admission, address_key(&peer), loop_now_ms());
	if (verdict == ADMISSION_WELCOME) {
		welcome(&front, fd, &peer);
		return;
	}
	close(fd);
	if (may_log(&front))
		log_warn("%s: not let in: %s", address_format(&peer, text), admission_text(verdict));
}

static int listen_at(const struct sockaddr_storage *addr, socklen_t size)
{
	const int yes = 1;
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return E_IO;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (addr->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (bind(fd, (const struct sockaddr *)addr, size) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return E_IO;
}

/* A machine without IPv6 still serves over IPv4. */
static void listen_everywhere(struct front *f)
{
	unsigned int listening = 0;
	char text[ADDRESS_TEXT];

	for (unsigned int i = 0; i < f->conf->n_listen; i++) {
		f->listen_fd[i] = listen_at(&f->conf->listen_at[i], f->conf->listen_size[i]);
		address_format(&f->conf->listen_at[i], text);
		if (f->listen_fd[i] < 0 && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
			fatal("can't listen at %s ('listen = %s'): %s; is another kmcd running?", text, f->conf->listen,
			      strerror(errno));
		if (f->listen_fd[i] < 0) {
			log_warn("can't listen at %s: %s", text, strerror(errno));
			continue;
		}
		if (!source_fd(f->loop, f->listen_fd[i], LOOP_READ, on_accept, &f->listen_fd[i]))
			fatal("can't start: out of memory");
		listening++;
	}
	if (!listening)
		fatal("there is no address to listen at: see 'listen' in kmc.conf");
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

static void open_everything(struct front *f, const struct kmcconf *conf, int fd)
{
	const struct admission_rules rules = {
		.allowed = conf->allowed, .n_allowed = conf->n_allowed, .connections = (unsigned int)conf->connections,
		.per_address = (unsigned int)conf->per_address, .rate = (unsigned int)conf->rate,
	};
	char why[TLS_WHY];

	f->conf = conf;
	f->loop = loop_new();
	f->n_entries = (size_t)conf->connections;
	f->entries = calloc(f->n_entries, sizeof(*f->entries));
	f->admission = admission_new(&rules);
	f->engine = f->loop ? link_new(f->loop, fd, "engine", &front_protocol, on_engine, f) : NULL;
	f->turns = turns_new(f->n_entries, (unsigned int)conf->requests);
	f->turns_timer = f->loop ? source_timer(f->loop, on_turn, f) : NULL;
	if (!f->entries || !f->admission || !f->engine || !f->turns || !f->turns_timer)
		fatal("can't start: out of memory");
	if (tls_context_new(&f->tls, TLS_SERVER, conf->tls_ca, conf->tls_certificate, conf->tls_key, why) != 0)
		fatal("%s", why);
	if (conf->enrol)
		tls_context_admit(f->tls, KMC_ENROL_ALPN);
	link_on_end(f->engine, on_end, NULL);
	listen_everywhere(f);
}

void front_main(const struct kmcconf *conf, int fd)
{
	char empty[KMCCONF_PATH];
	const struct confinement box = {.user = kmcconf_user(conf),
					.root = process_is_root() ? kmcconf_path(conf, "empty", empty) : NULL,
					.rules = system_calls, .n_rules = sizeof(system_calls) / sizeof(system_calls[0])};

	log_open("kmcd[front]", LOG_LV_INFO);
	open_everything(&front, conf, fd);
	process_confine(&box);
	link_send(front.engine, FRONT_READY, 0, NULL);
	if (loop_run(front.loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

/*
 * A relay for one stub domain, without KMC: gives it a seed and identity from the command line, and keeps its sealed state in a file.
 *
 *   stub-relay CHANNEL STATE-FILE SEED-HEX UUID [NAME=NUMBER...]
 *
 * Names: generation, owner, endorsement, platform (epochs), lease, incarnation, version (on record; default: the file's),
 * refuse (answer every STORE after the first N with an error), mute (do not answer them at all).
 * Prints "ready", "connected", "stored VERSION", "frozen VERSION", "failed REASON" as they come. SIGTERM ends the vTPM in order, SIGINT leaves
 * it alone; SIGUSR1: the guest falls asleep, SIGUSR2: it wakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/uuid.h"
#include "dom0-relay/stublink.h"
#include "vtpm-stubdom/sealed.h"

struct relay {
	struct loop *loop;
	struct stublink *link;
	const char *file;
	struct handoff_handoff h;
	struct secret *seed;
	struct buf state;
	uint64_t stores, refuse_after, mute_after;
	int status;
};

static void say(const char *what, const char *more)
{
	printf("%s%s%s\n", what, more[0] ? " " : "", more);
	fflush(stdout);
}

static void load(struct relay *r)
{
	struct sealed_head head;
	ssize_t n;
	int fd = open(r->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	n = read(fd, buf_end(&r->state), buf_space(&r->state));
	close(fd);
	if (n <= 0)
		return;
	r->state.len = (size_t)n;
	r->h.state = view_of(buf_ptr(&r->state), buf_left(&r->state));
	if (sealed_head(r->h.state.p, r->h.state.n, &head) != 0)
		return;
	r->h.state_version = head.version;
	r->h.owner_epoch = head.epochs.owner;
	r->h.endorsement_epoch = head.epochs.endorsement;
	r->h.platform_epoch = head.epochs.platform;
}

/* As a relay does: a new file, synced, over the old one. */
static int save(const struct relay *r, struct view state)
{
	char new[4096];
	int fd;
	bool ok;

	snprintf(new, sizeof(new), "%s.new", r->file);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ok = fd >= 0 && write(fd, state.p, state.n) == (ssize_t)state.n && fdatasync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok && rename(new, r->file) == 0 ? 0 : E_IO;
}

static void on_store(struct relay *r, const struct handoff_store *s)
{
	struct handoff_stored stored = {.version = s->version};
	char version[24];

	r->stores++;
	if (r->stores > r->mute_after)
		return;
	stored.result = r->stores > r->refuse_after ? (uint64_t)-E_IO : (uint64_t)-save(r, s->state);
	snprintf(version, sizeof(version), "%" PRIu64, s->version);
	say(stored.result ? "refused" : "stored", version);
	stublink_send(r->link, HANDOFF_STORED, &stored);
}

static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	struct relay *r = arg;
	const struct handoff_hello *hello = fields;
	const struct handoff_failed *failed = fields;
	char text[256] = "";

	switch (type) {
	case HANDOFF_HELLO:
		say("hello", hello->vtpm.p ? "again" : "");
		if (!hello->vtpm.p)
			stublink_send(r->link, HANDOFF_HANDOFF, &r->h);
		wipe(r->seed->data, r->seed->size);
		break;
	case HANDOFF_READY:
		say("ready", "");
		stublink_send(r->link, HANDOFF_SERVE, NULL);
		break;
	case HANDOFF_FRONTEND:
		say(((const struct handoff_frontend *)fields)->connected ? "connected" : "disconnected", "");
		break;
	case HANDOFF_STORE:
		on_store(r, fields);
		break;
	case HANDOFF_FROZEN:
		snprintf(text, sizeof(text), "%" PRIu64, ((const struct handoff_frozen *)fields)->version);
		say("frozen", text);
		break;
	case HANDOFF_CLOSED:
		say("closed", "");
		r->status = 0;
		loop_stop(r->loop);
		break;
	case HANDOFF_FAILED:
		view_copy_text(failed->reason, text, sizeof(text));
		say("failed", text);
		r->status = 2;
		loop_stop(r->loop);
		break;
	default:
		break;
	}
}

static void on_broken(void *arg, const char *why)
{
	struct relay *r = arg;

	say("broken", why);
	loop_stop(r->loop);
}

static void on_term(void *arg, unsigned int what)
{
	(void)what;
	stublink_send(((struct relay *)arg)->link, HANDOFF_CLOSE, NULL);
}

static void on_usr1(void *arg, unsigned int what)
{
	struct relay *r = arg;
	const struct handoff_freeze freeze = {.image = r->h.incarnation, .lease_epoch = r->h.lease_epoch};

	(void)what;
	stublink_send(r->link, HANDOFF_FREEZE, &freeze);
}

static void on_usr2(void *arg, unsigned int what)
{
	struct relay *r = arg;
	const struct handoff_thaw thaw = {.lease_epoch = r->h.lease_epoch};

	(void)what;
	stublink_send(r->link, HANDOFF_THAW, &thaw);
}

static void on_int(void *arg, unsigned int what)
{
	(void)what;
	((struct relay *)arg)->status = 0;
	loop_stop(((struct relay *)arg)->loop);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? fd : -1;
}

static void read_seed(struct relay *r, char *hex)
{
	for (size_t i = 0; i < HANDOFF_SEED_SIZE; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			exit(1);
		r->seed->data[i] = (uint8_t)byte;
	}
	wipe(hex, strlen(hex)); /* out of our arguments */
	r->h.seed = view_of(r->seed->data, r->seed->size);
}

static void read_option(struct relay *r, const char *text)
{
	const struct {
		const char *name;
		uint64_t *value;
	} names[] = {
		{"generation", &r->h.generation},   {"owner", &r->h.owner_epoch}, {"endorsement", &r->h.endorsement_epoch},
		{"platform", &r->h.platform_epoch}, {"lease", &r->h.lease_epoch}, {"incarnation", &r->h.incarnation},
		{"version", &r->h.state_version},   {"refuse", &r->refuse_after}, {"mute", &r->mute_after},
	};
	const char *is = strchr(text, '=');

	for (size_t i = 0; is && i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == (size_t)(is - text) && memcmp(text, names[i].name, (size_t)(is - text)) == 0) {
			*names[i].value = strtoull(is + 1, NULL, 10);
			return;
		}
	fprintf(stderr, "stub-relay: '%s' is no option\n", text);
	exit(1);
}

int main(int argc, char **argv)
{
	static const struct stublink_ops ops = {.message = on_message, .broken = on_broken};
	struct relay r = {.refuse_after = UINT64_MAX, .mute_after = UINT64_MAX, .status = 1};
	struct source *signals[4];
	int fd;

	if (argc < 5 || strlen(argv[3]) != 2 * HANDOFF_SEED_SIZE || uuid_parse(argv[4], &r.h.uuid) != 0) {
		fprintf(stderr, "usage: stub-relay CHANNEL STATE-FILE SEED-HEX UUID [NAME=NUMBER...]\n");
		return 1;
	}
	r.file = argv[2];
	r.h.tenant = view_text("test");
	r.h.generation = r.h.lease_epoch = r.h.incarnation = r.h.guest_domid = 1;
	r.loop = loop_new();
	r.seed = secret_new(HANDOFF_SEED_SIZE);
	if (!r.loop || !r.seed || buf_init(&r.state, HANDOFF_STATE_MAX) != 0)
		return 1;
	read_seed(&r, argv[3]);
	load(&r);
	for (int i = 5; i < argc; i++)
		read_option(&r, argv[i]);
	fd = connect_to(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "stub-relay: can't connect to %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	signals[0] = source_signal(r.loop, SIGTERM, on_term, &r);
	signals[1] = source_signal(r.loop, SIGINT, on_int, &r);
	signals[2] = source_signal(r.loop, SIGUSR1, on_usr1, &r);
	signals[3] = source_signal(r.loop, SIGUSR2, on_usr2, &r);
	r.link = stublink_new(r.loop, channel_unix(fd), &ops, &r);
	if (!r.link || !signals[0] || !signals[1] || !signals[2] || !signals[3])
		return 1;
	loop_run(r.loop);
	stublink_free(&r.link);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		source_free(&signals[i]);
	loop_free(&r.loop);
	secret_free(&r.seed);
	buf_free(&r.state);
	return r.status;
}

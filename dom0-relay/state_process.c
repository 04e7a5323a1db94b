/*
 * The state process: records of leases onto the disk, one after the other.
 *
 * What it handles is ciphertext and public facts. It is a process of its own because fdatasync() may take as long as
 * the disk likes, and the relay has other guests to look after meanwhile.
 */
#include "dom0-relay/state_process.h"

#include <errno.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "common/text.h"
#include "dom0-relay/history.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/statedir.h"
#include "dom0-relay/statemsg.h"

#define LIST_MAX 512
#define COMPLAIN_MS 5000 /* between two lines about what the disk does not take */

struct state_process {
	struct link *relay;
	struct statedir *dir;
	struct history *history; /* NULL: it can't be used */
	bool history_failed; /* and that was said */
	uint64_t complained_ms; /* 0: never */
	struct buf record;
	struct state_name list[LIST_MAX]; /* as it was at start */
	int n;
};

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "a vTPM's file, relative to the state directory"},
	{SCMP_SYS(pread64), "slots"},
	{SCMP_SYS(pwrite64), "slots, and what happened"},
	{SCMP_SYS(fallocate), "room for both slots when a lease begins"},
	{SCMP_SYS(fstatfs), "the C library's way to allocate where the file system has none"},
	{SCMP_SYS(fsync), "the directory"},
	{SCMP_SYS(fdatasync), "slots"},
	{SCMP_SYS(unlinkat), "a lease that ended"},
	{SCMP_SYS(renameat), "a renewed certificate takes its place as a whole"},
	{SCMP_SYS(renameat2), "the same, where the C library calls it so"},
};

static void fail(struct state_process *p, uint64_t id, const char *reason)
{
	char text[STATEDIR_WHY];
	struct state_failed f;

	/* A guest that stores in vain may do so any number of times; whom it is about the relay knows and tells. */
	if (!p->complained_ms || loop_now_ms() - p->complained_ms >= COMPLAIN_MS) {
		p->complained_ms = loop_now_ms();
		log_error("%s", reason);
	}
	snprintf(text, sizeof(text), "%s", reason);
	f.reason = view_text(text_make_printable(text));
	link_send(p->relay, STATE_FAILED, id, &f);
}

/* Records that can't be read are left where they are, for people to look at: the relay opens none of these vTPMs. */
static void on_next(struct state_process *p, uint64_t id, uint64_t number)
{
	const struct state_name *name = number < (uint64_t)p->n ? &p->list[number] : NULL;
	struct state_placed found;
	char text[UUID_TEXT];
	int e;

	if (!name) {
		link_send(p->relay, STATE_LISTED, id, &(const struct state_listed){.contact = statedir_contact(p->dir)});
		return;
	}
	e = statedir_load(p->dir, name, &p->record, &found.record);
	found.unreadable = e != 0 && e != E_NOTFOUND;
	if (found.unreadable)
		log_about(LOG_LV_ERROR, ABOUT(.vtpm = &name->uuid), "vTPM %s: its file in the state directory can't be used: %s; it is left alone",
			  uuid_format(&name->uuid, text), error_text(e));
	if (e != 0)
		found.record = (struct state_record){.uuid = name->uuid}; /* lease epoch 0: no lease, but the number counts on */
	found.place = name->place;
	link_send(p->relay, STATE_RECORD, id, &found);
}

/* For people: what can't be written is said once, and nothing stops for it. */
static void on_note(struct state_process *p, const struct state_note *m)
{
	struct history_record r = {.time = (uint64_t)time(NULL), .uuid = m->uuid, .guest = (uint32_t)m->guest, .dev = (uint32_t)m->dev,
				   .event = (enum history_event)m->event};
	bool failed;

	if (m->detail.p)
		snprintf(r.detail, sizeof(r.detail), "%.*s", (int)m->detail.n, (const char *)m->detail.p);
	if (!p->history)
		return;
	failed = history_add(p->history, &r) != 0;
	if (failed && !p->history_failed)
		log_error("state directory: can't write %s: %s; 'vtpmctl show' will lack something", HISTORY_FILE, strerror(errno));
	p->history_failed = failed;
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct state_process *p = arg;
	char why[STATEDIR_WHY];

	switch (type) {
	case STATE_NEXT:
		on_next(p, id, ((const struct state_next *)fields)->number);
		break;
	case STATE_SAVE:
		if (statedir_save(p->dir, fields, why) == 0)
			link_send(p->relay, STATE_SAVED, id, NULL);
		else
			fail(p, id, why);
		break;
	case STATE_DROP:
		if (statedir_drop(p->dir, fields, why) == 0)
			link_send(p->relay, STATE_DROPPED, id, NULL);
		else
			fail(p, id, why);
		break;
	case STATE_TOUCH:
		if (statedir_touch(p->dir, ((const struct state_touch *)fields)->contact, why) == 0)
			link_send(p->relay, STATE_TOUCHED, id, NULL);
		else
			fail(p, id, why);
		break;
	case STATE_IDENTITY:
		if (statedir_identity(p->dir, ((const struct state_identity *)fields)->pem, why) == 0)
			link_send(p->relay, STATE_IDENTIFIED, id, NULL);
		else
			fail(p, id, why);
		break;
	case STATE_NOTE:
		on_note(p, fields);
		break;
	default:
		fatal("the relay process sent an answer where a request belongs");
	}
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

/* Made by root at the first start; the process works on it as the unprivileged user. */
static void give_to_user(const struct relayconf *conf)
{
	const struct passwd *user = process_is_root() ? getpwnam(conf->user) : NULL;

	if (user && chown(conf->state_directory, user->pw_uid, user->pw_gid) != 0)
		fatal("can't give %s to user %s: %s", conf->state_directory, conf->user, strerror(errno));
}

void state_main(const struct relayconf *conf, int fd)
{
	const struct confinement box = {.user = conf->user, .root = process_is_root() ? conf->state_directory : NULL, .rules = rules,
					.n_rules = sizeof(rules) / sizeof(rules[0])};
	static struct state_process p;
	struct loop *loop = loop_new();
	char why[STATEDIR_WHY];

	log_open("vtpm-relayd[state]", LOG_LV_INFO);
	if (statedir_open(&p.dir, conf->state_directory, why) != 0)
		fatal("%s", why);
	if (history_open(&p.history, conf->state_directory, why) != 0)
		log_error("%s; 'vtpmctl show' will lack what happens from now on", why);
	give_to_user(conf);
	p.n = statedir_list(p.dir, p.list, LIST_MAX);
	if (p.n < 0)
		fatal("can't read the state directory %s: %s", conf->state_directory, strerror(errno));
	p.relay = loop ? link_new(loop, fd, "relay", &state_protocol, on_message, &p) : NULL;
	if (!p.relay || buf_init(&p.record, STATE_BODY_MAX + sizeof(uint32_t)) != 0)
		fatal("can't start: out of memory");
	link_on_end(p.relay, on_end, NULL);
	process_confine(&box);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

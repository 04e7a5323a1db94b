/*
 * vtpmctl state export.
 *
 * Theory of operation: a host gives a lease back after its last state, so that what is left in the state directory of a vTPM that does not run is what
 * could not be sent: the KMC can't be reached, or the relay can't be started any more. The relay, if it runs, says whether the vTPM runs; if it
 * does not run, only a record of an earlier boot is known to be of nobody who does.
 */
#include "dom0-relay/state_export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/results.h"
#include "common/statefile.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/statedir.h"
#include "dom0-relay/statemsg.h"

/* What the relay says of the vTPM. */
struct presence {
	const struct uuid *uuid;
	bool answered, here;
	char state[CTL_REASON_MAX + 1];
};

static void take_entry(void *arg, const struct ctl_entry *e)
{
	struct presence *p = arg;

	if (!uuid_equal(&e->uuid, p->uuid) || (e->state.n == strlen("refused") && memcmp(e->state.p, "refused", e->state.n) == 0))
		return;
	p->here = true;
	view_copy_text(e->state, p->state, sizeof(p->state));
}

static void ask(const char *socket_path, struct presence *p)
{
	static const struct ctlask_ops ops = {.entry = take_entry};

	p->answered = ctlask_list(socket_path, &ops, p) == 0;
}

static int say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int say(const char *fmt, ...)
{
	va_list ap;

	fputs("vtpmctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

static bool is_this_boot(const struct uuid *boot)
{
	char text[UUID_TEXT] = "";
	struct uuid now;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool known = f && fgets(text, sizeof(text), f) && uuid_parse(text, &now) == 0;

	if (f)
		fclose(f);
	return !known || uuid_equal(&now, boot);
}

/* 0, or it was said what stands against it. */
static int may_go(const struct relayconf *conf, const struct state_record *r, const char *u)
{
	struct presence p = {.uuid = &r->uuid};

	ask(conf->control, &p);
	if (p.here)
		return say("vTPM %s is here (%s): shut its guest down first", u, p.state);
	if (r->phase != PHASE_SERVING && r->phase != PHASE_OPENING)
		return say("vTPM %s sleeps here with its guest, or was coming in: resume that and shut it down, or give its image up", u);
	if (!p.answered && is_this_boot(&r->boot))
		return say("vTPM %s may still run: start vtpm-relayd, which knows, or look again after this host has booted", u);
	return r->version ? 0 : say("vTPM %s has stored nothing here: there is nothing to export", u);
}

static int write_file(const char *path, const struct state_record *r)
{
	const struct statefile s = {.uuid = r->uuid, .lease_epoch = r->lease_epoch, .version = r->version, .owner_epoch = r->owner_epoch,
				    .endorsement_epoch = r->endorsement_epoch, .platform_epoch = r->platform_epoch, .state = r->state};
	struct buf b;
	bool ok;
	int fd;

	if (buf_init(&b, STATEFILE_MAX) != 0)
		return say("out of memory");
	if (statefile_write(&b, &s) != 0) {
		buf_free(&b);
		return say("the record of the state is beyond all bounds");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ok = fd >= 0 && write(fd, buf_ptr(&b), buf_left(&b)) == (ssize_t)buf_left(&b) && fsync(fd) == 0;
	if (!ok)
		say("can't write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && !ok)
		(void)unlink(path); /* half a file would stand in the way of the next try */
	buf_free(&b);
	return ok ? 0 : 1;
}

int state_export_run(const struct relayconf *conf, const struct uuid *uuid, const char *out)
{
	char why[STATEDIR_WHY], u[UUID_TEXT];
	struct state_record record;
	struct buf b;
	int r;

	uuid_format(uuid, u);
	if (buf_init(&b, STATE_BODY_MAX + 64) != 0)
		return say("out of memory");
	r = statedir_peek(conf->state_directory, uuid, &b, &record, why);
	if (r == E_NOTFOUND)
		r = say("this host has nothing of vTPM %s: the KMC has its newest state", u);
	else if (r != 0)
		r = say("%s", why);
	else if ((r = may_go(conf, &record, u)) == 0 && (r = write_file(out, &record)) == 0) {
		results_text("file", out);
		results_number("version", record.version);
		results_number("lease_epoch", record.lease_epoch);
		results_tell("wrote %s: state version %" PRIu64 " of vTPM %s, sealed, stored under lease %" PRIu64 ". At the KMC: 'kmcctl vtpm takeover %s', then "
			     "'kmcctl vtpm restore %s --state FILE'\n", out, record.version, u, record.lease_epoch, u, u);
	}
	buf_free(&b);
	return r;
}

/*
 * The builder process.
 *
 * Theory of operation: requests are taken one after the other; libxl works synchronously, about a second for a
 * domain. The relay may look at any domain and mark any guest (hypervisor_mark()), but destroy only what this builder,
 * or one before it, built: the relay's word alone never ends a guest. The builder stays root's, which Xen's devices and directories belong to, without
 * capabilities; it has no system call filter, because libxl forks and calls what its version calls. What guards it is that its input is a handful of
 * message types from one process, strictly checked.
 */
#include "dom0-relay/builder_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "common/text.h"
#include "dom0-relay/hypervisor.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stub_domain.h"
#include "dom0-relay/stub_image.h"
#include "dom0-relay/stub_records.h"

#define DOMIDS 0x7ff0

struct builder {
	const struct relayconf *conf;
	struct link *relay;
	struct hypervisor *xen;
	struct toolstack *toolstack;
	int records;
	struct stub_image image;
	struct {
		enum { NOT_OURS, OURS, FOUND } whose; /* found: an earlier builder's, which nobody has kept yet */
		struct uuid handle;
	} domains[DOMIDS];
};

static void fail(struct builder *b, uint64_t id, const char *reason)
{
	char text[RELAY_REASON_MAX + 1];
	struct relay_failed f;

	snprintf(text, sizeof(text), "%s", reason);
	f.reason = view_text(text_make_printable(text)); /* paths may hold anything, and may be cut anywhere */
	link_send(b->relay, BUILDER_FAILED, id, &f);
}

static void on_inspect(struct builder *b, uint64_t id, const struct builder_inspect *q)
{
	struct builder_domain answer = {.domid = q->domid};
	struct domain_facts facts;

	if (hypervisor_inspect(b->xen, (uint32_t)q->domid, &facts) != 0) {
		fail(b, id, "the hypervisor does not answer");
		return;
	}
	if (facts.exists) {
		answer.exists = 1;
		answer.handle = facts.handle;
		answer.incarnation = facts.incarnation;
		answer.shutdown = facts.is_shutdown ? 1 + facts.shutdown_reason : 0;
		answer.paused = facts.is_paused;
	}
	link_send(b->relay, BUILDER_DOMAIN, id, &answer);
}

static void on_mark(struct builder *b, uint64_t id, const struct builder_mark *q)
{
	if (q->domid == 0 || q->image == 0 || q->image % 2 != 0)
		fatal("the relay process asked to mark domain %llu with %llu", (unsigned long long)q->domid, (unsigned long long)q->image);
	if (hypervisor_mark(b->xen, (uint32_t)q->domid, (uint32_t)q->image) != 0)
		fail(b, id, "the hypervisor refused to mark the domain (xc_domain_set_tsc_info)");
	else
		link_send(b->relay, BUILDER_MARKED, id, NULL);
}

/* A random UUID as RFC 4122 4.4 has it. */
static int make_handle(struct uuid *handle)
{
	if (getrandom(handle->b, sizeof(handle->b), 0) != sizeof(handle->b))
		return E_IO;
	handle->b[6] = (uint8_t)((handle->b[6] & 0x0f) | 0x40);
	handle->b[8] = (uint8_t)((handle->b[8] & 0x3f) | 0x80);
	return 0;
}

/* What do stub domains start from now? The relay is told when that is something else than before. */
static void look_at_image(struct builder *b)
{
	const struct stub_image before = b->image;
	char why[STUB_IMAGE_WHY], text[STUB_IMAGE_TEXT];
	struct builder_image m = {{0}};
	int r = stub_image_read(&b->image, b->conf->stub_kernel, b->conf->stub_initramfs, why);

	if (r == 0 && before.known && memcmp(before.digest, b->image.digest, sizeof(before.digest)) == 0)
		return;
	if (r == 0) {
		log_info("stub domains start from image %s", stub_image_text(b->image.digest, text));
		m.digest = view_of(b->image.digest, sizeof(b->image.digest));
	} else {
		log_error("%s", why);
	}
	link_send(b->relay, BUILDER_IMAGE, 0, &m);
}

static void on_build(struct builder *b, uint64_t id, const struct builder_build *q)
{
	char name[65] = "", why[STUB_WHY] = "can't note down the stub domain to be built";
	struct builder_built answer;
	struct uuid handle;
	uint32_t domid = (uint32_t)q->domid;
	int r = view_copy_text(q->name, name, sizeof(name));

	look_at_image(b);
	if (r == 0 && (r = make_handle(&handle)) == 0 && (r = stub_records_add(b->records, &handle)) == 0) {
		r = stub_create(b->toolstack, b->conf, name, &handle, q->headroom_mib, &domid, why);
		if (r != 0)
			stub_records_remove(b->records, &handle);
	}
	if (r != 0) {
		log_error("%s: %s", name, why);
		fail(b, id, why);
		return;
	}
	b->domains[domid].whose = OURS;
	b->domains[domid].handle = handle;
	log_info("%s: built stub domain %u", name, domid);
	answer.domid = domid;
	link_send(b->relay, BUILDER_BUILT, id, &answer);
}

static int destroy(struct builder *b, uint32_t domid)
{
	int r = stub_destroy(b->toolstack, domid);

	if (r != 0 && r != E_NOTFOUND) {
		log_error("can't destroy stub domain %u: see libxl's message above", domid);
		return r;
	}
	stub_records_remove(b->records, &b->domains[domid].handle);
	b->domains[domid].whose = NOT_OURS;
	return 0;
}

static void on_destroy(struct builder *b, uint64_t id, const struct builder_destroy *q)
{
	if (b->domains[q->domid].whose == NOT_OURS)
		fatal("the relay process asked to destroy domain %llu, which is no stub domain", (unsigned long long)q->domid);
	if (destroy(b, (uint32_t)q->domid) != 0)
		fail(b, id, "can't destroy the stub domain");
	else
		link_send(b->relay, BUILDER_DESTROYED, id, NULL);
}

static void on_keep(struct builder *b, uint64_t id, const struct builder_keep *q)
{
	if (b->domains[q->domid].whose == NOT_OURS) {
		fail(b, id, "its stub domain is gone");
		return;
	}
	b->domains[q->domid].whose = OURS;
	link_send(b->relay, BUILDER_KEPT, id, NULL);
}

static void on_sweep(struct builder *b, uint64_t id)
{
	for (uint32_t domid = 0; domid < DOMIDS; domid++) {
		if (b->domains[domid].whose != FOUND)
			continue;
		log_warn("stub domain %u serves nobody any more: destroying it", domid);
		destroy(b, domid);
	}
	link_send(b->relay, BUILDER_SWEPT, id, NULL);
}

static void on_name(struct builder *b, uint64_t id, const struct builder_name *q)
{
	char name[65] = "";

	view_copy_text(q->name, name, sizeof(name));
	if (b->domains[q->domid].whose == NOT_OURS) /* of an earlier run, and gone since, perhaps */
		log_warn("domain %llu is no stub domain (any more): it is not renamed to %s", (unsigned long long)q->domid, name);
	else if (stub_rename(b->toolstack, (uint32_t)q->domid, name) != 0)
		log_warn("can't rename stub domain %llu to %s: see libxl's message above", (unsigned long long)q->domid, name);
	link_send(b->relay, BUILDER_NAMED, id, NULL);
}

static void on_memory(struct builder *b, uint64_t id)
{
	struct builder_free answer;

	if (toolstack_free_memory(b->toolstack, &answer.mib) != 0)
		answer.mib = UINT64_MAX; /* not known: no reason to act */
	link_send(b->relay, BUILDER_FREE, id, &answer);
}

/* A record of an earlier builder: of a stub domain that is still there, or of one that is gone. */
static void on_record(void *arg, const struct uuid *handle)
{
	struct builder *b = arg;
	uint32_t domid;
	int r = hypervisor_find(b->xen, handle, &domid);

	if (r == 0 && domid > 0 && domid < DOMIDS) {
		b->domains[domid].whose = FOUND;
		b->domains[domid].handle = *handle;
	} else if (r == E_NOTFOUND) {
		stub_records_remove(b->records, handle);
	}
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct builder *b = arg;

	switch (type) {
	case BUILDER_INSPECT:
		on_inspect(b, id, fields);
		break;
	case BUILDER_MARK:
		on_mark(b, id, fields);
		break;
	case BUILDER_BUILD:
		on_build(b, id, fields);
		break;
	case BUILDER_DESTROY:
		on_destroy(b, id, fields);
		break;
	case BUILDER_KEEP:
		on_keep(b, id, fields);
		break;
	case BUILDER_NAME:
		on_name(b, id, fields);
		break;
	case BUILDER_MEMORY:
		on_memory(b, id);
		break;
	case BUILDER_SWEEP:
		on_sweep(b, id);
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

void builder_main(const struct relayconf *conf, int fd)
{
	static const struct confinement confinement = {.no_capabilities = true};
	static struct builder b;
	struct loop *loop = loop_new();

	log_open("vtpm-relayd[builder]", LOG_LV_INFO);
	b.conf = conf;
	b.xen = hypervisor_open();
	b.toolstack = toolstack_open();
	if (!b.xen || !b.toolstack)
		fatal("can't talk to Xen: is this dom0, booted under Xen, and are its services running?");
	b.records = stub_records_open(conf->stub_records);
	if (b.records < 0 || stub_records_each(b.records, on_record, &b) != 0)
		fatal("can't use %s for the records of stub domains: %s", conf->stub_records, strerror(errno));
	b.relay = loop ? link_new(loop, fd, "relay", &builder_protocol, on_message, &b) : NULL;
	if (!b.relay)
		fatal("can't start: out of memory");
	link_on_end(b.relay, on_end, NULL);
	process_confine(&confinement);
	look_at_image(&b);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

/*
 * The builder process.
 *
 * Theory of operation: requests are taken one after the other; libxl works synchronously, about a second for a
 * domain. The relay may look at any domain, but destroy only what this builder built: the relay's word alone never
 * ends a guest. The builder keeps root and no system call filter, because libxl forks and executes helpers; what
 * guards it is that its input is five message types from one process, strictly checked.
 */
#include "dom0-relay/builder_process.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "dom0-relay/hypervisor.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stub_domain.h"

#define DOMIDS 0x7ff0

struct builder {
	const struct relayconf *conf;
	struct link *relay;
	struct hypervisor *xen;
	struct toolstack *toolstack;
	bool ours[DOMIDS]; /* stub domains built here or adopted at start */
};

static void fail(struct builder *b, uint64_t id, const char *reason)
{
	const struct relay_failed f = {.reason = view_text(reason)};

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
	}
	link_send(b->relay, BUILDER_DOMAIN, id, &answer);
}

static void on_build(struct builder *b, uint64_t id, const struct builder_build *q)
{
	char name[65], why[STUB_WHY];
	struct builder_built answer;
	uint32_t domid;

	if (view_copy_text(q->name, name, sizeof(name)) != 0 || stub_create(b->toolstack, b->conf, name, &domid, why) != 0) {
		log_error("%s: %s", name, why);
		fail(b, id, why);
		return;
	}
	b->ours[domid] = true;
	log_info("%s: built stub domain %u", name, domid);
	answer.domid = domid;
	link_send(b->relay, BUILDER_BUILT, id, &answer);
}

static void on_destroy(struct builder *b, uint64_t id, const struct builder_destroy *q)
{
	int r;

	if (!b->ours[q->domid])
		fatal("the relay process asked to destroy domain %llu, which is no stub domain", (unsigned long long)q->domid);
	r = stub_destroy(b->toolstack, (uint32_t)q->domid);
	if (r != 0 && r != E_NOTFOUND) {
		log_error("can't destroy stub domain %llu: see libxl's message above", (unsigned long long)q->domid);
		fail(b, id, "can't destroy the stub domain");
		return;
	}
	b->ours[q->domid] = false;
	link_send(b->relay, BUILDER_DESTROYED, id, NULL);
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct builder *b = arg;

	switch (type) {
	case BUILDER_INSPECT:
		on_inspect(b, id, fields);
		break;
	case BUILDER_BUILD:
		on_build(b, id, fields);
		break;
	case BUILDER_DESTROY:
		on_destroy(b, id, fields);
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
	static struct builder b;
	struct loop *loop = loop_new();

	log_open("vtpm-relayd[builder]", LOG_LV_INFO);
	b.conf = conf;
	b.xen = hypervisor_open();
	b.toolstack = toolstack_open();
	if (!b.xen || !b.toolstack)
		fatal("can't talk to Xen: is this dom0, booted under Xen, and are its services running?");
	b.relay = loop ? link_new(loop, fd, "relay", &builder_protocol, on_message, &b) : NULL;
	if (!b.relay)
		fatal("can't start: out of memory");
	link_on_end(b.relay, on_end, NULL);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

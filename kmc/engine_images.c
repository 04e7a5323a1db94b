/*
 * Suspended images, for administrators.
 *
 * Theory of operation: a volatile state fits the one image that the vTPM is suspended with, and a few earlier ones are kept ([states]
 * images), which fit nothing. To allow one is a roll-back that somebody wants: nobody may hold or have reserved the vTPM; it is suspended with
 * that image again, under a new lease epoch, as nobody's, so that no host can resume it; the state that was saved with it is the newest, and
 * later states and images are dropped. No check is lifted: a domain that is restored from that very image gets it, once, and nothing else does.
 */
#include "kmc/engine_images.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/admin.h"
#include "kmc/engine_states.h"

struct order {
	struct engine *e;
	const struct adm_image_allow *m;
	struct store_vtpm vtpm;
	struct store_image image;
	struct store_state state;
	uint64_t from; /* the version that was the newest */
	bool known;    /* the vTPM is */
	bool leaving;  /* E_STATE: to another KMC */
};

static void on_list(struct engine *e, uint64_t client, const struct adm_uuid *m)
{
	struct store_image i = {0};
	struct store_vtpm v;
	char u[UUID_TEXT];
	int r = e->store->ops->vtpm_get(e->store, &m->uuid, &v);

	if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", uuid_format(&m->uuid, u));
		return;
	}
	while (r == 0 && (r = e->store->ops->image_next(e->store, &m->uuid, i.number, &i)) == 0) {
		const struct adm_image row = {.image = i.image, .version = i.version, .suspended_at = (uint64_t)i.suspended_at,
					      .fits = v.lease.suspended && v.lease.image == i.image};

		r = admin_answer(e->admin, client, ADM_IMAGE, &row);
	}
	if (r == E_NOTFOUND)
		admin_answer(e->admin, client, ADM_END, &(const struct adm_end){.more = 0});
	else
		admin_fail(e->admin, client, r, "%s", r == E_RANGE ? "there are too many images to list" : e->store->why);
}

/* The image and the state that was saved with it. */
static int find(struct store *s, struct order *t)
{
	int r;

	t->image.number = 0;
	do {
		r = s->ops->image_next(s, &t->m->uuid, t->image.number, &t->image);
	} while (r == 0 && t->image.image != t->m->image);
	if (r != 0)
		return r;
	r = s->ops->state_next(s, &t->m->uuid, t->image.version - 1, &t->state);
	return r == 0 && t->state.version != t->image.version ? E_NOTFOUND : r;
}

static void wait_for_it(struct lease *l, const struct order *t)
{
	lease_wake(l);
	l->suspended = true;
	l->image = t->image.image;
	l->last_holder[0] = '\0';
	l->epoch++;
	l->state_version = t->state.version;
	l->owner_epoch = t->state.owner_epoch;
	l->endorsement_epoch = t->state.endorsement_epoch;
	l->platform_epoch = t->state.platform_epoch;
}

static int record(const struct order *t)
{
	char detail[120];
	const struct audit_act act = {.event = AUDIT_IMAGE_ALLOWED, .vtpm = &t->m->uuid, .pool = t->vtpm.lease.pool,
				      .lease_epoch = t->vtpm.lease.epoch, .detail = detail};

	snprintf(detail, sizeof(detail), "image %" PRIu64 ", back to version %" PRIu64 " from %" PRIu64, t->image.image, t->image.version, t->from);
	return auditlog_add(&t->e->audit, &act);
}

/* E_NOTFOUND: no such vTPM or image; E_STATE: somebody holds or has reserved it; E_EXISTS: it fits already. */
static int allow_it(struct store *s, void *arg)
{
	struct order *t = arg;
	struct lease *l = &t->vtpm.lease;
	int r = s->ops->vtpm_get(s, &t->m->uuid, &t->vtpm);

	t->known = r == 0;
	if (r != 0 || (r = find(s, t)) != 0)
		return r;
	if ((r = states_left(s, &t->vtpm, &t->leaving)) != 0)
		return r;
	if (t->leaving || l->holder[0] || l->reserver[0] || l->epoch >= INT64_MAX)
		return E_STATE;
	if (l->suspended && l->image == t->image.image)
		return E_EXISTS;
	t->from = l->state_version;
	wait_for_it(l, t);
	t->vtpm.suspended_at = t->image.suspended_at;
	if ((r = s->ops->image_prune(s, &t->m->uuid, l->image, 0)) != 0 || (r = s->ops->state_drop(s, &t->m->uuid, l->state_version)) != 0 ||
	    (r = s->ops->vtpm_put(s, &t->vtpm)) != 0)
		return r;
	return record(t);
}

static void on_allow(struct engine *e, uint64_t client, const struct adm_image_allow *m)
{
	struct order t = {.e = e, .m = m};
	const struct lease *l = &t.vtpm.lease;
	char u[UUID_TEXT];
	int r = store_transact(e->store, allow_it, &t);

	uuid_format(&m->uuid, u);
	if (r == E_NOTFOUND && !t.known) {
		admin_fail(e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	} else if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "image %" PRIu64 " of vTPM %s is not kept here: see 'kmcctl vtpm images %s'", m->image, u, u);
	} else if (r == E_STATE && t.leaving) {
		admin_fail(e->admin, client, r, "vTPM %s has left for another KMC, with the state that it had: see 'kmcctl vtpm show %s'", u, u);
	} else if (r == E_STATE) {
		admin_fail(e->admin, client, r, "host '%s' has vTPM %s: shut its guest down there first, or 'kmcctl vtpm takeover %s' if that host is dead",
		     l->holder[0] ? l->holder : l->reserver, u, u);
	} else if (r == E_EXISTS) {
		admin_fail(e->admin, client, r, "vTPM %s is suspended with image %" PRIu64 ": that one may be restored as it is", u, m->image);
	} else if (r != 0) {
		log_error("%s", e->store->why);
		admin_fail(e->admin, client, r, "%s", e->store->why);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &t.m->uuid), "image %" PRIu64 " of vTPM %s was allowed: back to state version %" PRIu64 " from %" PRIu64,
			  m->image, u, t.image.version, t.from);
		admin_answer(e->admin, client, ADM_DONE, NULL);
	}
}

bool images_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_IMAGE_LIST)
		on_list(e, client, fields);
	else if (type == ADM_IMAGE_ALLOW)
		on_allow(e, client, fields);
	else
		return false;
	return true;
}

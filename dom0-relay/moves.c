/* Messages about guests that sleep and move. */
#include "dom0-relay/moves.h"

#include "common/error.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"

static int send_suspend(struct kmclink *kmc, uint64_t id, const struct state_record *r)
{
	const struct kmc_suspend m = {
		.uuid = r->uuid, .lease_epoch = r->lease_epoch, .image = r->image, .version = r->version, .owner_epoch = r->owner_epoch,
		.endorsement_epoch = r->endorsement_epoch, .platform_epoch = r->platform_epoch, .state = r->state,
		.volatile_state = r->transient,
	};

	return kmclink_send(kmc, KMC_SUSPEND, id, &m);
}

int moves_send(struct kmclink *kmc, enum kmc_type type, uint64_t ticket, const struct state_record *r)
{
	const struct kmc_resume resume = {.uuid = r->uuid, .lease_epoch = r->lease_epoch};
	const struct kmc_commit commit = {.uuid = r->uuid, .request = r->request};
	const struct kmc_cancel cancel = {.uuid = r->uuid, .request = r->request};
	uint64_t id = KMC_ID(KMC_ID_MOVE, ticket);

	switch (type) {
	case KMC_SUSPEND:
		return send_suspend(kmc, id, r);
	case KMC_RESUME:
		return kmclink_send(kmc, type, id, &resume);
	case KMC_COMMIT:
		return kmclink_send(kmc, type, id, &commit);
	case KMC_CANCEL:
		return kmclink_send(kmc, type, id, &cancel);
	default:
		return E_ARG;
	}
}

bool moves_answer(enum kmc_type request, enum kmc_type answer, const void *fields, uint64_t *lease_epoch)
{
	*lease_epoch = 0;
	switch (answer) {
	case KMC_SUSPENDED:
		*lease_epoch = ((const struct kmc_suspended *)fields)->lease_epoch;
		return request == KMC_SUSPEND;
	case KMC_RESUMED:
		*lease_epoch = ((const struct kmc_resumed *)fields)->lease_epoch;
		return request == KMC_RESUME;
	case KMC_COMMITTED:
		*lease_epoch = ((const struct kmc_committed *)fields)->lease_epoch;
		return request == KMC_COMMIT;
	case KMC_CANCELLED:
		return request == KMC_CANCEL;
	default:
		return false;
	}
}

bool moves_is_final(enum kmc_type request, uint64_t refusal)
{
	switch (refusal) {
	case KMC_REFUSED_EPOCH:
	case KMC_REFUSED_RESERVATION:
	case KMC_REFUSED_ROLLBACK:
	case KMC_REFUSED_MALFORMED:
		return true;
	case KMC_REFUSED_POLICY: /* a host in another pool: a state that is only here waits until it is back */
		return request != KMC_SUSPEND;
	default:
		return false;
	}
}

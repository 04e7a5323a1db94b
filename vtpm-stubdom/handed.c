/* The sealed state that was handed over: is it this vTPM's, the newest, and what its guest was suspended with. */
#include "vtpm-stubdom/handed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/handoff.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/sealed.h"

static int complain(char why[HANDED_WHY], int r, const char *what)
{
	snprintf(why, HANDED_WHY, "%s: %s", what, error_text(r));
	return r;
}

/* May this state be used for what was handed over? */
static int admit(const struct sealed_head *s, const struct handoff_handoff *h, char why[HANDED_WHY])
{
	if (!uuid_equal(&s->uuid, &h->uuid) || s->generation != h->generation) {
		snprintf(why, HANDED_WHY, "the sealed state is another vTPM's, or of another seed generation");
		return E_INTEGRITY;
	}
	if (s->version < h->state_version) {
		snprintf(why, HANDED_WHY, "roll-back refused: the sealed state has version %" PRIu64 ", but %" PRIu64 " is on record", s->version,
			 h->state_version);
		return E_DENIED;
	}
	if (s->lease_epoch > h->lease_epoch) {
		snprintf(why, HANDED_WHY, "the sealed state was made under lease %" PRIu64 ", this host has the older %" PRIu64, s->lease_epoch,
			 h->lease_epoch);
		return E_DENIED;
	}
	if (s->epochs.owner < h->owner_epoch || s->epochs.endorsement < h->endorsement_epoch || s->epochs.platform < h->platform_epoch) {
		snprintf(why, HANDED_WHY, "roll-back refused: the sealed state has keys from before a TPM2_Clear, ChangeEPS or ChangePPS on record");
		return E_DENIED;
	}
	if (s->kind != SEALED_PERMANENT) {
		snprintf(why, HANDED_WHY, "the sealed state is a transient one, in the place of the permanent one");
		return E_INTEGRITY;
	}
	return 0;
}

/* A guest that was resumed needs the TPM that was suspended with it: @t belongs to the permanent state @s and to its image. */
static int admit_transient(const struct sealed_head *t, const struct sealed_head *s, const struct handoff_handoff *h, char why[HANDED_WHY])
{
	if (t->kind != SEALED_TRANSIENT || !uuid_equal(&t->uuid, &s->uuid) || t->generation != s->generation || t->version != s->version ||
	    t->lease_epoch != s->lease_epoch || memcmp(&t->epochs, &s->epochs, sizeof(t->epochs)) != 0) {
		snprintf(why, HANDED_WHY, "the sealed transient state does not belong to the permanent state");
		return E_INTEGRITY;
	}
	if (t->incarnation + 1 != h->incarnation) {
		snprintf(why, HANDED_WHY, "the guest was resumed (incarnation %" PRIu64 "), but its TPM was not suspended with it (state of incarnation %" PRIu64 ")",
			 h->incarnation, t->incarnation);
		return E_DENIED;
	}
	return 0;
}

/* Add the transient half of what was frozen to @state. A guest that boots must not get it. */
static int open_transient(const struct handoff_handoff *h, const struct secret *state_key, const struct sealed_head *s, struct engine_state *state,
			  char why[HANDED_WHY])
{
	struct engine_state half;
	struct sealed_head head;
	int r;

	if (h->incarnation <= 1)
		return 0;
	if (!h->transient.p) {
		snprintf(why, HANDED_WHY, "the guest was resumed (incarnation %" PRIu64 "), but its TPM was not suspended with it", h->incarnation);
		return E_DENIED;
	}
	r = sealed_open(h->transient.p, h->transient.n, state_key, &head, &half);
	if (r != 0)
		return complain(why, r, "the sealed transient state can't be opened with this vTPM's key");
	r = admit_transient(&head, s, h, why);
	if (r == 0) {
		state->transient = half.transient;
		half.transient = NULL;
	}
	engine_state_free(&half);
	return r;
}

int handed_open(const struct handoff_handoff *h, const struct secret *state_key, struct sealed_head *head, struct engine_state *state, char why[HANDED_WHY])
{
	int r = sealed_open(h->state.p, h->state.n, state_key, head, state);

	if (r != 0)
		return complain(why, r, "the sealed state can't be opened with this vTPM's key");
	r = admit(head, h, why);
	if (r == 0)
		r = open_transient(h, state_key, head, state, why);
	if (r != 0)
		engine_state_free(state);
	return r;
}

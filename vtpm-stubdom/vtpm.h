/*
 * One guest's vTPM: the engine, the keys derived for it, and the rules by which its state is kept.
 *
 * Theory of operation: the response to a command that changed permanent state may be given to the guest only after vtpm_seal()'s output
 * is safe elsewhere and vtpm_stored() was told so; or an error in its place, after vtpm_undo(). TPM2_Clear, TPM2_ChangeEPS and
 * TPM2_ChangePPS give a hierarchy random roots inside libtpms; they are replaced by those derived under the next epoch before anybody
 * can use them, so that every root key can be derived again from the base seed.
 */
#ifndef VTPM_STUBDOM_VTPM_H
#define VTPM_STUBDOM_VTPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/handoff.h"
#include "common/msg.h"
#include "vtpm-stubdom/handed.h"

#define VTPM_WHY HANDED_WHY    /* bytes of a reason */
#define VTPM_RESPONSE_MAX 4096 /* bytes */

struct buf;
struct vtpm;

/**
 * vtpm_open() - bring up the vTPM that the relay handed over, started with CLEAR or resumed
 * @h: its seed is not needed any more afterwards
 * @why: on error, one line for the administrator
 *
 * What is refused, see handed_open(). Return: 0 or an error.
 */
int vtpm_open(struct vtpm **v, const struct handoff_handoff *h, char why[VTPM_WHY]);

/** vtpm_close() - wipe everything; *@v may be NULL. */
void vtpm_close(struct vtpm **v);

/**
 * vtpm_command() - execute one command of the guest, of TPM 2.0 or of those that tpm12.h knows
 *
 * Never fails: what can't be executed is answered with a TPM error. Return: the response, valid until the next call.
 */
struct view vtpm_command(struct vtpm *v, unsigned int locality, const uint8_t *command, size_t n);

/**
 * vtpm_failure() - why the TPM is out of order until the guest is started anew, NULL: it is in order
 *
 * It answers TPM_RC_FAILURE then, and what is on record of it stays as it is. If that is libtpms' failure mode it can be frozen, and is in
 * that mode where it is resumed.
 */
const char *vtpm_failure(const struct vtpm *v);

/** vtpm_take_changed() - did permanent state change since the last call? Then the last response has to wait. */
bool vtpm_take_changed(struct vtpm *v);

/**
 * vtpm_seal() - seal the permanent state as the next version, appended to @out; @store points into @out
 *
 * Return: 0 or an error. A state that could not be started from (E_INTEGRITY and errors of blob.h) never takes the place of the last one.
 */
int vtpm_seal(struct vtpm *v, struct buf *out, struct handoff_store *store);

/**
 * vtpm_freeze() - seal all of the TPM as the next version, for the guest that is restored from the image that @image names
 * @out, @transient: the two halves are appended there, and @frozen points into them
 *
 * Return: 0 or an error. No command may be executed afterwards, unless nobody else ever gets what was sealed.
 */
int vtpm_freeze(struct vtpm *v, uint64_t image, struct buf *out, struct buf *transient, struct handoff_frozen *frozen);

/** vtpm_set_lease() - the lease under which the state is sealed from now on. */
void vtpm_set_lease(struct vtpm *v, uint64_t lease_epoch);

/** vtpm_stored() - version @version is safe: the last command can't be undone any more. */
void vtpm_stored(struct vtpm *v, uint64_t version);

/**
 * vtpm_undo() - go back to before the last command, whose change could not be stored
 * @certain: it is known not to be stored; else it may be, and an epoch that was begun stays
 *
 * What the TPM itself answered with an error (a failed authorisation was counted) is never undone: a guest that can make storage fail
 * must not get free guesses.
 * Return: true if it is as if the command had not been.
 */
bool vtpm_undo(struct vtpm *v, bool certain);

/**
 * vtpm_stands() - whether the response to the last command stands, though its change could not be stored
 *
 * That is so for commands that leave nothing in permanent state: what changes there with them is the TPM's own, such as failed authorisations that
 * it forgets in time, or that it is running again after TPM2_Shutdown. They are not undone, and an error would have the guest do twice what is done.
 */
bool vtpm_stands(const struct vtpm *v);

/**
 * vtpm_wants_certificates() - whether the KMC is to be asked for certificates of its endorsement keys (endorsement.h)
 *
 * Also if it has some: the KMC's authority may be another by now, or the KMC itself. What is the same is not written.
 */
bool vtpm_wants_certificates(struct vtpm *v);

/** vtpm_certify() - put certificates into the TPM: 0 or an error of endorsement_provision(); see vtpm_take_changed(). */
int vtpm_certify(struct vtpm *v, struct view rsa, struct view ecc);

uint64_t vtpm_endorsement_epoch(const struct vtpm *v);

/** vtpm_shutdown() - the guest has powered off: TPM2_Shutdown(CLEAR), so that no authorisation failure is counted at the next start. */
void vtpm_shutdown(struct vtpm *v);

uint64_t vtpm_version(const struct vtpm *v); /* of the state; 0: never sealed */
const struct uuid *vtpm_uuid(const struct vtpm *v);
uint64_t vtpm_lease_epoch(const struct vtpm *v);

#endif

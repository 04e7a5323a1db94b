/* Reading and writing the shared page. */
#include "vtpm-stubdom/tpmif.h"

#include <string.h>

#include <xen/io/tpmif.h>

#include "common/buf.h"

#define COMMAND_MIN 10 /* tag, size, code: what is shorter is no command of any TPM */

_Static_assert(sizeof(tpmif_shared_page_t) == TPMIF_HEADER_SIZE, "the header is 8 bytes");
_Static_assert((int)TPMIF_STATE_IDLE == TPMIF_IDLE && (int)TPMIF_STATE_SUBMIT == TPMIF_SUBMIT &&
		       (int)TPMIF_STATE_FINISH == TPMIF_FINISH && (int)TPMIF_STATE_CANCEL == TPMIF_CANCEL,
	       "our names for the interface's states");

enum tpmif_event tpmif_take(const void *page, struct tpmif_request *r)
{
	const tpmif_shared_page_t *shared = page;
	uint8_t state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE);
	uint32_t length;

	if (state == TPMIF_CANCEL)
		return TPMIF_CANCELLED;
	if (state != TPMIF_SUBMIT)
		return TPMIF_NOTHING;
	length = __atomic_load_n(&shared->length, __ATOMIC_RELAXED);
	r->locality = __atomic_load_n(&shared->locality, __ATOMIC_RELAXED);
	r->data_at = TPMIF_HEADER_SIZE + sizeof(uint32_t) * __atomic_load_n(&shared->nr_extra_pages, __ATOMIC_RELAXED);
	r->n = 0;
	if (length < COMMAND_MIN || length > TPMIF_PAGE_SIZE - r->data_at)
		return TPMIF_MALFORMED;
	r->n = length;
	memcpy(r->data, (const uint8_t *)page + r->data_at, length);
	/* The copy is finished before anything is decided by it. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return TPMIF_REQUEST;
}

static void finish(tpmif_shared_page_t *shared, uint8_t state)
{
	/* The data is there before the state says so, and that before the event that follows. */
	__atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void tpmif_answer(void *page, const struct tpmif_request *r, const uint8_t *response, size_t n)
{
	tpmif_shared_page_t *shared = page;
	uint8_t error[TPMIF_ERROR_SIZE];

	if (n > TPMIF_PAGE_SIZE - r->data_at) {
		response = tpmif_error(error, TPMIF_RC_COMMAND_SIZE);
		n = sizeof(error);
	}
	memcpy((uint8_t *)page + r->data_at, response, n);
	__atomic_store_n(&shared->length, (uint32_t)n, __ATOMIC_RELAXED);
	finish(shared, TPMIF_FINISH);
}

void tpmif_idle(void *page)
{
	finish(page, TPMIF_IDLE);
}

uint8_t *tpmif_error(uint8_t out[TPMIF_ERROR_SIZE], uint32_t rc)
{
	struct buf b;

	buf_over(&b, out, TPMIF_ERROR_SIZE);
	buf_put_u16(&b, 0x8001); /* TPM_ST_NO_SESSIONS */
	buf_put_u32(&b, TPMIF_ERROR_SIZE);
	buf_put_u32(&b, rc);
	return out;
}

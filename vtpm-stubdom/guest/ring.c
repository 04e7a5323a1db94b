/* The shared page from the guest's side. */
#include "vtpm-stubdom/guest/ring.h"

#include <string.h>

#include <xen/io/tpmif.h>

#include "vtpm-stubdom/guest/command.h"
#include "vtpm-stubdom/tpmif.h"

enum ring_state ring_state(const void *page)
{
	const tpmif_shared_page_t *shared = page;

	switch (__atomic_load_n(&shared->state, __ATOMIC_ACQUIRE)) {
	case TPMIF_FINISH:
		return RING_FINISHED;
	case TPMIF_IDLE:
		return RING_IDLE;
	default:
		return RING_BUSY;
	}
}

/* The data is there before the state says so, and that before the event that follows. */
static void set_state(tpmif_shared_page_t *shared, uint8_t state)
{
	__atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_submit(void *page, unsigned int locality, const uint8_t *command, size_t n)
{
	tpmif_shared_page_t *shared = page;

	memcpy((uint8_t *)page + TPMIF_HEADER_SIZE, command, n);
	__atomic_store_n(&shared->length, (uint32_t)n, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->locality, (uint8_t)locality, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->nr_extra_pages, 0, __ATOMIC_RELAXED);
	set_state(shared, TPMIF_SUBMIT);
}

void ring_cancel(void *page)
{
	set_state(page, TPMIF_CANCEL);
}

size_t ring_response(const void *page, uint8_t *out)
{
	const tpmif_shared_page_t *shared = page;
	uint32_t n = __atomic_load_n(&shared->length, __ATOMIC_RELAXED);

	if (n < COMMAND_HEADER_SIZE || n > TPMIF_DATA_MAX)
		return 0;
	memcpy(out, (const uint8_t *)page + TPMIF_HEADER_SIZE, n);
	return command_well_formed(out, n) ? n : 0; /* a response's header has the same shape */
}

void ring_wipe(void *page)
{
	explicit_bzero((uint8_t *)page + TPMIF_HEADER_SIZE, TPMIF_DATA_MAX);
}

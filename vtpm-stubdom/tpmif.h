/*
 * The page that a guest shares with its vTPM (xen/include/public/io/tpmif.h): one request or response at a time.
 *
 *   0 u32 length, 4 u8 state, 5 u8 locality, 6 u8 pad, 7 u8 nr_extra_pages, 8 u32 extra_pages[nr_extra_pages], data   (little endian)
 *
 * The guest can write any of it at any time. A request is copied once and judged by the copy; a length is read once. Data stays within
 * the one page, as Linux keeps it: nr_extra_pages only moves where it begins, no further page is mapped.
 */
#ifndef VTPM_STUBDOM_TPMIF_H
#define VTPM_STUBDOM_TPMIF_H

#include <stddef.h>
#include <stdint.h>

#define TPMIF_PAGE_SIZE 4096
#define TPMIF_HEADER_SIZE 8
#define TPMIF_DATA_MAX (TPMIF_PAGE_SIZE - TPMIF_HEADER_SIZE)

/* The interface's enum tpmif_state: the guest writes SUBMIT and CANCEL, we write IDLE and FINISH. */
enum { TPMIF_IDLE, TPMIF_SUBMIT, TPMIF_FINISH, TPMIF_CANCEL };

enum tpmif_event {
	TPMIF_NOTHING,	 /* no request: the event was about something else, or the state is rubbish */
	TPMIF_REQUEST,	 /* a command was copied */
	TPMIF_MALFORMED, /* a request that can't be one: answer it with a TPM error */
	TPMIF_CANCELLED, /* the guest gave up: tpmif_idle() */
};

struct tpmif_request {
	unsigned int locality;
	size_t data_at; /* offset of the data in the page, for the answer too */
	size_t n;
	uint8_t data[TPMIF_DATA_MAX];
};

/** tpmif_take() - look at the page once and copy what was submitted into @r. */
enum tpmif_event tpmif_take(const void *page, struct tpmif_request *r);

/** tpmif_answer() - put the response where @r's data was; one that does not fit becomes a TPM error. The caller notifies. */
void tpmif_answer(void *page, const struct tpmif_request *r, const uint8_t *response, size_t n);

/** tpmif_idle() - confirm a cancellation. The caller notifies. */
void tpmif_idle(void *page);

#define TPMIF_ERROR_SIZE 10

/** tpmif_error() - write a TPM 2.0 response that says @rc and nothing else into @out; return @out. */
uint8_t *tpmif_error(uint8_t out[TPMIF_ERROR_SIZE], uint32_t rc);

enum { /* TPM 2.0, part 2, "Response Code Formats" */
	TPMIF_RC_FAILURE = 0x101,
	TPMIF_RC_COMMAND_SIZE = 0x142,
	TPMIF_RC_LOCALITY = 0x907,
	TPMIF_RC_NV_UNAVAILABLE = 0x923,
};

#endif

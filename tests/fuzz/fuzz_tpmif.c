/* A hostile shared page: what is taken lies within it, and an answer never leaves it. */
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/tpmif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *page = calloc(1, TPMIF_PAGE_SIZE); /* exactly: the sanitizer watches its ends */
	struct tpmif_request r;

	must(page);
	memcpy(page, data, size < TPMIF_PAGE_SIZE ? size : TPMIF_PAGE_SIZE);
	switch (tpmif_take(page, &r)) {
	case TPMIF_REQUEST:
		must(r.n >= 10 && r.data_at >= TPMIF_HEADER_SIZE && r.data_at + r.n <= TPMIF_PAGE_SIZE);
		must(memcmp(r.data, page + r.data_at, r.n) == 0);
		tpmif_answer(page, &r, r.data, r.n);
		must(page[4] == TPMIF_FINISH);
		break;
	case TPMIF_MALFORMED:
		tpmif_answer(page, &r, data, size); /* of any length */
		must(page[4] == TPMIF_FINISH);
		break;
	case TPMIF_CANCELLED:
		tpmif_idle(page);
		must(page[4] == TPMIF_IDLE);
		break;
	case TPMIF_NOTHING:
		break;
	}
	free(page);
	return 0;
}

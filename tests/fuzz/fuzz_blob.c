/* libtpms' blobs: what is accepted takes roots and gives them back; what is refused is not written to. */
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct roots roots;
	uint8_t *copy = malloc(size + 1);

	must(copy);
	memset(&roots, 0xa5, sizeof(roots));
	memcpy(copy, data, size);
	if (blob_set_roots(copy, size, &roots) == 0) {
		must(blob_check_permanent(data, size) == 0);
		must(blob_has_roots(copy, size, &roots) == 0);
	} else {
		must(memcmp(copy, data, size) == 0);
	}
	memcpy(copy, data, size);
	if (blob_set_volatile(copy, size, &roots) != 0)
		must(memcmp(copy, data, size) == 0);
	free(copy);
	return 0;
}

/* A hostile backend's page, and whatever the kernel sends: a response lies within the page and agrees with its header. */
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/guest/command.h"
#include "vtpm-stubdom/guest/ring.h"
#include "vtpm-stubdom/tpmif.h"

static void kernel_sends(const uint8_t *data, size_t size)
{
	uint8_t *command = malloc(size + 1); /* the sanitizer watches its end */

	must(command);
	memcpy(command, data, size);
	if (command_repeatable(command, size)) {
		must(command_well_formed(command, size));
		must(command[0] == 0x80 && command[1] == 0x01); /* no sessions */
		must(command_locality(command, size) < 0);
	}
	must(command_locality(command, size) < 256);
	free(command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *page = calloc(1, TPMIF_PAGE_SIZE), *out = malloc(TPMIF_DATA_MAX);
	size_t n;

	must(page && out);
	memcpy(page, data, size < TPMIF_PAGE_SIZE ? size : TPMIF_PAGE_SIZE);
	n = ring_response(page, out);
	must(n == 0 || (n >= COMMAND_HEADER_SIZE && n <= TPMIF_DATA_MAX && command_well_formed(out, n)));
	must(memcmp(out, page + TPMIF_HEADER_SIZE, n) == 0);
	ring_submit(page, 0, data, size < TPMIF_DATA_MAX ? size : TPMIF_DATA_MAX);
	must(ring_state(page) == RING_BUSY);
	ring_wipe(page);
	free(page);
	free(out);
	kernel_sends(data, size);
	return 0;
}

/* A record of what happened to a vTPM, from the disk: what is read is written again and says the same. */
#include <string.h>

#include "dom0-relay/history.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[HISTORY_SIZE] = {0}, out[HISTORY_SIZE];
	struct history_record r, again;

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	if (history_record_read(bytes, &r) != 0)
		return 0;
	must(r.number && strlen(r.detail) < HISTORY_DETAIL && history_text(r.event)[0] != '?');
	history_record_write(&r, out);
	must(history_record_read(out, &again) == 0 && again.number == r.number && again.event == r.event && strcmp(again.detail, r.detail) == 0);
	return 0;
}

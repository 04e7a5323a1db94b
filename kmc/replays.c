/* Requests that were made. */
#include "kmc/replays.h"

#include <string.h>

bool replays_fresh(struct replays *r, struct view cipher)
{
	const uint8_t *end;

	if (cipher.n < REPLAYS_BYTES)
		return true; /* no key is so short: it does not decrypt */
	end = cipher.p + cipher.n - REPLAYS_BYTES;
	for (unsigned int i = 0; i < r->n; i++)
		if (memcmp(r->of[i], end, REPLAYS_BYTES) == 0)
			return false;
	memcpy(r->of[r->next], end, REPLAYS_BYTES);
	r->next = (r->next + 1) % REPLAYS_MAX;
	if (r->n < REPLAYS_MAX)
		r->n++;
	return true;
}

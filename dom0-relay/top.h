/* `vtpmctl top`: which vTPMs are busy. */
#ifndef DOM0_RELAY_TOP_H
#define DOM0_RELAY_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

/* What one vTPM had done by the time of a look. */
struct top_row {
	uint64_t guest, stub;
	struct uuid uuid;
	uint64_t commands, service_ns, memory_kib;
};

/* And what became of it since the look before. */
struct top_rate {
	uint64_t per_minute;  /* commands */
	uint64_t mean_us;     /* of one of them, 0 without any */
	uint64_t busy_permil; /* of the time that passed */
};

/**
 * top_rate() - from two looks at the same vTPM
 * @before: NULL, or another stub domain's: what came before the stub domain started counts for nothing
 * @ms: between the looks
 */
struct top_rate top_rate(const struct top_row *before, const struct top_row *now, uint64_t ms);

/** top_run() - a table every @seconds, @rounds times (0: until it is ended), on @socket_path; @json: an object on a line each time. Return: an exit status of vtpmctl. */
int top_run(const char *socket_path, unsigned int seconds, unsigned int rounds, bool json);

#endif

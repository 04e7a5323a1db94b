/* The KMC's idea of the time. */
#include "kmc/clock.h"

static int64_t reckoned(const struct kmc_clock *c, uint64_t steady_ms)
{
	return c->latest + (int64_t)((steady_ms - c->steady_ms) / 1000);
}

int64_t kmc_clock_tell(struct kmc_clock *c, int64_t machine, uint64_t steady_ms)
{
	if (machine <= reckoned(c, steady_ms))
		return reckoned(c, steady_ms);
	*c = (struct kmc_clock){.latest = machine, .steady_ms = steady_ms};
	return machine;
}

int64_t kmc_clock_behind(const struct kmc_clock *c, int64_t machine, uint64_t steady_ms)
{
	int64_t by = reckoned(c, steady_ms) - machine;

	return by > 0 ? by : 0;
}

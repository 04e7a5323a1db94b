/*
 * The KMC's idea of the time: what has expired stays expired, whatever is done to the machine's clock.
 *
 * It follows the machine's clock forward, and goes on by the steady clock when that was set back. What may be undone by putting a clock
 * back (the life of tokens, keys, quotes and certificates in the database) is decided by it; what others read and compare with their own
 * clocks (certificates, the audit trail, answers) has the machine's time.
 */
#ifndef KMC_CLOCK_H
#define KMC_CLOCK_H

#include <stdint.h>

struct kmc_clock {
	int64_t latest;	   /* seconds since 1970 */
	uint64_t steady_ms; /* when that was */
};

/** kmc_clock_tell() - the time, when the machine's clock says @machine and the steady one @steady_ms. */
int64_t kmc_clock_tell(struct kmc_clock *c, int64_t machine, uint64_t steady_ms);

/** kmc_clock_behind() - by how many seconds the machine's clock was set back; 0: it was not. */
int64_t kmc_clock_behind(const struct kmc_clock *c, int64_t machine, uint64_t steady_ms);

#endif

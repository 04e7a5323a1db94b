/* systemd's watchdog: a sign of life out of the event loop. */
#include "common/watchdog.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/process.h"

#define PERIOD_MAX_US (3600ull * 1000 * 1000)

static struct source *timer;
static uint64_t half_ms;

/* A whole number in the environment, or 0. */
static uint64_t number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long long n;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	n = strtoull(text, &end, 10);
	return *end ? 0 : n;
}

static void on_timer(void *arg, unsigned int what)
{
	(void)arg;
	(void)what;
	process_notify("WATCHDOG=1\n");
	source_set_ms(timer, half_ms);
}

int watchdog_start(struct loop *loop)
{
	uint64_t period_us = number("WATCHDOG_USEC");

	if (period_us == 0 || period_us > PERIOD_MAX_US || (getenv("WATCHDOG_PID") && number("WATCHDOG_PID") != (uint64_t)getpid()))
		return 0;
	half_ms = period_us / 2000;
	timer = source_timer(loop, on_timer, NULL);
	if (!timer)
		return E_NOMEM;
	source_set_ms(timer, 0);
	return 0;
}

void watchdog_stop(void)
{
	source_free(&timer);
}

/*
 * tick FILE: looks at the clock each millisecond. When it was kept from that for 20 ms or more, it notes from when to when, in microseconds
 * since 1970: a guest that runs it knows when it stood still. In the guest's initramfs, without libraries.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	const struct timespec millisecond = {.tv_nsec = 1000000};
	FILE *notes = argc == 2 ? fopen(argv[1], "w") : NULL;
	int64_t last = now_us(), now = last;

	if (!notes) {
		fprintf(stderr, "usage: tick FILE\n");
		return 2;
	}
	for (;; last = now) {
		if (nanosleep(&millisecond, NULL) != 0)
			continue;
		now = now_us();
		if (now - last < 20000 && now >= last)
			continue;
		fprintf(notes, "%lld %lld\n", (long long)last, (long long)now);
		fflush(notes);
	}
}

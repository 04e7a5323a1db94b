/*
 * What a guest waits for its TPM, N times (100): prints the median and the 99th percentile in microseconds, and a response code.
 *
 * latency COMMAND-HEX [N]        the command through /dev/tpm0
 * latency page COMMAND-HEX [N]   the same from a frontend of our own, without the kernel's TPM driver; for xen-tpmfront to be unbound
 * latency ping [N]               no command: we say CANCEL in the page and ring, the stub domain says IDLE and rings
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>

#include "frontend.h"

#define PATIENCE_MS 10000

static uint8_t command[PAGE - 8], answer[PAGE];
static size_t size; /* of the command; 0: a ping */
static int fd = -1; /* of /dev/tpm0; -1: our own page */

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void through_device(void)
{
	if (write(fd, command, size) != (ssize_t)size || read(fd, answer, sizeof(answer)) < 10)
		fail("/dev/tpm0");
}

static void wait_for_ring(void)
{
	struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};
	xenevtchn_port_or_error_t rung;

	if (poll(&p, 1, PATIENCE_MS) != 1 || (rung = xenevtchn_pending(events)) < 0 || xenevtchn_unmask(events, (evtchn_port_t)rung) != 0)
		fail("no event of the stub domain");
}

static void through_page(void)
{
	const uint8_t asked = size ? SUBMIT : CANCEL;

	memcpy((void *)(uintptr_t)page->body, command, size);
	page->length = (uint32_t)size;
	page->locality = page->extra_pages = 0;
	__atomic_store_n(&page->state, asked, __ATOMIC_RELEASE);
	ring();
	while (__atomic_load_n(&page->state, __ATOMIC_ACQUIRE) == asked)
		wait_for_ring();
	memcpy(answer, (const void *)(uintptr_t)page->body, 10);
}

static bool read_command(const char *hex)
{
	size = strlen(hex) / 2;
	if (size < 10 || size > sizeof(command))
		return false;
	for (size_t i = 0; i < size; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		command[i] = (uint8_t)byte;
	}
	return true;
}

int main(int argc, char **argv)
{
	bool ping = argc > 1 && strcmp(argv[1], "ping") == 0, own = ping || (argc > 1 && strcmp(argv[1], "page") == 0);
	int at = own && !ping ? 3 : 2; /* of N */
	long n = argc > at ? atol(argv[at]) : 100;
	double *took = n > 0 ? calloc((size_t)n, sizeof(*took)) : NULL;

	if (!took || argc < at || (!ping && !read_command(argv[at - 1]))) {
		fprintf(stderr, "usage: latency [page] COMMAND-HEX [N] | latency ping [N]\n");
		return 2;
	}
	if (own)
		attach();
	else if ((fd = open("/dev/tpm0", O_RDWR)) < 0)
		fail("/dev/tpm0");
	for (long i = 0; i < n; i++) {
		double began = now_us();

		if (own)
			through_page();
		else
			through_device();
		took[i] = now_us() - began;
	}
	qsort(took, (size_t)n, sizeof(*took), by_value);
	printf("%.0f %.0f %02x%02x%02x%02x\n", took[n / 2], took[n * 99 / 100], answer[6], answer[7], answer[8], answer[9]);
	return 0;
}

/*
 * A hostile guest: its own frontend of the vTPM device, which keeps to no rule. Run it with xen-tpmfront unbound.
 *
 * hostile page N   fill the shared page with rubbish and ring, N times
 * hostile race N   change length and body while a command is under way, N times
 * hostile flood N  ring N times
 * hostile nodes N  write rubbish into its own xenstore nodes, N times
 * hostile ask      a well-formed TPM2_GetRandom over a well-formed page: prints its response code in hex
 *
 * Ends with status 0 when it has done so: what the other side made of it is for others to look at.
 */
#include <fcntl.h>
#include <time.h>

#include "frontend.h"

static void nap(long us)
{
	const struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

static void fill_random(volatile void *p, size_t n)
{
	static uint8_t noise[PAGE];
	static int fd = -1;

	if (fd < 0 && (fd = open("/dev/urandom", O_RDONLY)) < 0)
		fail("/dev/urandom");
	if (read(fd, noise, n) != (ssize_t)n)
		fail("/dev/urandom");
	memcpy((void *)(uintptr_t)p, noise, n);
}

static void do_page(long n)
{
	static const uint32_t lengths[] = {0, 1, 9, 10, 4088, 4089, 0x7fffffff, 0xffffffff};

	while (n-- > 0) {
		fill_random(page, PAGE);
		if (n % 2)
			page->length = lengths[n / 2 % 8];
		if (n % 4)
			page->state = SUBMIT;
		ring();
		nap(200);
	}
}

static void do_race(long n)
{
	static const uint8_t get_random[] = {0x80, 0x01, 0, 0, 0, 0x0c, 0, 0, 0x01, 0x7b, 0, 0x10};

	while (n-- > 0) {
		page->extra_pages = 0;
		page->length = sizeof(get_random);
		memcpy((void *)(uintptr_t)page->body, get_random, sizeof(get_random));
		page->state = SUBMIT;
		ring();
		for (int i = 0; i < 200; i++) {
			page->length = (uint32_t)i * 0x01010101u;
			page->body[5] = (uint8_t)i;
			page->extra_pages = (uint8_t)i;
			page->state = (uint8_t)i;
		}
	}
}

static void do_flood(long n)
{
	while (n-- > 0)
		ring();
}

static void do_nodes(long n)
{
	static const char *const names[] = {"state", "ring-ref", "event-channel", "backend", "backend-id", "handle", "feature-protocol-v2"};
	static const char *const values[] = {"", "0", "1", "2", "3", "4", "5", "6", "7", "-1", "4294967295", "99999999999999999999", "x",
					     "../../../0", "/local/domain/0/backend/vtpm/0/0", "3\n", "%s%n"};

	for (long i = 0; i < n; i++) {
		write_node(names[(size_t)rand() % 7], values[(size_t)rand() % 17]);
		if (i % 8 == 0)
			write_node("state", "3");
		if (i % 5 == 0)
			nap(500);
	}
}

static void do_ask(void)
{
	static const uint8_t get_random[] = {0x80, 0x01, 0, 0, 0, 0x0c, 0, 0, 0x01, 0x7b, 0, 0x10};

	page->extra_pages = 0;
	page->length = sizeof(get_random);
	memcpy((void *)(uintptr_t)page->body, get_random, sizeof(get_random));
	page->state = SUBMIT;
	ring();
	for (int i = 0; i < 500 && page->state != FINISH && page->state != IDLE; i++)
		nap(10000);
	if (page->state != FINISH && page->state != IDLE) {
		fprintf(stderr, "no answer: state %u\n", page->state);
		exit(1);
	}
	printf("%02x%02x%02x%02x\n", page->body[6], page->body[7], page->body[8], page->body[9]);
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 100;

	if (argc < 2) {
		fprintf(stderr, "usage: hostile page|race|flood|nodes|ask [N]\n");
		return 2;
	}
	attach();
	if (strcmp(argv[1], "page") == 0)
		do_page(n);
	else if (strcmp(argv[1], "race") == 0)
		do_race(n);
	else if (strcmp(argv[1], "flood") == 0)
		do_flood(n);
	else if (strcmp(argv[1], "nodes") == 0)
		do_nodes(n);
	else
		do_ask();
	return 0;
}

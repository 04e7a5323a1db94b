/*
 * Hosts that ask a KMC at a chosen pace, and what it costs them.
 *
 *   bench-kmc open ADDRESS DIR HOSTS SECONDS RATE VTPMS   each host, a process, opens its vTPMs in turn; RATE in all per second, 0: at once
 *   bench-kmc storm ADDRESS DIR HOSTS GUESTS              all hosts connect and open GUESTS new vTPMs each
 *   bench-kmc connect ADDRESS DIR HOSTS ROUNDS            all hosts connect, say HELLO and go, so many times
 *   bench-kmc hold ADDRESS DIR HOSTS                      stay connected, until standard input ends
 *
 * DIR has a directory hN of each host, N from 1. Prints "COUNT SECONDS P50 P99", the last two in microseconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/ring2/kmc_client.h"

#define SAMPLES_MAX (1 << 20)

/* Shared by all processes. */
struct results {
	_Atomic unsigned int n, ready;
	_Atomic int go, failed;
	uint32_t us[SAMPLES_MAX];
};

struct job {
	const char *mode, *address, *dir;
	unsigned int hosts, count, rate, vtpms;
	double seconds;
};

static struct results *results;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sample(double began)
{
	unsigned int i = results->n++;

	if (i < SAMPLES_MAX)
		results->us[i] = (uint32_t)((now() - began) * 1e6);
}

static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "bench-kmc: %s: %s\n", what, why);
	results->failed = 1;
	_exit(1);
}

/* As a relay does: a KMC that makes many keys at once says busy, and is asked again. */
static bool protect(struct kmc_client *c)
{
	struct kmc_refused refused;
	enum kmc_type type;
	int tries = 30;

	while ((type = client_protect(c, &refused)) == KMC_REFUSED && refused.code == KMC_REFUSED_BUSY && --tries)
		sleep(1);
	return type == KMC_PROTECTED;
}

static struct kmc_client *reach(const struct job *j, unsigned int host, bool with_key)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct kmc_hello hello = {.software = view_text("bench")};
	char dir[512], why[CLIENT_WHY];
	const struct kmc_client_options o = {.address = j->address, .dir = dir, .name = "127.0.0.1"};
	struct kmc_client *c;

	snprintf(dir, sizeof(dir), "%s/h%u", j->dir, host);
	c = client_connect(&o, why);
	if (!c)
		give_up("can't connect", why);
	if (client_ask(c, KMC_HELLO, &hello, fields) != KMC_WELCOME || (with_key && !protect(c)))
		give_up("not welcome", client_why(c));
	return c;
}

static void open_one(struct kmc_client *c, unsigned int host, unsigned int n)
{
	const struct uuid uuid = {{0xbe, (uint8_t)(host >> 8), (uint8_t)host, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, (uint8_t)(n >> 16),
		(uint8_t)(n >> 8), (uint8_t)n}};
	struct client_opened o;
	double began = now();

	client_open(c, &uuid, false, &o);
	if (o.type != KMC_OPENED || o.distrust)
		give_up("not opened", o.type == KMC_REFUSED ? "refused" : client_why(c));
	sample(began);
}

static void wait_for_go(void)
{
	results->ready++;
	while (!results->go)
		usleep(1000);
}

static void open_many(const struct job *j, unsigned int host)
{
	struct kmc_client *c = reach(j, host, true);
	double began, end;

	wait_for_go();
	began = now();
	end = began + j->seconds;
	for (unsigned int n = 0; now() < end; n++) {
		double due = began + (j->rate ? (double)n * j->hosts / j->rate + (double)host / j->rate : 0);

		if (due > now())
			usleep((useconds_t)((due - now()) * 1e6));
		open_one(c, host, n % j->vtpms);
	}
	client_free(&c);
}

static void storm(const struct job *j, unsigned int host)
{
	struct kmc_client *c;

	wait_for_go();
	c = reach(j, host, true);
	for (unsigned int n = 0; n < j->count; n++)
		open_one(c, host, n);
	client_free(&c);
}

static void reconnect(const struct job *j, unsigned int host)
{
	wait_for_go();
	for (unsigned int n = 0; n < j->count; n++) {
		double began = now();
		struct kmc_client *c = reach(j, host, false);

		sample(began);
		client_free(&c);
	}
}

static void run_host(const struct job *j, unsigned int host)
{
	if (strcmp(j->mode, "open") == 0)
		open_many(j, host);
	else if (strcmp(j->mode, "storm") == 0)
		storm(j, host);
	else
		reconnect(j, host);
	_exit(0);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int run_all(const struct job *j)
{
	unsigned int n;
	double began;

	for (unsigned int h = 1; h <= j->hosts; h++)
		if (fork() == 0)
			run_host(j, h);
	while (results->ready < j->hosts && !results->failed)
		usleep(1000);
	began = now();
	results->go = 1;
	while (wait(NULL) > 0)
		;
	n = results->n < SAMPLES_MAX ? results->n : SAMPLES_MAX;
	qsort(results->us, n, sizeof(results->us[0]), by_value);
	if (n)
		printf("%u %.3f %u %u\n", results->n, now() - began, results->us[n / 2], results->us[n - 1 - n / 100]);
	return results->failed || !n;
}

static int hold(const struct job *j)
{
	struct kmc_client **all = calloc(j->hosts, sizeof(struct kmc_client *));
	char c;

	for (unsigned int h = 0; all && h < j->hosts; h++)
		all[h] = reach(j, h + 1, false);
	printf("%u connected\n", j->hosts);
	fflush(stdout);
	while (read(0, &c, 1) == 1)
		;
	return 0;
}

int main(int argc, char **argv)
{
	struct job j;

	if (argc < 5)
		return 2;
	j = (struct job){.mode = argv[1], .address = argv[2], .dir = argv[3], .hosts = (unsigned int)atoi(argv[4]), .vtpms = 1};
	if (argc > 5)
		j.seconds = atof(argv[5]), j.count = (unsigned int)atoi(argv[5]);
	if (argc > 7)
		j.rate = (unsigned int)atoi(argv[6]), j.vtpms = (unsigned int)atoi(argv[7]);
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 1;
	return strcmp(j.mode, "hold") == 0 ? hold(&j) : run_all(&j);
}

/*
 * Load on a KMC that is killed meanwhile.
 *
 * The file has a line for each answer: "seed UUID HEX" or "state UUID VERSION". A state's bytes are its version, repeated, so that
 * what comes back tells which one it is. What was sent but not acknowledged may or may not be there: both are right.
 */
#include "tests/ring2/kmc_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VTPMS 48
#define STATE_SIZE 3000

static struct kmc_client *reach(const struct kmc_client_options *o)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct kmc_hello hello = {.software = view_text("load")};
	struct kmc_refused refused;
	char why[CLIENT_WHY];
	struct kmc_client *c = client_connect(o, why);

	if (c && (client_ask(c, KMC_HELLO, &hello, fields) != KMC_WELCOME || client_protect(c, &refused) != KMC_PROTECTED))
		client_free(&c);
	if (!c)
		usleep(100000);
	return c;
}

static struct uuid numbered(unsigned int seed, unsigned int i)
{
	return (struct uuid){{0x10, 0xad, (uint8_t)(seed >> 8), (uint8_t)seed, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0,
		(uint8_t)(i + 1)}};
}

static void fill(uint8_t state[STATE_SIZE], uint64_t version)
{
	for (size_t i = 0; i + sizeof(version) <= STATE_SIZE; i += sizeof(version))
		memcpy(state + i, &version, sizeof(version));
}

static void note(FILE *f, const char *what, const struct uuid *uuid, const uint8_t *seed, uint64_t version)
{
	char u[UUID_TEXT];

	fprintf(f, "%s %s ", what, uuid_format(uuid, u));
	for (size_t i = 0; seed && i < 32; i++)
		fprintf(f, "%02x", seed[i]);
	if (!seed)
		fprintf(f, "%" PRIu64, version);
	fputc('\n', f);
	fflush(f);
}

/* One vTPM: open, store the next version. False: the connection is dead. */
static bool turn(struct kmc_client *c, const struct uuid *uuid, FILE *f)
{
	_Alignas(max_align_t) uint8_t fields[256];
	uint8_t state[STATE_SIZE] = {0};
	struct kmc_store store = {.uuid = *uuid, .state = view_of(state, sizeof(state))};
	struct client_opened o;

	client_open(c, uuid, false, &o);
	if (o.type != KMC_OPENED)
		return o.type == KMC_REFUSED && o.refused.code == KMC_REFUSED_BUSY;
	note(f, o.distrust ? "distrust" : "seed", uuid, o.seed, 0);
	store.lease_epoch = o.facts.lease_epoch;
	store.version = o.facts.state_version + 1;
	fill(state, store.version);
	if (client_ask(c, KMC_STORE, &store, fields) != KMC_STORED)
		return false;
	note(f, "state", uuid, NULL, store.version);
	return true;
}

int load_run(const struct kmc_client_options *o, int seconds, const char *path, unsigned int seed)
{
	time_t end = time(NULL) + seconds;
	struct kmc_client *c = NULL;
	FILE *f = fopen(path, "a");
	unsigned long n = 0;

	if (!f)
		return 1;
	srandom(seed);
	while (time(NULL) < end) {
		const struct uuid uuid = numbered(seed, (unsigned int)random() % VTPMS);

		if (!c && !(c = reach(o)))
			continue;
		if (turn(c, &uuid, f))
			n++;
		else
			client_free(&c);
	}
	client_free(&c);
	fclose(f);
	printf("%lu turns\n", n);
	return n == 0;
}

int load_flood(const struct kmc_client_options *o, int seconds)
{
	const struct uuid uuid = numbered(0, 0);
	time_t end = time(NULL) + seconds;
	struct kmc_client *c = NULL;
	struct client_opened answer;
	unsigned long n = 0;

	while (time(NULL) < end) {
		if (!c && !(c = reach(o)))
			continue;
		client_open(c, &uuid, true, &answer);
		if (answer.type == KMC_REFUSED)
			n++;
		else
			client_free(&c);
	}
	client_free(&c);
	printf("%lu answers\n", n);
	return n == 0;
}

/* What was acknowledged for one vTPM. */
struct expected {
	struct uuid uuid;
	char seed[65];
	uint64_t version;
};

static struct expected *expect(struct expected *table, size_t *n, const struct uuid *uuid)
{
	for (size_t i = 0; i < *n; i++)
		if (uuid_equal(&table[i].uuid, uuid))
			return &table[i];
	table[*n] = (struct expected){.uuid = *uuid};
	return &table[(*n)++];
}

static int read_expected(const char *path, struct expected *table, size_t *n)
{
	char what[16], u[64], value[80];
	FILE *f = fopen(path, "r");
	struct uuid uuid;
	int bad = f ? 0 : 1;

	while (f && fscanf(f, "%15s %63s %79s", what, u, value) == 3) {
		struct expected *e;

		if (uuid_parse(u, &uuid) != 0)
			abort();
		e = expect(table, n, &uuid);
		if (strcmp(what, "state") == 0) {
			uint64_t version = strtoull(value, NULL, 10);

			bad |= version <= e->version; /* acknowledged twice, or out of order */
			e->version = version;
		} else if (strcmp(what, "seed") == 0) {
			bad |= e->seed[0] && strcmp(e->seed, value) != 0;
			memcpy(e->seed, value, sizeof(e->seed));
		} else {
			bad = 1;
		}
		if (bad)
			printf("wrong while under load: %s %s %s\n", what, u, value);
	}
	if (f)
		fclose(f);
	return bad;
}

static int verify_one(struct kmc_client *c, const struct expected *e)
{
	uint8_t state[STATE_SIZE];
	struct client_opened o;
	char u[UUID_TEXT], hex[65];

	client_open(c, &e->uuid, false, &o);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", o.seed[i]);
	fill(state, o.facts.state_version);
	if (o.type == KMC_OPENED && !o.distrust && (!e->seed[0] || strcmp(hex, e->seed) == 0) &&
	    o.facts.state_version >= e->version &&
	    (!o.facts.state_version || (o.facts.state.n == sizeof(state) && memcmp(o.facts.state.p, state, sizeof(state)) == 0)))
		return 0;
	printf("%s: type %d, seed %s for %s, version %" PRIu64 " for %" PRIu64 "\n", uuid_format(&e->uuid, u), (int)o.type, hex,
	       e->seed,
	       o.facts.state_version, e->version);
	return 1;
}

int load_verify(const struct kmc_client_options *o, const char *path)
{
	static struct expected table[4096];
	struct kmc_client *c = reach(o);
	size_t n = 0;
	int bad = read_expected(path, table, &n);

	for (size_t i = 0; c && i < n; i++)
		bad |= verify_one(c, &table[i]);
	printf("%zu vTPMs\n", n);
	bad |= !c || n == 0;
	client_free(&c);
	return bad;
}

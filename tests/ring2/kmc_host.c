/*
 * A host that does to a KMC what its arguments say, one after the other over one connection; a line for each answer.
 *
 *   kmc-host -a ADDRESS -d DIR [-b FROM-ADDRESS] [-n NAME] [-t TCTI] [-i IMAGE] [-I IMAGE-SAID] COMMAND...
 *   kmc-host -a ADDRESS -e TOKEN -t TCTI COMMAND...    as a host that has no certificate yet
 *     hello                          WELCOME host pool
 *     audit                          HELLO too; AUDIT signed head
 *     protect                        PROTECTED key-id bits expires
 *     open UUID | spoil UUID         OPENED seed=... lease=N version=N generation=N tenant=... state=... [origin=...]
 *     attest                         ATTESTED interval remark; a quote of the TPM -t over the KMC's nonce, if it asks for one
 *     nonce                          NONCE: one that is not answered yet
 *     requote                        the last quote once more: ATTESTED
 *     store UUID LEASE VERSION HEX|@SIZE     STORED version
 *     release UUID LEASE             RELEASED
 *     suspend UUID LEASE IMAGE VERSION HEX|@SIZE|- HEX   SUSPENDED lease version; permanent state (-: as stored) and volatile state
 *     resume UUID LEASE              RESUMED lease
 *     reserve UUID IMAGE REQUEST     RESERVED seed=... lease=N version=N generation=N tenant=... state=... volatile=...
 *     commit UUID REQUEST            COMMITTED lease; REQUEST: up to 16 letters
 *     cancel UUID REQUEST            CANCELLED
 *     certify UUID LEASE EPOCH       CERTIFIED and the sizes of both certificates, once they are made
 *     enrol HEX                      CHALLENGE; ENROL with the token and a key in software, and right behind it the bytes
 *     prove                          PROVE, with a wrong answer to the challenge and a quote over nothing
 *     raw HEX                        bytes as they are, then the answer
 *     send HEX                       bytes as they are, and wait for nothing
 *     keep FILE                      write the last request into FILE, in hex
 *     again                          send it once more, then the answer
 *     sleep SECONDS                  and say nothing
 *     hold SECONDS                   ENDED if the KMC closes the connection in that time, else it dies of SIGALRM
 *     load SECONDS FILE SEED         open and store all the time over new connections too; FILE gets what was acknowledged
 *     flood SECONDS                  ask for what is refused, as fast as the KMC answers: "N answers"
 *     verify FILE                    open all of FILE and compare
 *   Any answer may be: REFUSED code reason, or CLOSED reason. Status 1 if it could not connect.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/token.h"
#include "tests/ring2/kmc_client.h"
#include "tests/ring2/kmc_enrol.h"
#include "tests/ring2/kmc_load.h"

static void print_hex(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
}

/* True when the answer was a refusal or an end, which is printed. */
static bool is_no(struct kmc_client *c, enum kmc_type type, const struct kmc_refused *r)
{
	if (type == KMC_REFUSED)
		printf("REFUSED %" PRIu64 " %.*s\n", r->code, (int)r->reason.n, (const char *)r->reason.p);
	else if (type == 0)
		printf("CLOSED %s\n", client_why(c));
	return type == KMC_REFUSED || type == 0;
}

static void print_attested(const struct kmc_attested *m)
{
	printf("ATTESTED %" PRIu64 "%s%.*s\n", m->interval, m->remark.p ? " " : "", (int)m->remark.n,
	       m->remark.p ? (const char *)m->remark.p : "");
}

static void print_answer(struct kmc_client *c, enum kmc_type type, const void *fields)
{
	const struct kmc_welcome *w = fields;
	const struct kmc_stored *s = fields;
	const struct kmc_suspended *d = fields;

	if (is_no(c, type, fields))
		return;
	if (type == KMC_WELCOME)
		printf("WELCOME %.*s %.*s\n", (int)w->host.n, (const char *)w->host.p, (int)w->pool.n, (const char *)w->pool.p);
	else if (type == KMC_STORED)
		printf("STORED %" PRIu64 "\n", s->version);
	else if (type == KMC_ATTESTED)
		print_attested(fields);
	else if (type == KMC_NONCE)
		printf("NONCE\n");
	else if (type == KMC_CHALLENGE)
		printf("CHALLENGE\n");
	else if (type == KMC_RELEASED)
		printf("RELEASED\n");
	else if (type == KMC_SUSPENDED)
		printf("SUSPENDED %" PRIu64 " %" PRIu64 "\n", d->lease_epoch, d->version);
	else if (type == KMC_RESUMED)
		printf("RESUMED %" PRIu64 "\n", ((const struct kmc_resumed *)fields)->lease_epoch);
	else if (type == KMC_COMMITTED)
		printf("COMMITTED %" PRIu64 "\n", ((const struct kmc_committed *)fields)->lease_epoch);
	else if (type == KMC_CANCELLED)
		printf("CANCELLED\n");
	else
		printf("TYPE %d\n", (int)type);
}

static void do_hello(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct kmc_hello hello = {.software = view_text("kmc-host")};

	print_answer(c, client_ask(c, KMC_HELLO, &hello, fields), fields);
}

static void do_audit(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct kmc_hello hello = {.software = view_text("kmc-host")};
	const struct kmc_welcome *w = (const void *)fields;
	enum kmc_type type = client_ask(c, KMC_HELLO, &hello, fields);

	if (is_no(c, type, (const void *)fields))
		return;
	printf("AUDIT ");
	print_hex(w->audit.p, w->audit.n);
	printf("\n");
}

static void do_protect(struct kmc_client *c)
{
	struct kmc_refused refused;

	if (!is_no(c, client_protect(c, &refused), &refused))
		printf("PROTECTED\n");
}

/* Of a vTPM that shares keys. */
static void print_origin(struct view origin)
{
	if (!origin.p)
		return;
	printf(" origin=");
	print_hex(origin.p, origin.n);
}

static void do_open(struct kmc_client *c, const char *text, bool spoil)
{
	struct client_opened o;
	struct uuid uuid;

	if (uuid_parse(text, &uuid) != 0)
		abort();
	client_open(c, &uuid, spoil, &o);
	if (is_no(c, o.type, &o.refused))
		return;
	if (o.distrust) {
		printf("DISTRUST %s\n", o.distrust);
		return;
	}
	printf("OPENED seed=");
	print_hex(o.seed, sizeof(o.seed));
	printf(" lease=%" PRIu64 " version=%" PRIu64 " generation=%" PRIu64 " tenant=%.*s epochs=%" PRIu64 ",%" PRIu64 ",%" PRIu64 " state=",
	       o.facts.lease_epoch, o.facts.state_version, o.facts.generation, (int)o.facts.tenant.n,
		      (const char *)o.facts.tenant.p,
	       o.facts.owner_epoch, o.facts.endorsement_epoch, o.facts.platform_epoch);
	print_hex(o.facts.state.p, o.facts.state.n < 64 ? o.facts.state.n : 64);
	print_origin(o.facts.origin);
	printf("\n");
}

static void do_attest(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];
	enum kmc_type type = client_nonce(c, fields);

	if (type == KMC_NONCE)
		type = client_quote(c, false, fields);
	print_answer(c, type, fields);
}

static void do_nonce(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];

	print_answer(c, client_nonce(c, fields), fields);
}

static void do_requote(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];

	print_answer(c, client_quote(c, true, fields), fields);
}

static size_t from_hex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = strlen(text) / 2;
	unsigned int byte;

	for (size_t i = 0; i < n && i < cap; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			abort();
		out[i] = (uint8_t)byte;
	}
	return n < cap ? n : cap;
}

static void do_store(struct kmc_client *c, char **arg)
{
	static uint8_t state[KMC_STATE_MAX + 1];
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_store m = {.lease_epoch = strtoull(arg[1], NULL, 0), .version = strtoull(arg[2], NULL, 0)};
	size_t n = arg[3][0] == '@' ? strtoul(arg[3] + 1, NULL, 0) : from_hex(arg[3], state, sizeof(state));

	if (uuid_parse(arg[0], &m.uuid) != 0)
		abort();
	m.state = view_of(state, n);
	print_answer(c, client_ask(c, KMC_STORE, &m, fields), fields);
}

static void do_release(struct kmc_client *c, char **arg)
{
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_release m = {.lease_epoch = strtoull(arg[1], NULL, 0)};

	if (uuid_parse(arg[0], &m.uuid) != 0)
		abort();
	print_answer(c, client_ask(c, KMC_RELEASE, &m, fields), fields);
}

static struct uuid uuid_of(const char *text)
{
	struct uuid uuid;

	if (uuid_parse(text, &uuid) != 0)
		abort();
	return uuid;
}

/* A request's id from a word. */
static struct view id_of(const char *word, uint8_t id[KMC_REQUEST_ID_SIZE])
{
	size_t n = strlen(word);

	memset(id, 0, KMC_REQUEST_ID_SIZE);
	memcpy(id, word, n < KMC_REQUEST_ID_SIZE ? n : KMC_REQUEST_ID_SIZE);
	return view_of(id, KMC_REQUEST_ID_SIZE);
}

static void do_suspend(struct kmc_client *c, char **arg)
{
	static uint8_t state[KMC_STATE_MAX + 1], volatile_state[KMC_VOLATILE_MAX];
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_suspend m = {.uuid = uuid_of(arg[0]), .lease_epoch = strtoull(arg[1], NULL, 0), .image = strtoull(arg[2], NULL, 0),
				.version = strtoull(arg[3], NULL, 0)};

	if (arg[4][0] == '@')
		m.state = view_of(state, strtoul(arg[4] + 1, NULL, 0));
	else if (arg[4][0] != '-')
		m.state = view_of(state, from_hex(arg[4], state, sizeof(state)));
	m.volatile_state = arg[5][0] == '@' ? view_of(volatile_state, strtoul(arg[5] + 1, NULL, 0))
					    : view_of(volatile_state, from_hex(arg[5], volatile_state, sizeof(volatile_state)));
	print_answer(c, client_ask(c, KMC_SUSPEND, &m, fields), fields);
}

static void do_resume(struct kmc_client *c, char **arg)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct kmc_resume m = {.uuid = uuid_of(arg[0]), .lease_epoch = strtoull(arg[1], NULL, 0)};

	print_answer(c, client_ask(c, KMC_RESUME, &m, fields), fields);
}

static void do_reserve(struct kmc_client *c, char **arg)
{
	const struct uuid uuid = uuid_of(arg[0]);
	uint8_t id[KMC_REQUEST_ID_SIZE];
	struct client_reserved o;

	client_reserve(c, &uuid, strtoull(arg[1], NULL, 0), id_of(arg[2], id).p, &o);
	if (is_no(c, o.type, &o.refused))
		return;
	if (o.distrust) {
		printf("DISTRUST %s\n", o.distrust);
		return;
	}
	printf("RESERVED seed=");
	print_hex(o.seed, sizeof(o.seed));
	printf(" lease=%" PRIu64 " version=%" PRIu64 " generation=%" PRIu64 " tenant=%.*s state=", o.facts.lease_epoch, o.facts.state_version,
	       o.facts.generation, (int)o.facts.tenant.n, (const char *)o.facts.tenant.p);
	print_hex(o.facts.state.p, o.facts.state.n < 64 ? o.facts.state.n : 64);
	printf(" volatile=");
	print_hex(o.facts.volatile_state.p, o.facts.volatile_state.n < 64 ? o.facts.volatile_state.n : 64);
	print_origin(o.facts.origin);
	printf("\n");
}

static void do_commit(struct kmc_client *c, char **arg)
{
	_Alignas(max_align_t) uint8_t fields[256];
	uint8_t id[KMC_REQUEST_ID_SIZE];
	const struct kmc_commit m = {.uuid = uuid_of(arg[0]), .request = id_of(arg[1], id)};

	print_answer(c, client_ask(c, KMC_COMMIT, &m, fields), fields);
}

static void do_cancel(struct kmc_client *c, char **arg)
{
	_Alignas(max_align_t) uint8_t fields[256];
	uint8_t id[KMC_REQUEST_ID_SIZE];
	const struct kmc_cancel m = {.uuid = uuid_of(arg[0]), .request = id_of(arg[1], id)};

	print_answer(c, client_ask(c, KMC_CANCEL, &m, fields), fields);
}

static void do_certify(struct kmc_client *c, char **arg)
{
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_certify m = {.lease_epoch = strtoull(arg[1], NULL, 0), .endorsement_epoch = strtoull(arg[2], NULL, 0)};
	const struct kmc_certified *got = (const void *)fields;
	enum kmc_type type;

	if (uuid_parse(arg[0], &m.uuid) != 0)
		abort();
	while ((type = client_ask(c, KMC_CERTIFY, &m, fields)) == KMC_CERTIFIED && got->later)
		sleep(1);
	if (!is_no(c, type, (const void *)fields))
		printf("CERTIFIED %zu %zu\n", got->rsa.n, got->ecc.n);
}

static void do_raw(struct kmc_client *c, const char *hex, bool wait)
{
	_Alignas(max_align_t) uint8_t fields[256];
	static uint8_t bytes[4096];
	size_t n = from_hex(hex, bytes, sizeof(bytes));
	bool sent = client_send_raw(c, bytes, n);

	if (wait)
		print_answer(c, sent ? client_receive(c, fields) : 0, fields);
}

static void do_enrol(struct kmc_client *c, const struct token *token, const char *hex)
{
	_Alignas(max_align_t) uint8_t fields[256];
	uint8_t behind[256];
	size_t n = from_hex(hex, behind, sizeof(behind));

	print_answer(c, token ? client_enrol(c, token, view_of(behind, n), fields) : 0, fields);
}

static void do_prove(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];

	print_answer(c, client_prove_wrongly(c, fields), fields);
}

static void do_keep(struct kmc_client *c, const char *path)
{
	const struct view last = client_last(c);
	FILE *f = fopen(path, "w");

	if (!f)
		abort();
	for (size_t i = 0; i < last.n; i++)
		fprintf(f, "%02x", last.p[i]);
	fclose(f);
}

static void do_again(struct kmc_client *c)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct view last = client_last(c);

	print_answer(c, client_send_raw(c, last.p, last.n) ? client_receive(c, fields) : 0, fields);
}

static void do_hold(struct kmc_client *c, const char *seconds)
{
	_Alignas(max_align_t) uint8_t fields[256];

	enum kmc_type type;

	alarm((unsigned int)atoi(seconds));
	while ((type = client_receive(c, fields)) == 0 && strcmp(client_why(c), "no answer") == 0)
		;
	printf("%s\n", type == 0 ? "ENDED" : "TYPE");
	alarm(0);
}

static int arguments_of(const char *command)
{
	static const struct {
		const char *name;
		int n;
	} table[] = {{"hello", 0}, {"audit", 0}, {"protect", 0}, {"attest", 0}, {"nonce", 0}, {"requote", 0}, {"open", 1}, {"spoil", 1}, {"store", 4}, {"release", 2}, {"suspend", 6},
		{"resume", 2}, {"reserve", 3}, {"commit", 2}, {"cancel", 2}, {"certify", 3}, {"raw", 1}, {"send", 1}, {"enrol", 1}, {"prove", 0}, {"keep", 1}, {"again", 0}, {"hold", 1},
		{"sleep", 1}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, command) == 0)
			return table[i].n;
	fprintf(stderr, "kmc-host: what is '%s'?\n", command);
	exit(2);
}

static void run(struct kmc_client *c, const struct token *token, const char *command, char **arg)
{
	if (strcmp(command, "hello") == 0)
		do_hello(c);
	else if (strcmp(command, "audit") == 0)
		do_audit(c);
	else if (strcmp(command, "protect") == 0)
		do_protect(c);
	else if (strcmp(command, "attest") == 0)
		do_attest(c);
	else if (strcmp(command, "nonce") == 0)
		do_nonce(c);
	else if (strcmp(command, "requote") == 0)
		do_requote(c);
	else if (strcmp(command, "open") == 0 || strcmp(command, "spoil") == 0)
		do_open(c, arg[0], command[0] == 's');
	else if (strcmp(command, "store") == 0)
		do_store(c, arg);
	else if (strcmp(command, "release") == 0)
		do_release(c, arg);
	else if (strcmp(command, "suspend") == 0)
		do_suspend(c, arg);
	else if (strcmp(command, "resume") == 0)
		do_resume(c, arg);
	else if (strcmp(command, "reserve") == 0)
		do_reserve(c, arg);
	else if (strcmp(command, "commit") == 0)
		do_commit(c, arg);
	else if (strcmp(command, "cancel") == 0)
		do_cancel(c, arg);
	else if (strcmp(command, "certify") == 0)
		do_certify(c, arg);
	else if (strcmp(command, "raw") == 0 || strcmp(command, "send") == 0)
		do_raw(c, arg[0], command[0] == 'r');
	else if (strcmp(command, "enrol") == 0)
		do_enrol(c, token, arg[0]);
	else if (strcmp(command, "prove") == 0)
		do_prove(c);
	else if (strcmp(command, "keep") == 0)
		do_keep(c, arg[0]);
	else if (strcmp(command, "again") == 0)
		do_again(c);
	else if (strcmp(command, "hold") == 0)
		do_hold(c, arg[0]);
	else
		sleep((unsigned int)atoi(arg[0]));
	fflush(stdout);
}

/* 64 digits of hex, or nothing. */
static const uint8_t *image(const char *hex, uint8_t out[32])
{
	unsigned int byte;

	for (int i = 0; i < 32; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return NULL;
		out[i] = (uint8_t)byte;
	}
	return out;
}

int main(int argc, char **argv)
{
	struct kmc_client_options o = {.name = "127.0.0.1"};
	uint8_t made[32], said[32];
	struct kmc_client *c;
	struct token token;
	char why[CLIENT_WHY];
	int opt;

	signal(SIGPIPE, SIG_IGN); /* a KMC that is killed while we write */
	while ((opt = getopt(argc, argv, "a:b:d:e:n:t:i:I:")) != -1) {
		if (opt == 'a')
			o.address = optarg;
		else if (opt == 'b')
			o.from = optarg;
		else if (opt == 'd')
			o.dir = optarg;
		else if (opt == 'e' && token_parse(optarg, &token) == 0)
			o.token = &token;
		else if (opt == 'n')
			o.name = optarg;
		else if (opt == 't')
			o.tcti = optarg;
		else if (opt == 'i')
			o.image_said = o.image = image(optarg, made);
		else if (opt == 'I')
			o.image_said = image(optarg, said);
	}
	if (!o.address || (!o.dir && !(o.token && o.tcti)) || optind == argc)
		return 2;
	if (strcmp(argv[optind], "load") == 0 && argc - optind == 4)
		return load_run(&o, atoi(argv[optind + 1]), argv[optind + 2], (unsigned int)atoi(argv[optind + 3]));
	if (strcmp(argv[optind], "flood") == 0 && argc - optind == 2)
		return load_flood(&o, atoi(argv[optind + 1]));
	if (strcmp(argv[optind], "verify") == 0 && argc - optind == 2)
		return load_verify(&o, argv[optind + 1]);
	c = client_connect(&o, why);
	if (!c) {
		printf("NO CONNECTION %s\n", why);
		return 1;
	}
	while (optind < argc) {
		int n = arguments_of(argv[optind]);

		if (argc - optind - 1 < n)
			return 2;
		run(c, o.token, argv[optind], argv + optind + 1);
		optind += 1 + n;
	}
	client_free(&c);
	return 0;
}

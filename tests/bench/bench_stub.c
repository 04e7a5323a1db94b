/*
 * Latency of single TPM commands: in process, through the stub program over its Unix twins, through swtpm over its socket.
 *
 *   bench-stub STUB-PROGRAM DIRECTORY [SCALE]
 *
 * The same commands in the same run, in small turns from target to target, so that whatever else the machine does hits all alike.
 * Prints a Markdown table of medians and 99th percentiles in microseconds.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/target.h"
#include "tests/unit/tpm.h"

#define TARGETS 3
#define TURNS 20
#define SAMPLES_MAX 21000
#define QUICK 10000 /* samples: what takes microseconds is taken so often */
#define NV_INDEX 0x1500001

enum { ALG_RSA = 0x0001, ALG_ECC = 0x0023, ALG_SHA256 = 0x000b };

/* What the commands refer to, in one target. */
struct scene {
	struct target *t;
	uint8_t response[TARGET_RESPONSE_MAX];
	int n;
	uint32_t ecc, rsa, session, writes;
	uint8_t nonce_tpm[32];
};

static void die(const char *what, const struct scene *s)
{
	fprintf(stderr, "bench-stub: %s failed in target '%s', response code 0x%x\n", what, s->t->name,
		s->n >= 10 ? tpm_u32(s->response + 6) : 0);
	exit(1);
}

static void run(struct scene *s, struct tpm_command *c)
{
	s->n = s->t->command(s->t, c->bytes, c->b.len, s->response);
}

static void run_ok(struct scene *s, struct tpm_command *c, const char *what)
{
	run(s, c);
	if (s->n < 10 || tpm_u32(s->response + 6) != 0)
		die(what, s);
}

static void flush(struct scene *s, uint32_t handle)
{
	struct tpm_command c;

	tpm_begin(&c, 0x8001, 0x165);
	buf_put_u32(&c.b, handle);
	tpm_end(&c);
	run_ok(s, &c, "FlushContext");
}

/* An unrestricted signing key as a primary of the null hierarchy. */
static void signing_key(struct tpm_command *c, uint16_t type)
{
	struct buf size;
	size_t start;

	tpm_begin(c, 0x8002, 0x131);
	buf_put_u32(&c->b, TPM_NULL);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 4);
	buf_put_u32(&c->b, 0);
	start = c->b.len;
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, type);
	buf_put_u16(&c->b, ALG_SHA256);
	buf_put_u32(&c->b, 0x00040472); /* fixedTPM fixedParent sensitiveDataOrigin userWithAuth noDA sign */
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, 0x0010);
	buf_put_u16(&c->b, type == ALG_ECC ? 0x0018 : 0x0014); /* ECDSA, RSASSA */
	buf_put_u16(&c->b, ALG_SHA256);
	if (type == ALG_ECC) {
		buf_put_u16(&c->b, 0x0003);
		buf_put_u16(&c->b, 0x0010);
		buf_put_u32(&c->b, 0);
	} else {
		buf_put_u16(&c->b, 2048);
		buf_put_u32(&c->b, 0);
		buf_put_u16(&c->b, 0);
	}
	buf_over(&size, c->bytes + start, sizeof(uint16_t));
	buf_put_u16(&size, (uint16_t)(c->b.len - start - 2));
	buf_put_u16(&c->b, 0);
	buf_put_u32(&c->b, 0);
	tpm_end(c);
}

static uint32_t make_key(struct scene *s, uint16_t type)
{
	struct tpm_command c;

	signing_key(&c, type);
	run_ok(s, &c, "CreatePrimary");
	return tpm_u32(s->response + 10);
}

static void start_session(struct scene *s)
{
	struct tpm_command c;

	tpm_begin(&c, 0x8001, 0x176);
	buf_put_u32(&c.b, TPM_NULL);
	buf_put_u32(&c.b, TPM_NULL);
	buf_put_u16(&c.b, 32);
	for (int i = 0; i < 32; i++)
		buf_put_u8(&c.b, 0x5a);
	buf_put_u16(&c.b, 0);
	buf_put_u8(&c.b, 0); /* HMAC */
	buf_put_u16(&c.b, 0x0010);
	buf_put_u16(&c.b, ALG_SHA256);
	tpm_end(&c);
	run_ok(s, &c, "StartAuthSession");
	s->session = tpm_u32(s->response + 10);
	memcpy(s->nonce_tpm, s->response + 16, 32);
}

static void prepare(struct scene *s, struct target *t)
{
	struct tpm_command c;

	memset(s, 0, sizeof(*s));
	s->t = t;
	s->ecc = make_key(s, ALG_ECC);
	s->rsa = make_key(s, ALG_RSA);
	start_session(s);
	tpm_nv_define(&c, NV_INDEX, 0);
	run_ok(s, &c, "NV_DefineSpace");
	tpm_nv_write(&c, NV_INDEX, "bench---");
	run_ok(s, &c, "NV_Write");
}

/* --- the commands --- */

static void get_random(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_get_random(c, 32);
}

static void pcr_read(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_pcr_read(c, 16);
}

static void pcr_extend(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_pcr_extend(c, 16, 0x11);
}

static void hash(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_begin(c, 0x8001, 0x17d);
	buf_put_u16(&c->b, 256);
	for (int i = 0; i < 256; i++)
		buf_put_u8(&c->b, (uint8_t)i);
	buf_put_u16(&c->b, ALG_SHA256);
	buf_put_u32(&c->b, TPM_NULL);
	tpm_end(c);
}

static void read_public(struct scene *s, struct tpm_command *c)
{
	tpm_begin(c, 0x8001, 0x173);
	buf_put_u32(&c->b, s->ecc);
	tpm_end(c);
}

static void nv_read(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_nv_read(c, NV_INDEX);
}

/* Other data each time: libtpms does not write what is there already. */
static void nv_write(struct scene *s, struct tpm_command *c)
{
	char text[24];

	snprintf(text, sizeof(text), "%08u", s->writes++ % 100000000);
	tpm_nv_write(c, NV_INDEX, text);
}

/* GetRandom under the session as its audit session. */
static void hmac_session(struct scene *s, struct tpm_command *c)
{
	static const uint8_t parameters[6] = {0, 0, 0x01, 0x7b, 0, 32}; /* code, bytes: what cpHash is over */
	uint8_t message[32 + 32 + 32 + 1], mac[32];

	if (!EVP_Digest(parameters, sizeof(parameters), message, NULL, EVP_sha256(), NULL))
		die("cpHash", s);
	memset(message + 32, 0x5a, 32);
	memcpy(message + 64, s->nonce_tpm, 32);
	message[96] = 0x81; /* continueSession, audit */
	if (!HMAC(EVP_sha256(), "", 0, message, sizeof(message), mac, NULL))
		die("HMAC", s);
	tpm_begin(c, 0x8002, 0x17b);
	buf_put_u32(&c->b, 4 + 2 + 32 + 1 + 2 + 32);
	buf_put_u32(&c->b, s->session);
	buf_put_u16(&c->b, 32);
	buf_put(&c->b, message + 32, 32);
	buf_put_u8(&c->b, 0x81);
	buf_put_u16(&c->b, 32);
	buf_put(&c->b, mac, 32);
	buf_put_u16(&c->b, 32);
	tpm_end(c);
}

static void after_hmac_session(struct scene *s)
{
	memcpy(s->nonce_tpm, s->response + 10 + 4 + 34 + 2, 32); /* behind header, parameter size, the random bytes, nonce's size */
}

static void create_primary(struct scene *s, struct tpm_command *c)
{
	(void)s;
	tpm_create_primary(c, TPM_OWNER);
}

static void after_create_primary(struct scene *s)
{
	flush(s, tpm_u32(s->response + 10));
}

static void sign(struct tpm_command *c, uint32_t key, uint16_t scheme)
{
	tpm_begin(c, 0x8002, 0x15d);
	buf_put_u32(&c->b, key);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 32);
	for (int i = 0; i < 32; i++)
		buf_put_u8(&c->b, (uint8_t)i);
	buf_put_u16(&c->b, scheme);
	buf_put_u16(&c->b, ALG_SHA256);
	buf_put_u16(&c->b, 0x8024); /* no ticket */
	buf_put_u32(&c->b, TPM_NULL);
	buf_put_u16(&c->b, 0);
	tpm_end(c);
}

static void sign_ecc(struct scene *s, struct tpm_command *c)
{
	sign(c, s->ecc, 0x0018);
}

static void sign_rsa(struct scene *s, struct tpm_command *c)
{
	sign(c, s->rsa, 0x0014);
}

static const struct {
	const char *name;
	int samples; /* at scale 1 */
	void (*build)(struct scene *s, struct tpm_command *c);
	void (*after)(struct scene *s); /* not measured */
} benches[] = {
	{"GetRandom, 32 bytes", 20000, get_random, NULL},
	{"PCR_Read", 20000, pcr_read, NULL},
	{"PCR_Extend, password", 20000, pcr_extend, NULL},
	{"Hash, 256 bytes", 20000, hash, NULL},
	{"ReadPublic, P-256", 20000, read_public, NULL},
	{"GetRandom in an HMAC session", 10000, hmac_session, after_hmac_session},
	{"NV_Read, 8 bytes", 20000, nv_read, NULL},
	{"NV_Write, 8 bytes (stored at once)", 4000, nv_write, NULL},
	{"CreatePrimary, P-256", 2000, create_primary, after_create_primary},
	{"Sign, ECDSA P-256", 2000, sign_ecc, NULL},
	{"Sign, RSA-2048", 800, sign_rsa, NULL},
};

#define BENCHES (sizeof(benches) / sizeof(benches[0]))

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static double measure_one(struct scene *s, size_t b)
{
	struct tpm_command c;
	double start, time;

	benches[b].build(s, &c);
	start = now_us();
	run(s, &c);
	time = now_us() - start;
	if (s->n < 10 || tpm_u32(s->response + 6) != 0)
		die(benches[b].name, s);
	if (benches[b].after)
		benches[b].after(s);
	return time;
}

static void measure(struct scene scenes[TARGETS], size_t b, double scale)
{
	static double times[TARGETS][SAMPLES_MAX];
	int wanted = (int)(benches[b].samples * scale), n = 0;
	/* What takes long alternates one by one: else a turn is longer than a time slice, and load hits one target alone. */
	int turn = benches[b].samples >= QUICK ? wanted / TURNS + 1 : 1;

	for (int t = 0; t < TARGETS; t++) /* warm up */
		for (int i = 0; i < turn; i++)
			measure_one(&scenes[t], b);
	for (; n + turn <= SAMPLES_MAX && n < wanted; n += turn)
		for (int t = 0; t < TARGETS; t++)
			for (int i = 0; i < turn; i++)
				times[t][n + i] = measure_one(&scenes[t], b);
	printf("| %s |", benches[b].name);
	for (int t = 0; t < TARGETS; t++) {
		qsort(times[t], (size_t)n, sizeof(double), compare);
		printf(" %.1f / %.1f |", times[t][n / 2], times[t][n * 99 / 100]);
	}
	printf(" %.2f |\n", times[1][n / 2] / times[2][n / 2]);
	fflush(stdout);
}

/* Answers each event with one, as a stub domain does that has nothing to do: until the parent ends. */
static void echo(int in, int out)
{
	struct epoll_event e = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t one = 1;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		_exit(1);
	epoll_ctl(epoll, EPOLL_CTL_ADD, in, &e);
	while (epoll_wait(epoll, &e, 1, -1) == 1)
		if (read(in, &one, sizeof(one)) != (ssize_t)sizeof(one) || write(out, &one, sizeof(one)) != (ssize_t)sizeof(one))
			break;
	_exit(1);
}

/* What the stub program can't be faster than. */
static void measure_floor(double scale)
{
	static double times[QUICK];
	int there = eventfd(0, EFD_CLOEXEC), back = eventfd(0, EFD_CLOEXEC), n = (int)(QUICK * scale);
	pid_t pid = fork();
	uint64_t one = 1;

	if (pid == 0)
		echo(there, back);
	for (int i = 0; i < n; i++) {
		double start = now_us();

		one = 1;
		if (write(there, &one, sizeof(one)) != (ssize_t)sizeof(one) || read(back, &one, sizeof(one)) != (ssize_t)sizeof(one))
			exit(1);
		times[i] = now_us() - start;
	}
	qsort(times, (size_t)n, sizeof(double), compare);
	printf("| no command: an eventfd each way | | %.1f / %.1f | | |\n", times[n / 2], times[n * 99 / 100]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct target *targets[TARGETS];
	static struct scene scenes[TARGETS];
	double scale = argc > 3 ? atof(argv[3]) : 1;

	if (argc < 3 || scale <= 0 || scale > 1) {
		fprintf(stderr, "usage: bench-stub STUB-PROGRAM DIRECTORY [SCALE], with SCALE at most 1\n");
		return 1;
	}
	targets[0] = target_in_process();
	targets[1] = target_stub(argv[1]);
	targets[2] = target_swtpm(argv[2]);
	for (int i = 0; i < TARGETS; i++) {
		if (!targets[i]) {
			fprintf(stderr, "bench-stub: target %d does not start\n", i);
			return 1;
		}
		prepare(&scenes[i], targets[i]);
	}
	printf("| Command | %s | %s | %s | stub / swtpm |\n|---|---|---|---|---|\n", targets[0]->name, targets[1]->name, targets[2]->name);
	measure_floor(scale);
	for (size_t b = 0; b < BENCHES; b++)
		measure(scenes, b, scale);
	for (int i = 0; i < TARGETS; i++)
		target_stop(&targets[i]);
	return 0;
}

/*
 * The ekmaker process.
 *
 * Theory of operation: libtpms makes a primary key from its hierarchy's seed and a template, and nothing else. So the TPM here gets the
 * endorsement primary seed that a stub domain's TPM will get, the same template, and answers with the same public key. All other
 * roots are zeroes. libtpms is not in the vault, because that holds every secret of the KMC and libtpms is large.
 */
#include "kmc/ekmaker.h"

#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/secret.h"
#include "kmc/cleanheap.h"
#include "kmc/kmcconf.h"
#include "kmc/procmsg.h"
#include "vtpm-stubdom/blob.h"
#include "vtpm-stubdom/engine.h"

_Static_assert(EKMAKER_SEED_SIZE == DERIVE_ROOT_SIZE, "the endorsement primary seed is a root");

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "OpenSSL looks for its random devices where getrandom() fails"},
	{SCMP_SYS(sysinfo), "sorting and memory sizes in the C library"},
};

static int start_up(struct engine *e)
{
	static const uint8_t startup[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0}; /* TPM2_Startup(CLEAR) */
	const uint8_t *response;
	size_t n;
	int r = engine_process(e, 0, startup, sizeof(startup), &response, &n);

	return r != 0 ? r : n == 10 && memcmp(response + 6, "\0\0\0\0", 4) == 0 ? 0 : E_TPM;
}

int ekmaker_open(struct ekmaker *m)
{
	struct secret *roots = secret_new(sizeof(struct roots));
	int r;

	*m = (struct ekmaker){.engine = engine_new()};
	r = !roots ? E_NOMEM : m->engine ? engine_manufacture(m->engine, (const struct roots *)roots->data) : E_CRYPTO;
	if (r == 0) {
		const struct secret *state = engine_permanent(m->engine);

		m->blank = state ? secret_dup(state->data, state->size) : NULL;
		r = m->blank ? 0 : E_NOMEM;
	}
	secret_free(&roots);
	if (r != 0)
		ekmaker_close(m);
	return r;
}

void ekmaker_close(struct ekmaker *m)
{
	engine_free(&m->engine);
	secret_free(&m->blank);
}

static int power_on(struct ekmaker *m, const uint8_t *eps)
{
	struct engine_state state = {.permanent = secret_dup(m->blank->data, m->blank->size)};
	struct secret *roots = secret_new(sizeof(struct roots));
	int r = E_NOMEM;

	if (state.permanent && roots) {
		memcpy(((struct roots *)roots->data)->value[ROOT_EPS], eps, DERIVE_ROOT_SIZE);
		r = blob_set_roots(state.permanent->data, state.permanent->size, (const struct roots *)roots->data);
	}
	if (r == 0 && (r = engine_resume(m->engine, &state)) == 0)
		r = start_up(m->engine);
	engine_state_free(&state);
	secret_free(&roots);
	return r;
}

int ekmaker_make(struct ekmaker *m, const uint8_t *eps, struct endorsement_key keys[ENDORSEMENT_KINDS], struct endorsement_facts *facts)
{
	const struct engine_state blank = {.permanent = m->blank};
	int r = power_on(m, eps), forget;

	for (int kind = 0; kind < ENDORSEMENT_KINDS && r == 0; kind++)
		r = endorsement_key(m->engine, (enum endorsement_kind)kind, &keys[kind]);
	if (r == 0)
		r = endorsement_facts(m->engine, facts);
	forget = engine_resume(m->engine, &blank);
	return r != 0 ? r : forget;
}

struct ekmaker_process {
	struct ekmaker maker;
	struct link *vault;
};

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct endorsement_key keys[ENDORSEMENT_KINDS];
	struct endorsement_facts facts;
	struct ekmaker_process *p = arg;
	const struct ekmaker_keys *q = fields;
	struct ekmaker_made made;
	int r;

	if (type != EKMAKER_KEYS)
		fatal("the vault process sent an answer where a request belongs");
	r = ekmaker_make(&p->maker, q->eps.p, keys, &facts);
	if (r != 0) {
		const struct ekmaker_failed failed = {.code = (uint64_t)-r};

		link_send(p->vault, EKMAKER_FAILED, id, &failed);
		return;
	}
	made = (struct ekmaker_made){
		.rsa = view_of(keys[ENDORSEMENT_RSA].bytes, keys[ENDORSEMENT_RSA].size),
		.ecc = view_of(keys[ENDORSEMENT_ECC].bytes, keys[ENDORSEMENT_ECC].size),
		.manufacturer = facts.manufacturer, .firmware = facts.firmware, .level = facts.level, .revision = facts.revision,
	};
	link_send(p->vault, EKMAKER_MADE, id, &made);
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

void ekmaker_main(const struct kmcconf *conf, int fd)
{
	char empty[KMCCONF_PATH];
	const struct confinement box = {.user = kmcconf_user(conf),
					.root = process_is_root() ? kmcconf_path(conf, "empty", empty) : NULL,
					.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	struct loop *loop = loop_new();
	static struct ekmaker_process p;

	log_open("kmcd[ekmaker]", LOG_LV_INFO);
	cleanheap_use();
	if (ekmaker_open(&p.maker) != 0)
		fatal("can't make a TPM for endorsement keys: libtpms failed");
	p.vault = loop ? link_new(loop, fd, "vault", &ekmaker_protocol, on_message, &p) : NULL;
	if (!p.vault)
		fatal("can't start: out of memory");
	link_on_end(p.vault, on_end, NULL);
	process_confine(&box);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

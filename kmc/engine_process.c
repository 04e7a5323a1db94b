/* The engine process. */
#include "kmc/engine_process.h"

#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/watchdog.h"
#include "kmc/admin.h"
#include "kmc/engine.h"
#include "kmc/engine_admin.h"
#include "kmc/engine_attest.h"
#include "kmc/engine_audit.h"
#include "kmc/engine_ca.h"
#include "kmc/engine_ca_admin.h"
#include "kmc/engine_certify.h"
#include "kmc/engine_enrol.h"
#include "kmc/engine_keys.h"
#include "kmc/engine_grant.h"
#include "kmc/engine_life.h"
#include "kmc/engine_metrics.h"
#include "kmc/engine_open.h"
#include "kmc/engine_renew.h"
#include "kmc/engine_replica.h"
#include "kmc/engine_server.h"
#include "kmc/engine_export.h"
#include "kmc/engine_import.h"
#include "kmc/engine_share.h"
#include "kmc/engine_requests.h"
#include "kmc/engine_rewrap.h"
#include "kmc/engine_session.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"
#include "kmc/store_open.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(accept4), "kmcctl connects"},
	{SCMP_SYS(openat), "the database and its log are opened and checkpointed"},
	{SCMP_SYS(pread64), "the database"},
	{SCMP_SYS(pwrite64), "the database"},
	{SCMP_SYS(fsync), "the database"},
	{SCMP_SYS(fdatasync), "the database"},
	{SCMP_SYS(ftruncate), "the database's log is shortened"},
	{SCMP_SYS(fallocate), "the database grows"},
	{SCMP_SYS(unlink), "the database's log goes when it is closed"},
	{SCMP_SYS(rename), "node_exporter never reads half a file"},
	{SCMP_SYS(fchmod), "node_exporter may read our numbers; the log gets the database's mode"},
	{SCMP_SYS(fchown), "the log gets the database's owner"},
	{SCMP_SYS(stat), "the database"},
	{SCMP_SYS(lstat), "the database"},
	{SCMP_SYS(readlink), "the database's full name"},
	{SCMP_SYS(getcwd), "the same"},
	{SCMP_SYS(statfs), "the database's file system"},
	{SCMP_SYS(fstatfs), "the same"},
	{SCMP_SYS(socket), "telling systemd"},
	{SCMP_SYS(getegid), "who owns the log"},
};

static const struct syscall_rule pgsql_rules[] = {
	{SCMP_SYS(connect), "the database"},
	{SCMP_SYS(getsockopt), "the same: what connect() came to"},
	{SCMP_SYS(setsockopt), "the same"},
	{SCMP_SYS(getsockname), "the same"},
	{SCMP_SYS(getpeername), "name resolution"},
	{SCMP_SYS(bind), "name resolution"},
	{SCMP_SYS(sendmmsg), "name resolution"},
	{SCMP_SYS(uname), "name resolution"},
	{SCMP_SYS(statx), "name resolution"},
	{SCMP_SYS(getdents64), "certificates in a directory"},
	{SCMP_SYS(sysinfo), "sorting in the C library"},
	{SCMP_SYS(ioctl), "name resolution"},
	{SCMP_SYS(getgid), "OpenSSL's secure getenv"},
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))
#define N_PGSQL_RULES (sizeof(pgsql_rules) / sizeof(pgsql_rules[0]))

static struct engine engine;

static void serve_if_ready(struct engine *e)
{
	if (!e->front_ready || !e->vault_ready || !engine_ca_known(e))
		return;
	log_info("KMC '%s' serves at %s", e->conf->name, e->conf->listen);
	process_ready("serving");
}

static void on_front(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct engine *e = arg;

	(void)id;
	switch (type) {
	case FRONT_READY:
		e->front_ready = true;
		serve_if_ready(e);
		break;
	case FRONT_ASK:
		requests_ask(e, fields);
		break;
	default:
		fatal("the front process sent an answer where a request belongs");
	}
}

/* An answer that nobody waits for any more. Of an open the vault has the request still, unless it has sealed the reply. */
static void drop_answer(struct engine *e, struct ticket *t)
{
	if (t->kind == TICKET_OPEN)
		link_send(e->vault, VAULT_FORGET, t->id, NULL);
	engine_ticket_end(t);
}

static void on_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	if (t->kind == TICKET_SIGN)
		audit_sign_failed(e, t, m);
	else if (t->kind == TICKET_HOST)
		admin_issue_failed(e, t, m);
	else if (t->kind == TICKET_REPLICA)
		replica_failed(e, t, m);
	else if (t->kind == TICKET_SERVER)
		server_failed(e, t, m);
	else if (t->kind == TICKET_RENEW)
		renew_failed(e, t, m);
	else if (t->kind == TICKET_CA || t->kind == TICKET_CA_MAKE)
		engine_ca_failed(e, t, m);
	else if (t->kind == TICKET_CA_KEEP)
		engine_ca_keep_failed(e, t, m);
	else if (t->kind == TICKET_CHALLENGE || t->kind == TICKET_ENROL)
		engine_enrol_failed(e, t, m);
	else if (t->kind == TICKET_ENDORSE)
		certify_failed(e, t, m);
	else if (t->kind == TICKET_SHARE)
		share_failed(e, t, m);
	else if (t->kind == TICKET_CARD || t->kind == TICKET_EXPORT)
		export_failed(e, t, m);
	else if (t->kind == TICKET_IMPORT)
		import_failed(e, t, m);
	else if (t->kind == TICKET_WRAPPING && t->client == WRAPPING_MAKE)
		keys_failed(e, t, m);
	else if (t->kind == TICKET_WRAPPING && t->client)
		wrapping_failed(e, t, m);
	else if (t->kind == TICKET_WRAPPING)
		rewrap_failed(e, t, m);
	else
		open_failed(e, t, m);
}

static void on_vault_ready(struct engine *e, const struct vault_ready *m)
{
	e->vault_ready = true;
	wrapping_ready(e, (uint32_t)m->oldest);
	serve_if_ready(e);
}

static void on_answer(struct engine *e, struct ticket *t, uint64_t type, const void *fields)
{
	switch (type) {
	case VAULT_PROTECTED:
		open_protected(e, t, fields);
		break;
	case VAULT_DECRYPTED:
		open_decrypted(e, t, fields);
		break;
	case VAULT_MADE:
		if (t->kind == TICKET_SHARE)
			share_made(e, t, fields);
		else if (t->kind == TICKET_IMPORT)
			import_made(e, t, fields);
		else
			open_made(e, t, fields);
		break;
	case VAULT_SEALED:
		open_sealed(e, t, fields);
		break;
	case VAULT_ISSUED:
		if (t->kind == TICKET_ENROL)
			engine_enrol_issued(e, t, fields);
		else if (t->kind == TICKET_SERVER)
			server_issued(e, t, fields);
		else if (t->kind == TICKET_RENEW)
			renew_issued(e, t, fields);
		else
			admin_issued(e, t, fields);
		break;
	case VAULT_CHALLENGE:
		engine_enrol_challenge(e, t, fields);
		break;
	case VAULT_DUPLICATED:
		replica_duplicated(e, t, fields);
		break;
	case VAULT_CA_TAKEN:
		engine_ca_taken(e, t);
		break;
	case VAULT_CA_MADE:
		engine_ca_made(e, t, fields);
		break;
	case VAULT_ENDORSED:
		certify_endorsed(e, t, fields);
		break;
	case VAULT_NEW_WRAPPED:
		keys_made(e, t, fields);
		break;
	case VAULT_KEPT:
		if (t->kind == TICKET_CA_KEEP)
			engine_ca_kept(e, t);
		else
			wrapping_kept(e, t);
		break;
	case VAULT_REWRAPPED:
		rewrap_answer(e, t, ((const struct vault_rewrapped *)fields)->wrapped);
		break;
	case VAULT_CARD_IS:
		export_card(e, t, fields);
		break;
	case VAULT_EXPORTED:
		export_made(e, t, fields);
		break;
	case VAULT_RECEIPT_IS:
		import_receipt(e, t, fields);
		break;
	case VAULT_SIGNED:
		audit_signed(e, t, fields);
		break;
	case VAULT_FAILED:
		on_failed(e, t, fields);
		break;
	default:
		fatal("the vault process sent a request");
	}
}

static void on_vault(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct engine *e = arg;
	struct ticket *t;

	if (type == VAULT_READY) {
		on_vault_ready(e, fields);
		return;
	}
	t = engine_find(e, id);
	if (t->given_up && type != VAULT_PROTECTED)
		drop_answer(e, t);
	else
		on_answer(e, t, type, fields);
}

static void begin_round(void *arg)
{
	const struct engine *e = arg;

	e->store->ops->hold(e->store);
}

static void end_round(void *arg)
{
	struct engine *e = arg;

	open_decide(e);
	e->store->ops->let_go(e->store);
}

/* Whether a host's request waits for the vault. Others are the engine's own, or kmcctl's, which waits as long as it likes. */
static bool is_a_hosts(const struct ticket *t)
{
	return t->kind == TICKET_PROTECT || t->kind == TICKET_OPEN || t->kind == TICKET_CHALLENGE || t->kind == TICKET_ENROL ||
	       t->kind == TICKET_RENEW;
}

/* Tell hosts that the vault takes too long; their tickets stay until it answers. */
static void on_tick(void *arg, unsigned int what)
{
	struct engine *e = arg;
	uint64_t now = loop_now_ms();
	bool any = false;

	(void)what;
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		struct ticket *t = &e->tickets[i];

		any |= t->kind != TICKET_FREE;
		if (!is_a_hosts(t) || t->given_up || now - t->since_ms < TICKET_MS)
			continue;
		t->given_up = true;
		grant_take_back(e, t);
		engine_refuse(e, &t->asker, KMC_REFUSED_BUSY, "the KMC's vault has not answered in time: try again");
	}
	if (any)
		source_set_ms(e->timer, TICK_MS);
}

static void on_signal(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

static void open_store(struct engine *e)
{
	char why[STORE_WHY];

	if (store_open(&e->store, e->conf, false, why) != 0)
		fatal("%s", why);
}

void engine_main(const struct kmcconf *conf, int front_fd, int vault_fd, int control_fd)
{
	bool network = conf->store_engine == STORE_ENGINE_PGSQL;
	struct syscall_rule all[N_RULES + N_PGSQL_RULES];
	const struct confinement box = {.user = kmcconf_user(conf), .rules = all, .n_rules = N_RULES + (network ? N_PGSQL_RULES : 0)};
	struct loop *loop = loop_new();
	struct engine *e = &engine;
	char why[EKCERT_WHY];

	memcpy(all, rules, sizeof(rules));
	memcpy(all + N_RULES, pgsql_rules, sizeof(pgsql_rules));
	log_open("kmcd[engine]", LOG_LV_INFO);
	e->conf = conf;
	e->started_at = engine_now();
	if (ca_cert_read(&e->ca, conf->tls_ca) != 0)
		fatal("can't read the CA's certificate %s: was 'kmcctl init' run?", conf->tls_ca);
	if (ekroots_load(&e->ekroots, conf->ek_roots, why) != 0)
		fatal("%s", why);
	engine_attest_start(e);
	engine_session_start(e);
	e->enrolments = calloc(ENROLMENTS_MAX, sizeof(*e->enrolments));
	e->front = loop ? link_new(loop, front_fd, "front", &front_protocol, on_front, e) : NULL;
	e->vault = loop ? link_new(loop, vault_fd, "vault", &vault_protocol, on_vault, e) : NULL;
	e->admin = loop ? admin_new(loop, control_fd, admin_request, e) : NULL;
	e->timer = loop ? source_timer(loop, on_tick, e) : NULL;
	if (!e->enrolments || !e->front || !e->vault || !e->admin || !e->timer || !source_signal(loop, SIGTERM, on_signal, loop) ||
	    !source_signal(loop, SIGINT, on_signal, loop) || buf_init(&e->frame, FRONT_FRAME_MAX) != 0 ||
	    buf_init(&e->state, KMC_STATE_MAX) != 0 || buf_init(&e->volatile_state, KMC_VOLATILE_MAX) != 0)
		fatal("can't start: out of memory");
	if (watchdog_start(loop) != 0 || engine_metrics_start(e, loop) != 0)
		fatal("can't start: out of memory");
	process_confine(&box);
	open_store(e); /* with the rights that it will be written with */
	link_gather(e->front, begin_round, end_round, e);
	link_gather(e->vault, begin_round, end_round, e);
	audit_start(e, loop);
	life_start(e, loop);
	wrapping_start(e, loop);
	engine_ca_start(e, loop, serve_if_ready);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	e->store->ops->close(e->store);
	log_info("ended");
	exit(0);
}

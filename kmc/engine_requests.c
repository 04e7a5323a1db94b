/* A host's requests. */
#include "kmc/engine_requests.h"

#include <stddef.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/engine_attest.h"
#include "kmc/engine_ca.h"
#include "kmc/engine_audit.h"
#include "kmc/engine_certify.h"
#include "kmc/engine_check.h"
#include "kmc/engine_enrol.h"
#include "kmc/engine_lease.h"
#include "kmc/engine_open.h"
#include "kmc/engine_park.h"
#include "kmc/engine_renew.h"
#include "kmc/engine_session.h"
#include "kmc/kmcconf.h"

static void on_hello(struct engine *e, struct asker *a, struct view fingerprint, const struct kmc_hello *m)
{
	const struct kmc_welcome w = {
		.kmc = view_text(e->conf->name), .host = view_text(a->host), .pool = view_text(a->pool),
		.time = (uint64_t)engine_machine_time(), .audit = auditlog_head(&e->audit)};

	if (engine_session_begin(e, a) != 0) {
		engine_refuse_db(e, a);
		return;
	}
	renew_used(e, a, fingerprint);
	log_about(LOG_LV_INFO, ABOUT(.host = a->host), "host '%s' of pool '%s' is connected with %.*s", a->host, a->pool, (int)m->software.n,
		 (const char *)m->software.p);
	engine_answer(e, a, KMC_WELCOME, &w);
}

void requests_ask(struct engine *e, const struct front_ask *ask)
{
	_Alignas(max_align_t) uint8_t fields[PRIVSEP_FIELDS_MAX];
	const struct msg_schema *schema;
	struct asker a = {.conn = ask->conn};
	struct msg m = {0};
	struct buf b;

	buf_view(&b, ask->frame.p, ask->frame.n);
	schema = msg_next(&b, KMC_BODY_MAX, &m) == 0 && buf_done(&b) == 0 ? kmc_schema(m.head.type) : NULL;
	if (!schema || m.head.version != KMC_VERSION || msg_fields(&m, schema, fields) != 0)
		fatal("the front process passed on a message that it had not checked");
	a.id = m.head.id;
	if (!engine_ca_known(e)) { /* the front is quicker than the vault */
		engine_answer(e, &a, KMC_REFUSED, &(const struct kmc_refused){.code = KMC_REFUSED_BUSY, .reason = view_text("the KMC is starting: try again")});
		return;
	}
	if (!ask->host.p) { /* nobody yet */
		engine_enrol_ask(e, &a, (enum kmc_type)m.head.type, fields);
		return;
	}
	view_copy_text(ask->host, a.host, sizeof(a.host));
	audit_clock(e);
	if (!engine_check_host(e, &a, ask->fingerprint, m.head.type == KMC_HELLO))
		return;
	a.session = engine_session_of(e, &a);
	switch (m.head.type) {
	case KMC_HELLO:
		on_hello(e, &a, ask->fingerprint, (const void *)fields);
		break;
	case KMC_PROTECT:
		open_protect(e, &a);
		break;
	case KMC_OPEN:
		if (engine_attest_allows(e, &a))
			open_start(e, &a, (const void *)fields);
		break;
	case KMC_RESERVE:
		if (engine_attest_allows(e, &a))
			open_reserve(e, &a, (const void *)fields);
		break;
	case KMC_CHECK:
		if (engine_attest_allows(e, &a))
			check_ask(e, &a, (const void *)fields);
		break;
	case KMC_VERIFY:
		check_verify(e, &a, (const void *)fields);
		break;
	case KMC_ATTEST:
		engine_attest_ask(e, &a);
		break;
	case KMC_CERTIFY:
		if (engine_attest_allows(e, &a))
			certify_ask(e, &a, (const void *)fields);
		break;
	case KMC_RENEW:
		if (engine_attest_allows(e, &a))
			renew_ask(e, &a, ask->fingerprint, (const void *)fields);
		break;
	case KMC_TRUST:
		engine_ca_trust(e, &a, ask->fingerprint, (const void *)fields);
		break;
	case KMC_QUOTE:
		engine_attest_quote(e, &a, ask->fingerprint, (const void *)fields);
		break;
	case KMC_PARK:
		engine_park(e, &a, (const void *)fields);
		break;
	case KMC_RECALLS:
		engine_recalls(e, &a);
		break;
	default:
		if (!engine_lease_ask(e, &a, (enum kmc_type)m.head.type, fields))
			fatal("the front process passed on an answer");
	}
}

/* The relay renews its host's certificate: when, in which order, and what a failure costs. */
#include "dom0-relay/renewing.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/statemsg.h"
#include "tests/unit/unit.h"

#define DAY 86400

static struct world {
	struct loop *loop;
	struct renewing *r;
	struct identity id;
	bool in_tpm, broken;
	unsigned int asked, signings, kept, used, reconnected;
	struct kmc_renew request;
	unsigned int trust_asked, trusted;
	uint8_t have[32], root[32];
} w;

/* --- the parts around --- */

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)k, (void)id;
	if (type == KMC_TRUST) {
		memcpy(w.have, ((const struct kmc_trust *)fields)->have.p, 32);
		w.trust_asked++;
		return w.broken ? E_STATE : 0;
	}
	assert_int_equal(type, KMC_RENEW);
	w.request = *(const struct kmc_renew *)fields;
	w.asked++;
	return w.broken ? E_STATE : 0;
}

int kmclink_sign(const struct kmclink *k, struct view message, uint8_t signature[KMCLINK_SIGNATURE])
{
	(void)k;
	assert_int_equal(message.n, 32);
	memset(signature, 7, 70);
	return w.in_tpm ? E_STATE : 70;
}

int kmclink_certificate(const struct kmclink *k, uint8_t hash[32])
{
	(void)k;
	return EVP_Digest(w.id.certificate.bytes, w.id.certificate.size, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

int kmclink_trust(struct kmclink *k, const struct identity *id)
{
	(void)k;
	w.trusted = id->n_cas;
	return 0;
}

int kmclink_root(const struct kmclink *k, uint8_t hash[32])
{
	(void)k;
	memcpy(hash, w.root, 32);
	return 0;
}

struct view kmclink_shown(const struct kmclink *k)
{
	(void)k;
	return view_of(w.id.certificate.bytes, w.id.certificate.size);
}

int kmclink_renew(struct kmclink *k, struct view der)
{
	(void)k;
	memcpy(w.id.certificate.bytes, der.p, der.n);
	w.id.certificate.size = der.n;
	w.used++;
	return 0;
}

void kmclink_reconnect(struct kmclink *k, const char *why)
{
	(void)k, (void)why;
	w.reconnected++;
}

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	(void)l;
	assert_true(id == RENEWING_TICKET);
	if (type == TPM_SIGN && ((const struct tpm_sign *)fields)->digest.n == 32)
		w.signings++;
	else
		w.kept++;
}

/* --- */

/* A host's certificate by openssl's own command, valid for so many days. */
static void make(struct certinfo_der *d, const char *name, int days)
{
	char command[400];

	snprintf(command, sizeof(command),
		 "cd /tmp && { [ -e test-renewing.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out test-renewing.key; } 2>/dev/null"
		 " && openssl req -x509 -key test-renewing.key -subj /CN=%s -days %d -out test-renewing.crt", name, days);
	assert_int_equal(system(command), 0);
	assert_int_equal(certinfo_list("/tmp/test-renewing.crt", d, 1), 1);
}

static void begin(int days)
{
	struct certinfo c;

	w = (struct world){.loop = loop_new()};
	make(&w.id.certificate, "host", days);
	assert_int_equal(certinfo_of(view_of(w.id.certificate.bytes, w.id.certificate.size), &c), 0);
	w.id.from = c.from;
	w.id.until = c.until;
	w.r = renewing_new(w.loop, NULL, NULL, NULL, &w.id);
	assert_non_null(w.r);
}

static int setup(void **state)
{
	(void)state;
	begin(900);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	renewing_free(&w.r);
	loop_free(&w.loop);
	unlink("/tmp/test-renewing.key");
	unlink("/tmp/test-renewing.crt");
	return 0;
}

static void on_stop(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

/* What is due at once. */
static void run(void)
{
	struct source *stop = source_timer(w.loop, on_stop, w.loop);

	source_set_ms(stop, 20);
	assert_int_equal(loop_run(w.loop), 0);
	source_free(&stop);
}

static struct ctl_status status(void)
{
	struct ctl_status s = {.kmc_up = 0};

	renewing_status(w.r, &s);
	return s;
}

static void the_time_is_a_third_before_the_end_and_not_the_same_for_all(void **state)
{
	(void)state;
	assert_int_equal(renewing_due(0, 900 * DAY, 0), 600 * DAY);
	for (uint32_t spread = 1; spread; spread *= 2)
		assert_true(renewing_due(0, 900 * DAY, spread) <= 600 * DAY && renewing_due(0, 900 * DAY, spread) > 570 * DAY);
	assert_int_equal(renewing_due(0, 30, 1), 20); /* too short for a spread */
	assert_true(renewing_due(0, 3, UINT32_MAX) >= 0);
}

/* The KMC's answer to TRUST, if there was a question. */
static void settle(const struct kmc_trusted *m)
{
	run();
	assert_int_equal(w.asked + w.signings, 0);
	assert_int_equal(w.trust_asked, 1);
	w.trust_asked = 0;
	renewing_kmc(w.r, KMC_TRUSTED, m);
	run();
}

static const struct kmc_trusted nothing_new = {.again = 3600};

static void nothing_is_asked_before_its_time(void **state)
{
	(void)state;
	renewing_up(w.r);
	assert_int_equal(w.asked + w.signings, 0);
	assert_true(status().renew_at > (uint64_t)time(NULL) + 500 * DAY);
}

static void a_new_one_is_kept_before_it_is_used(void **state)
{
	struct certinfo_der next;
	struct kmc_renewed m;

	(void)state;
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.request.possession.n, 70);
	make(&next, "host", 1000);
	m.certificate = view_of(next.bytes, next.size);
	renewing_kmc(w.r, KMC_RENEWED, &m);
	assert_int_equal(w.kept, 1);
	assert_int_equal(w.used + w.reconnected, 0);
	renewing_disk(w.r, STATE_IDENTIFIED, NULL);
	assert_int_equal(w.used, 1);
	assert_int_equal(w.reconnected, 1);
	assert_int_equal(status().renewals, 1);
	assert_null(status().renew_failed.p);
	assert_true(status().certificate_until > (uint64_t)time(NULL) + 990 * DAY);
}

static void a_key_in_the_tpm_is_asked_to_sign(void **state)
{
	const struct tpm_signed done = {.signature = view_text("a signature")};

	(void)state;
	w.in_tpm = true;
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	assert_int_equal(w.signings, 1);
	assert_int_equal(w.asked, 0);
	renewing_now(w.r); /* once is enough */
	renewing_tpm(w.r, TPM_SIGNED, &done);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.request.possession.n, 11);
}

static void a_certificate_for_somebody_else_is_not_kept(void **state)
{
	struct certinfo_der next;
	struct kmc_renewed m;

	(void)state;
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	make(&next, "another", 1000);
	m.certificate = view_of(next.bytes, next.size);
	renewing_kmc(w.r, KMC_RENEWED, &m);
	assert_int_equal(w.kept, 0);
	assert_non_null(status().renew_failed.p);
	assert_int_equal(status().renewals, 1);
}

static void a_refusal_is_told_and_tried_again_later(void **state)
{
	const struct kmc_refused no = {.code = KMC_REFUSED_ATTESTATION, .reason = view_text("PCR 7 differs")};

	(void)state;
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	renewing_kmc(w.r, KMC_REFUSED, &no);
	assert_non_null(memmem(status().renew_failed.p, status().renew_failed.n, "PCR 7 differs", 13));
	renewing_now(w.r);
	w.asked = 0;
	settle(&nothing_new);
	assert_int_equal(w.asked, 1);
}

static void a_disk_that_fails_costs_nothing(void **state)
{
	const struct state_failed no = {.reason = view_text("No space left on device")};
	struct certinfo_der next;
	struct kmc_renewed m;

	(void)state;
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	make(&next, "host", 1000);
	m.certificate = view_of(next.bytes, next.size);
	renewing_kmc(w.r, KMC_RENEWED, &m);
	renewing_disk(w.r, STATE_FAILED, &no);
	assert_int_equal(w.used, 0);
	assert_non_null(memmem(status().renew_failed.p, status().renew_failed.n, "No space", 8));
}

static void a_connection_that_breaks_is_waited_for(void **state)
{
	(void)state;
	renewing_now(w.r);
	assert_non_null(memmem(status().renew_failed.p, status().renew_failed.n, "no connection", 13));
	renewing_up(w.r);
	renewing_now(w.r);
	settle(&nothing_new);
	assert_int_equal(w.asked, 1);
	renewing_down(w.r);
	renewing_up(w.r);
	w.asked = 0;
	settle(&nothing_new);
	assert_int_equal(w.asked, 1);
}

static void sha256(const struct certinfo_der *d, size_t n, uint8_t hash[32])
{
	uint8_t all[4 * CERTINFO_DER_MAX];
	size_t at = 0;

	for (size_t i = 0; i < n; at += d[i++].size)
		memcpy(all + at, d[i].bytes, d[i].size);
	assert_int_equal(EVP_Digest(all, at, hash, NULL, EVP_sha256(), NULL), 1);
}

static void authorities_are_kept_before_they_are_trusted_and_the_kmc_is_told(void **state)
{
	struct kmc_trusted m = {.again = 60};
	struct certinfo_der cas[2];
	uint8_t all[2 * CERTINFO_DER_MAX], hash[32];

	(void)state;
	make(&cas[0], "one", 10);
	make(&cas[1], "two", 10);
	memcpy(all, cas[0].bytes, cas[0].size);
	memcpy(all + cas[0].size, cas[1].bytes, cas[1].size);
	sha256(cas, 1, w.root);
	m.authorities = view_of(all, cas[0].size + cas[1].size);
	renewing_up(w.r);
	settle(&m);
	assert_int_equal(w.kept, 1);
	assert_int_equal(w.trusted, 0);
	renewing_disk(w.r, STATE_IDENTIFIED, NULL);
	assert_int_equal(w.trusted, 2);
	run();
	assert_int_equal(w.trust_asked, 1);
	sha256(cas, 2, hash);
	assert_memory_equal(w.have, hash, 32);
	assert_int_equal(w.asked, 0);
}

static void authorities_without_the_one_that_certified_the_kmc_are_not_taken(void **state)
{
	struct kmc_trusted m = {.again = 60};
	struct certinfo_der other;

	(void)state;
	make(&other, "other", 10);
	m.authorities = view_of(other.bytes, other.size);
	renewing_up(w.r);
	settle(&m);
	assert_int_equal(w.kept, 0);
	w.trust_asked = 1;
	m.authorities = view_text("rubbish");
	sha256(&other, 1, w.root);
	renewing_down(w.r);
	renewing_up(w.r);
	w.trust_asked = 0;
	settle(&m);
	assert_int_equal(w.kept, 0);
}

static void a_certificate_by_an_authority_that_goes_is_renewed_at_once(void **state)
{
	const struct kmc_trusted m = {.renew = 1, .again = 60};

	(void)state;
	renewing_up(w.r);
	settle(&m);
	assert_int_equal(w.asked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(authorities_are_kept_before_they_are_trusted_and_the_kmc_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(authorities_without_the_one_that_certified_the_kmc_are_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(a_certificate_by_an_authority_that_goes_is_renewed_at_once, setup, teardown),
		cmocka_unit_test(the_time_is_a_third_before_the_end_and_not_the_same_for_all),
		cmocka_unit_test_setup_teardown(nothing_is_asked_before_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_one_is_kept_before_it_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_in_the_tpm_is_asked_to_sign, setup, teardown),
		cmocka_unit_test_setup_teardown(a_certificate_for_somebody_else_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_and_tried_again_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_costs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_that_breaks_is_waited_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The models' decision tables (docs/models): each situation has one row, and kmc/lease.c decides as it says. */
#include "kmc/lease.h"
#include "tests/unit/decision_table.h"

/* --- lease.table --- */

static uint64_t compared(const char *word, uint64_t present)
{
	const uint64_t values[] = {0, present - 1, present, present + 1};

	return values[INDEX(word, "none", "older", "present", "newer")];
}

/* @variant: which of the three hierarchies differs; and whether "nobody" was another host or never anybody. */
static void set_up(const struct table *t, const situation s, unsigned int variant, struct lease *l, struct lease_request *q)
{
	const char *holders[][2] = {{"a", ""}, {"b", ""}, {"", "a"}, {"", variant ? "b" : ""}};
	size_t holder = INDEX(of(t, s, "holder"), "asker", "other", "former", "nobody");
	bool full = INDEX(of(t, s, "counter"), "room", "full") == 1;
	size_t relation = INDEX(of(t, s, "hierarchies"), "same", "ahead", "behind");

	*l = (struct lease){.pool = "p", .epoch = full ? INT64_MAX : 5, .state_version = 7, .owner_epoch = 3, .endorsement_epoch = 3,
			    .platform_epoch = 3};
	snprintf(l->holder, sizeof(l->holder), "%s", holders[holder][0]);
	snprintf(l->last_holder, sizeof(l->last_holder), "%s", holders[holder][1]);
	*q = (struct lease_request){
		.act = (enum lease_act)INDEX(of(t, s, "act"), "open", "store", "release", "takeover"),
		.host = "a",
		.pool = INDEX(of(t, s, "pool"), "own", "other") == 0 ? "p" : "another",
		.registered_only = INDEX(of(t, s, "policy"), "auto", "registered") == 1,
		.epoch = compared(of(t, s, "epoch"), l->epoch),
		.version = compared(of(t, s, "version"), l->state_version),
		.same_state = INDEX(of(t, s, "bytes"), "differ", "same") == 1,
	};
	uint64_t epochs[3] = {3, 3, 3};

	if (relation == 2) /* one behind is enough, whatever the others are */
		epochs[0] = epochs[1] = epochs[2] = 4;
	if (relation)
		epochs[variant] = relation == 1 ? 4 : 2;
	q->owner_epoch = epochs[0];
	q->endorsement_epoch = epochs[1];
	q->platform_epoch = epochs[2];
	if (q->act == LEASE_TAKEOVER)
		q->host = q->pool = NULL;
}

static enum kmc_refusal code_of(const char *word)
{
	static const enum kmc_refusal codes[] = {KMC_REFUSED_POLICY, KMC_REFUSED_HELD, KMC_REFUSED_EPOCH, KMC_REFUSED_ROLLBACK,
						 KMC_REFUSED_INTERNAL, KMC_REFUSED_IMAGE, KMC_REFUSED_RESERVATION};

	return codes[INDEX(word, "policy", "held", "epoch", "rollback", "internal", "image", "reservation")];
}

static void becomes_of_lease(const char *word, const struct lease *before, const struct lease *after, const struct lease_request *q)
{
	bool held = strcmp(word, "held") == 0, stored = strcmp(word, "stored") == 0, taken = strcmp(word, "taken") == 0;

	assert_true(held || stored || taken || strcmp(word, "free") == 0);
	assert_int_equal(after->epoch, before->epoch + (held || taken));
	assert_string_equal(after->holder, held ? q->host : stored ? before->holder : "");
	assert_string_equal(after->last_holder, held || stored ? "" : before->holder);
	assert_int_equal(after->state_version, stored ? q->version : before->state_version);
	assert_int_equal(after->owner_epoch, stored ? q->owner_epoch : before->owner_epoch);
	assert_int_equal(after->endorsement_epoch, stored ? q->endorsement_epoch : before->endorsement_epoch);
	assert_int_equal(after->platform_epoch, stored ? q->platform_epoch : before->platform_epoch);
	assert_string_equal(after->pool, "p");
}

static void decides_so(const struct table *t, size_t row, const situation s, unsigned int variant)
{
	bool known = INDEX(of(t, s, "vtpm"), "unknown", "known") == 1;
	struct lease before, after;
	struct lease_request q;
	struct lease_verdict v;
	enum lease_result result = (enum lease_result)INDEX(verdict(t, row, "result"), "refused", "create", "apply", "already");

	set_up(t, s, variant, &before, &q);
	v = lease_decide(known ? &before : NULL, &q);
	if (v.result != result)
		print_error("row %zu (%s): the code says %d, the table %s\n", row + 1, s[0], v.result, verdict(t, row, "result"));
	assert_int_equal(v.result, result);
	if (result == LEASE_REFUSED)
		assert_int_equal(v.code, code_of(verdict(t, row, "code")));
	if (result == LEASE_CREATE) {
		before = (struct lease){.epoch = 0};
		q.pool = "p";
	}
	after = before;
	if (result == LEASE_CREATE || result == LEASE_APPLY) {
		lease_apply(&after, &q);
		becomes_of_lease(verdict(t, row, "becomes"), &before, &after, &q);
	}
}

static void decides(const struct table *t, size_t row, const situation s)
{
	for (unsigned int variant = 0; variant < 3; variant++)
		decides_so(t, row, s, variant);
}

/* --- migrate.table --- */

#define EPOCH 5
#define IMAGE 100

static const uint8_t id[KMC_REQUEST_ID_SIZE] = "the request's id", other_id[KMC_REQUEST_ID_SIZE] = "another request";

static void name_holder(struct lease *l, const char *lease, const char *holder)
{
	bool is_asker = INDEX(holder, "asker", "other") == 0;
	size_t kind = INDEX(lease, "free", "held", "suspended");

	snprintf(kind == 1 ? l->holder : l->last_holder, LEASE_NAME, "%s", is_asker ? "a" : "b");
	l->suspended = kind == 2;
	l->image = l->suspended ? IMAGE : 0;
}

/* Only what is suspended can be reserved. "other": another request of the same host, or the same number from another host. */
static void reserve(struct lease *l, const char *reservation, unsigned int variant)
{
	size_t kind = INDEX(reservation, "none", "own", "other");

	if (!l->suspended || kind == 0)
		return;
	snprintf(l->reserver, sizeof(l->reserver), "%s", kind == 1 || variant ? "a" : "b");
	memcpy(l->reservation, kind == 1 || !variant ? id : other_id, sizeof(l->reservation));
}

static void grant(struct lease *l, const char *grant, const struct lease_request *q, unsigned int variant)
{
	bool own = INDEX(grant, "own", "other") == 0, names = q->act == LEASE_SUSPEND || q->act == LEASE_RESUME;

	if (names)
		l->resumed_from = own ? q->epoch : variant ? q->epoch + 100 : 0;
	l->committed = !names && (own || variant);
	memcpy(l->commit, own ? id : other_id, sizeof(l->commit));
}

static uint64_t image_of(const char *image, enum lease_act act, unsigned int variant)
{
	const uint64_t fits = act == LEASE_RESERVE ? IMAGE + 1 : IMAGE;

	return INDEX(image, "match", "other") == 0 ? fits : variant ? fits + 1 : fits - 1;
}

static void set_up_move(const struct table *t, const situation s, unsigned int variant, struct lease *l, struct lease_request *q)
{
	*l = (struct lease){.pool = "p", .epoch = EPOCH, .state_version = 7, .owner_epoch = 3, .endorsement_epoch = 3, .platform_epoch = 3};
	name_holder(l, of(t, s, "lease"), of(t, s, "holder"));
	reserve(l, of(t, s, "reservation"), variant);
	*q = (struct lease_request){
		.act = (enum lease_act)INDEX(of(t, s, "act"), "open", "store", "release", "takeover", "suspend", "resume", "reserve", "commit", "cancel"),
		.host = "a", .pool = "p", .version = 8, .owner_epoch = 3, .endorsement_epoch = 3, .platform_epoch = 4,
		.epoch = INDEX(of(t, s, "epoch"), "present", "other") == 0 ? EPOCH : variant ? EPOCH - 1 : EPOCH + 1,
	};
	memcpy(q->id, id, sizeof(q->id));
	q->image = image_of(of(t, s, "image"), q->act, variant);
	grant(l, of(t, s, "grant"), q, variant);
	if (q->act == LEASE_TAKEOVER)
		q->host = q->pool = NULL;
}

static void is_held(const struct lease *l, const struct lease_request *q, size_t kind)
{
	assert_string_equal(l->holder, q->host);
	assert_string_equal(l->last_holder, "");
	assert_false(l->suspended);
	assert_int_equal(l->resumed_from, kind == 1 ? q->epoch : 0);
	assert_int_equal(l->committed, kind == 2);
	assert_true(kind != 2 || memcmp(l->commit, q->id, sizeof(q->id)) == 0);
}

static void is_suspended(const struct lease *l, const struct lease *before, const struct lease_request *q)
{
	assert_string_equal(l->holder, "");
	assert_string_equal(l->last_holder, q->host);
	assert_true(l->suspended);
	assert_int_equal(l->image, q->image);
	assert_int_equal(l->resumed_from, q->epoch == before->epoch ? 0 : before->resumed_from);
}

/* What a row's last column says, and that nothing else changes. */
static void becomes_of_move(const char *word, const struct lease *before, const struct lease *after, const struct lease_request *q)
{
	enum { HELD, RESUMED, COMMITTED, SUSPENDED, RESERVED, CANCELLED, UNRESERVED, STORED, FREE, TAKEN };
	size_t kind = INDEX(word, "held", "resumed", "committed", "suspended", "reserved", "cancelled", "unreserved", "stored", "free", "taken");
	bool stays_suspended = kind == RESERVED || kind == CANCELLED || kind == UNRESERVED, has_state = kind == SUSPENDED || kind == STORED;

	if (kind <= COMMITTED)
		is_held(after, q, kind);
	if (kind == SUSPENDED)
		is_suspended(after, before, q);
	if (stays_suspended) {
		assert_true(after->suspended && after->image == before->image);
		assert_string_equal(after->last_holder, before->last_holder);
	}
	if (kind == FREE || kind == TAKEN) {
		assert_string_equal(after->holder, "");
		assert_string_equal(after->last_holder, before->holder);
		assert_false(after->suspended || after->committed || after->resumed_from);
	}
	assert_string_equal(after->reserver, kind == RESERVED ? q->host : "");
	assert_true(kind != RESERVED || memcmp(after->reservation, q->id, sizeof(q->id)) == 0);
	assert_int_equal(after->epoch, before->epoch + (kind <= COMMITTED || kind == UNRESERVED || kind == TAKEN));
	assert_int_equal(after->state_version, has_state ? q->version : before->state_version);
	assert_int_equal(after->platform_epoch, has_state ? q->platform_epoch : before->platform_epoch);
}

static void moves_so(const struct table *t, size_t row, const situation s, unsigned int variant)
{
	enum lease_result result = (enum lease_result)INDEX(verdict(t, row, "result"), "refused", "create", "apply", "already");
	struct lease before, after;
	struct lease_request q;
	struct lease_verdict v;

	set_up_move(t, s, variant, &before, &q);
	if (q.act == LEASE_RELEASE && INDEX(of(t, s, "lease"), "free", "held", "suspended") == 0)
		return; /* lease.table says more: which host and epoch */
	v = lease_decide(&before, &q);
	if (v.result != result)
		print_error("row %zu (%s): the code says %d, the table %s\n", row + 1, s[0], v.result, verdict(t, row, "result"));
	assert_int_equal(v.result, result);
	if (result == LEASE_REFUSED)
		assert_int_equal(v.code, code_of(verdict(t, row, "code")));
	if (result != LEASE_APPLY)
		return;
	after = before;
	lease_apply(&after, &q);
	becomes_of_move(verdict(t, row, "becomes"), &before, &after, &q);
}

static void moves(const struct table *t, size_t row, const situation s)
{
	for (unsigned int variant = 0; variant < 2; variant++)
		moves_so(t, row, s, variant);
}

static void a_lease_goes_as_its_table_says(void **state)
{
	static struct table t;

	(void)state;
	read_table(&t, "docs/models/lease.table");
	each_situation(&t, decides);
}

static void a_move_goes_as_its_table_says(void **state)
{
	static struct table t;

	(void)state;
	read_table(&t, "docs/models/migrate.table");
	each_situation(&t, moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_goes_as_its_table_says),
		cmocka_unit_test(a_move_goes_as_its_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

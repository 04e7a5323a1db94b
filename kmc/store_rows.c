/* The SQL engines: rows in and out. */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "kmc/store_sql.h"

#define HOST_COLUMNS "name, pool, fingerprint, removed, added_at, expires_at"
#define KEY_COLUMNS "id, host, modulus, exponent, created_at, expires_at, retired, wrapped"
#define VTPM_COLUMNS \
	"uuid, pool, generation, seed, owner_epoch, endorsement_epoch, platform_epoch, holder, last_holder, lease_epoch, state_version, " \
	"created_at, opened_at, stored_at, suspended, image, suspended_at, reserver, reservation, reserved_at, committed, resumed_from"
#define TOKEN_COLUMNS "hash, host, pool, ek, created_at, expires_at"
#define IDENTITY_COLUMNS \
	"host, ak, ek, ek_check, software_key, reference_mask, reference, last_mask, last, reference_firmware, last_firmware, clock_ms, " \
	"reset_count, restart_count, attested_at, failed, reason, image"
#define POLICY_COLUMNS "pool, pcrs, interval_s, require, ek_policy, note_clock, note_firmware, maintenance_until, images"
#define PARKED_COLUMNS "uuid, holder, epoch, recalled_at"
#define RETIREMENT_COLUMNS "uuid, seed, due_at, destroyed_at"
#define EK_COLUMNS "uuid, generation, endorsement_epoch, ca, issued_at, rsa, ecc"

const char *const store_sql[N_STATEMENTS] = {
	[SQL_POOL_GET] = "SELECT name, registered_only FROM pools WHERE name = ?1",
	[SQL_POOL_PUT] = "INSERT INTO pools VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET registered_only = excluded.registered_only",
	[SQL_POOL_NEXT] = "SELECT name, registered_only FROM pools WHERE name > ?1 ORDER BY name LIMIT 1",
	[SQL_HOST_GET] = "SELECT " HOST_COLUMNS " FROM hosts WHERE name = ?1",
	[SQL_HOST_PUT] = "INSERT INTO hosts (" HOST_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET"
			 " pool = excluded.pool, fingerprint = excluded.fingerprint, removed = excluded.removed, added_at = excluded.added_at,"
			 " expires_at = excluded.expires_at",
	[SQL_HOST_NEXT] = "SELECT " HOST_COLUMNS " FROM hosts WHERE name > ?1 ORDER BY name LIMIT 1",
	[SQL_KEY_GET] = "SELECT " KEY_COLUMNS " FROM protection_keys WHERE id = ?1",
	[SQL_KEY_CURRENT] = "SELECT " KEY_COLUMNS " FROM protection_keys WHERE host = ?1 AND retired = 0 AND expires_at > ?2"
			    " ORDER BY expires_at DESC LIMIT 1",
	[SQL_KEY_PUT] = "INSERT INTO protection_keys (" KEY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_KEY_RETIRE] = "UPDATE protection_keys SET retired = 1 WHERE retired = 0 AND (host = ?1 OR ?1 = '')",
	[SQL_KEY_PURGE] = "DELETE FROM protection_keys WHERE expires_at < ?1",
	[SQL_VTPM_GET] = "SELECT " VTPM_COLUMNS " FROM vtpms WHERE uuid = ?1",
	[SQL_VTPM_PUT] = "INSERT INTO vtpms (" VTPM_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
			 " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) ON CONFLICT (uuid) DO UPDATE SET pool = excluded.pool, generation = excluded.generation, seed = excluded.seed,"
			 " owner_epoch = excluded.owner_epoch, endorsement_epoch = excluded.endorsement_epoch,"
			 " platform_epoch = excluded.platform_epoch, holder = excluded.holder, last_holder = excluded.last_holder,"
			 " lease_epoch = excluded.lease_epoch, state_version = excluded.state_version, created_at = excluded.created_at,"
			 " opened_at = excluded.opened_at, stored_at = excluded.stored_at, suspended = excluded.suspended,"
			 " image = excluded.image, suspended_at = excluded.suspended_at, reserver = excluded.reserver,"
			 " reservation = excluded.reservation, reserved_at = excluded.reserved_at, committed = excluded.committed,"
			 " resumed_from = excluded.resumed_from",
	[SQL_VTPM_FIRST] = "SELECT " VTPM_COLUMNS " FROM vtpms ORDER BY uuid LIMIT 1",
	[SQL_VTPM_NEXT] = "SELECT " VTPM_COLUMNS " FROM vtpms WHERE uuid > ?1 ORDER BY uuid LIMIT 1",
	[SQL_STATE_GET] = "SELECT state FROM states WHERE uuid = ?1 AND version = ?2",
	[SQL_STATE_PUT] = "INSERT INTO states (uuid, version, owner_epoch, endorsement_epoch, platform_epoch, stored_at, state)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_STATE_PRUNE] = "DELETE FROM states WHERE uuid = ?1 AND version < ?2 AND version IN (SELECT version FROM (SELECT version,"
			    " row_number() OVER newest AS place, sum(length(state)) OVER newest AS total FROM states WHERE uuid = ?1"
			    " WINDOW newest AS (ORDER BY version DESC)) AS placed WHERE place > ?3 OR total > ?4)"
			    " AND version NOT IN (SELECT i.version FROM images i WHERE i.uuid = ?1)",
	[SQL_STATE_NEXT] = "SELECT version, CAST(length(state) AS BIGINT), owner_epoch, endorsement_epoch, platform_epoch, stored_at"
			   " FROM states WHERE uuid = ?1 AND version > ?2 ORDER BY version LIMIT 1",
	[SQL_STATE_DROP] = "DELETE FROM states WHERE uuid = ?1 AND version > ?2",
	[SQL_IMAGE_GET] = "SELECT volatile_state FROM images WHERE uuid = ?1 AND image = ?2",
	[SQL_IMAGE_PUT] = "INSERT INTO images (uuid, image, number, version, suspended_at, volatile_state) VALUES (?1, ?2,"
			  " (SELECT coalesce(max(i.number), 0) + 1 FROM images i WHERE i.uuid = ?1), ?3, ?4, ?5) ON CONFLICT (uuid, image)"
			  " DO UPDATE SET number = excluded.number, version = excluded.version, suspended_at = excluded.suspended_at,"
			  " volatile_state = excluded.volatile_state",
	[SQL_IMAGE_NEXT] = "SELECT image, version, number, suspended_at FROM images WHERE uuid = ?1 AND number > ?2 ORDER BY number LIMIT 1",
	[SQL_IMAGE_PRUNE] = "DELETE FROM images WHERE uuid = ?1 AND image <> ?2 AND number NOT IN (SELECT i.number FROM images i"
			    " WHERE i.uuid = ?1 AND i.image <> ?2 ORDER BY i.number DESC LIMIT ?3)",
	[SQL_SESSION_GET] = "SELECT session FROM sessions WHERE host = ?1",
	[SQL_SESSION_NEXT] = "INSERT INTO sessions (host, session) VALUES (?1, 1) ON CONFLICT (host) DO UPDATE SET"
			     " session = sessions.session + 1",
	[SQL_AUDIT_LAST] = "SELECT seq, hash FROM audit_last WHERE id = 1",
	[SQL_AUDIT_SET_LAST] = "UPDATE audit_last SET seq = ?1, hash = ?2 WHERE id = 1",
	[SQL_AUDIT_PUT] = "INSERT INTO audit (seq, record) VALUES (?1, ?2)",
	[SQL_AUDIT_NEXT] = "SELECT seq, record FROM audit WHERE seq > ?1 ORDER BY seq LIMIT 1",
	[SQL_AUDIT_HEAD_GET] = "SELECT head FROM audit_heads WHERE kmc = ?1",
	[SQL_AUDIT_HEAD_PUT] = "INSERT INTO audit_heads (kmc, head) VALUES (?1, ?2) ON CONFLICT (kmc) DO UPDATE SET head = excluded.head",
	[SQL_AUDIT_HEAD_NEXT] = "SELECT kmc, head FROM audit_heads WHERE kmc > ?1 ORDER BY kmc LIMIT 1",
	[SQL_COUNT] = "SELECT (SELECT count(*) FROM hosts WHERE removed = 0), (SELECT count(*) FROM vtpms),"
		      " (SELECT count(*) FROM vtpms WHERE holder IS NOT NULL), (SELECT count(*) FROM states),"
		      " (SELECT CAST(coalesce(sum(length(state)), 0) AS BIGINT) FROM states)",
	[SQL_TOKEN_GET] = "SELECT " TOKEN_COLUMNS " FROM tokens WHERE hash = ?1",
	[SQL_TOKEN_PUT] = "INSERT INTO tokens (" TOKEN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (host) DO UPDATE SET"
			  " hash = excluded.hash, pool = excluded.pool, ek = excluded.ek, created_at = excluded.created_at,"
			  " expires_at = excluded.expires_at",
	[SQL_TOKEN_DROP] = "DELETE FROM tokens WHERE host = ?1",
	[SQL_TOKEN_PURGE] = "DELETE FROM tokens WHERE expires_at < ?1",
	[SQL_IDENTITY_GET] = "SELECT " IDENTITY_COLUMNS " FROM identities WHERE host = ?1",
	[SQL_IDENTITY_PUT] = "INSERT INTO identities (" IDENTITY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
			     " ?14, ?15, ?16, ?17, ?18) ON CONFLICT (host) DO UPDATE SET ak = excluded.ak, ek = excluded.ek,"
			     " ek_check = excluded.ek_check, software_key = excluded.software_key,"
			     " reference_mask = excluded.reference_mask, reference = excluded.reference, last_mask = excluded.last_mask,"
			     " last = excluded.last, reference_firmware = excluded.reference_firmware,"
			     " last_firmware = excluded.last_firmware, clock_ms = excluded.clock_ms, reset_count = excluded.reset_count,"
			     " restart_count = excluded.restart_count, attested_at = excluded.attested_at, failed = excluded.failed,"
			     " reason = excluded.reason, image = excluded.image",
	[SQL_IDENTITY_DROP] = "DELETE FROM identities WHERE host = ?1",
	[SQL_POLICY_GET] = "SELECT " POLICY_COLUMNS " FROM policies WHERE pool = ?1",
	[SQL_POLICY_PUT] = "INSERT INTO policies (" POLICY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (pool) DO UPDATE"
			   " SET pcrs = excluded.pcrs, interval_s = excluded.interval_s, require = excluded.require,"
			   " ek_policy = excluded.ek_policy, note_clock = excluded.note_clock, note_firmware = excluded.note_firmware,"
			   " maintenance_until = excluded.maintenance_until, images = excluded.images",
	[SQL_PARKED_GET] = "SELECT " PARKED_COLUMNS " FROM parked WHERE uuid = ?1",
	[SQL_PARKED_PUT] = "INSERT INTO parked (" PARKED_COLUMNS ") VALUES (?1, ?2, ?3, ?4) ON CONFLICT (uuid) DO UPDATE SET"
			   " holder = excluded.holder, epoch = excluded.epoch, recalled_at = excluded.recalled_at",
	[SQL_PARKED_RECALLED] = "SELECT " PARKED_COLUMNS " FROM parked WHERE holder = ?1 AND recalled_at > 0 ORDER BY recalled_at LIMIT 1",
	[SQL_EK_GET] = "SELECT " EK_COLUMNS " FROM ek_certificates WHERE uuid = ?1",
	[SQL_EK_PUT] = "INSERT INTO ek_certificates (" EK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (uuid) DO UPDATE SET"
		       " generation = excluded.generation, endorsement_epoch = excluded.endorsement_epoch, ca = excluded.ca,"
		       " issued_at = excluded.issued_at, rsa = excluded.rsa, ecc = excluded.ecc",
	[SQL_EK_DROP] = "DELETE FROM ek_certificates WHERE uuid = ?1",
	[SQL_RETIREMENT_GET] = "SELECT " RETIREMENT_COLUMNS " FROM retirements WHERE uuid = ?1",
	[SQL_RETIREMENT_PUT] = "INSERT INTO retirements (" RETIREMENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4) ON CONFLICT (uuid) DO UPDATE SET"
			       " seed = excluded.seed, due_at = excluded.due_at, destroyed_at = excluded.destroyed_at",
	[SQL_RETIREMENT_DROP] = "DELETE FROM retirements WHERE uuid = ?1",
	[SQL_RETIREMENT_DUE] = "SELECT " RETIREMENT_COLUMNS " FROM retirements WHERE destroyed_at = 0 AND due_at <= ?1 ORDER BY due_at LIMIT 1",
};

/* A statement being filled in or read: columns are taken in their order, and a value that does not fit spoils the row. */
struct row {
	struct sql_store *s;
	enum statement which;
	struct sql_value in[SQL_VALUES_MAX];
	size_t n;   /* parameters so far */
	int column; /* the next one to read */
	bool bad;
};

static struct sql_store *self(struct store *s)
{
	return (struct sql_store *)s;
}

static struct row start(struct store *s, enum statement which)
{
	return (struct row){.s = self(s), .which = which};
}

static void put(struct row *w, struct sql_value v)
{
	if (w->n == SQL_VALUES_MAX)
		w->bad = true;
	else
		w->in[w->n++] = v;
}

/* Text and bytes must stay until the statement has run. */
static void put_text(struct row *w, const char *text)
{
	put(w, (struct sql_value){.kind = SQL_TEXT, .bytes = view_text(text)});
}

static void put_text_or_null(struct row *w, const char *text)
{
	put(w, *text ? (struct sql_value){.kind = SQL_TEXT, .bytes = view_text(text)} : (struct sql_value){.kind = SQL_NULL});
}

static void put_time(struct row *w, int64_t t)
{
	put(w, (struct sql_value){.kind = SQL_NUMBER, .number = t});
}

static void put_number(struct row *w, uint64_t n)
{
	w->bad |= n > INT64_MAX;
	put_time(w, (int64_t)n);
}

/* n == 0 is NULL. */
static void put_blob(struct row *w, const void *p, size_t n)
{
	put(w, n ? (struct sql_value){.kind = SQL_BLOB, .bytes = view_of(p, n)} : (struct sql_value){.kind = SQL_NULL});
}

static struct sql_value next(struct row *w)
{
	return w->s->driver->column(w->s, w->which, w->column++);
}

static void get_text(struct row *w, char *out, size_t cap)
{
	struct sql_value v = next(w);
	size_t n = v.kind == SQL_TEXT ? v.bytes.n : 0;

	w->bad |= n >= cap;
	snprintf(out, cap, "%.*s", (int)n, n ? (const char *)v.bytes.p : "");
}

static int64_t get_time(struct row *w)
{
	struct sql_value v = next(w);

	w->bad |= v.kind != SQL_NUMBER;
	return v.number;
}

static uint64_t get_number(struct row *w)
{
	int64_t n = get_time(w);

	w->bad |= n < 0;
	return (uint64_t)n;
}

static size_t get_blob(struct row *w, void *out, size_t cap)
{
	struct sql_value v = next(w);
	size_t n = v.kind == SQL_BLOB ? v.bytes.n : 0;

	w->bad |= n > cap;
	if (n && n <= cap)
		memcpy(out, v.bytes.p, n);
	return n;
}

static void get_exact(struct row *w, void *out, size_t size)
{
	w->bad |= get_blob(w, out, size) != size;
}

static void end(struct row *w)
{
	w->s->driver->end(w->s, w->which);
}

static int run_it(struct store *s, struct row *w, const char *what)
{
	if (w->bad) {
		snprintf(s->why, sizeof(s->why), "database: %s: a number beyond what it can hold", what);
		return E_DB;
	}
	return w->s->driver->run(w->s, w->which, w->in, w->n, what);
}

/* Run a change. */
static int run(struct store *s, struct row *w, const char *what)
{
	int r = run_it(s, w, what);

	end(w);
	return r == E_NOTFOUND ? 0 : r;
}

/* Run a lookup as far as its row: 0, E_NOTFOUND or E_DB; then the columns are read and finish() follows. */
static int find(struct store *s, struct row *w, const char *what)
{
	int r = run_it(s, w, what);

	if (r != 0)
		end(w);
	return r;
}

static int finish(struct store *s, struct row *w, const char *what)
{
	bool bad = w->bad;

	end(w);
	if (!bad)
		return 0;
	snprintf(s->why, sizeof(s->why), "database: %s: a row holds what can't be there; was the file changed by hand?", what);
	return E_DB;
}

static void close_it(struct store *s)
{
	self(s)->driver->close(self(s));
}

static int begin(struct store *s)
{
	return self(s)->driver->begin(self(s));
}

static void rollback(struct store *s)
{
	self(s)->driver->rollback(self(s));
}

static void hold(struct store *s)
{
	if (self(s)->driver->hold)
		self(s)->driver->hold(self(s), true);
}

static void let_go(struct store *s)
{
	if (self(s)->driver->hold)
		self(s)->driver->hold(self(s), false);
}

static int commit(struct store *s)
{
	char why[STORE_WHY];
	int r = self(s)->driver->commit(self(s));

	if (r != 0) {
		memcpy(why, s->why, sizeof(why));
		rollback(s);
		memcpy(s->why, why, sizeof(why));
	}
	return r;
}

static int read_pool(struct store *s, struct row *w, struct store_pool *p)
{
	get_text(w, p->name, sizeof(p->name));
	p->registered_only = get_number(w) != 0;
	return finish(s, w, "a pool");
}

static int pool_get(struct store *s, const char *name, struct store_pool *p)
{
	struct row w = start(s, SQL_POOL_GET);
	int r;

	put_text(&w, name);
	r = find(s, &w, "can't look up a pool");
	return r != 0 ? r : read_pool(s, &w, p);
}

static int pool_next(struct store *s, const char *after, struct store_pool *p)
{
	struct row w = start(s, SQL_POOL_NEXT);
	int r;

	put_text(&w, after);
	r = find(s, &w, "can't list the pools");
	return r != 0 ? r : read_pool(s, &w, p);
}

static int pool_put(struct store *s, const struct store_pool *p)
{
	struct row w = start(s, SQL_POOL_PUT);

	put_text(&w, p->name);
	put_number(&w, p->registered_only);
	return run(s, &w, "can't write a pool");
}

static int read_host(struct store *s, struct row *w, struct store_host *h)
{
	get_text(w, h->name, sizeof(h->name));
	get_text(w, h->pool, sizeof(h->pool));
	get_exact(w, h->fingerprint, sizeof(h->fingerprint));
	h->removed = get_number(w) != 0;
	h->added_at = get_time(w);
	h->expires_at = get_time(w);
	return finish(s, w, "a host");
}

static int host_get(struct store *s, const char *name, struct store_host *h)
{
	struct row w = start(s, SQL_HOST_GET);
	int r;

	put_text(&w, name);
	r = find(s, &w, "can't look up a host");
	return r != 0 ? r : read_host(s, &w, h);
}

static int host_next(struct store *s, const char *after, struct store_host *h)
{
	struct row w = start(s, SQL_HOST_NEXT);
	int r;

	put_text(&w, after);
	r = find(s, &w, "can't list the hosts");
	return r != 0 ? r : read_host(s, &w, h);
}

static int host_put(struct store *s, const struct store_host *h)
{
	struct row w = start(s, SQL_HOST_PUT);

	put_text(&w, h->name);
	put_text(&w, h->pool);
	put_blob(&w, h->fingerprint, sizeof(h->fingerprint));
	put_number(&w, h->removed);
	put_time(&w, h->added_at);
	put_time(&w, h->expires_at);
	return run(s, &w, "can't write a host");
}

static int read_key(struct store *s, struct row *w, struct store_key *k)
{
	get_exact(w, k->id, sizeof(k->id));
	get_text(w, k->host, sizeof(k->host));
	k->modulus_size = get_blob(w, k->modulus, sizeof(k->modulus));
	k->exponent = get_number(w);
	k->created_at = get_time(w);
	k->expires_at = get_time(w);
	k->retired = get_number(w) != 0;
	k->wrapped_size = get_blob(w, k->wrapped, sizeof(k->wrapped));
	return finish(s, w, "a protection key");
}

static int key_get(struct store *s, const uint8_t id[KMC_KEY_ID_SIZE], struct store_key *k)
{
	struct row w = start(s, SQL_KEY_GET);
	int r;

	put_blob(&w, id, KMC_KEY_ID_SIZE);
	r = find(s, &w, "can't look up a protection key");
	return r != 0 ? r : read_key(s, &w, k);
}

static int key_current(struct store *s, const char *host, int64_t expires_after, struct store_key *k)
{
	struct row w = start(s, SQL_KEY_CURRENT);
	int r;

	put_text(&w, host);
	put_time(&w, expires_after);
	r = find(s, &w, "can't look up a host's protection key");
	return r != 0 ? r : read_key(s, &w, k);
}

static int key_put(struct store *s, const struct store_key *k)
{
	struct row w = start(s, SQL_KEY_PUT);

	put_blob(&w, k->id, sizeof(k->id));
	put_text(&w, k->host);
	put_blob(&w, k->modulus, k->modulus_size);
	put_number(&w, k->exponent);
	put_time(&w, k->created_at);
	put_time(&w, k->expires_at);
	put_number(&w, k->retired);
	put_blob(&w, k->wrapped, k->wrapped_size);
	return run(s, &w, "can't write a protection key");
}

static int key_retire(struct store *s, const char *host)
{
	struct row w = start(s, SQL_KEY_RETIRE);

	put_text(&w, host);
	return run(s, &w, "can't retire protection keys");
}

static int key_purge(struct store *s, int64_t expired_before)
{
	struct row w = start(s, SQL_KEY_PURGE);

	put_time(&w, expired_before);
	return run(s, &w, "can't remove expired protection keys");
}

/* What a move leaves in a vTPM's row. */
static void read_move(struct row *w, struct store_vtpm *v)
{
	struct lease *l = &v->lease;
	size_t n;

	l->suspended = get_number(w) != 0;
	l->image = get_number(w);
	v->suspended_at = get_time(w);
	get_text(w, l->reserver, sizeof(l->reserver));
	n = get_blob(w, l->reservation, sizeof(l->reservation));
	w->bad |= n != (l->reserver[0] ? sizeof(l->reservation) : 0);
	v->reserved_at = get_time(w);
	n = get_blob(w, l->commit, sizeof(l->commit));
	l->committed = n != 0;
	w->bad |= n != 0 && n != sizeof(l->commit);
	l->resumed_from = get_number(w);
}

static void put_move(struct row *w, const struct store_vtpm *v)
{
	const struct lease *l = &v->lease;

	put_number(w, l->suspended);
	put_number(w, l->image);
	put_time(w, v->suspended_at);
	put_text_or_null(w, l->reserver);
	put_blob(w, l->reservation, l->reserver[0] ? sizeof(l->reservation) : 0);
	put_time(w, v->reserved_at);
	put_blob(w, l->commit, l->committed ? sizeof(l->commit) : 0);
	put_number(w, l->resumed_from);
}

static int read_vtpm(struct store *s, struct row *w, struct store_vtpm *v)
{
	struct lease *l = &v->lease;

	get_exact(w, v->uuid.b, UUID_SIZE);
	get_text(w, l->pool, sizeof(l->pool));
	v->generation = (uint32_t)get_number(w);
	v->seed_size = get_blob(w, v->seed, sizeof(v->seed));
	l->owner_epoch = get_number(w);
	l->endorsement_epoch = get_number(w);
	l->platform_epoch = get_number(w);
	get_text(w, l->holder, sizeof(l->holder));
	get_text(w, l->last_holder, sizeof(l->last_holder));
	l->epoch = get_number(w);
	l->state_version = get_number(w);
	v->created_at = get_time(w);
	v->opened_at = get_time(w);
	v->stored_at = get_time(w);
	read_move(w, v);
	return finish(s, w, "a vTPM");
}

static int vtpm_get(struct store *s, const struct uuid *uuid, struct store_vtpm *v)
{
	struct row w = start(s, SQL_VTPM_GET);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	r = find(s, &w, "can't look up a vTPM");
	return r != 0 ? r : read_vtpm(s, &w, v);
}

static int vtpm_next(struct store *s, const struct uuid *after, struct store_vtpm *v)
{
	struct row w = start(s, after ? SQL_VTPM_NEXT : SQL_VTPM_FIRST);
	int r;

	if (after)
		put_blob(&w, after->b, UUID_SIZE);
	r = find(s, &w, "can't list the vTPMs");
	return r != 0 ? r : read_vtpm(s, &w, v);
}

static int vtpm_put(struct store *s, const struct store_vtpm *v)
{
	struct row w = start(s, SQL_VTPM_PUT);
	const struct lease *l = &v->lease;

	put_blob(&w, v->uuid.b, UUID_SIZE);
	put_text(&w, l->pool);
	put_number(&w, v->generation);
	put_blob(&w, v->seed, v->seed_size);
	put_number(&w, l->owner_epoch);
	put_number(&w, l->endorsement_epoch);
	put_number(&w, l->platform_epoch);
	put_text_or_null(&w, l->holder);
	put_text_or_null(&w, l->last_holder);
	put_number(&w, l->epoch);
	put_number(&w, l->state_version);
	put_time(&w, v->created_at);
	put_time(&w, v->opened_at);
	put_time(&w, v->stored_at);
	put_move(&w, v);
	return run(s, &w, "can't write a vTPM");
}

static int state_get(struct store *s, const struct uuid *uuid, uint64_t version, struct buf *out)
{
	struct row w = start(s, SQL_STATE_GET);
	struct sql_value state;
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, version);
	r = find(s, &w, "can't look up a state");
	if (r != 0)
		return r;
	state = next(&w);
	r = buf_put(out, state.bytes.p, state.bytes.n);
	end(&w);
	return r;
}

static int state_put(struct store *s, const struct uuid *uuid, const struct store_state *st, struct view state)
{
	struct row w = start(s, SQL_STATE_PUT);

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, st->version);
	put_number(&w, st->owner_epoch);
	put_number(&w, st->endorsement_epoch);
	put_number(&w, st->platform_epoch);
	put_time(&w, st->stored_at);
	put_blob(&w, state.p, state.n);
	return run(s, &w, "can't write a state");
}

static int state_prune(struct store *s, const struct uuid *uuid, uint64_t newest, const struct store_keep *keep)
{
	struct row w = start(s, SQL_STATE_PRUNE);

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, newest);
	put_number(&w, keep->states);
	put_number(&w, keep->bytes);
	return run(s, &w, "can't remove older states");
}

static int state_next(struct store *s, const struct uuid *uuid, uint64_t after, struct store_state *st)
{
	struct row w = start(s, SQL_STATE_NEXT);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, after);
	r = find(s, &w, "can't list the states");
	if (r != 0)
		return r;
	st->version = get_number(&w);
	st->size = get_number(&w);
	st->owner_epoch = get_number(&w);
	st->endorsement_epoch = get_number(&w);
	st->platform_epoch = get_number(&w);
	st->stored_at = get_time(&w);
	return finish(s, &w, "a state");
}

static int state_drop(struct store *s, const struct uuid *uuid, uint64_t above)
{
	struct row w = start(s, SQL_STATE_DROP);

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, above);
	return run(s, &w, "can't remove newer states");
}

/* A column of bytes to its end, behind what @out holds. */
static int get_bytes(struct store *s, struct row *w, struct buf *out, const char *what)
{
	struct sql_value v = next(w);
	int r = buf_put(out, v.bytes.p, v.bytes.n), e = finish(s, w, what);

	return e != 0 ? e : r;
}

static int image_get(struct store *s, const struct uuid *uuid, uint64_t image, struct buf *out)
{
	struct row w = start(s, SQL_IMAGE_GET);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, image);
	r = find(s, &w, "can't look up a volatile state");
	return r != 0 ? r : get_bytes(s, &w, out, "a volatile state");
}

static int image_put(struct store *s, const struct uuid *uuid, const struct store_image *i, struct view volatile_state)
{
	struct row w = start(s, SQL_IMAGE_PUT);

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, i->image);
	put_number(&w, i->version);
	put_time(&w, i->suspended_at);
	put_blob(&w, volatile_state.p, volatile_state.n);
	return run(s, &w, "can't write a volatile state");
}

static int image_next(struct store *s, const struct uuid *uuid, uint64_t after, struct store_image *i)
{
	struct row w = start(s, SQL_IMAGE_NEXT);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, after);
	r = find(s, &w, "can't list the volatile states");
	if (r != 0)
		return r;
	i->image = get_number(&w);
	i->version = get_number(&w);
	i->number = get_number(&w);
	i->suspended_at = get_time(&w);
	return finish(s, &w, "a volatile state");
}

static int image_prune(struct store *s, const struct uuid *uuid, uint64_t present, uint64_t keep)
{
	struct row w = start(s, SQL_IMAGE_PRUNE);

	put_blob(&w, uuid->b, UUID_SIZE);
	put_number(&w, present);
	put_number(&w, keep);
	return run(s, &w, "can't remove volatile states");
}

static int session_get(struct store *s, const char *host, uint64_t *session)
{
	struct row w = start(s, SQL_SESSION_GET);
	int r;

	put_text(&w, host);
	r = find(s, &w, "can't look up a host's session");
	if (r != 0)
		return r;
	*session = get_number(&w);
	return finish(s, &w, "a session");
}

static int session_next(struct store *s, const char *host)
{
	struct row w = start(s, SQL_SESSION_NEXT);

	put_text(&w, host);
	return run(s, &w, "can't write a host's session");
}

static int audit_last(struct store *s, struct audit_chain *c)
{
	struct row w = start(s, SQL_AUDIT_LAST);
	size_t n;
	int r = find(s, &w, "can't look up the last audit record");

	if (r != 0)
		return E_DB;
	memset(c, 0, sizeof(*c));
	c->seq = get_number(&w);
	n = get_blob(&w, c->hash, sizeof(c->hash));
	w.bad |= n != (c->seq ? sizeof(c->hash) : 0);
	return finish(s, &w, "the last audit record");
}

static int audit_put(struct store *s, const struct audit_chain *c, struct view record)
{
	struct row w = start(s, SQL_AUDIT_PUT), last = start(s, SQL_AUDIT_SET_LAST);
	int r;

	put_number(&w, c->seq);
	put_blob(&w, record.p, record.n);
	put_number(&last, c->seq);
	put_blob(&last, c->hash, sizeof(c->hash));
	r = run(s, &w, "can't write an audit record");
	return r != 0 ? r : run(s, &last, "can't write which audit record is the last");
}

static int audit_next(struct store *s, uint64_t after, uint64_t *seq, struct buf *record)
{
	struct row w = start(s, SQL_AUDIT_NEXT);
	int r;

	put_number(&w, after);
	r = find(s, &w, "can't list the audit records");
	if (r != 0)
		return r;
	*seq = get_number(&w);
	return get_bytes(s, &w, record, "an audit record");
}

static int audit_head_get(struct store *s, const char *kmc, struct buf *head)
{
	struct row w = start(s, SQL_AUDIT_HEAD_GET);
	int r;

	put_text(&w, kmc);
	r = find(s, &w, "can't look up a signed head");
	return r != 0 ? r : get_bytes(s, &w, head, "a signed head");
}

static int audit_head_put(struct store *s, const char *kmc, struct view head)
{
	struct row w = start(s, SQL_AUDIT_HEAD_PUT);

	put_text(&w, kmc);
	put_blob(&w, head.p, head.n);
	return run(s, &w, "can't write a signed head");
}

static int audit_head_next(struct store *s, const char *after, char kmc[STORE_NAME], struct buf *head)
{
	struct row w = start(s, SQL_AUDIT_HEAD_NEXT);
	int r;

	put_text(&w, after);
	r = find(s, &w, "can't list the signed heads");
	if (r != 0)
		return r;
	get_text(&w, kmc, STORE_NAME);
	return get_bytes(s, &w, head, "a signed head");
}

static int count(struct store *s, struct store_counts *c)
{
	struct row w = start(s, SQL_COUNT);
	int r = find(s, &w, "can't count");

	if (r != 0)
		return r;
	c->hosts = get_number(&w);
	c->vtpms = get_number(&w);
	c->held = get_number(&w);
	c->states = get_number(&w);
	c->state_bytes = get_number(&w);
	return finish(s, &w, "counts");
}

static int token_get(struct store *s, const uint8_t hash[32], struct store_token *t)
{
	struct row w = start(s, SQL_TOKEN_GET);
	size_t n;
	int r;

	put_blob(&w, hash, 32);
	r = find(s, &w, "can't look up a token");
	if (r != 0)
		return r;
	get_exact(&w, t->hash, sizeof(t->hash));
	get_text(&w, t->host, sizeof(t->host));
	get_text(&w, t->pool, sizeof(t->pool));
	n = get_blob(&w, t->ek, sizeof(t->ek));
	t->has_ek = n != 0;
	w.bad |= n != 0 && n != sizeof(t->ek);
	t->created_at = get_time(&w);
	t->expires_at = get_time(&w);
	return finish(s, &w, "a token");
}

static int token_put(struct store *s, const struct store_token *t)
{
	struct row w = start(s, SQL_TOKEN_PUT);

	put_blob(&w, t->hash, sizeof(t->hash));
	put_text(&w, t->host);
	put_text(&w, t->pool);
	put_blob(&w, t->ek, t->has_ek ? sizeof(t->ek) : 0);
	put_time(&w, t->created_at);
	put_time(&w, t->expires_at);
	return run(s, &w, "can't write a token");
}

static int token_drop(struct store *s, const char *host)
{
	struct row w = start(s, SQL_TOKEN_DROP);

	put_text(&w, host);
	return run(s, &w, "can't remove a token");
}

static int token_purge(struct store *s, int64_t expired_before)
{
	struct row w = start(s, SQL_TOKEN_PURGE);

	put_time(&w, expired_before);
	return run(s, &w, "can't remove expired tokens");
}

/* A TPM's 64-bit numbers may use all their bits: SQL's can't, so they are eight bytes. */
static void wide_out(uint64_t n, uint8_t b[8])
{
	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(n >> (56 - 8 * i));
}

static uint64_t get_wide(struct row *w)
{
	uint8_t b[8] = {0};
	uint64_t n = 0;

	get_exact(w, b, sizeof(b));
	for (int i = 0; i < 8; i++)
		n = n << 8 | b[i];
	return n;
}

static void get_pcrs(struct row *w, struct store_pcrs *p)
{
	uint64_t mask = get_number(w);

	w->bad |= mask >> STORE_PCRS != 0;
	p->mask = (uint32_t)mask;
	get_exact(w, p->value, sizeof(p->value));
}

static int identity_get(struct store *s, const char *host, struct store_identity *i)
{
	struct row w = start(s, SQL_IDENTITY_GET);
	size_t n;
	int r;

	put_text(&w, host);
	r = find(s, &w, "can't look up a host's identity");
	if (r != 0)
		return r;
	get_text(&w, i->host, sizeof(i->host));
	i->ak_size = get_blob(&w, i->ak, sizeof(i->ak));
	get_exact(&w, i->ek, sizeof(i->ek));
	i->ek_check = (uint32_t)get_number(&w);
	i->software_key = get_number(&w) != 0;
	get_pcrs(&w, &i->reference);
	get_pcrs(&w, &i->last);
	i->reference_firmware = get_wide(&w);
	i->last_firmware = get_wide(&w);
	i->clock_ms = get_wide(&w);
	i->reset_count = get_number(&w);
	i->restart_count = get_number(&w);
	i->attested_at = get_time(&w);
	i->failed = get_number(&w) != 0;
	get_text(&w, i->reason, sizeof(i->reason));
	n = get_blob(&w, i->image, sizeof(i->image));
	w.bad |= n != 0 && n != sizeof(i->image);
	i->has_image = n != 0;
	return finish(s, &w, "a host's identity");
}

static int identity_put(struct store *s, const struct store_identity *i)
{
	struct row w = start(s, SQL_IDENTITY_PUT);
	uint8_t wide[3][8];

	wide_out(i->reference_firmware, wide[0]);
	wide_out(i->last_firmware, wide[1]);
	wide_out(i->clock_ms, wide[2]);
	put_text(&w, i->host);
	put_blob(&w, i->ak, i->ak_size);
	put_blob(&w, i->ek, sizeof(i->ek));
	put_number(&w, i->ek_check);
	put_number(&w, i->software_key);
	put_number(&w, i->reference.mask);
	put_blob(&w, i->reference.value, sizeof(i->reference.value));
	put_number(&w, i->last.mask);
	put_blob(&w, i->last.value, sizeof(i->last.value));
	for (int n = 0; n < 3; n++)
		put_blob(&w, wide[n], sizeof(wide[n]));
	put_number(&w, i->reset_count);
	put_number(&w, i->restart_count);
	put_time(&w, i->attested_at);
	put_number(&w, i->failed);
	put_text(&w, i->reason);
	put_blob(&w, i->image, i->has_image ? sizeof(i->image) : 0);
	return run(s, &w, "can't write a host's identity");
}

static int identity_drop(struct store *s, const char *host)
{
	struct row w = start(s, SQL_IDENTITY_DROP);

	put_text(&w, host);
	return run(s, &w, "can't remove a host's identity");
}

static int policy_get(struct store *s, const char *pool, struct store_policy *p)
{
	struct row w = start(s, SQL_POLICY_GET);
	size_t n;
	int r;

	put_text(&w, pool);
	r = find(s, &w, "can't look up a pool's policy");
	if (r != 0)
		return r;
	get_text(&w, p->pool, sizeof(p->pool));
	p->pcrs = (uint32_t)get_number(&w);
	p->interval_s = get_number(&w);
	p->require = get_number(&w) != 0;
	p->ek_policy = (uint32_t)get_number(&w);
	p->note_clock = get_number(&w) != 0;
	p->note_firmware = get_number(&w) != 0;
	p->maintenance_until = get_time(&w);
	n = get_blob(&w, p->images, sizeof(p->images));
	w.bad |= n % sizeof(p->images[0]) != 0;
	p->n_images = n / sizeof(p->images[0]);
	return finish(s, &w, "a pool's policy");
}

static int policy_put(struct store *s, const struct store_policy *p)
{
	struct row w = start(s, SQL_POLICY_PUT);

	put_text(&w, p->pool);
	put_number(&w, p->pcrs);
	put_number(&w, p->interval_s);
	put_number(&w, p->require);
	put_number(&w, p->ek_policy);
	put_number(&w, p->note_clock);
	put_number(&w, p->note_firmware);
	put_time(&w, p->maintenance_until);
	put_blob(&w, p->images, p->n_images * sizeof(p->images[0]));
	return run(s, &w, "can't write a pool's policy");
}

static int read_parked(struct store *s, struct row *w, struct store_parked *p)
{
	get_exact(w, p->uuid.b, sizeof(p->uuid.b));
	get_text(w, p->holder, sizeof(p->holder));
	p->epoch = get_number(w);
	p->recalled_at = get_time(w);
	return finish(s, w, "a parked lease");
}

static int parked_get(struct store *s, const struct uuid *uuid, struct store_parked *p)
{
	struct row w = start(s, SQL_PARKED_GET);
	int r;

	put_blob(&w, uuid->b, sizeof(uuid->b));
	r = find(s, &w, "can't look up a parked lease");
	return r != 0 ? r : read_parked(s, &w, p);
}

static int parked_put(struct store *s, const struct store_parked *p)
{
	struct row w = start(s, SQL_PARKED_PUT);

	put_blob(&w, p->uuid.b, sizeof(p->uuid.b));
	put_text(&w, p->holder);
	put_number(&w, p->epoch);
	put_time(&w, p->recalled_at);
	return run(s, &w, "can't write a parked lease");
}

static int parked_recalled(struct store *s, const char *holder, struct store_parked *p)
{
	struct row w = start(s, SQL_PARKED_RECALLED);
	int r;

	put_text(&w, holder);
	r = find(s, &w, "can't look for recalled leases");
	return r != 0 ? r : read_parked(s, &w, p);
}

static int ek_get(struct store *s, const struct uuid *uuid, struct store_ek *k)
{
	struct row w = start(s, SQL_EK_GET);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	r = find(s, &w, "can't look up a vTPM's certificates");
	if (r != 0)
		return r;
	get_exact(&w, k->uuid.b, UUID_SIZE);
	k->generation = (uint32_t)get_number(&w);
	k->endorsement_epoch = get_number(&w);
	get_exact(&w, k->ca, sizeof(k->ca));
	k->issued_at = get_time(&w);
	k->rsa_size = get_blob(&w, k->rsa, sizeof(k->rsa));
	k->ecc_size = get_blob(&w, k->ecc, sizeof(k->ecc));
	return finish(s, &w, "a vTPM's certificates");
}

static int ek_put(struct store *s, const struct store_ek *k)
{
	struct row w = start(s, SQL_EK_PUT);

	put_blob(&w, k->uuid.b, UUID_SIZE);
	put_number(&w, k->generation);
	put_number(&w, k->endorsement_epoch);
	put_blob(&w, k->ca, sizeof(k->ca));
	put_time(&w, k->issued_at);
	put_blob(&w, k->rsa, k->rsa_size);
	put_blob(&w, k->ecc, k->ecc_size);
	return run(s, &w, "can't write a vTPM's certificates");
}

static int ek_drop(struct store *s, const struct uuid *uuid)
{
	struct row w = start(s, SQL_EK_DROP);

	put_blob(&w, uuid->b, UUID_SIZE);
	return run(s, &w, "can't remove a vTPM's certificates");
}

static int read_retirement(struct store *s, struct row *w, struct store_retirement *r)
{
	get_exact(w, r->uuid.b, UUID_SIZE);
	r->seed_size = get_blob(w, r->seed, sizeof(r->seed));
	r->due_at = get_time(w);
	r->destroyed_at = get_time(w);
	return finish(s, w, "a retirement");
}

static int retirement_get(struct store *s, const struct uuid *uuid, struct store_retirement *out)
{
	struct row w = start(s, SQL_RETIREMENT_GET);
	int r;

	put_blob(&w, uuid->b, UUID_SIZE);
	r = find(s, &w, "can't look up a retirement");
	return r != 0 ? r : read_retirement(s, &w, out);
}

static int retirement_put(struct store *s, const struct store_retirement *r)
{
	struct row w = start(s, SQL_RETIREMENT_PUT);

	put_blob(&w, r->uuid.b, UUID_SIZE);
	put_blob(&w, r->seed, r->seed_size);
	put_time(&w, r->due_at);
	put_time(&w, r->destroyed_at);
	return run(s, &w, "can't write a retirement");
}

static int retirement_drop(struct store *s, const struct uuid *uuid)
{
	struct row w = start(s, SQL_RETIREMENT_DROP);

	put_blob(&w, uuid->b, UUID_SIZE);
	return run(s, &w, "can't remove a retirement");
}

static int retirement_due(struct store *s, int64_t now, struct store_retirement *out)
{
	struct row w = start(s, SQL_RETIREMENT_DUE);
	int r;

	put_time(&w, now);
	r = find(s, &w, "can't look for retirements that are due");
	return r != 0 ? r : read_retirement(s, &w, out);
}

const struct store_ops store_rows_ops = {
	.close = close_it,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.hold = hold,
	.let_go = let_go,
	.pool_get = pool_get,
	.pool_put = pool_put,
	.pool_next = pool_next,
	.host_get = host_get,
	.host_put = host_put,
	.host_next = host_next,
	.key_get = key_get,
	.key_current = key_current,
	.key_put = key_put,
	.key_retire = key_retire,
	.key_purge = key_purge,
	.vtpm_get = vtpm_get,
	.vtpm_put = vtpm_put,
	.vtpm_next = vtpm_next,
	.state_get = state_get,
	.state_put = state_put,
	.state_prune = state_prune,
	.state_next = state_next,
	.state_drop = state_drop,
	.image_get = image_get,
	.image_put = image_put,
	.image_next = image_next,
	.image_prune = image_prune,
	.session_get = session_get,
	.session_next = session_next,
	.audit_last = audit_last,
	.audit_put = audit_put,
	.audit_next = audit_next,
	.audit_head_get = audit_head_get,
	.audit_head_put = audit_head_put,
	.audit_head_next = audit_head_next,
	.count = count,
	.token_get = token_get,
	.token_put = token_put,
	.token_drop = token_drop,
	.token_purge = token_purge,
	.identity_get = identity_get,
	.identity_put = identity_put,
	.identity_drop = identity_drop,
	.policy_get = policy_get,
	.policy_put = policy_put,
	.parked_get = parked_get,
	.parked_put = parked_put,
	.parked_recalled = parked_recalled,
	.ek_get = ek_get,
	.ek_put = ek_put,
	.ek_drop = ek_drop,
	.retirement_get = retirement_get,
	.retirement_put = retirement_put,
	.retirement_drop = retirement_drop,
	.retirement_due = retirement_due,
};

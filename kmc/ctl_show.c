/* kmcctl's tables and JSON. */
#include "kmc/ctl_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/error.h"

#define TIME_TEXT 24

/* What is being shown. */
struct showing {
	bool json, all, heading, takeover;
	json_t *rows; /* an array for lists, else one object */
	bool more;    /* of the last END */
	uint8_t last[KMC_NAME_MAX];
	size_t last_size; /* of the last entry's name or UUID */
};

static const char *when(uint64_t t, char text[TIME_TEXT])
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (t == 0 || !gmtime_r(&seconds, &tm))
		return "-";
	strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

static json_t *json_of(struct view v)
{
	return v.p ? json_stringn((const char *)v.p, v.n) : json_null();
}

static json_t *json_when(uint64_t t)
{
	char text[TIME_TEXT];

	return t ? json_string(when(t, text)) : json_null();
}

static json_t *json_number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Columns that hold names are as wide as most names are; longer ones push the rest to the right. */
#define T(v) (int)((v).p ? (v).n : 1), (v).p ? (const char *)(v).p : "-"

static void remember(struct showing *s, const void *p, size_t n)
{
	s->last_size = n <= sizeof(s->last) ? n : 0;
	memcpy(s->last, p, s->last_size);
}

static bool head(struct showing *s)
{
	bool first = !s->heading;

	s->heading = true;
	return first && !s->json;
}

static void show_pool(struct showing *s, const struct adm_pool *p)
{
	const char *policy = p->registered_only ? "registered" : "auto";

	remember(s, p->name.p, p->name.n);
	if (head(s))
		printf("%-20s  %s\n", "POOL", "POLICY");
	if (s->json)
		json_array_append_new(s->rows, json_pack("{s:o, s:s}", "name", json_of(p->name), "policy", policy));
	else
		printf("%-20.*s  %s\n", T(p->name), policy);
}

/* A hash in hex; null: there is none. */
static json_t *json_hash(struct view hash)
{
	char hex[65] = "";

	for (size_t i = 0; i < hash.n && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash.p[i]);
	return hash.p ? json_string(hex) : json_null();
}

/* Whether the host sees to its next certificate. */
static const char *renewal_of(const struct adm_host *h)
{
	if (h->renewed_at)
		return "issued"; /* it uses it from its next connection on */
	return h->overdue ? "overdue" : "-";
}

static json_t *host_object(const struct adm_host *h)
{
	static const char *const checks[] = {"no certificate", "unknown CA", "certified"};
	json_t *o = json_object();

	json_object_set_new(o, "name", json_of(h->name));
	json_object_set_new(o, "pool", json_of(h->pool));
	json_object_set_new(o, "added", json_when(h->added_at));
	json_object_set_new(o, "certificate_until", json_when(h->expires_at));
	json_object_set_new(o, "certificate_issued", json_when(h->issued_at));
	json_object_set_new(o, "renewal", json_string(renewal_of(h)));
	json_object_set_new(o, "removed", json_boolean(h->removed));
	json_object_set_new(o, "insecure_software_key", json_boolean(h->software_key));
	json_object_set_new(o, "enrolled_by", json_string(h->enrolled ? "token" : "files"));
	json_object_set_new(o, "ek", json_hash(h->ek));
	json_object_set_new(o, "ek_certificate", h->enrolled && h->ek_check < 3 ? json_string(checks[h->ek_check]) : json_null());
	json_object_set_new(o, "attested", json_when(h->attested_at));
	json_object_set_new(o, "attestation_failed", json_boolean(h->failed));
	json_object_set_new(o, "stub_image", json_hash(h->image));
	json_object_set_new(o, "remark", json_of(h->reason));
	return o;
}

static void show_host(struct showing *s, const struct adm_host *h)
{
	char attested[TIME_TEXT], expires[TIME_TEXT];

	remember(s, h->name.p, h->name.n);
	if (h->removed && !s->all)
		return;
	if (head(s))
		printf("%-20s  %-16s  %-20s  %-7s  %-10s  %-21s  %-20s  %s\n", "HOST", "POOL", "CERTIFICATE UNTIL", "RENEWAL", "STATE", "TLS KEY", "ATTESTED", "REMARK");
	if (s->json)
		json_array_append_new(s->rows, host_object(h));
	else
		printf("%-20.*s  %-16.*s  %-20s  %-7s  %-10s  %-21s  %-20s  %.*s\n", T(h->name), T(h->pool), when(h->expires_at, expires), renewal_of(h),
		       h->removed ? "removed" : h->failed ? "refused" : "registered",
		       h->software_key ? "insecure-software-key" : "TPM", when(h->attested_at, attested), T(h->reason));
}

/* As many UUIDs as there are in @v. */
static json_t *json_uuids(struct view v)
{
	json_t *list = json_array();
	char u[UUID_TEXT];
	struct uuid one;

	for (size_t at = 0; at + UUID_SIZE <= v.n; at += UUID_SIZE) {
		memcpy(one.b, v.p + at, UUID_SIZE);
		json_array_append_new(list, json_string(uuid_format(&one, u)));
	}
	return list;
}

static json_t *vtpm_object(const struct adm_vtpm *v)
{
	char u[UUID_TEXT];
	json_t *o = json_object();

	json_object_set_new(o, "uuid", json_string(uuid_format(&v->uuid, u)));
	json_object_set_new(o, "pool", json_of(v->pool));
	json_object_set_new(o, "holder", json_of(v->holder));
	json_object_set_new(o, "last_holder", json_of(v->last_holder));
	json_object_set_new(o, "generation", json_number(v->generation));
	json_object_set_new(o, "lease_epoch", json_number(v->lease_epoch));
	json_object_set_new(o, "owner_epoch", json_number(v->owner_epoch));
	json_object_set_new(o, "endorsement_epoch", json_number(v->endorsement_epoch));
	json_object_set_new(o, "platform_epoch", json_number(v->platform_epoch));
	json_object_set_new(o, "state_version", json_number(v->state_version));
	json_object_set_new(o, "has_seed", json_boolean(v->has_seed));
	json_object_set_new(o, "created", json_when(v->created_at));
	json_object_set_new(o, "opened", json_when(v->opened_at));
	json_object_set_new(o, "stored", json_when(v->stored_at));
	json_object_set_new(o, "suspended", v->suspended ? json_when(v->suspended_at) : json_null());
	json_object_set_new(o, "image", v->suspended ? json_number(v->image) : json_null());
	json_object_set_new(o, "reserved_for", json_of(v->reserver));
	json_object_set_new(o, "reserved", json_when(v->reserved_at));
	json_object_set_new(o, "parked", json_boolean(v->parked));
	json_object_set_new(o, "retired_until", v->moving.p ? json_null() : json_when(v->due_at));
	json_object_set_new(o, "destroyed", json_when(v->destroyed_at));
	json_object_set_new(o, "moves_to", json_of(v->moving));
	json_object_set_new(o, "left", v->moving.p ? json_when(v->due_at) : json_null());
	json_object_set_new(o, "came_from", json_of(v->came_from));
	json_object_set_new(o, "came", json_when(v->came_at));
	json_object_set_new(o, "shares_keys_with", json_uuids(v->sharing));
	json_object_set_new(o, "sharers", json_number(v->sharers));
	return o;
}

/* Who has it, or why nobody can. */
static struct view holder_of(const struct adm_vtpm *v)
{
	if (v->suspended)
		return view_text(v->reserver.p ? "(reserved)" : "(suspended)");
	if (v->moving.p)
		return view_text(v->destroyed_at ? "(moved)" : "(leaving)");
	return v->due_at ? view_text(v->destroyed_at ? "(destroyed)" : "(retired)") : v->holder;
}

static void list_vtpm(struct showing *s, const struct adm_vtpm *v)
{
	char u[UUID_TEXT], opened[TIME_TEXT];

	remember(s, v->uuid.b, UUID_SIZE);
	if (head(s))
		printf("%-36s  %-16s  %-16s  %6s  %6s  %s\n", "VTPM", "POOL", "HOLDER", "LEASE", "STATE", "OPENED");
	if (s->json)
		json_array_append_new(s->rows, vtpm_object(v));
	else
		printf("%-36s  %-16.*s  %-16.*s  %6" PRIu64 "  %6" PRIu64 "  %s%s%s\n", uuid_format(&v->uuid, u), T(v->pool), T(holder_of(v)),
		       v->lease_epoch, v->state_version, when(v->opened_at, opened), v->parked ? "  parked" : "",
		       v->sharers ? "  shares keys" : "");
}

static void show_state(struct showing *s, const struct adm_state *v)
{
	char stored[TIME_TEXT];

	if (head(s))
		printf("%8s  %8s  %-20s  %5s  %11s  %8s\n", "VERSION", "BYTES", "STORED", "OWNER", "ENDORSEMENT", "PLATFORM");
	if (s->json)
		json_array_append_new(s->rows, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "version", json_number(v->version),
							 "bytes", json_number(v->size), "stored", json_when(v->stored_at),
							 "owner_epoch", json_number(v->owner_epoch), "endorsement_epoch",
							 json_number(v->endorsement_epoch), "platform_epoch",
							 json_number(v->platform_epoch), "newest", (int)v->newest));
	else
		printf("%8" PRIu64 "  %8" PRIu64 "  %-20s  %5" PRIu64 "  %11" PRIu64 "  %8" PRIu64 "%s\n", v->version, v->size,
		       when(v->stored_at, stored), v->owner_epoch, v->endorsement_epoch, v->platform_epoch,
		       v->newest ? "  for the next open" : "");
}

static void show_image(struct showing *s, const struct adm_image *i)
{
	char since[TIME_TEXT];

	if (head(s))
		printf("%10s  %8s  %s\n", "IMAGE", "VERSION", "SUSPENDED");
	if (s->json)
		json_array_append_new(s->rows, json_pack("{s:o, s:o, s:o, s:b}", "image", json_number(i->image), "version",
							 json_number(i->version), "suspended", json_when(i->suspended_at), "fits", (int)i->fits));
	else
		printf("%10" PRIu64 "  %8" PRIu64 "  %s%s\n", i->image, i->version, when(i->suspended_at, since),
		       i->fits ? "  may be restored" : "");
}

static bool on_entry(void *arg, uint64_t type, const void *fields)
{
	const struct adm_end *end = fields;
	struct showing *s = arg;

	if (type == ADM_POOL)
		show_pool(s, fields);
	else if (type == ADM_HOST)
		show_host(s, fields);
	else if (type == ADM_VTPM)
		list_vtpm(s, fields);
	else if (type == ADM_STATE)
		show_state(s, fields);
	else if (type == ADM_IMAGE)
		show_image(s, fields);
	else
		s->more = type == ADM_END && end->more;
	return type != ADM_END;
}

static void dump(const struct showing *s)
{
	if (!s->json)
		return;
	json_dumpf(s->rows, stdout, JSON_INDENT(2));
	putchar('\n');
}

int ctl_list(struct ctl_client *c, enum adm_type list, bool json, bool all)
{
	struct showing s = {.json = json, .all = all, .rows = json_array()};
	struct adm_list m = {0};
	int code;

	do {
		if (s.last_size)
			m.after = view_of(s.last, s.last_size);
		s.more = false;
		code = ctl_ask(c, list, &m, on_entry, &s);
	} while (code == EXIT_FINE && s.more);
	if (code == EXIT_FINE)
		dump(&s);
	json_decref(s.rows);
	return code;
}

/* What there is of one vTPM. */
static int list_of(struct ctl_client *c, enum adm_type type, const struct uuid *uuid, bool json)
{
	struct showing s = {.json = json, .rows = json_array()};
	const struct adm_uuid m = {.uuid = *uuid};
	int code = ctl_ask(c, type, &m, on_entry, &s);

	if (code == EXIT_FINE)
		dump(&s);
	json_decref(s.rows);
	return code;
}

int ctl_list_states(struct ctl_client *c, const struct uuid *uuid, bool json)
{
	return list_of(c, ADM_STATE_LIST, uuid, json);
}

int ctl_list_images(struct ctl_client *c, const struct uuid *uuid, bool json)
{
	return list_of(c, ADM_IMAGE_LIST, uuid, json);
}

static void print_suspension(const struct adm_vtpm *v)
{
	char since[TIME_TEXT], reserved[TIME_TEXT];

	if (v->suspended)
		printf("suspended     since %s by host '%.*s', image %" PRIu64 "\n", when(v->suspended_at, since), T(v->last_holder), v->image);
	if (v->reserver.p)
		printf("reserved      since %s for its guest at host '%.*s'\n", when(v->reserved_at, reserved), T(v->reserver));
}

static void print_end(const struct adm_vtpm *v)
{
	char due[TIME_TEXT], destroyed[TIME_TEXT];

	if (v->came_from.p)
		printf("came          from KMC '%.*s' at %s\n", T(v->came_from), when(v->came_at, due));
	if (v->moving.p && v->destroyed_at)
		printf("moved         to KMC '%.*s', which has said so at %s\n", T(v->moving), when(v->destroyed_at, destroyed));
	else if (v->moving.p)
		printf("leaving       for KMC '%.*s' since %s: nobody opens it here; the receipt from there ends that ('kmcctl vtpm moved')\n", T(v->moving),
		       when(v->due_at, due));
	else if (v->destroyed_at)
		printf("retired       its seed was destroyed at %s\n", when(v->destroyed_at, destroyed));
	else if (v->due_at)
		printf("retired       its seed is destroyed at %s; until then 'kmcctl vtpm retire --cancel' brings it back\n", when(v->due_at, due));
}

/* Its keys are others' too. */
static void print_sharers(const struct adm_vtpm *v)
{
	char u[UUID_TEXT];
	struct uuid one;

	for (size_t at = 0; at + UUID_SIZE <= v->sharing.n; at += UUID_SIZE) {
		memcpy(one.b, v->sharing.p + at, UUID_SIZE);
		printf("%-14s%s\n", at ? "" : "shares keys", uuid_format(&one, u));
	}
	if (v->sharers > v->sharing.n / UUID_SIZE)
		printf("%-14sand %" PRIu64 " more\n", "", v->sharers - v->sharing.n / UUID_SIZE);
}

static void print_taken(const struct adm_vtpm *v)
{
	char u[UUID_TEXT];

	uuid_format(&v->uuid, u);
	if (!v->suspended)
		printf("vTPM %s was held by host '%.*s' (lease %" PRIu64 "): that lease is over, the next open succeeds\n", u, T(v->holder),
		       v->lease_epoch);
	else if (v->reserver.p)
		printf("vTPM %s is suspended: the reservation of host '%.*s' is over, its image can be restored anywhere in its pool\n", u,
		       T(v->reserver));
	else
		printf("vTPM %s is suspended: host '%.*s' can't resume it any more, its image can be restored anywhere in its pool\n", u,
		       T(v->last_holder));
}

static void print_vtpm(const struct adm_vtpm *v)
{
	char u[UUID_TEXT], created[TIME_TEXT], opened[TIME_TEXT], stored[TIME_TEXT];

	printf("vtpm          %s\n", uuid_format(&v->uuid, u));
	printf("pool          %.*s\n", T(v->pool));
	printf("holder        %.*s%s\n", T(v->holder), v->parked ? " (parked: no guest runs)" : "");
	printf("last holder   %.*s\n", T(v->last_holder));
	printf("lease epoch   %" PRIu64 "\n", v->lease_epoch);
	printf("seed          %s, generation %" PRIu64 "\n", v->has_seed ? "made" : v->destroyed_at ? "destroyed" : v->due_at ? "set aside" : "not made yet", v->generation);
	printf("epochs        owner %" PRIu64 ", endorsement %" PRIu64 ", platform %" PRIu64 "\n", v->owner_epoch,
	       v->endorsement_epoch, v->platform_epoch);
	printf("state         version %" PRIu64 ", stored %s\n", v->state_version, when(v->stored_at, stored));
	print_sharers(v);
	print_suspension(v);
	print_end(v);
	printf("created       %s\n", when(v->created_at, created));
	printf("opened        %s\n", when(v->opened_at, opened));
}

static bool on_vtpm(void *arg, uint64_t type, const void *fields)
{
	struct showing *s = arg;
	const struct adm_vtpm *v = fields;

	if (type != ADM_VTPM)
		return false;
	if (s->json)
		json_object_update_new(s->rows, vtpm_object(v));
	else if (s->takeover)
		print_taken(v);
	else
		print_vtpm(v);
	return true;
}

int ctl_show_vtpm(struct ctl_client *c, enum adm_type type, const struct uuid *uuid, bool json)
{
	struct showing s = {.json = json, .takeover = type == ADM_VTPM_TAKEOVER, .rows = json_object()};
	const struct adm_uuid m = {.uuid = *uuid};
	int code = ctl_ask(c, type, &m, on_vtpm, &s);

	if (code == EXIT_FINE)
		dump(&s);
	json_decref(s.rows);
	return code;
}

static bool on_status(void *arg, uint64_t type, const void *fields)
{
	const struct adm_status_reply *r = fields;
	struct showing *s = arg;
	char started[TIME_TEXT];

	if (type != ADM_STATUS_REPLY)
		return false;
	if (s->json) {
		json_object_set_new(s->rows, "kmc", json_of(r->kmc));
		json_object_set_new(s->rows, "address", json_of(r->address));
		json_object_set_new(s->rows, "store", json_of(r->store));
		json_object_set_new(s->rows, "started", json_when(r->started_at));
		json_object_set_new(s->rows, "hosts", json_number(r->hosts));
		json_object_set_new(s->rows, "vtpms", json_number(r->vtpms));
		json_object_set_new(s->rows, "held", json_number(r->held));
		json_object_set_new(s->rows, "states", json_number(r->states));
		json_object_set_new(s->rows, "state_bytes", json_number(r->state_bytes));
		json_object_set_new(s->rows, "opens", json_number(r->opens));
		json_object_set_new(s->rows, "refusals", json_number(r->refusals));
		json_object_set_new(s->rows, "wrapping_key", json_number(r->wrapping));
		json_object_set_new(s->rows, "rewrap_left", json_number(r->rewrap_left));
		return false;
	}
	printf("kmc       %.*s at %.*s, store %.*s\n", T(r->kmc), T(r->address), T(r->store));
	printf("running   since %s: %" PRIu64 " opens, %" PRIu64 " refusals\n", when(r->started_at, started), r->opens,
	       r->refusals);
	printf("hosts     %" PRIu64 "\n", r->hosts);
	printf("vtpms     %" PRIu64 ", %" PRIu64 " of them held\n", r->vtpms, r->held);
	if (r->rewrap_left)
		printf("rewrap    wrapping key %" PRIu64 " replaces another: %" PRIu64 " seeds and keys are left\n", r->wrapping, r->rewrap_left);
	printf("states    %" PRIu64 ", %" PRIu64 " KiB\n", r->states, (r->state_bytes + 1023) / 1024);
	return false;
}

int ctl_status(struct ctl_client *c, bool json)
{
	struct showing s = {.json = json, .rows = json_object()};
	int code = ctl_ask(c, ADM_STATUS, NULL, on_status, &s);

	if (code == EXIT_FINE)
		dump(&s);
	json_decref(s.rows);
	return code;
}

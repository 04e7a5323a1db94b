/* vtpmctl: what an administrator asks vtpm-relayd. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/results.h"
#include "common/secret.h"
#include "common/token.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/doctor.h"
#include "dom0-relay/enroll.h"
#include "dom0-relay/guest_machine.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/show.h"
#include "dom0-relay/state_export.h"
#include "dom0-relay/stub_image.h"
#include "dom0-relay/top.h"

/* Exit codes, as in the manual page. */
enum { EXIT_FINE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NO_RELAY = 3 };

#define PATH_BYTES 1024
#define WAITS_PER_S 5
#define WAIT_S 60

struct listing {
	bool json;
	json_t *rows;
	bool has_heading;
};

static int usage(void)
{
	fprintf(stderr, "usage: vtpmctl [-c FILE] [--json] COMMAND\n"
			"  list                                 vTPMs of this host, and what was refused\n"
			"  show UUID                            that vTPM, and what happened to it on this host\n"
			"  top [-d SECONDS] [-n ROUNDS]         the busiest vTPMs\n"
			"  doctor                               look for what commonly is wrong, and say what to do\n"
			"  wait UUID STATE [--timeout SECONDS]   until 'list' shows it so (default 60 s); STATE: serving, suspended ..., or gone\n"
			"  prepare UUID NAME [--timeout SECONDS] a stub domain called NAME that waits for a guest whose line says\n"
			"                                       vtpm=[\"backend=NAME,uuid=UUID\"] (default 60 s)\n"
			"  unprepare NAME                       and end it\n"
			"  state export UUID FILE               what this host could not send of it any more, for 'kmcctl vtpm restore --state'\n"
			"  enroll TOKEN [--tpm TCTI] [--replace] [--insecure-software-key]\n"
			"                                       prove this host's TPM to the KMC; TOKEN: of 'kmcctl host add', - reads it\n"
			"  renew                                a new certificate for this host from the KMC, now\n"
			"  ek [--tpm TCTI]                      the hash of the TPM's endorsement key, for 'kmcctl host add --ek'\n"
			"  image [KERNEL INITRAMFS]             the digest of the stub domains' image, for 'kmcctl policy set --stub-image'\n");
	return EXIT_USAGE;
}

static void print_entry(void *arg, const struct ctl_entry *e)
{
	struct listing *l = arg;
	char uuid[UUID_TEXT], stub[21] = "-", guest[21] = "-", dev[21] = "-", note[CTL_NAME_MAX + 16] = "";

	uuid_format(&e->uuid, uuid);
	if (l->json) {
		json_t *row = json_pack("{s:o, s:o, s:s, s:s%, s:I, s:b}", "guest", e->guest ? json_integer((json_int_t)e->guest) : json_null(),
					"device", e->guest ? json_integer((json_int_t)e->dev) : json_null(), "uuid", uuid, "state", (const char *)e->state.p, e->state.n, "since", (json_int_t)e->since, "connected",
					(int)e->connected);

		json_object_set_new(row, "commands", json_integer((json_int_t)e->commands));
		json_object_set_new(row, "malformed", json_integer((json_int_t)e->malformed));
		json_object_set_new(row, "service_us", json_integer((json_int_t)(e->service_ns / 1000)));
		json_object_set_new(row, "memory_kib", json_integer((json_int_t)e->memory_kib));
		json_object_set_new(row, "stub_domain", e->stub ? json_integer((json_int_t)e->stub) : json_null());
		json_object_set_new(row, "backend", e->backend.p ? json_stringn((const char *)e->backend.p, e->backend.n) : json_null());
		json_object_set_new(row, "reason", e->reason.p ? json_stringn((const char *)e->reason.p, e->reason.n) : json_null());
		json_array_append_new(l->rows, row);
		return;
	}
	if (!l->has_heading)
		printf("%5s %3s  %-36s  %4s  %-9s  %-6s  %s\n", "GUEST", "DEV", "VTPM", "STUB", "STATE", "DRIVER", "REASON");
	l->has_heading = true;
	if (e->stub)
		snprintf(stub, sizeof(stub), "%" PRIu64, e->stub);
	if (e->guest) {
		snprintf(guest, sizeof(guest), "%" PRIu64, e->guest);
		snprintf(dev, sizeof(dev), "%" PRIu64, e->dev);
	}
	if (e->backend.p)
		snprintf(note, sizeof(note), "backend %.*s%s", (int)e->backend.n, (const char *)e->backend.p, e->reason.p ? ": " : "");
	printf("%5s %3s  %-36s  %4s  %-9.*s  %-6s  %s%.*s\n", guest, dev, uuid, stub, (int)e->state.n, (const char *)e->state.p,
	       e->connected ? "yes" : "no", note, (int)e->reason.n, e->reason.p ? (const char *)e->reason.p : "");
}

static void print_status(void *arg, const struct ctl_status *s)
{
	const struct listing *l = arg;

	if (l->json)
		return;
	if (!s->kmc_up)
		printf("not connected to the KMC: %.*s\n", (int)s->kmc.n, (const char *)s->kmc.p);
	if (s->renew_failed.p)
		printf("this host's certificate could not be renewed: %.*s\n", (int)s->renew_failed.n, (const char *)s->renew_failed.p);
	if (s->software_key)
		printf("this host's TLS key is a file (insecure-software-key): enrol it anew for a key in its TPM\n");
	if (s->spares_wanted)
		printf("spare stub domains: %" PRIu64 " of %" PRIu64 " ready\n", s->spares_ready, s->spares_wanted);
}

/* A descriptor, or a complaint and an error. */
static int connect_relay(const char *socket_path)
{
	int fd = ctlask_connect(socket_path);

	if (fd < 0)
		fprintf(stderr, "vtpmctl: can't reach vtpm-relayd at %s: %s; is the service running, and are you root?\n", socket_path,
			fd == E_IO ? strerror(errno) : "the path is too long");
	return fd;
}

/* How this host's certificate stands. */
struct renewal {
	uint64_t tries, until;
	char why[CTL_REASON_MAX + 1];
};

/* All entries as JSON into l->rows: an exit code. */
static int fetch(const char *socket_path, struct listing *l)
{
	static const struct ctlask_ops ops = {.status = print_status, .entry = print_entry};
	int fd = connect_relay(socket_path), r;

	if (fd < 0)
		return EXIT_NO_RELAY;
	r = ctlask_list(fd, &ops, l);
	close(fd);
	if (r == 0)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: asking vtpm-relayd at %s failed: %s; try again, then look at the service's log\n", socket_path, error_text(r));
	return EXIT_ERROR;
}

static void take_status(void *arg, const struct ctl_status *s)
{
	struct renewal *n = arg;

	n->tries = s->renewals;
	n->until = s->certificate_until;
	snprintf(n->why, sizeof(n->why), "%.*s", s->renew_failed.p ? (int)s->renew_failed.n : 0, s->renew_failed.p ? (const char *)s->renew_failed.p : "");
}

static void take_entry(void *arg, const struct ctl_entry *e)
{
	(void)arg, (void)e;
}

/* What the relay says of its certificate, and to @request: an exit code. */
static int ask_renewal(const char *socket_path, enum ctl_type request, struct renewal *n)
{
	static const struct ctlask_ops ops = {.status = take_status, .entry = take_entry};
	int fd = connect_relay(socket_path), r;

	if (fd < 0)
		return EXIT_NO_RELAY;
	r = ctlask(fd, request, NULL, &ops, n);
	close(fd);
	if (r == 0)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: asking vtpm-relayd at %s failed: %s; try again, then look at the service's log\n", socket_path, error_text(r));
	return EXIT_ERROR;
}

static int renew(const char *socket_path, unsigned int seconds)
{
	struct renewal before = {0}, now = {0};
	char until[24] = "-";
	struct tm tm;
	int r = ask_renewal(socket_path, CTL_RENEW, &before);

	for (unsigned int tries = 0; r == EXIT_FINE && tries <= seconds * WAITS_PER_S; tries++) {
		r = ask_renewal(socket_path, CTL_LIST, &now);
		if (r != EXIT_FINE || now.tries != before.tries)
			break;
		usleep(1000000 / WAITS_PER_S);
	}
	if (r != EXIT_FINE)
		return r;
	if (now.tries == before.tries || now.why[0]) {
		fprintf(stderr, "vtpmctl: not renewed: %s; the present certificate stays in use\n", now.why[0] ? now.why : "there is no answer yet");
		return EXIT_ERROR;
	}
	if (gmtime_r(&(time_t){(time_t)now.until}, &tm))
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	results_text("valid_until", until);
	results_tell("this host has a new certificate, valid until %s\n", until);
	return EXIT_FINE;
}

static int list(const char *socket_path, bool json)
{
	struct listing l = {.json = json, .rows = json_array()};
	int r = fetch(socket_path, &l);

	if (json && r == EXIT_FINE) {
		json_dumpf(l.rows, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	}
	json_decref(l.rows);
	return r;
}

/* Is one of the entries of @uuid in @state? "gone": is there none but of what was refused? */
static bool shows(const json_t *rows, const char *uuid, const char *state)
{
	bool gone = true, found = false;
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *s = json_string_value(json_object_get(row, "state"));

		if (!s || strcmp(json_string_value(json_object_get(row, "uuid")), uuid) != 0)
			continue;
		gone = gone && strcmp(s, "refused") == 0;
		found = found || strcmp(s, state) == 0;
	}
	return strcmp(state, "gone") == 0 ? gone : found;
}

/* What may be waited for: a word that 'list' can show. */
static bool is_state(const char *text)
{
	bool found = strcmp(text, "refused") == 0 || strcmp(text, "prepared") == 0 || strcmp(text, "gone") == 0;

	for (int s = 0; s < GUEST_STATES && !found; s++)
		found = strcmp(text, guest_state_text((enum guest_state)s)) == 0;
	return found;
}

static int wait_until(const char *socket_path, const char *uuid, const char *state, unsigned int seconds)
{
	for (unsigned int tries = 0; tries <= seconds * WAITS_PER_S; tries++) {
		struct listing l = {.json = true, .rows = json_array()};
		int r = fetch(socket_path, &l);
		bool done = r == EXIT_FINE && shows(l.rows, uuid, state);

		json_decref(l.rows);
		if (done) {
			results_text("uuid", uuid);
			results_text("state", state);
		}
		if (done || r != EXIT_FINE)
			return r;
		usleep(1000000 / WAITS_PER_S);
	}
	fprintf(stderr, "vtpmctl: vTPM %s is not %s after %u s: see 'vtpmctl list'\n", uuid, state, seconds);
	return EXIT_ERROR;
}

/* --- named backends --- */

static void ignore_status(void *arg, const struct ctl_status *s)
{
	(void)arg, (void)s;
}

static void take_refusal(void *arg, const struct ctl_refused *r)
{
	snprintf(arg, CTL_REASON_MAX + 1, "%.*s", (int)r->reason.n, (const char *)r->reason.p);
}

/* Give the relay an order: an exit code, with a complaint unless it is EXIT_FINE. */
static int give_order(const char *socket_path, enum ctl_type order, const void *fields)
{
	static const struct ctlask_ops ops = {.status = ignore_status, .entry = take_entry, .refused = take_refusal};
	char why[CTL_REASON_MAX + 1] = "";
	int fd = connect_relay(socket_path), r;

	if (fd < 0)
		return EXIT_NO_RELAY;
	r = ctlask(fd, order, fields, &ops, why);
	close(fd);
	if (r == 0 && !why[0])
		return EXIT_FINE;
	if (r == 0)
		fprintf(stderr, "vtpmctl: %s\n", why);
	else
		fprintf(stderr, "vtpmctl: asking vtpm-relayd at %s failed: %s; try again, then look at the service's log\n", socket_path, error_text(r));
	return EXIT_ERROR;
}

/* The row of what is called @name, or NULL. */
static const json_t *backend_row(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *backend = json_string_value(json_object_get(row, "backend"));

		if (backend && strcmp(backend, name) == 0)
			return row;
	}
	return NULL;
}

/* How far it is: EXIT_FINE with *done, or EXIT_ERROR with a complaint. */
static int look_at_backend(const json_t *row, const char *name, bool *done, char why[CTL_REASON_MAX + 1])
{
	const char *state = json_string_value(json_object_get(row, "state")), *reason = json_string_value(json_object_get(row, "reason"));

	*done = state && strcmp(state, "preparing") != 0 && strcmp(state, "refused") != 0;
	snprintf(why, CTL_REASON_MAX + 1, "%s", reason ? reason : "its stub domain is being built");
	if (state && strcmp(state, "refused") != 0)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: backend %s is not prepared: %s\n", name, state ? why : "vtpm-relayd knows it no more; was it restarted?");
	return EXIT_ERROR;
}

static int prepare(const char *socket_path, const struct uuid *uuid, const char *name, unsigned int seconds)
{
	const struct ctl_prepare q = {.uuid = *uuid, .name = view_text(name)};
	char u[UUID_TEXT], why[CTL_REASON_MAX + 1] = "";
	int r = give_order(socket_path, CTL_PREPARE, &q);
	bool done = false;

	for (unsigned int tries = 0; r == EXIT_FINE && !done && tries <= seconds * WAITS_PER_S; tries++) {
		struct listing l = {.json = true, .rows = json_array()};

		r = fetch(socket_path, &l);
		if (r == EXIT_FINE)
			r = look_at_backend(backend_row(l.rows, name), name, &done, why);
		json_decref(l.rows);
		if (r == EXIT_FINE && !done)
			usleep(1000000 / WAITS_PER_S);
	}
	if (r != EXIT_FINE)
		return r;
	if (!done) {
		fprintf(stderr, "vtpmctl: backend %s is not prepared after %u s: %s; it goes on, see 'vtpmctl list'\n", name, seconds, why);
		return EXIT_ERROR;
	}
	results_text("uuid", uuid_format(uuid, u));
	results_text("backend", name);
	results_tell("backend %s is prepared: its guest's line is vtpm=[\"backend=%s,uuid=%s\"]\n", name, name, u);
	return EXIT_FINE;
}

static int unprepare(const char *socket_path, const char *name)
{
	const struct ctl_unprepare q = {.name = view_text(name)};
	int r = give_order(socket_path, CTL_UNPREPARE, &q);

	if (r == EXIT_FINE) {
		results_text("backend", name);
		results_tell("backend %s is prepared no more\n", name);
	}
	return r;
}

#define TOP_S 2 /* seconds between two looks */

struct options {
	const char *conf, *tpm;
	bool json, software_key, replace;
	unsigned int seconds; /* to wait, or between two looks of top; 0: as usual */
	unsigned int rounds;  /* of top; 0: until it is ended */
};

/* Where the files of an enrolment go: as relay.conf says, or beside it where there is none yet. */
struct places {
	struct relayconf conf;
	bool has_conf;
	char ca[PATH_BYTES], certificate[PATH_BYTES], key[PATH_BYTES];
};

static int find_places(struct places *p, const struct options *o)
{
	const char *path = o->conf ? o->conf : RELAY_CONF;
	char copy[PATH_BYTES], why[CONFIG_WHY];
	const char *directory;

	p->has_conf = access(path, F_OK) == 0;
	if (relayconf_read(p->has_conf ? path : NULL, &p->conf, why) != 0) {
		fprintf(stderr, "vtpmctl: %s\n", why);
		return EXIT_ERROR;
	}
	snprintf(copy, sizeof(copy), "%s", path);
	directory = dirname(copy);
	if (p->has_conf) {
		snprintf(p->ca, sizeof(p->ca), "%s", p->conf.tls_ca);
		snprintf(p->certificate, sizeof(p->certificate), "%s", p->conf.tls_certificate);
		snprintf(p->key, sizeof(p->key), "%s", p->conf.tls_key);
	} else {
		snprintf(p->ca, sizeof(p->ca), "%s/ca.crt", directory);
		snprintf(p->certificate, sizeof(p->certificate), "%s/host.crt", directory);
		snprintf(p->key, sizeof(p->key), "%s/host.key", directory);
	}
	return EXIT_FINE;
}

/* The key can't go elsewhere than where vtpm-relayd will look for it. */
static int check_place_of_key(struct places *p, const struct options *o)
{
	if (!p->has_conf || relayconf_key_in_tpm(&p->conf) != o->software_key)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: relay.conf %s\n", o->software_key
		? "says that the TLS key is in the TPM: name a file as key in its section [tls] first, or leave out --insecure-software-key"
		: "names a file for the TLS key: write 'key = tpm' in its section [tls] first, or give --insecure-software-key for a key in that file");
	relayconf_free(&p->conf);
	return EXIT_USAGE;
}

/* As the argument, or from standard input for "-": what stands in a command line can be seen by others while it runs. */
static int read_token(const char *argument, struct token *token)
{
	char line[TOKEN_TEXT_MAX + 64] = "";
	int r;

	if (strcmp(argument, "-") == 0 && !fgets(line, sizeof(line), stdin))
		line[0] = '\0';
	r = token_parse(strcmp(argument, "-") == 0 ? line : argument, token);
	wipe(line, sizeof(line));
	if (r == E_INTEGRITY)
		fprintf(stderr, "vtpmctl: the token was not copied as a whole, or not as it was\n");
	else if (r == E_VERSION)
		fprintf(stderr, "vtpmctl: the token is of a newer KMC: upgrade this host's package\n");
	else if (r != 0)
		fprintf(stderr, "vtpmctl: that is no token: take the line that 'kmcctl host add' prints\n");
	return r == 0 ? EXIT_FINE : EXIT_USAGE;
}

static int enroll(const char *argument, const struct options *o)
{
	struct places p;
	struct token token;
	char why[ENROLL_WHY];
	int r = read_token(argument, &token);

	if (r != EXIT_FINE)
		return r;
	r = find_places(&p, o);
	if (r == EXIT_FINE)
		r = check_place_of_key(&p, o);
	if (r == EXIT_FINE) {
		const struct enroll_options e = {.token = &token, .tcti = o->tpm ? o->tpm : p.conf.tpm, .conf = o->conf ? o->conf : RELAY_CONF,
						 .ca = p.ca, .certificate = p.certificate, .key = p.key, .software_key = o->software_key,
						 .replace = o->replace};

		if (enroll_run(&e, why) != 0) {
			fprintf(stderr, "vtpmctl: not enrolled: %s\n", why);
			r = EXIT_ERROR;
		}
		relayconf_free(&p.conf);
	}
	wipe(&token, sizeof(token));
	return r;
}

static int ek(const struct options *o)
{
	struct places p;
	char why[ENROLL_WHY];
	int r = find_places(&p, o);

	if (r != EXIT_FINE)
		return r;
	if (enroll_print_ek(o->tpm ? o->tpm : p.conf.tpm, why) != 0) {
		fprintf(stderr, "vtpmctl: %s\n", why);
		r = EXIT_ERROR;
	}
	relayconf_free(&p.conf);
	return r;
}

/* Of files that are named, of this host's configuration, or of a build elsewhere. */
static int image(int argc, char **argv, const struct options *o)
{
	const char *path = !o->conf && access(RELAY_CONF, R_OK) == 0 ? RELAY_CONF : o->conf;
	struct stub_image image = {.known = false};
	char why[CONFIG_WHY], text[STUB_IMAGE_TEXT];
	struct relayconf conf;
	int r = argc == 2 ? 0 : relayconf_read(path, &conf, why);

	if (r == 0) {
		r = argc == 2 ? stub_image_read(&image, argv[0], argv[1], why) : stub_image_read(&image, conf.stub_kernel, conf.stub_initramfs, why);
		if (argc != 2)
			relayconf_free(&conf);
	}
	if (r != 0) {
		fprintf(stderr, "vtpmctl: %s\n", why);
		return EXIT_ERROR;
	}
	results_text("digest", stub_image_text(image.digest, text));
	if (!results_are_json())
		printf("%s\n", text);
	return EXIT_FINE;
}

/* The configuration that is meant, or a complaint. */
static bool read_conf(const struct options *o, struct relayconf *conf)
{
	const char *path = !o->conf && access(RELAY_CONF, R_OK) == 0 ? RELAY_CONF : o->conf;
	char why[CONFIG_WHY];

	if (relayconf_read(path, conf, why) == 0)
		return true;
	fprintf(stderr, "vtpmctl: %s\n", why);
	return false;
}

/* list, or, with a UUID, wait until it is in @state. */
static int run_list(const struct options *o, const char *text, const char *state)
{
	char uuid_text[UUID_TEXT];
	struct uuid uuid;
	struct relayconf conf;
	int r;

	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	if (!text || !state)
		r = list(conf.control, o->json);
	else if (uuid_parse(text, &uuid) == 0 && is_state(state))
		r = wait_until(conf.control, uuid_format(&uuid, uuid_text), state, o->seconds ? o->seconds : WAIT_S);
	else
		r = usage();
	relayconf_free(&conf);
	return r;
}

static int run_renew(const struct options *o)
{
	struct relayconf conf;
	int r;

	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	r = renew(conf.control, o->seconds ? o->seconds : WAIT_S);
	relayconf_free(&conf);
	return r;
}

static int run_prepare(const struct options *o, const char *text, const char *name)
{
	struct relayconf conf;
	struct uuid uuid = {{0}};
	int r;

	if (strlen(name) == 0 || strlen(name) > CTL_NAME_MAX || (text && uuid_parse(text, &uuid) != 0)) {
		fprintf(stderr, "vtpmctl: %s\n", text ? "prepare takes a UUID and a name of up to 64 characters" : "a name has up to 64 characters");
		return EXIT_USAGE;
	}
	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	r = text ? prepare(conf.control, &uuid, name, o->seconds ? o->seconds : WAIT_S) : unprepare(conf.control, name);
	relayconf_free(&conf);
	return r;
}

static int run_top(const struct options *o)
{
	struct relayconf conf;
	int r;

	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	r = top_run(conf.control, o->seconds ? o->seconds : TOP_S, o->rounds, o->json);
	relayconf_free(&conf);
	return r;
}

static int run_show(const struct options *o, const char *text)
{
	struct relayconf conf;
	struct uuid uuid;
	int r;

	if (uuid_parse(text, &uuid) != 0)
		return usage();
	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	r = show_run(conf.control, conf.state_directory, &uuid, o->json);
	relayconf_free(&conf);
	return r;
}

static int run_state_export(const struct options *o, const char *text, const char *out)
{
	struct relayconf conf;
	struct uuid uuid;
	int r;

	if (uuid_parse(text, &uuid) != 0)
		return usage();
	if (!read_conf(o, &conf))
		return EXIT_ERROR;
	r = state_export_run(&conf, &uuid, out);
	relayconf_free(&conf);
	return r;
}

/* A whole number from 1 to a day's seconds; ends with the usage otherwise. */
static unsigned int number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < 1 || n > 86400)
		exit(usage());
	return (unsigned int)n;
}

/* A command that tells results: all but list, show and top, which print JSON by themselves. */
static int run_one(int argc, char **argv, const struct options *o)
{
	if (argc == 1 && strcmp(argv[0], "renew") == 0)
		return run_renew(o);
	if (argc == 1 && strcmp(argv[0], "doctor") == 0)
		return doctor_run(o->conf);
	if (argc == 3 && strcmp(argv[0], "wait") == 0)
		return run_list(o, argv[1], argv[2]);
	if (argc == 3 && strcmp(argv[0], "prepare") == 0)
		return run_prepare(o, argv[1], argv[2]);
	if (argc == 2 && strcmp(argv[0], "unprepare") == 0)
		return run_prepare(o, NULL, argv[1]);
	if (argc == 4 && strcmp(argv[0], "state") == 0 && strcmp(argv[1], "export") == 0)
		return run_state_export(o, argv[2], argv[3]);
	if (argc == 1 && strcmp(argv[0], "ek") == 0)
		return ek(o);
	if ((argc == 1 || argc == 3) && strcmp(argv[0], "image") == 0)
		return image(argc - 1, argv + 1, o);
	if (argc == 2 && strcmp(argv[0], "enroll") == 0)
		return enroll(argv[1], o);
	return usage();
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, 'j'}, {"config", required_argument, NULL, 'c'}, {"tpm", required_argument, NULL, 't'},
		{"timeout", required_argument, NULL, 'w'}, {"insecure-software-key", no_argument, NULL, 's'}, {"replace", no_argument, NULL, 'r'}, {0}};
	struct options o = {0};
	int c, r;

	while ((c = getopt_long(argc, argv, "c:d:jn:", long_options, NULL)) != -1) {
		switch (c) {
		case 'c': o.conf = optarg; break;
		case 'd': o.seconds = number(optarg); break;
		case 'j': o.json = true; break;
		case 'n': o.rounds = number(optarg); break;
		case 't': o.tpm = optarg; break;
		case 's': o.software_key = true; break;
		case 'r': o.replace = true; break;
		case 'w': o.seconds = number(optarg); break;
		default: return usage();
		}
	}
	argc -= optind;
	argv += optind;
	umask(022);
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return run_list(&o, NULL, NULL);
	if (argc == 1 && strcmp(argv[0], "top") == 0)
		return run_top(&o);
	if (argc == 2 && strcmp(argv[0], "show") == 0)
		return run_show(&o, argv[1]);
	if (o.json)
		results_as_json();
	r = run_one(argc, argv, &o);
	if (results_any() || r == EXIT_FINE)
		results_end();
	return r;
}

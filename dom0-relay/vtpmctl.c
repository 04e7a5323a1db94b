/* vtpmctl: what an administrator asks vtpm-relayd. */
#include <getopt.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "common/secret.h"
#include "common/token.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/doctor.h"
#include "dom0-relay/enroll.h"
#include "dom0-relay/list.h"
#include "dom0-relay/order.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/show.h"
#include "dom0-relay/state_export.h"
#include "dom0-relay/stub_image.h"
#include "dom0-relay/top.h"

#define PATH_BYTES 1024
#define WAIT_S 60

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
		r = list_run(conf.control, o->json);
	else if (uuid_parse(text, &uuid) == 0 && list_is_state(state))
		r = list_wait(conf.control, uuid_format(&uuid, uuid_text), state, o->seconds ? o->seconds : WAIT_S);
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
	r = order_renew(conf.control, o->seconds ? o->seconds : WAIT_S);
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
	r = text ? order_prepare(conf.control, &uuid, name, o->seconds ? o->seconds : WAIT_S) : order_unprepare(conf.control, name);
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

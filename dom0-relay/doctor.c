/*
 * vtpmctl doctor.
 *
 * It looks, and changes nothing. Each check says what it found in one line, the remedy included.
 */
#include "dom0-relay/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/checkup.h"
#include "common/error.h"
#include "dom0-relay/ctlask.h"
#include "dom0-relay/identity.h"
#include "dom0-relay/kmcvchan.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/xenstore.h"

#define TEXT_MAX (64 * 1024)
#define CONNECT_MS 3000
#define STATE_MIB 64
#define SEEN_MAX 256 /* vTPMs in configurations, to find one that stands in two */

static const char *const renew_early = "vtpm-relayd should have renewed it by itself: 'vtpmctl renew' says why it has not";
static const char *const enroll_again = "at the KMC 'kmcctl host remove NAME' if it is known there, then 'kmcctl host add NAME'; its token is for 'vtpmctl enroll TOKEN --replace' here";

/* --- guests' configurations --- */

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* One quoted string of the list: "backend=0,uuid=...". */
static void take_line(const char *p, size_t n, struct vtpm_lines *lines)
{
	const char *end = p + n, *uuid;

	for (uuid = p; uuid + 5 <= end && strncmp(uuid, "uuid=", 5) != 0; uuid++)
		;
	if (uuid + 5 + VTPM_UUID_TEXT - 1 > end) {
		lines->without_uuid++;
	} else if (lines->n < VTPM_LINES_MAX) {
		for (size_t i = 0; i < VTPM_UUID_TEXT - 1; i++)
			lines->uuid[lines->n][i] = (char)tolower((unsigned char)uuid[5 + i]);
		lines->uuid[lines->n++][VTPM_UUID_TEXT - 1] = '\0';
	}
}

/* From behind the "=" to the closing bracket. */
static const char *take_list(const char *p, struct vtpm_lines *lines)
{
	while (*p && *p != ']') {
		const char *end;

		if (*p == '#') {
			p += strcspn(p, "\n");
		} else if (*p == '\'' || *p == '"') {
			end = strchr(p + 1, *p);
			if (!end)
				return p + strlen(p);
			take_line(p + 1, (size_t)(end - p - 1), lines);
			p = end + 1;
		} else {
			p++;
		}
	}
	return p;
}

void doctor_vtpm_lines(const char *text, struct vtpm_lines *lines)
{
	memset(lines, 0, sizeof(*lines));
	for (const char *p = text; *p; p += *p == '\n') {
		p = skip_space(p);
		if (strncmp(p, "vtpm", 4) == 0 && *skip_space(p + 4) == '=')
			p = take_list(skip_space(p + 4) + 1, lines);
		p += strcspn(p, "\n");
	}
}

bool doctor_autoballoon(const char *xl_conf, const char *xen_cmdline)
{
	bool by_itself = !strstr(xen_cmdline, "dom0_mem="), on = by_itself;

	for (const char *p = xl_conf; *p; p += *p == '\n') {
		p = skip_space(p);
		if (strncmp(p, "autoballoon", 11) == 0 && *skip_space(p + 11) == '=') {
			p = skip_space(skip_space(p + 11) + 1);
			p += *p == '"' || *p == '\'';
			on = strncmp(p, "on", 2) == 0 || *p == '1' || (strncmp(p, "auto", 4) == 0 && by_itself);
		}
		p += strcspn(p, "\n");
	}
	return on;
}

/* @path's text, to be freed; "" if it can't be read. */
static char *text_of(const char *path)
{
	char *text = calloc(1, TEXT_MAX + 1);
	FILE *f = fopen(path, "re");

	if (text && f)
		text[fread(text, 1, TEXT_MAX, f)] = '\0';
	if (f)
		fclose(f);
	return text;
}

struct seen {
	size_t n;
	struct {
		char uuid[VTPM_UUID_TEXT], file[512];
	} vtpm[SEEN_MAX];
};

static void check_twice(struct checkup *c, struct seen *seen, const char *uuid, const char *file)
{
	for (size_t i = 0; i < seen->n; i++)
		if (strcmp(seen->vtpm[i].uuid, uuid) == 0) {
			checkup_say(c, FINDING_WRONG, "guests: vTPM %s stands in %s and in %s: only one of them can run; give each a UUID of its own (uuidgen)",
				    uuid, seen->vtpm[i].file, file);
			return;
		}
	if (seen->n == SEEN_MAX)
		return;
	snprintf(seen->vtpm[seen->n].uuid, VTPM_UUID_TEXT, "%s", uuid);
	snprintf(seen->vtpm[seen->n++].file, sizeof(seen->vtpm[0].file), "%s", file);
}

static void check_guest(struct checkup *c, struct seen *seen, const char *path)
{
	struct vtpm_lines lines;
	char *text = text_of(path);

	if (!text)
		return;
	doctor_vtpm_lines(text, &lines);
	free(text);
	if (lines.without_uuid)
		checkup_say(c, FINDING_WRONG, "guests: a vtpm line in %s has no uuid=: each start makes a new, empty TPM; add uuid=$(uuidgen) to it", path);
	for (size_t i = 0; i < lines.n; i++)
		check_twice(c, seen, lines.uuid[i], path);
}

static void check_guests(struct checkup *c, const char *directory)
{
	static struct seen seen;
	unsigned int before = c->wrong;
	const struct dirent *entry;
	char path[512];
	DIR *d = opendir(directory);

	seen.n = 0;
	while (d && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);

		if (n > 4 && strcmp(entry->d_name + n - 4, ".cfg") == 0 &&
		    snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path))
			check_guest(c, &seen, path);
	}
	if (d)
		closedir(d);
	if (c->wrong == before)
		checkup_say(c, FINDING_OK, "guests: %zu vTPMs in %s/*.cfg, each with a UUID of its own", seen.n, directory);
}

/* --- Xen --- */

/* The first line of a command's output, "" if it fails. */
static void ask_command(const char *command, char *line, int size)
{
	FILE *p = popen(command, "re"); /* NOLINT(cert-env33-c): constants of this file only */

	if (!p || !fgets(line, size, p))
		line[0] = '\0';
	if (p)
		pclose(p);
}

static void check_xen(struct checkup *c)
{
	char *capabilities = text_of("/proc/xen/capabilities"), *xl_conf = text_of("/etc/xen/xl.conf");
	char cmdline[4096];
	bool dom0 = capabilities && strstr(capabilities, "control_d");

	if (!dom0)
		checkup_say(c, FINDING_WRONG, "this is no dom0: /proc/xen/capabilities does not say control_d; boot the entry with Xen, and see that /proc/xen is mounted");
	else
		checkup_say(c, FINDING_OK, "this is dom0 of a Xen host");
	ask_command("xl info xen_commandline 2>/dev/null", cmdline, sizeof(cmdline));
	if (dom0 && xl_conf && doctor_autoballoon(xl_conf, cmdline))
		checkup_say(c, FINDING_WRONG, "memory: xl takes it from dom0 guest by guest, and stub domains may find none free: boot Xen with dom0_mem=4G,max:4G (or so), and set autoballoon=\"off\" in /etc/xen/xl.conf");
	else if (dom0)
		checkup_say(c, FINDING_OK, "memory: dom0 has a fixed size");
	free(capabilities);
	free(xl_conf);
}

/* --- the KMC --- */

static int connect_in_time(const struct addrinfo *a)
{
	struct pollfd p = {.fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .events = POLLOUT};
	int e = 0, n;
	socklen_t size = sizeof(e);

	if (p.fd < 0)
		return errno;
	if (connect(p.fd, a->ai_addr, a->ai_addrlen) != 0 && errno == EINPROGRESS) {
		n = poll(&p, 1, CONNECT_MS);
		if (n == 0)
			e = ETIMEDOUT;
		else if (n < 0 || getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &e, &size) != 0)
			e = errno;
	} else {
		e = errno;
	}
	close(p.fd);
	return e;
}

/* An offer is looked at and not taken. */
static bool check_vchan(struct checkup *c, const struct kmc_address *address, enum finding wrong)
{
	struct xenstore *x = xenstore_open(NULL, NULL, NULL);
	char why[KMCVCHAN_WHY] = "can't open xenstore: is this dom0, booted under Xen?";
	bool ok = x && kmcvchan_look(x, address, why) == 0;

	if (ok)
		checkup_say(c, FINDING_OK, "KMC: %s can be reached", address->text);
	else
		checkup_say(c, wrong, "KMC: can't connect to %s: %s", address->text, why);
	xenstore_close(&x);
	return ok;
}

/* @wrong: what to call it if it can't be reached. Return: whether it can. */
static bool check_address(struct checkup *c, const struct kmc_address *address, enum finding wrong)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int e;

	if (address->domain[0])
		return check_vchan(c, address, wrong);
	e = getaddrinfo(address->host, address->port, &hints, &list);
	if (e != 0) {
		checkup_say(c, wrong, "KMC: the name %s can't be resolved: %s; add it to the DNS or to /etc/hosts", address->host,
			    gai_strerror(e));
		return false;
	}
	e = ECONNREFUSED;
	for (const struct addrinfo *a = list; a && e != 0; a = a->ai_next)
		e = connect_in_time(a);
	freeaddrinfo(list);
	if (e == 0)
		checkup_say(c, FINDING_OK, "KMC: %s can be reached", address->text);
	else
		checkup_say(c, wrong, "KMC: can't connect to %s: %s; is kmcd running there, and does a firewall let port %s through?",
			    address->text, strerror(e), address->port);
	return e == 0;
}

/* One of several is enough to go on. */
static void check_addresses(struct checkup *c, const char *list)
{
	struct kmc_address address;
	bool several = relayconf_address(list, 1, &address) == 0, any = false;

	for (unsigned int n = 0; relayconf_address(list, n, &address) == 0; n++)
		any |= check_address(c, &address, several ? FINDING_NOTE : FINDING_WRONG);
	if (several && !any)
		checkup_say(c, FINDING_WRONG, "KMC: none of its addresses can be reached: guests that start now get no vTPM, or as 'grace' says");
}

/* --- the relay --- */

static void on_status(void *arg, const struct ctl_status *s)
{
	struct checkup *c = arg;

	if (s->kmc_up)
		checkup_say(c, FINDING_OK, "vtpm-relayd: connected to the KMC");
	else
		checkup_say(c, FINDING_WRONG, "vtpm-relayd: not connected to the KMC: %.*s", (int)s->kmc.n, (const char *)s->kmc.p);
	if (s->renew_failed.p)
		checkup_say(c, FINDING_NOTE, "vtpm-relayd: this host's certificate could not be renewed: %.*s; it is tried again, and by 'vtpmctl renew' at once",
			    (int)s->renew_failed.n, (const char *)s->renew_failed.p);
	if (s->spares_ready < s->spares_wanted)
		checkup_say(c, FINDING_NOTE, "vtpm-relayd: %u of %u spare stub domains are ready; if it stays so, 'xl info free_memory' may be too low",
			    (unsigned int)s->spares_ready, (unsigned int)s->spares_wanted);
}

static void on_entry(void *arg, const struct ctl_entry *e)
{
	char uuid[UUID_TEXT];

	if (e->reason.p)
		checkup_say(arg, FINDING_NOTE, "domain %u, vTPM %s, %.*s: %.*s", (unsigned int)e->guest, uuid_format(&e->uuid, uuid), (int)e->state.n,
			    (const char *)e->state.p, (int)e->reason.n, (const char *)e->reason.p);
}

static void check_relay(struct checkup *c, const char *control)
{
	static const struct ctlask_ops ops = {.status = on_status, .entry = on_entry};
	int fd = ctlask_connect(control), r;

	if (fd < 0) {
		checkup_say(c, FINDING_WRONG, "vtpm-relayd does not answer at %s: %s; 'systemctl start vtpm-relayd', then 'journalctl -u vtpm-relayd'", control,
			    fd == E_IO ? strerror(errno) : error_text(fd));
		return;
	}
	r = ctlask(fd, CTL_LIST, NULL, &ops, c);
	close(fd);
	if (r != 0)
		checkup_say(c, FINDING_WRONG, "vtpm-relayd at %s: %s; restart it, running guests keep their vTPMs", control, error_text(r));
}

/* Those that the KMC gave since the enrolment. */
static void check_authorities(struct checkup *c, const struct identity *id)
{
	int64_t last = 0;

	for (unsigned int i = 0; i < id->n_cas; i++) {
		struct certinfo info;

		if (certinfo_of(view_of(id->cas[i].bytes, id->cas[i].size), &info) == 0 && info.until > last)
			last = info.until;
	}
	if (last > (int64_t)time(NULL))
		checkup_say(c, FINDING_OK, "the KMC's authority: %u in %s", id->n_cas, id->ca_path);
	else
		checkup_say(c, FINDING_WRONG, "the KMC's authority: what %s trusts has expired; %s", id->ca_path, enroll_again);
}

/* The certificate, and its key where that is a file. */
static void check_key(struct checkup *c, const struct relayconf *conf)
{
	bool in_tpm = relayconf_key_in_tpm(conf);
	static struct identity id;
	char why[IDENTITY_WHY];
	bool known = identity_read(&id, conf, why) == 0;

	if (known && id.kept)
		check_authorities(c, &id);
	else
		checkup_certificate(c, "the KMC's authority", conf->tls_ca, NULL, enroll_again, enroll_again);
	checkup_certificate(c, "this host", known ? id.path : conf->tls_certificate, in_tpm ? NULL : conf->tls_key, enroll_again, renew_early);
	if (in_tpm)
		return;
	checkup_private(c, "this host's key", conf->tls_key);
	checkup_say(c, FINDING_NOTE, "this host's key %s is a file (insecure-software-key): write 'key = tpm' into relay.conf, then %s, for one in the TPM",
		    conf->tls_key, enroll_again);
}

/* What systemd starts at boot; other systems have other ways. */
static void check_unit(struct checkup *c)
{
	if (access("/run/systemd/system", F_OK) != 0)
		return;
	if (access("/etc/systemd/system/multi-user.target.wants/vtpm-relayd.service", F_OK) != 0)
		checkup_say(c, FINDING_WRONG, "vtpm-relayd does not start at boot: 'systemctl enable vtpm-relayd'");
	else
		checkup_say(c, FINDING_OK, "vtpm-relayd starts at boot");
}

int doctor_run(const char *path)
{
	struct checkup c = {0};
	struct relayconf conf;
	char why[CONFIG_WHY];

	check_xen(&c);
	if (relayconf_read(path ? path : RELAY_CONF, &conf, why) != 0) {
		checkup_say(&c, FINDING_WRONG, "configuration: %s; 'vtpmctl enroll' writes the file for a new host", why);
		return checkup_end(&c);
	}
	checkup_say(&c, FINDING_OK, "configuration: %s can be read", path ? path : RELAY_CONF);
	checkup_file(&c, "stub domains", conf.stub_kernel, "install the package anew, or correct 'kernel'");
	checkup_file(&c, "stub domains", conf.stub_initramfs, "install the package anew, or correct 'initramfs'");
	checkup_user(&c, conf.user);
	checkup_tpm(&c, conf.tpm);
	check_key(&c, &conf);
	check_addresses(&c, conf.kmc_address);
	check_relay(&c, conf.control);
	check_unit(&c);
	checkup_space(&c, conf.state_directory, STATE_MIB);
	check_guests(&c, "/etc/xen");
	relayconf_free(&conf);
	return checkup_end(&c);
}

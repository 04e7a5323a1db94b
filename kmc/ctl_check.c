/* kmcctl status --check: it looks at files, certificates, TPM and hosts, and changes nothing. */
#include "kmc/ctl_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/certinfo.h"
#include "common/checkup.h"
#include "kmc/address.h"
#include "kmc/ctl_client.h"
#include "kmc/kmcconf.h"
#include "kmc/store.h"

#define STATE_MIB 256
#define DAY 86400
#define AUTHORITY_SOON (14 * DAY) /* then checkup_certificate() says it */

static const char *const new_server = "'kmcctl server renew' makes a new one, 'systemctl restart kmcd' uses it";
static const char *const new_authority = "it can't be renewed any more without a new enrolment of every host: see docs/operate.md";

static const char *const early_authority = "'kmcctl ca renew' begins to replace it, and hosts need time for that: see docs/operate.md";

static void check_state(struct checkup *c, const struct kmcconf *conf)
{
	char path[KMCCONF_PATH];

	if (!checkup_file(c, "the vault's keys", kmcconf_path(conf, "vault", path), "run 'kmcctl init', or bring back the backup of the state directory"))
		return;
	checkup_private(c, "the server's key", conf->tls_key);
	if (access(kmcconf_path(conf, "authority.key", path), F_OK) == 0)
		checkup_say(c, FINDING_NOTE, "%s is still on this machine: whoever has it can authorise a copy of the seed key; move it to a safe place elsewhere", path);
	if (conf->store_engine == STORE_ENGINE_SQLITE && checkup_file(c, "database", conf->database, "bring back the backup of the state directory"))
		checkup_private(c, "database", conf->database);
	checkup_space(c, conf->state, STATE_MIB);
}

/* Whether hosts were told another name than the one that this machine calls itself is not ours to judge; a name without a dot is. */
static void check_address(struct checkup *c, const struct kmcconf *conf)
{
	char host[ADDRESS_HOST];

	if (kmcconf_own_host(conf, host) != 0)
		return;
	if (strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0)
		checkup_say(c, FINDING_NOTE, "hosts are told to connect to %s: only this machine can; set 'address' in kmc.conf before hosts are added", conf->address);
	else
		checkup_say(c, FINDING_OK, "hosts are told to connect to %s", conf->address);
}

struct hosts {
	struct checkup *c;
	char last[KMC_NAME_MAX + 1]; /* name */
	unsigned int n, page;
};

static void check_host(struct hosts *h, const struct adm_host *m)
{
	int64_t left = (int64_t)m->expires_at - (int64_t)time(NULL);

	if (m->removed)
		return;
	h->n++;
	if (m->failed)
		checkup_say(h->c, FINDING_WRONG, "host '%s' failed its attestation: %.*s; if the change was yours: 'kmcctl policy accept %s'", h->last,
			    (int)m->reason.n, m->reason.p ? (const char *)m->reason.p : "", h->last);
	if (left < 0)
		checkup_say(h->c, FINDING_WRONG, "host '%s': its certificate has expired: enrol it anew, 'kmcctl host remove %s' and then 'kmcctl host add %s'", h->last,
			    h->last, h->last);
	else if (m->overdue)
		checkup_say(h->c, FINDING_NOTE, "host '%s': its certificate expires in %d days, and it has not renewed it: is its vtpm-relayd running, connected and attested? 'vtpmctl renew' on that host says why not",
			    h->last, (int)(left / DAY));
}

static bool on_host(void *arg, uint64_t type, const void *fields)
{
	const struct adm_host *m = fields;
	struct hosts *h = arg;

	if (type != ADM_HOST)
		return false;
	h->page++;
	snprintf(h->last, sizeof(h->last), "%.*s", (int)m->name.n, (const char *)m->name.p);
	check_host(h, m);
	return true;
}

static void check_hosts(struct checkup *c, struct ctl_client *client)
{
	struct hosts h = {.c = c};
	struct adm_list page = {.after = {0}};

	do {
		h.page = 0;
		if (ctl_ask(client, ADM_HOST_LIST, &page, on_host, &h) != EXIT_FINE)
			return;
		page.after = view_text(h.last);
	} while (h.page == ADM_PAGE);
	checkup_say(c, h.n ? FINDING_OK : FINDING_NOTE, "%u hosts may connect%s", h.n, h.n ? "" : ": 'kmcctl host add NAME' adds one");
}

/* Certificates that it signs end with it, and hosts must have learnt the next one by then. */
static void check_authority(struct checkup *c, const struct kmcconf *conf)
{
	struct certinfo info;
	int64_t left = certinfo_read(conf->tls_ca, NULL, &info) == 0 ? info.until - (int64_t)time(NULL) : 0;

	if (left > AUTHORITY_SOON && left < (int64_t)conf->host_lifetime_s)
		checkup_say(c, FINDING_NOTE, "authority: its %d days are less than a host's certificate is to last; %s", (int)(left / DAY), early_authority);
}

/* A change that is under way should come to its end. */
static bool on_authority(void *arg, uint64_t type, const void *fields)
{
	const struct adm_ca *m = fields;

	if (type != ADM_CA)
		return false;
	if (m->state == AUTHORITY_NEXT)
		checkup_say(arg, FINDING_NOTE, "authority %u is to follow, and %u hosts do not trust it yet: 'kmcctl ca status', then 'kmcctl ca switch'", (unsigned int)m->number,
			    (unsigned int)m->waiting);
	else if (m->state == AUTHORITY_FORMER)
		checkup_say(arg, FINDING_NOTE, "authority %u is still trusted, and %u hosts and KMCs use certificates by it: 'kmcctl ca status', then 'kmcctl ca retire'",
			    (unsigned int)m->number, (unsigned int)m->waiting);
	return true;
}

int ctl_check(const struct kmcconf *conf, struct ctl_client *client)
{
	struct checkup c = {0};

	checkup_user(&c, conf->user);
	check_state(&c, conf);
	checkup_tpm(&c, conf->tpm);
	checkup_certificate(&c, "server", conf->tls_certificate, conf->tls_key, new_server, new_server);
	checkup_certificate(&c, "authority", conf->tls_ca, NULL, new_authority, early_authority);
	check_authority(&c, conf);
	check_address(&c, conf);
	if (client) {
		check_hosts(&c, client);
		ctl_ask(client, ADM_CA_LIST, NULL, on_authority, &c);
	} else {
		checkup_say(&c, FINDING_WRONG, "kmcd does not answer: 'systemctl start kmcd', then 'journalctl -u kmcd'");
	}
	return checkup_end(&c) == 0 ? EXIT_FINE : EXIT_ERROR;
}

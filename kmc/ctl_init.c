/* kmcctl init. */
#include "kmc/ctl_init.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "common/process.h"
#include "kmc/cleanheap.h"
#include "kmc/ctl_client.h"
#include "kmc/keyring.h"
#include "kmc/store_open.h"

#define DAY 86400
#define CA_DAYS 7300
#define BACKDATE 300 /* seconds: clocks of hosts may be behind */
#define LOCKED_MEMORY (16u << 20)

static const char *const directories[] = {"vault", "db", "empty"};
/* Deepest first, the way they are removed after a failure. */
static const char *const files[] = {"vault/parent.tpm", "vault/seed.tpm", "vault/wrapping.tpm", "vault/ca.key", "db/kmc.db", "db/kmc.db-wal",
				    "db/kmc.db-shm",
				    "ca.crt", "vault/audit.key", "audit.pub", "recovery.kmc", "server.crt", "server.key", "authority.key"};

struct init {
	const struct kmcconf *conf;
	const char *names;
	const struct recovery_options *recovery;
	int64_t now, server_until;
	struct keyring keyring;
	char why[KEYRING_WHY];
};

static void step(const char *what)
{
	results_tell("%s\n", what);
	fflush(stdout);
}

static int fail(struct init *i, int r, const char *what, const char *path)
{
	snprintf(i->why, sizeof(i->why), "can't %s %s: %s", what, path, r == E_IO ? strerror(errno) : error_text(r));
	return r;
}

/* Those that replaced the first; there are such in a backup or a package. */
static void remove_wrapping(const struct kmcconf *conf)
{
	const struct dirent *entry;
	char path[KMCCONF_PATH];
	DIR *dir = opendir(kmcconf_path(conf, "vault", path));

	while (dir && (entry = readdir(dir)))
		if (keyring_wrapping_number(entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

void ctl_init_remove(const struct kmcconf *conf)
{
	char path[KMCCONF_PATH];

	for (size_t n = 0; n < sizeof(files) / sizeof(files[0]); n++)
		unlink(kmcconf_path(conf, files[n], path));
	remove_wrapping(conf);
	for (size_t n = 0; n < sizeof(directories) / sizeof(directories[0]); n++)
		rmdir(kmcconf_path(conf, directories[n], path));
	rmdir(conf->state);
}

int ctl_init_refuse_old(const struct kmcconf *conf)
{
	char path[KMCCONF_PATH];

	for (size_t n = 0; n < sizeof(files) / sizeof(files[0]); n++) {
		if (access(kmcconf_path(conf, files[n], path), F_OK) != 0)
			continue;
		ctl_say("there is a KMC already: %s exists. Its keys can't be made a second time; to begin anew, move %s away first", path, conf->state);
		return EXIT_EXISTS;
	}
	return EXIT_FINE;
}

/* kmcd's processes run as this user and must pass through the state directory. */
static int find_user(struct init *i, uid_t *uid, gid_t *gid)
{
	const struct passwd *user = getpwnam(i->conf->user);

	*uid = geteuid();
	*gid = getegid();
	if (!process_is_root())
		return 0;
	if (!user) {
		snprintf(i->why, sizeof(i->why), "there is no user '%s': create it with 'adduser --system --group %s'",
			 i->conf->user, i->conf->user);
		return E_NOTFOUND;
	}
	*uid = user->pw_uid;
	*gid = user->pw_gid;
	return 0;
}

static int make_directory(struct init *i, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	if ((mkdir(path, mode) != 0 && errno != EEXIST) || chmod(path, mode) != 0 ||
	    (process_is_root() && chown(path, uid, gid) != 0))
		return fail(i, E_IO, "make the directory", path);
	return 0;
}

static int make_directories(struct init *i)
{
	char path[KMCCONF_PATH];
	uid_t uid;
	gid_t gid;
	int r;

	step("making the state directory");
	if ((r = find_user(i, &uid, &gid)) != 0 || (r = make_directory(i, i->conf->state, 0711, 0, 0)) != 0 ||
	    (r = make_directory(i, kmcconf_path(i->conf, "vault", path), 0700, 0, 0)) != 0 ||
	    (r = make_directory(i, kmcconf_path(i->conf, "empty", path), 0755, 0, 0)) != 0)
		return r;
	return make_directory(i, kmcconf_path(i->conf, "db", path), 0700, uid, gid);
}

static int make_tpm_keys(struct init *i)
{
	struct kmctpm_authority authority;
	struct x509_key *key = NULL;
	char path[KMCCONF_PATH];
	int r;

	step("making the authority that may authorise copies of the seed key (authority.key)");
	kmcconf_path(i->conf, "authority.key", path);
	if ((r = ca_key_make(&key)) != 0 || (r = ca_key_point(key, authority.x, authority.y)) != 0 ||
	    (r = ca_key_write(key, path)) != 0) {
		ca_key_free(&key);
		return fail(i, r, "make", path);
	}
	step("making the seed key in the TPM, and a wrapping key sealed by it");
	r = keyring_make_tpm_keys(&i->keyring, i->conf, &authority, i->why);
	if (r == 0 && i->recovery->shares) {
		results_tell("making a recovery key in %u shares, of which %u are needed\n", i->recovery->shares, i->recovery->needed);
		r = recovery_make(i->conf, &i->keyring, key, i->recovery, i->why);
	}
	ca_key_free(&key);
	return r;
}

static int make_ca(struct init *i)
{
	step("making the CA");
	return keyring_make_ca(&i->keyring, i->conf, i->now - BACKDATE, i->now + (int64_t)CA_DAYS * DAY, i->why);
}

static int make_audit_key(struct init *i)
{
	step("making the audit trail's key (audit.pub is for those who check)");
	return keyring_make_audit_key(&i->keyring, i->conf, i->why);
}

static int make_server(struct init *i)
{
	const struct ca_profile profile = {
		.kind = CA_SERVER, .name = i->conf->name, .alt_names = i->names, .not_before = i->now - BACKDATE,
		.not_after = i->server_until};
	uint8_t spki[CA_SPKI_MAX];
	struct x509_key *key = NULL;
	struct ca_cert cert;
	int n, r;

	results_tell("making the server's certificate for: %s\n", i->names);
	if ((r = ca_key_make(&key)) != 0 || (n = ca_key_public(key, spki)) < 0) {
		snprintf(i->why, sizeof(i->why), "can't make the server's key");
		r = E_CRYPTO;
	} else {
		r = ca_issue(i->keyring.ca_key, &i->keyring.ca, &profile, view_of(spki, (size_t)n), &cert, i->why);
	}
	if (r == 0 && (r = ca_key_write(key, i->conf->tls_key)) != 0)
		fail(i, r, "write", i->conf->tls_key);
	if (r == 0 && (r = ca_cert_write(&cert, i->conf->tls_certificate)) != 0)
		fail(i, r, "write", i->conf->tls_certificate);
	ca_key_free(&key);
	return r;
}

static int make_database(struct init *i)
{
	const struct store_pool pool = {.name = "default"};
	bool is_file = i->conf->store_engine == STORE_ENGINE_SQLITE;
	struct store *s;
	uid_t uid;
	gid_t gid;
	int r = find_user(i, &uid, &gid);

	step("making the database");
	/* a PostgreSQL server on this machine may go by who connects: kmcd's user */
	if (r == 0 && !is_file && seteuid(uid) != 0)
		r = fail(i, E_IO, "become", i->conf->user);
	if (r == 0 && (r = store_open(&s, i->conf, true, i->why)) == 0) {
		r = s->ops->pool_put(s, &pool);
		if (r != 0)
			snprintf(i->why, sizeof(i->why), "%s", s->why);
		s->ops->close(s);
	}
	if (!is_file && seteuid(getuid()) != 0)
		return fail(i, E_IO, "be root again after", "that");
	if (r == 0 && is_file && process_is_root() && chown(i->conf->database, uid, gid) != 0)
		r = fail(i, E_IO, "give away", i->conf->database);
	return r;
}

int ctl_init_machine(const struct kmcconf *conf, char why[KEYRING_WHY])
{
	struct init i = {.conf = conf};
	int r = make_directories(&i);

	memcpy(why, i.why, sizeof(i.why));
	return r;
}

int ctl_init_server(const struct kmcconf *conf, const char *names, unsigned int days, const struct keyring *keyring, char why[KEYRING_WHY])
{
	struct init i = {.conf = conf, .now = (int64_t)time(NULL), .keyring = *keyring};
	char fallback[ADDRESS_HOST];
	int r = names ? 0 : kmcconf_own_host(conf, fallback);

	snprintf(i.why, sizeof(i.why), "'address' in the configuration names no host");
	i.names = names ? names : fallback;
	i.server_until = i.now + (int64_t)days * DAY;
	if (r == 0)
		r = make_server(&i);
	memcpy(why, i.why, sizeof(i.why));
	return r;
}

int ctl_init(const struct kmcconf *conf, const char *names, unsigned int days, const struct recovery_options *recovery)
{
	struct init i = {.conf = conf, .recovery = recovery, .now = (int64_t)time(NULL), .keyring = {.tcti = conf->tpm}};
	char fallback[ADDRESS_HOST];
	int r = ctl_init_refuse_old(conf);

	if (r != EXIT_FINE)
		return r;
	if (process_is_root())
		process_lock_memory(LOCKED_MEMORY);
	cleanheap_use();
	if (!names && kmcconf_own_host(conf, fallback) != 0) {
		ctl_say("'address' in the configuration names no host");
		return EXIT_ERROR;
	}
	i.names = names ? names : fallback;
	i.server_until = i.now + (int64_t)days * DAY;
	if ((r = make_directories(&i)) != 0 || (r = make_tpm_keys(&i)) != 0 || (r = make_ca(&i)) != 0 ||
	    (r = make_audit_key(&i)) != 0 || (r = make_server(&i)) != 0 ||
	    (r = make_database(&i)) != 0) {
		ctl_say("%s", i.why);
		ctl_init_remove(conf);
	}
	keyring_close(&i.keyring);
	if (r != 0)
		return EXIT_ERROR;
	results_tell("done: start kmcd, then 'kmcctl host add NAME'. Move %s/authority.key to a safe place off this machine:\n"
	       "whoever has it can authorise a copy of the seed key; nothing here needs it from day to day.\n", conf->state);
	if (recovery->shares)
		results_tell("The shares are in %s: give each to another person, and remove them here. Any %u of them and a backup bring up a\n"
		       "new machine, and are an authority too: who has them has the keys.\n", recovery->dir, recovery->needed);
	return EXIT_FINE;
}

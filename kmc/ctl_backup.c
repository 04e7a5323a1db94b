/* kmcctl backup and recover. */
#include "kmc/ctl_backup.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/results.h"
#include "common/process.h"
#include "common/secret.h"
#include "kmc/auditlog.h"
#include "kmc/cleanheap.h"
#include "kmc/ctl_client.h"
#include "kmc/ctl_init.h"
#include "kmc/ctl_recovery.h"
#include "kmc/keyfile.h"
#include "kmc/store_copy.h"
#include "kmc/store_open.h"

#define LOCKED_MEMORY (16u << 20)
#define PATH_BYTES 1024

static int say(const char *why)
{
	ctl_say("%s", why);
	return EXIT_ERROR;
}

static const char *in(const char *dir, const char *name, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/%s", dir, name);
	return path;
}

/* A small file into a new one. */
static int copy_file(const char *from, const char *to, char why[KEYFILE_WHY])
{
	uint8_t bytes[KEYFILE_BYTES_MAX * 4];
	FILE *f = fopen(from, "re");
	size_t n = f ? fread(bytes, 1, sizeof(bytes), f) : 0;

	if (f)
		fclose(f);
	if (n && n < sizeof(bytes))
		return keyfile_put(to, view_of(bytes, n), why);
	snprintf(why, KEYFILE_WHY, "can't read %.300s: %s", from, n ? "it is too large" : strerror(errno));
	return E_IO;
}

/* As kmcd's user: files that the database makes must be its, and a PostgreSQL server may go by who connects. */
static int open_as_user(struct store **s, const struct kmcconf *conf, bool create, char why[KEYFILE_WHY])
{
	const struct passwd *user = process_is_root() ? getpwnam(conf->user) : NULL;
	int r;

	if (user && (setegid(user->pw_gid) != 0 || seteuid(user->pw_uid) != 0)) {
		snprintf(why, KEYFILE_WHY, "can't become '%s': %s", conf->user, strerror(errno));
		return E_IO;
	}
	r = store_open(s, conf, create, why);
	if (user && (seteuid(getuid()) != 0 || setegid(getgid()) != 0)) {
		snprintf(why, KEYFILE_WHY, "can't be root again: %s", strerror(errno));
		r = E_IO;
	}
	return r;
}

static int backup_database(const struct kmcconf *conf, const char *out, char why[KEYFILE_WHY])
{
	struct store *from = NULL, *to = NULL;
	char path[PATH_BYTES];
	int r = open_as_user(&from, conf, false, why);

	if (r == 0 && (r = store_sqlite_open(&to, in(out, "kmc.db", path), true, why)) == 0)
		r = store_copy(from, to, why);
	if (to)
		to->ops->close(to);
	if (from)
		from->ops->close(from);
	return r;
}

static int backup_keys(const struct kmcconf *conf, const char *out, char why[KEYFILE_WHY])
{
	char path[PATH_BYTES], parent[KMCCONF_PATH];
	struct keyfile f;
	int r = keyfile_new(&f, in(out, "keys.kmc", path));

	if (r == 0 && (r = keyfile_add_machine(&f, conf->state, why)) == 0)
		r = keyfile_write(&f, why);
	keyfile_free(&f);
	return r != 0 ? r : copy_file(kmcconf_path(conf, "vault/parent.tpm", parent), in(out, "parent.tpm", path), why);
}

static void remove_backup(const char *out)
{
	static const char *const names[] = {"kmc.db", "kmc.db-wal", "kmc.db-shm", "keys.kmc", "parent.tpm", "kmc.conf"};
	char path[PATH_BYTES];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in(out, names[i], path));
	rmdir(out);
}

int ctl_backup(const struct kmcconf *conf, const char *config, const char *out)
{
	char why[KEYFILE_WHY], path[PATH_BYTES], recovery[KMCCONF_PATH];
	struct stat st;
	int r;

	if (mkdir(out, 0700) != 0) {
		ctl_say("can't make the directory %s: %s", out, strerror(errno));
		return errno == EEXIST ? EXIT_EXISTS : EXIT_ERROR;
	}
	/* keys first: what the database has of later ones, it has itself */
	if ((r = backup_keys(conf, out, why)) != 0 || (r = backup_database(conf, out, why)) != 0 ||
	    (r = copy_file(config, in(out, "kmc.conf", path), why)) != 0) {
		remove_backup(out);
		return say(why);
	}
	if (stat(in(out, "kmc.db", path), &st) == 0)
		results_tell("wrote %s: the database as of now (%" PRIu64 " KiB), and the keys, encrypted\n", out, (uint64_t)st.st_size / 1024);
	results_text("directory", out);
	if (access(kmcconf_path(conf, "recovery.kmc", recovery), F_OK) != 0)
		results_tell("there is no recovery key: this backup is good for this machine's TPM, and for no other\n");
	return EXIT_FINE;
}

/* --- recovery --- */

static int restore_files(const struct kmcconf *conf, const char *backup, char why[KEYFILE_WHY])
{
	char name[KEYFILE_NAME_MAX + 1], path[PATH_BYTES], to[PATH_BYTES];
	struct keyfile_file m;
	struct keyfile f;
	int r = keyfile_read(&f, in(backup, "keys.kmc", path), why);

	if (r != 0)
		return r;
	while (r == 0 && keyfile_left(&f)) {
		if ((r = keyfile_next(&f, KEYFILE_FILE, &m, why)) != 0)
			break;
		if (view_copy_text(m.name, name, sizeof(name)) != 0 || !keyfile_is_name(name)) {
			snprintf(why, KEYFILE_WHY, "%.300s has a file that does not belong there", path);
			r = E_FORMAT;
		} else {
			r = keyfile_put(in(conf->state, name, to), m.bytes, why);
		}
		if (r == 0 && strncmp(name, "vault/", 6) != 0 && chmod(to, 0644) != 0)
			r = E_IO;
	}
	keyfile_free(&f);
	return r;
}

static int restore_parent(const struct kmcconf *conf, const struct ctl_recover_options *o, char why[KEYFILE_WHY])
{
	char path[KMCCONF_PATH], from[PATH_BYTES];
	struct kmctpm_blob parent;
	int r;

	kmcconf_path(conf, "vault/parent.tpm", path);
	if (!o->n_shares)
		return copy_file(in(o->backup, "parent.tpm", from), path, why);
	r = recovery_use(conf, o->shares, o->n_shares, &parent, why);
	return r != 0 ? r : keyfile_put(path, view_of(parent.data, parent.size), why);
}

/* Every lease is over, under an epoch that nobody can have been given since the backup was made. */
static int end_leases(struct store *s, struct auditlog *audit, uint64_t *n, const char *detail)
{
	const struct lease_request take = {.act = LEASE_TAKEOVER};
	const struct audit_act act = {.event = AUDIT_RECOVERED, .detail = detail};
	struct store_vtpm v;
	int r = s->ops->vtpm_next(s, NULL, &v);

	for (*n = 0; r == 0; (*n)++) {
		const struct uuid after = v.uuid;

		if (lease_decide(&v.lease, &take).result == LEASE_APPLY)
			lease_apply(&v.lease, &take);
		v.lease.epoch = lease_recovered(v.lease.epoch);
		if ((r = s->ops->vtpm_put(s, &v)) == 0)
			r = s->ops->vtpm_next(s, &after, &v);
	}
	return r == E_NOTFOUND ? auditlog_add(audit, &act) : r;
}

/* Those that shared the database that was lost do not share this one. */
static int forget_kmcs(struct store *s)
{
	struct store_kmc k;
	int r;

	while ((r = s->ops->wrapping_kmc_next(s, "", &k)) == 0 && (r = s->ops->wrapping_kmc_drop(s, k.name)) == 0)
		;
	return r == E_NOTFOUND ? 0 : r;
}

static int settle(const struct kmcconf *conf, struct store *s, const char *backup, char why[KEYFILE_WHY])
{
	char detail[120], made[32] = "?", path[PATH_BYTES];
	struct auditlog audit;
	struct stat st;
	struct tm tm;
	uint64_t n = 0;
	int r;

	if (stat(in(backup, "kmc.db", path), &st) == 0 && gmtime_r(&st.st_mtime, &tm))
		strftime(made, sizeof(made), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(detail, sizeof(detail), "from a backup of %s: every lease is over", made);
	if ((r = auditlog_open(&audit, s, conf->name)) == 0 && (r = s->ops->begin(s)) == 0) {
		r = end_leases(s, &audit, &n, detail);
		if (r == 0)
			r = forget_kmcs(s);
		if (r == 0)
			r = s->ops->commit(s);
		else
			s->ops->rollback(s);
	}
	if (r != 0)
		snprintf(why, KEYFILE_WHY, "%s", s->why[0] ? s->why : error_text(r));
	else
		results_tell("the leases of %" PRIu64 " vTPMs are over: a guest that still runs goes on until it stores; restart it\n", n);
	return r;
}

static int restore_database(const struct kmcconf *conf, const char *backup, char why[KEYFILE_WHY])
{
	struct store *from = NULL, *to = NULL;
	char path[PATH_BYTES];
	int r;

	/* an older program's backup is brought to this one's schema where it lies */
	if ((r = store_sqlite_open(&from, in(backup, "kmc.db", path), false, why)) == 0 && (r = open_as_user(&to, conf, true, why)) == 0 &&
	    (r = store_copy(from, to, why)) == 0)
		r = settle(conf, to, backup, why);
	if (from)
		from->ops->close(from);
	if (to)
		to->ops->close(to);
	return r;
}

int ctl_recover(const struct kmcconf *conf, const struct ctl_recover_options *o)
{
	struct keyring keyring = {0};
	char why[KEYFILE_WHY] = "";
	int r = ctl_init_refuse_old(conf);

	if (r != EXIT_FINE)
		return r;
	if (process_is_root())
		process_lock_memory(LOCKED_MEMORY);
	cleanheap_use();
	if ((r = ctl_init_machine(conf, why)) == 0 && (r = restore_files(conf, o->backup, why)) == 0 &&
	    (r = restore_parent(conf, o, why)) == 0 && (r = keyring_open(&keyring, conf, why)) == 0) {
		results_tell("the keys are in this machine's TPM\n");
		if ((r = ctl_init_server(conf, o->names, o->days, &keyring, why)) == 0)
			r = restore_database(conf, o->backup, why);
	}
	keyring_close(&keyring);
	if (r != 0) {
		ctl_init_remove(conf);
		return say(why);
	}
	results_tell("done: start kmcd.%s\n", o->n_shares ? " Move authority.key to a safe place off this machine" : "");
	return EXIT_FINE;
}

/*
 * The keeper process.
 *
 * Theory of operation: the vault directory is root's, and the vault is not root. While a wrapping key is replaced, and when another
 * authority signs, this process puts the few files there that change. It stays root, without capabilities, with the vault directory as its root directory, opens nothing else, and handles only what is wrapped
 * or sealed. A file is there as it was or as it is to be: written aside, to the disk, renamed, the directory to the disk.
 */
#include "kmc/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/text.h"
#include "kmc/keyring.h"
#include "kmc/procmsg.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "a file is written"},
	{SCMP_SYS(fsync), "and is on the disk before it counts"},
	{SCMP_SYS(rename), "and takes its place"},
	{SCMP_SYS(renameat), "the same"},
	{SCMP_SYS(unlink), "a key that was replaced is removed"},
	{SCMP_SYS(unlinkat), "the same"},
};

static int directory; /* the vault's */

/* The files that a replacement of the wrapping key touches (another authority one of them), and no other. */
static bool is_ours(const char *name)
{
	for (size_t i = 0; i < KEYRING_FILES; i++)
		if (strcmp(name, keyring_file_name[i]) == 0)
			return true;
	return keyring_wrapping_number(name) != 0;
}

static bool put(const char *name, struct view bytes)
{
	char aside[KEYRING_NAME + 8];
	bool ok;
	int fd;

	snprintf(aside, sizeof(aside), ".%s.new", name);
	fd = openat(directory, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok && renameat(directory, aside, directory, name) == 0 && fsync(directory) == 0;
}

static bool take_away(const char *name)
{
	return (unlinkat(directory, name, 0) == 0 || errno == ENOENT) && fsync(directory) == 0;
}

static ssize_t get(const char *name, uint8_t *out, size_t cap)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, out, cap) : -1;

	if (fd >= 0)
		close(fd);
	return n;
}

static void fail(struct link *vault, uint64_t id, const char *what, const char *name)
{
	char reason[VAULT_REASON_MAX + 1];
	struct keeper_failed m;

	snprintf(reason, sizeof(reason), "can't %s vault/%s: %s", what, name, strerror(errno));
	m.reason = view_text(text_make_printable(reason));
	link_send(vault, KEEPER_FAILED, id, &m);
}

static void give(struct link *vault, uint64_t id, const char *name)
{
	uint8_t bytes[VAULT_SEALED_MAX];
	ssize_t n = get(name, bytes, sizeof(bytes));

	if (n > 0)
		link_send(vault, KEEPER_BYTES, id, &(const struct keeper_put){.name = view_text(name), .bytes = view_of(bytes, (size_t)n)});
	else
		fail(vault, id, "read", name);
}

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct link *vault = *(struct link **)arg;
	const struct keeper_put *q = fields;
	char name[KEYRING_NAME];

	if (type != KEEPER_PUT && type != KEEPER_REMOVE && type != KEEPER_GET)
		fatal("the vault process sent an answer where a request belongs");
	if (view_copy_text(type == KEEPER_PUT ? q->name : ((const struct keeper_remove *)fields)->name, name, sizeof(name)) != 0 || !is_ours(name))
		fatal("the vault process asked for a file that is not to be changed");
	if (type == KEEPER_REMOVE && strncmp(name, "wrapping", 8) != 0)
		fatal("the vault process asked to remove %s", name);
	if (type == KEEPER_GET)
		give(vault, id, name);
	else if (type == KEEPER_PUT ? put(name, q->bytes) : take_away(name))
		link_send(vault, KEEPER_DONE, id, NULL);
	else
		fail(vault, id, type == KEEPER_PUT ? "write" : "remove", name);
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

void keeper_main(const struct kmcconf *conf, int fd)
{
	char path[KMCCONF_PATH];
	const struct confinement box = {.root = process_is_root() ? kmcconf_path(conf, "vault", path) : NULL,
					.no_capabilities = true, .rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	struct loop *loop = loop_new();
	static struct link *vault;

	log_open("kmcd[keeper]", LOG_LV_INFO);
	directory = open(kmcconf_path(conf, "vault", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		fatal("can't open %s: %s; was 'kmcctl init' run?", path, strerror(errno));
	vault = loop ? link_new(loop, fd, "vault", &keeper_protocol, on_message, &vault) : NULL;
	if (!vault)
		fatal("can't start: out of memory");
	link_on_end(vault, on_end, NULL);
	process_confine(&box);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

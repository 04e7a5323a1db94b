/* The keymaker process: one RSA key for each request. */
#include "kmc/keymaker.h"

#include <seccomp.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/secret.h"
#include "kmc/cleanheap.h"
#include "kmc/kmcconf.h"
#include "kmc/procmsg.h"
#include "kmc/rsakey.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "OpenSSL looks for its random devices where getrandom() fails"},
	{SCMP_SYS(sysinfo), "sorting and memory sizes in the C library"},
};

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct link *vault = *(struct link **)arg;
	const struct keymaker_key *q = fields;
	struct keymaker_made made;
	struct secret *der = NULL;
	struct rsakey *key = NULL;
	int r;

	if (type != KEYMAKER_KEY)
		fatal("the vault process sent an answer where a request belongs");
	if ((r = rsakey_make(&key, (unsigned int)q->bits)) != 0 || (r = rsakey_save(key, &der)) != 0)
		fatal("can't make an RSA key: %s", error_text(r));
	made.der = view_of(der->data, der->size);
	link_send(vault, KEYMAKER_MADE, id, &made);
	rsakey_free(&key);
	secret_free(&der);
}

static void on_end(void *arg)
{
	(void)arg;
	exit(0);
}

void keymaker_main(const struct kmcconf *conf, int fd)
{
	char empty[KMCCONF_PATH];
	const struct confinement box = {.user = kmcconf_user(conf),
					.root = process_is_root() ? kmcconf_path(conf, "empty", empty) : NULL,
					.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	struct loop *loop = loop_new();
	static struct link *vault;

	log_open("kmcd[keymaker]", LOG_LV_INFO);
	cleanheap_use();
	vault = loop ? link_new(loop, fd, "vault", &keymaker_protocol, on_message, &vault) : NULL;
	if (!vault)
		fatal("can't start: out of memory");
	link_on_end(vault, on_end, NULL);
	process_confine(&box);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	exit(0);
}

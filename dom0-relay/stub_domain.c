/*
 * Stub domains through libxl.
 *
 * libxl and not `xl`: with autoballoon on, xl holds a lock for the whole of `xl create`, and the guest's own creation
 * is what waits for us.
 */
#include "dom0-relay/stub_domain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "common/error.h"
#include "common/log.h"
#include "dom0-relay/relayconf.h"

/* libxl's log: what it says of an error becomes part of ours. */
struct last_words {
	xentoollog_logger vtable;
	char text[STUB_WHY];
};

struct toolstack {
	struct last_words words;
	libxl_ctx *ctx;
};

static void on_message(xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context, const char *format, va_list al)
{
	struct last_words *w = (struct last_words *)(void *)logger; /* vtable is the first member */
	char text[STUB_WHY];

	(void)errnoval;
	(void)context;
	if (level < XTL_ERROR)
		return;
	vsnprintf(text, sizeof(text), format, al);
	log_warn("libxl: %s", text);
	if (!w->text[0]) /* the first error is the cause, the rest its consequences */
		memcpy(w->text, text, sizeof(w->text));
}

static void on_progress(xentoollog_logger *logger, const char *context, const char *what, int percent, unsigned long done,
			unsigned long total)
{
	(void)logger, (void)context, (void)what, (void)percent, (void)done, (void)total;
}

static void on_destroy(xentoollog_logger *logger)
{
	(void)logger; /* part of struct toolstack */
}

struct toolstack *toolstack_open(void)
{
	struct toolstack *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->words.vtable = (xentoollog_logger){.vmessage = on_message, .progress = on_progress, .destroy = on_destroy};
	if (libxl_ctx_alloc(&t->ctx, LIBXL_VERSION, 0, &t->words.vtable) != 0)
		toolstack_close(&t);
	return t;
}

void toolstack_close(struct toolstack **t)
{
	if (!*t)
		return;
	if ((*t)->ctx)
		libxl_ctx_free((*t)->ctx);
	free(*t);
	*t = NULL;
}

static int complain(struct toolstack *t, char why[STUB_WHY], const char *what, int rc)
{
	if (t->words.text[0])
		snprintf(why, STUB_WHY, "%s: %.140s", what, t->words.text);
	else
		snprintf(why, STUB_WHY, "%s: libxl error %d", what, rc);
	return E_XEN;
}

/*
 * libxl gives the number of a domain that ended less than a minute ago to no other, lest somebody means the old one. Here the other
 * is meant to be taken for the old one.
 */
static void set_reuse(bool on)
{
	if (on)
		setenv("LIBXL_DOMID_REUSE_TIMEOUT", "0", 1);
	else
		unsetenv("LIBXL_DOMID_REUSE_TIMEOUT");
}

static int check_image(const char *path, char why[STUB_WHY])
{
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(why, STUB_WHY, "stub domain image %.120s: %s", path, strerror(errno));
	return E_NOTFOUND;
}

static void describe(libxl_domain_config *d, const struct relayconf *conf, const char *name, const struct uuid *handle)
{
	const libxl_domain_type type = conf->stub_type == STUB_PV ? LIBXL_DOMAIN_TYPE_PV : LIBXL_DOMAIN_TYPE_PVH;

	libxl_domain_config_init(d);
	d->c_info.type = type;
	d->c_info.name = strdup(name);
	memcpy(libxl_uuid_bytearray(&d->c_info.uuid), handle->b, sizeof(handle->b));
	libxl_domain_build_info_init_type(&d->b_info, type);
	d->b_info.max_vcpus = 1;
	d->b_info.max_memkb = d->b_info.target_memkb = conf->stub_memory_mib * 1024;
	d->b_info.kernel = strdup(conf->stub_kernel);
	d->b_info.ramdisk = strdup(conf->stub_initramfs);
	d->b_info.cmdline = strdup("console=hvc0 quiet panic=-1");
	d->on_poweroff = d->on_reboot = d->on_watchdog = d->on_crash = d->on_soft_reset = LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
}

/* Xen has no reservation between asking and taking; the answer is there to give the usual failure its name. */
static int check_memory(struct toolstack *t, libxl_domain_config *d, uint64_t headroom_mib, char why[STUB_WHY])
{
	uint64_t need, free_kb;
	int rc;

	rc = libxl_domain_need_memory(t->ctx, d, INVALID_DOMID, &need);
	if (rc == 0)
		rc = libxl_get_free_memory(t->ctx, &free_kb);
	if (rc != 0)
		return complain(t, why, "can't learn how much memory is free", rc);
	if (free_kb >= need + headroom_mib * 1024)
		return 0;
	snprintf(why, STUB_WHY, "no memory for the stub domain: it needs %" PRIu64 " MiB, the host has %" PRIu64 " MiB free",
		 (need + 1023) / 1024, free_kb / 1024);
	return E_NOMEM;
}

int stub_create(struct toolstack *t, const struct relayconf *conf, const char *name, const struct uuid *handle,
		uint64_t headroom_mib, uint32_t *domid, char why[STUB_WHY])
{
	libxl_domain_config d;
	uint32_t made = (uint32_t)INVALID_DOMID;
	int r, rc;

	t->words.text[0] = '\0';
	if ((r = check_image(conf->stub_kernel, why)) != 0 || (r = check_image(conf->stub_initramfs, why)) != 0)
		return r;
	describe(&d, conf, name, handle);
	if (!d.c_info.name || !d.b_info.kernel || !d.b_info.ramdisk || !d.b_info.cmdline ||
	    libxl_cpu_bitmap_alloc(t->ctx, &d.b_info.avail_vcpus, 1) != 0) {
		snprintf(why, STUB_WHY, "no memory left in dom0");
		r = E_NOMEM;
		goto out;
	}
	libxl_bitmap_set(&d.b_info.avail_vcpus, 0);
	r = check_memory(t, &d, headroom_mib, why);
	if (r != 0)
		goto out;
	if (*domid)
		d.c_info.domid = *domid;
	set_reuse(*domid != 0);
	rc = libxl_domain_create_new(t->ctx, &d, &made, NULL, NULL);
	set_reuse(false);
	if (rc == 0)
		rc = libxl_domain_unpause(t->ctx, made, NULL);
	if (rc != 0) {
		r = complain(t, why, "can't create the stub domain", rc);
		if (made != (uint32_t)INVALID_DOMID)
			stub_destroy(t, made);
		goto out;
	}
	/*
	 * What stops a host's guests takes them from `xl list -l`, which passes over a domain whose configuration libxl has no record
	 * of. Debian's xendomains would else save each stub domain, for a minute until libxl gives it up, and wait five more for its shutdown.
	 */
	if (libxl_userdata_unlink(t->ctx, made, "libxl-json") != 0)
		log_warn("%s: libxl keeps the record of its configuration; xendomains will try to save it", name);
	*domid = made;
out:
	libxl_domain_config_dispose(&d);
	return r;
}

int stub_rename(struct toolstack *t, uint32_t domid, const char *name)
{
	int rc = libxl_domain_rename(t->ctx, domid, NULL, name);

	if (rc == ERROR_DOMAIN_NOTFOUND)
		return E_NOTFOUND;
	return rc == 0 ? 0 : E_XEN;
}

int toolstack_free_memory(struct toolstack *t, uint64_t *mib)
{
	uint64_t kib;

	if (libxl_get_free_memory(t->ctx, &kib) != 0)
		return E_XEN;
	*mib = kib / 1024;
	return 0;
}

int stub_destroy(struct toolstack *t, uint32_t domid)
{
	int rc = libxl_domain_destroy(t->ctx, domid, NULL);

	if (rc == ERROR_DOMAIN_NOTFOUND)
		return E_NOTFOUND;
	return rc == 0 ? 0 : E_XEN;
}

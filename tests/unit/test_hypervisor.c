/* Facts of domains as libxenctrl tells them. The library is the test's, with the habits of Xen's. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <xenctrl.h>

#include "common/error.h"
#include "dom0-relay/hypervisor.h"
#include "tests/unit/unit.h"

#define DOMAINS_MAX 100

static struct world {
	struct hypervisor *h;
	xc_dominfo_t domains[DOMAINS_MAX]; /* by number, which only grows */
	int n, fault; /* fault: 0, or what the hypervisor says */
} w;

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags) { (void)logger, (void)dombuild_logger, (void)flags; return (xc_interface *)&w; }
int xc_interface_close(xc_interface *xc) { (void)xc; return 0; }
int xc_domain_pause(xc_interface *xc, uint32_t domid) { (void)xc, (void)domid; return 0; }
int xc_domain_unpause(xc_interface *xc, uint32_t domid) { (void)xc, (void)domid; return 0; }
int xc_domain_set_tsc_info(xc_interface *xc, uint32_t domid, uint32_t mode, uint64_t ns, uint32_t khz, uint32_t incarnation) { (void)xc, (void)domid, (void)mode, (void)ns, (void)khz, (void)incarnation; return 0; }

int xc_domain_get_tsc_info(xc_interface *xc, uint32_t domid, uint32_t *mode, uint64_t *ns, uint32_t *khz, uint32_t *incarnation)
{
	(void)xc, (void)domid;
	*mode = *khz = 0;
	*ns = 0;
	*incarnation = 3;
	return 0;
}

/* Those at or after @first. If there is none, that is an error, ESRCH; and who crashed is not shut down. */
int xc_domain_getinfo(xc_interface *xc, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
	int n = 0;

	(void)xc;
	errno = w.fault;
	for (int i = 0; i < w.n && !w.fault && n < (int)max; i++)
		if (w.domains[i].domid >= first)
			info[n++] = w.domains[i];
	if (n)
		return n;
	errno = w.fault ? w.fault : first >= 0x7ff0 ? EINVAL : ESRCH;
	return -1;
}

static void domain(uint32_t domid)
{
	xc_dominfo_t *d = &w.domains[w.n++];

	*d = (xc_dominfo_t){.domid = domid, .running = 1};
	memcpy(d->handle, &domid, sizeof(domid));
}

static struct uuid handle_of(uint32_t domid)
{
	struct uuid handle = {{0}};

	memcpy(handle.b, &domid, sizeof(domid));
	return handle;
}

static int setup(void **state)
{
	(void)state;
	w = (struct world){.n = 0};
	w.h = hypervisor_open();
	domain(0);
	domain(5);
	domain(9);
	return w.h ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	hypervisor_close(&w.h);
	return 0;
}

static void a_domain_that_is_gone_does_not_exist(void **state)
{
	static const uint32_t gone[] = {4, 7, 10, 0x7fef}; /* below others, and beyond all */
	struct domain_facts facts;

	(void)state;
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		assert_int_equal(hypervisor_inspect(w.h, gone[i], &facts), 0);
		assert_false(facts.exists);
	}
	w.domains[2].dying = 1;
	assert_int_equal(hypervisor_inspect(w.h, 9, &facts), 0);
	assert_false(facts.exists);
	w.fault = EPERM;
	assert_int_equal(hypervisor_inspect(w.h, 5, &facts), E_XEN);
}

/* A kernel's panic, or a fault that nobody handled: the domain stays, and will do nothing more. */
static void a_domain_that_crashed_has_ended(void **state)
{
	struct domain_facts facts;

	(void)state;
	assert_int_equal(hypervisor_inspect(w.h, 5, &facts), 0);
	assert_true(facts.exists && !facts.is_shutdown && facts.incarnation == 3);
	w.domains[1].crashed = 1;
	w.domains[1].shutdown_reason = 3;
	assert_int_equal(hypervisor_inspect(w.h, 5, &facts), 0);
	assert_true(facts.exists && facts.is_shutdown && facts.shutdown_reason == 3);
	w.domains[2].shutdown = 1;
	w.domains[2].shutdown_reason = 2;
	assert_int_equal(hypervisor_inspect(w.h, 9, &facts), 0);
	assert_true(facts.exists && facts.is_shutdown && facts.shutdown_reason == 2);
}

static void a_domain_is_found_by_its_handle(void **state)
{
	struct uuid handle = handle_of(9), none = handle_of(77);
	uint32_t domid = 0;

	(void)state;
	assert_int_equal(hypervisor_find(w.h, &handle, &domid), 0);
	assert_int_equal(domid, 9);
	assert_int_equal(hypervisor_find(w.h, &none, &domid), E_NOTFOUND); /* or its record would stay for ever */
	w.domains[2].dying = 1;
	assert_int_equal(hypervisor_find(w.h, &handle, &domid), E_NOTFOUND);
	for (uint32_t i = 0x7ff0 - 90; i < 0x7ff0; i++)
		domain(i);
	handle = handle_of(0x7fef);
	assert_int_equal(hypervisor_find(w.h, &handle, &domid), 0);
	assert_int_equal(domid, 0x7fef);
	assert_int_equal(hypervisor_find(w.h, &none, &domid), E_NOTFOUND);
	w.fault = EPERM;
	assert_int_equal(hypervisor_find(w.h, &none, &domid), E_XEN);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_domain_that_is_gone_does_not_exist),
		TEST(a_domain_that_crashed_has_ended),
		TEST(a_domain_is_found_by_its_handle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

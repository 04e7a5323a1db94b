/* What libxl wants of a device: what is gone, and what xenstored can't say just now. libxenstore is the test's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "common/error.h"
#include "dom0-relay/xenstore.h"
#include "tests/unit/unit.h"

static struct world {
	const char *state, *backend; /* NULL: reading fails with fault */
	int fault;
	unsigned int writes, removals;
} w;

struct xs_handle *xs_open(unsigned long flags) { (void)flags; return (struct xs_handle *)&w; }
void xs_close(struct xs_handle *h) { (void)h; }
int xs_fileno(struct xs_handle *h) { (void)h; return -1; }
bool xs_watch(struct xs_handle *h, const char *path, const char *token) { (void)h, (void)path, (void)token; return true; }
bool xs_unwatch(struct xs_handle *h, const char *path, const char *token) { (void)h, (void)path, (void)token; return true; }
char **xs_check_watch(struct xs_handle *h) { (void)h; return NULL; }
bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int n) { (void)h, (void)t, (void)path, (void)data, (void)n; w.writes++; return true; }
bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path) { (void)h, (void)t, (void)path; return true; }
bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path) { (void)h, (void)t, (void)path; w.removals++; return true; }
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *n) { (void)h, (void)t, (void)path; *n = 0; return calloc(1, sizeof(char *)); }
bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, struct xs_permissions *p, unsigned int n) { (void)h, (void)t, (void)path, (void)p, (void)n; return true; }
bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid) { (void)h, (void)domid; return true; }
xs_transaction_t xs_transaction_start(struct xs_handle *h) { (void)h; return 1; }
bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort) { (void)h, (void)t, (void)abort; return true; }

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *n)
{
	const size_t size = strlen(path);
	const char *value = size > 6 && strcmp(path + size - 6, "/state") == 0 ? w.state : w.backend;

	(void)h, (void)t;
	if (!value) {
		errno = w.fault;
		return NULL;
	}
	*n = (unsigned int)strlen(value);
	return strdup(value);
}

#define BACKEND "/local/domain/9/backend/vtpm/5/0"
static const struct node_ids device = {.guest = 5, .stub = 9};
static const int denials[] = {ENOENT, EACCES}, faults[] = {EAGAIN, ENOMEM, EIO, EBADF};
#define EACH(i, of) for (size_t i = 0; i < sizeof(of) / sizeof((of)[0]); i++)

static struct xenstore *fresh(const char *state, const char *backend)
{
	struct xenstore *x = xenstore_open(NULL, NULL, NULL);

	assert_non_null(x);
	w = (struct world){.state = state, .backend = backend};
	return x;
}

static void what_xenstored_denies_is_gone(void **state)
{
	struct xenstore *x = fresh(NULL, BACKEND);

	(void)state;
	EACH(i, denials) {
		w = (struct world){.backend = BACKEND, .fault = denials[i]};
		assert_int_equal(xenstore_read_state(x, "/local/domain/0/backend/vtpm/5/0/state"), -1);
		assert_int_equal(xenstore_named_state(x, device), 0); /* it went with the stub domain */
		assert_int_equal(xenstore_rehome(x, device, true), E_NOTFOUND);
		assert_int_equal(xenstore_answer(x, NODE_CONTROL_STATE, device, 6), 0);
		assert_int_equal(xenstore_refuse(x, device), 0);
		w.backend = NULL;
		assert_int_equal(xenstore_named_state(x, device), -1);
		assert_int_equal(w.writes + w.removals, 0);
	}
	w = (struct world){.state = "4", .backend = "/local/domain/8/backend/vtpm/5/0"};
	assert_int_equal(xenstore_named_state(x, device), -1);
	xenstore_close(&x);
}

static void what_cant_be_read_is_not_gone(void **state)
{
	struct xenstore *x = fresh(NULL, NULL);

	(void)state;
	EACH(i, faults) {
		w = (struct world){.backend = BACKEND, .fault = faults[i]};
		assert_int_equal(xenstore_read_state(x, "/local/domain/0/backend/vtpm/5/0/state"), XENSTORE_UNREADABLE);
		assert_int_equal(xenstore_named_state(x, device), XENSTORE_UNREADABLE);
		assert_int_equal(xenstore_rehome(x, device, true), E_XEN);
		assert_int_equal(xenstore_answer(x, NODE_CONTROL_STATE, device, 6), E_XEN);
		assert_int_equal(xenstore_refuse(x, device), E_XEN);
		w.backend = NULL;
		w.state = "4";
		assert_int_equal(xenstore_named_state(x, device), XENSTORE_UNREADABLE);
		assert_int_equal(w.writes + w.removals, 0);
	}
	xenstore_close(&x);
}

static void who_waits_is_refused_and_nobody_else(void **state)
{
	static const char *const others[] = {"0", "2", "4", "5", "6"};
	struct xenstore *x = fresh("1", BACKEND);

	(void)state;
	assert_int_equal(xenstore_refuse(x, device), 0);
	assert_int_equal(w.removals, 1);
	EACH(i, others) {
		w = (struct world){.state = others[i], .backend = BACKEND};
		assert_int_equal(xenstore_refuse(x, device), 0);
		assert_int_equal(w.writes + w.removals, 0);
	}
	xenstore_close(&x);
}

/* Attached anew before the relay has seen that it was gone. */
static void a_new_device_is_not_told_that_it_is_closed(void **state)
{
	struct xenstore *x = fresh("1", BACKEND);

	(void)state;
	assert_int_equal(xenstore_answer(x, NODE_CONTROL_STATE, device, 6), 0);
	assert_int_equal(w.writes + w.removals, 0);
	xenstore_close(&x);
}

static void what_can_be_read_is_what_libxl_wants(void **state)
{
	struct xenstore *x = fresh("4", BACKEND);

	(void)state;
	assert_int_equal(xenstore_read_state(x, "/local/domain/0/backend/vtpm/5/0/state"), 4);
	assert_int_equal(xenstore_named_state(x, device), 4);
	assert_int_equal(xenstore_answer(x, NODE_CONTROL_STATE, device, 6), 0);
	assert_int_equal(w.writes, 1);
	xenstore_close(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_xenstored_denies_is_gone),
		cmocka_unit_test(what_cant_be_read_is_not_gone),
		cmocka_unit_test(a_new_device_is_not_told_that_it_is_closed),
		cmocka_unit_test(what_can_be_read_is_what_libxl_wants),
		cmocka_unit_test(who_waits_is_refused_and_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Unit tests for dom0-relay/history.c: what happened to vTPMs, as a file of fixed bounds; and dom0-relay/noting.c: what is noted. */
#include "dom0-relay/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/privsep.h"
#include "dom0-relay/noting.h"
#include "tests/unit/unit.h"

static char dir[64], path[128];
static struct history *h;
static struct history_record got[HISTORY_RECORDS];

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	(void)l, (void)type, (void)id, (void)fields;
}

static struct uuid numbered(unsigned int n)
{
	return (struct uuid){{0x8c, 0x6f, (uint8_t)(n >> 8), (uint8_t)n}};
}

static void reopen(void)
{
	char why[HISTORY_WHY];

	history_close(&h);
	assert_int_equal(history_open(&h, dir, why), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test-history-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/" HISTORY_FILE, dir);
	reopen();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	history_close(&h);
	unlink(path);
	return rmdir(dir);
}

static void add(unsigned int vtpm, unsigned int nth)
{
	struct history_record r = {.time = 1000 + nth, .uuid = numbered(vtpm), .guest = 5, .dev = 1, .event = HISTORY_SERVING};

	snprintf(r.detail, sizeof(r.detail), "number %u", nth);
	assert_int_equal(history_add(h, &r), 0);
}

static void expect_detail(int i, unsigned int nth)
{
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "number %u", nth);
	assert_string_equal(got[i].detail, wanted);
}

static int read_back(unsigned int vtpm)
{
	const struct uuid uuid = numbered(vtpm);

	return history_read(dir, &uuid, got);
}

static void what_is_noted_is_read(void **state)
{
	(void)state;
	add(1, 1);
	add(2, 2);
	add(1, 3);
	assert_int_equal(read_back(1), 2);
	expect_detail(0, 1);
	expect_detail(1, 3);
	assert_int_equal(got[0].time, 1001);
	assert_int_equal(got[0].guest, 5);
	assert_int_equal(got[0].dev, 1);
	assert_int_equal(got[0].event, HISTORY_SERVING);
	assert_int_equal(read_back(2), 1);
	assert_int_equal(read_back(3), 0);
}

static void it_survives_who_wrote_it(void **state)
{
	(void)state;
	add(1, 1);
	reopen();
	add(1, 2);
	reopen();
	assert_int_equal(read_back(1), 2);
	expect_detail(1, 2);
}

static void the_oldest_of_a_vtpm_go(void **state)
{
	(void)state;
	for (unsigned int i = 1; i <= HISTORY_RECORDS + 10; i++) {
		add(1, i);
		if (i % 50 == 0)
			reopen(); /* and it goes on where it was */
	}
	assert_int_equal(read_back(1), HISTORY_RECORDS);
	expect_detail(0, 11);
	expect_detail(HISTORY_RECORDS - 1, HISTORY_RECORDS + 10);
}

static void nobodys_noise_pushes_out_anothers(void **state)
{
	(void)state;
	add(1, 1);
	for (unsigned int i = 0; i < 1000; i++)
		add(2, i);
	assert_int_equal(read_back(1), 1);
}

static void the_file_has_a_bound(void **state)
{
	struct stat st;

	(void)state;
	for (unsigned int i = 0; i < HISTORY_VTPMS + 3; i++)
		add(i, i);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= (off_t)HISTORY_VTPMS * HISTORY_RECORDS * HISTORY_SIZE);
	assert_int_equal(st.st_mode & 0777, 0600);
	reopen();
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(read_back(i), 0); /* of these nothing was heard for longest */
	for (unsigned int i = 3; i < HISTORY_VTPMS + 3; i += 64)
		assert_int_equal(read_back(i), 1);
}

static void what_is_torn_or_no_record_is_skipped(void **state)
{
	const uint8_t half[HISTORY_SIZE / 2] = {0};
	uint8_t junk[HISTORY_SIZE];
	int fd;

	(void)state;
	add(1, 1);
	add(1, 2);
	add(1, 3);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(pwrite(fd, half, sizeof(half), HISTORY_SIZE + HISTORY_SIZE / 2), (ssize_t)sizeof(half));
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 3 * HISTORY_SIZE), (ssize_t)sizeof(junk));
	close(fd);
	reopen();
	assert_int_equal(read_back(1), 2);
	expect_detail(0, 1);
	expect_detail(1, 3);
	add(1, 4);
	assert_int_equal(read_back(1), 3);
}

static void a_detail_is_cut_and_printable(void **state)
{
	struct history_record r = {.number = 1, .event = HISTORY_FAILED}, again;
	uint8_t bytes[HISTORY_SIZE];

	(void)state;
	memset(r.detail, 'x', sizeof(r.detail));
	r.detail[3] = '\033';
	history_record_write(&r, bytes);
	assert_int_equal(history_record_read(bytes, &again), 0);
	assert_int_equal(strlen(again.detail), HISTORY_DETAIL - 1);
	assert_null(strchr(again.detail, '\033'));
	bytes[HISTORY_SIZE - 1] ^= 1;
	assert_int_equal(history_record_read(bytes, &again), E_FORMAT);
}

static void no_file_is_no_history(void **state)
{
	const struct uuid uuid = numbered(1);

	(void)state;
	assert_int_equal(history_read("/nonexistent", &uuid, got), E_NOTFOUND);
}

/* --- what is noted --- */

static void expect_note(struct guest *g, enum guest_state before, enum guest_state now, enum history_event event, const char *detail)
{
	char text[HISTORY_DETAIL];

	assert_int_equal(noting_event(before, now), event);
	noting_detail(g, before, event, text);
	assert_string_equal(text, detail);
}

static void each_state_says_what_people_ask_for(void **state)
{
	static struct guest g = {.ids = {.guest = 5, .stub = 6}, .lease = {.epoch = 3, .state_version = 7}, .reason = "the KMC refused: policy"};

	(void)state;
	expect_note(&g, GUEST_PREPARING, GUEST_HANDOFF, HISTORY_OPENED, "lease 3, state 7");
	expect_note(&g, GUEST_HANDOFF, GUEST_SERVING, HISTORY_SERVING, "stub domain 6, lease 3");
	expect_note(&g, GUEST_COMMITTING, GUEST_SERVING, HISTORY_SERVING, "stub domain 6, lease 3, the guest came with an image");
	expect_note(&g, GUEST_RESUMING, GUEST_SERVING, HISTORY_SERVING, "stub domain 6, lease 3, the guest runs on");
	expect_note(&g, GUEST_PREPARING, GUEST_FAILED, HISTORY_FAILED, "the KMC refused: policy");
	expect_note(&g, GUEST_SERVING, GUEST_REVIVING, HISTORY_STUB_DIED, "the KMC refused: policy");
	expect_note(&g, GUEST_SERVING, GUEST_SUSPENDING, HISTORY_SLEEPS, "");
	expect_note(&g, GUEST_CLEANING, GUEST_GONE, HISTORY_CLOSED, "");
	assert_int_equal(noting_event(GUEST_SUSPENDING, GUEST_SEALING), 0);
	assert_int_equal(noting_event(GUEST_CLOSING, GUEST_CLEANING), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_noted_is_read),
		TEST(it_survives_who_wrote_it),
		TEST(the_oldest_of_a_vtpm_go),
		TEST(nobodys_noise_pushes_out_anothers),
		TEST(the_file_has_a_bound),
		TEST(what_is_torn_or_no_record_is_skipped),
		TEST(a_detail_is_cut_and_printable),
		TEST(no_file_is_no_history),
		cmocka_unit_test(each_state_says_what_people_ask_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

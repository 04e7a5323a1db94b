/* The state directory: what was acknowledged survives, whatever happens to the file or the process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "dom0-relay/statedir.h"
#include "dom0-relay/statemsg.h"
#include "tests/unit/unit.h"

static const struct state_name one = {.uuid = {{1, 2, 3}}}, two = {.uuid = {{4, 5, 6}}}, one_beside = {.uuid = {{1, 2, 3}}, .place = 1};

struct fixture {
	char path[64];
	struct statedir *d;
	struct buf b;
	uint8_t state[HANDOFF_STATE_MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[STATEDIR_WHY];

	if (!f)
		return -1;
	snprintf(f->path, sizeof(f->path), "/tmp/test_statedir.XXXXXX");
	*state = f;
	return !mkdtemp(f->path) || statedir_open(&f->d, f->path, why) != 0 || buf_init(&f->b, STATE_BODY_MAX + 4) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char why[STATEDIR_WHY];

	statedir_drop(f->d, &one, why);
	statedir_drop(f->d, &two, why);
	statedir_drop(f->d, &one_beside, why);
	statedir_close(&f->d);
	buf_free(&f->b);
	rmdir(f->path);
	free(f);
	return 0;
}

static void save_under(struct fixture *f, const struct state_name *name, uint64_t lease_epoch, uint64_t version, size_t size)
{
	struct state_placed p = {.record = {.uuid = name->uuid, .lease_epoch = lease_epoch, .version = version, .guest = 3, .stub = 4}, .place = name->place};
	char why[STATEDIR_WHY];

	memset(f->state, (int)version, size);
	p.record.state = view_of(size ? f->state : NULL, size);
	assert_int_equal(statedir_save(f->d, &p, why), 0);
}

static void save(struct fixture *f, const struct state_name *name, uint64_t version, size_t size)
{
	save_under(f, name, 7, version, size);
}

static void expect(struct fixture *f, const struct state_name *name, uint64_t version, size_t size)
{
	struct state_record r;

	assert_int_equal(statedir_load(f->d, name, &f->b, &r), 0);
	assert_int_equal(r.version, version);
	assert_int_equal(r.lease_epoch, 7);
	assert_int_equal(r.state.n, size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(r.state.p[i], (uint8_t)version);
}

static void reopen(struct fixture *f)
{
	char why[STATEDIR_WHY];

	statedir_close(&f->d);
	assert_int_equal(statedir_open(&f->d, f->path, why), 0);
}

/* Open the file of @one behind the directory's back. */
static int file_of_one(struct fixture *f)
{
	char path[160], text[UUID_TEXT];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.state", f->path, uuid_format(&one.uuid, text));
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static bool disk_fails;

/* Instead of the C library's: a write is in memory by then. */
int fdatasync(int fd)
{
	errno = EIO;
	return disk_fails ? -1 : fsync(fd);
}

static void a_record_that_was_told_as_failed_is_not_found_later(void **state)
{
	struct fixture *f = *state;
	const struct state_placed p = {.record = {.uuid = one.uuid, .lease_epoch = 7, .version = 2, .state = view_text("undone since")}};
	char why[STATEDIR_WHY];

	save(f, &one, 1, 1000);
	disk_fails = true;
	assert_int_equal(statedir_save(f->d, &p, why), E_IO);
	disk_fails = false;
	assert_non_null(strstr(why, strerror(EIO)));
	reopen(f);
	expect(f, &one, 1, 1000);
	save(f, &one, 3, 1000);
	reopen(f);
	expect(f, &one, 3, 1000);
}

static void the_newest_record_comes_back(void **state)
{
	struct fixture *f = *state;

	for (uint64_t v = 0; v < 6; v++) {
		save(f, &one, v, v * 1000);
		expect(f, &one, v, v * 1000);
	}
	save(f, &two, 9, HANDOFF_STATE_MAX);
	reopen(f);
	expect(f, &one, 5, 5000);
	expect(f, &two, 9, HANDOFF_STATE_MAX);
}

static void a_torn_write_leaves_the_record_before(void **state)
{
	struct fixture *f = *state;
	off_t slot = lseek(file_of_one((save(f, &one, 1, 3000), f)), 0, SEEK_END) / 2;
	const uint8_t rubbish[64] = {0x55};
	int fd;

	save(f, &one, 2, 3000); /* in the second slot */
	for (off_t at = 0; at < 3000; at += 500) {
		uint8_t kept[sizeof(rubbish)];

		fd = file_of_one(f);
		assert_int_equal(pread(fd, kept, sizeof(kept), slot + at), sizeof(kept));
		assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), slot + at), sizeof(rubbish));
		reopen(f);
		expect(f, &one, 1, 3000);
		assert_int_equal(pwrite(fd, kept, sizeof(kept), slot + at), sizeof(kept));
		reopen(f);
		expect(f, &one, 2, 3000);
		close(fd);
	}
}

static void writing_goes_on_after_a_torn_write(void **state)
{
	struct fixture *f = *state;
	off_t slot;
	int fd;

	save(f, &one, 1, 100);
	save(f, &one, 2, 100);
	fd = file_of_one(f);
	slot = lseek(fd, 0, SEEK_END) / 2;
	assert_int_equal(pwrite(fd, "rubbish", 7, slot + 60), 7);
	close(fd);
	reopen(f);
	save(f, &one, 3, 100);
	reopen(f);
	expect(f, &one, 3, 100);
}

static void a_file_without_a_whole_record_is_no_record(void **state)
{
	struct fixture *f = *state;
	struct state_record r;
	int fd;

	save(f, &one, 1, 100);
	fd = file_of_one(f);
	assert_int_equal(ftruncate(fd, 20), 0);
	close(fd);
	reopen(f);
	assert_int_equal(statedir_load(f->d, &one, &f->b, &r), E_INTEGRITY);
	assert_int_equal(statedir_load(f->d, &two, &f->b, &r), E_NOTFOUND);
}

/* The power was cut while it was written: nobody has heard that it is there. What is damaged later is something else. */
static void a_first_record_that_was_torn_is_removed(void **state)
{
	struct fixture *f = *state;
	struct state_record r;
	struct state_name list[2];
	off_t slot;

	for (int records = 1; records <= 2; records++) {
		int fd;

		for (int n = 1; n <= records; n++)
			save(f, &one, (uint64_t)n, 3000);
		fd = file_of_one(f);
		slot = lseek(fd, 0, SEEK_END) / 2;
		for (int n = 0; n < records; n++)
			assert_int_equal(pwrite(fd, "rubbish", 7, n * slot + 500), 7);
		close(fd);
		reopen(f);
		assert_int_equal(statedir_load(f->d, &one, &f->b, &r), records == 1 ? E_NOTFOUND : E_INTEGRITY);
		assert_int_equal(statedir_list(f->d, list, 2), records - 1);
	}
}

static void a_record_under_another_name_is_not_believed(void **state)
{
	struct fixture *f = *state;
	char a[160], b[160], text[UUID_TEXT];
	struct state_record r;

	save(f, &one, 1, 100);
	snprintf(a, sizeof(a), "%s/%s.state", f->path, uuid_format(&one.uuid, text));
	snprintf(b, sizeof(b), "%s/%s.state", f->path, uuid_format(&two.uuid, text));
	assert_int_equal(rename(a, b), 0);
	reopen(f);
	assert_int_equal(statedir_load(f->d, &two, &f->b, &r), E_INTEGRITY);
}

static void the_list_holds_what_was_saved_and_not_dropped(void **state)
{
	struct fixture *f = *state;
	struct state_name list[4];
	char why[STATEDIR_WHY];

	assert_int_equal(statedir_list(f->d, list, 4), 0);
	save(f, &one, 1, 100);
	save(f, &two, 1, 100);
	assert_int_equal(statedir_list(f->d, list, 4), 2);
	assert_int_equal(statedir_list(f->d, list, 1), 1);
	assert_int_equal(statedir_drop(f->d, &one, why), 0);
	assert_int_equal(statedir_list(f->d, list, 4), 1);
	assert_true(uuid_equal(&list[0].uuid, &two.uuid) && list[0].place == 0);
	assert_int_equal(statedir_drop(f->d, &one, why), 0);
}

static void room_is_taken_when_a_lease_begins(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd;

	save(f, &one, 0, 0);
	fd = file_of_one(f);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= 2 * HANDOFF_STATE_MAX);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
}

static void two_relays_do_not_share_a_directory(void **state)
{
	struct fixture *f = *state;
	struct statedir *other;
	char why[STATEDIR_WHY];

	assert_int_equal(statedir_open(&other, f->path, why), E_BUSY);
	assert_null(other);
	assert_non_null(strstr(why, "another vtpm-relayd"));
}

/* By a tool, while the relay goes on writing. */
static void the_newest_record_can_be_looked_at_by_another(void **state)
{
	struct fixture *f = *state;
	char why[STATEDIR_WHY] = "";
	struct state_record r;

	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), E_NOTFOUND);
	for (uint64_t version = 1; version <= 3; version++) {
		save(f, &one, version, 1000);
		assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), 0);
		assert_true(r.version == version && r.state.n == 1000 && r.state.p[999] == version);
	}
	save(f, &one, 4, 10);
	expect(f, &one, 4, 10);
}

/* A guest migrates to its own host. */
static void a_vtpm_may_have_a_second_record(void **state)
{
	struct fixture *f = *state;
	char why[STATEDIR_WHY] = "";
	struct state_name list[4];
	struct state_record r;

	save(f, &one, 5, 100);
	save_under(f, &one_beside, 0, 1, 10); /* reserved: no lease yet */
	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), 0);
	assert_int_equal(r.version, 5);
	save_under(f, &one_beside, 8, 6, 10);
	reopen(f);
	assert_int_equal(statedir_list(f->d, list, 4), 2);
	assert_int_equal(list[0].place + list[1].place, 1);
	expect(f, &one, 5, 100);
	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), 0);
	assert_int_equal(r.version, 6);
	assert_int_equal(statedir_drop(f->d, &one, why), 0);
	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), 0);
	assert_int_equal(r.version, 6);
	assert_int_equal(statedir_load(f->d, &one, &f->b, &r), E_NOTFOUND);
}

/* Power is cut between the making of a file and its first record. */
static void a_file_that_was_never_written_is_removed(void **state)
{
	struct fixture *f = *state;
	char path[160], away[80], text[UUID_TEXT], why[STATEDIR_WHY] = "";
	struct state_name list[2];
	struct state_record r;
	int fd;

	save(f, &one, 5, 100);
	snprintf(path, sizeof(path), "%s/%s.second.state", f->path, uuid_format(&one.uuid, text));
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, 1 << 20), 0);
	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), 0); /* the whole one */
	assert_int_equal(r.version, 5);
	snprintf(path, sizeof(path), "%s/%s.state", f->path, uuid_format(&one.uuid, text));
	snprintf(away, sizeof(away), "%s/away", f->path);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(statedir_peek(f->path, &one.uuid, &f->b, &r, why), E_INTEGRITY); /* not: nothing is there */
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(statedir_list(f->d, list, 2), 2);
	assert_int_equal(statedir_load(f->d, &one_beside, &f->b, &r), E_NOTFOUND);
	assert_int_equal(statedir_list(f->d, list, 2), 1);
	close(fd);
	expect(f, &one, 5, 100);
}

static void an_identity_takes_the_place_of_the_one_before(void **state)
{
	struct fixture *f = *state;
	char path[128], text[16] = "", why[STATEDIR_WHY];
	struct state_name list[2];
	FILE *file;

	snprintf(path, sizeof(path), "%s/" STATEDIR_IDENTITY ".new", f->path);
	file = fopen(path, "w"); /* of a write that a crash broke off */
	assert_non_null(file);
	assert_true(fputs("much longer than what comes", file) > 0);
	fclose(file);
	assert_int_equal(statedir_identity(f->d, view_text("first one"), why), 0);
	assert_int_equal(statedir_identity(f->d, view_text("second"), why), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/" STATEDIR_IDENTITY, f->path);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 6);
	fclose(file);
	assert_string_equal(text, "second");
	assert_int_equal(statedir_list(f->d, list, 2), 0);
	unlink(path);
}

static void a_directory_that_cannot_be_is_named(void **state)
{
	struct statedir *d;
	char why[STATEDIR_WHY];

	(void)state;
	assert_int_equal(statedir_open(&d, "/proc/none/state", why), E_IO);
	assert_non_null(strstr(why, "/proc/none/state"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_newest_record_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_record_that_was_told_as_failed_is_not_found_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_write_leaves_the_record_before, setup, teardown),
		cmocka_unit_test_setup_teardown(writing_goes_on_after_a_torn_write, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_without_a_whole_record_is_no_record, setup, teardown),
		cmocka_unit_test_setup_teardown(a_first_record_that_was_torn_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_record_under_another_name_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_list_holds_what_was_saved_and_not_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(room_is_taken_when_a_lease_begins, setup, teardown),
		cmocka_unit_test_setup_teardown(two_relays_do_not_share_a_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_record_can_be_looked_at_by_another, setup, teardown),
		cmocka_unit_test_setup_teardown(a_vtpm_may_have_a_second_record, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_was_never_written_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(an_identity_takes_the_place_of_the_one_before, setup, teardown),
		cmocka_unit_test(a_directory_that_cannot_be_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What node_exporter reads is in Prometheus' text format, and always whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/metrics.h"
#include "tests/unit/unit.h"

static const char *text_of(struct buf *b)
{
	assert_int_equal(buf_put_u8(b, 0), 0);
	return (const char *)buf_ptr(b);
}

static void a_value_stands_below_its_help_and_type(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 1024), 0);
	metrics_family(&b, "vtpm_opens_total", "counter", "Opens.");
	metrics_value(&b, "vtpm_opens_total", NULL, NULL, 7);
	metrics_value(&b, "vtpm_opens_total", "host", "xen1", 3);
	assert_string_equal(text_of(&b), "# HELP vtpm_opens_total Opens.\n# TYPE vtpm_opens_total counter\nvtpm_opens_total 7\n"
					 "vtpm_opens_total{host=\"xen1\"} 3\n");
	buf_free(&b);
}

static void a_time_is_written_in_seconds(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 1024), 0);
	metrics_value_ms(&b, "age_seconds", NULL, NULL, 61005);
	assert_string_equal(text_of(&b), "age_seconds 61.005\n");
	buf_free(&b);
}

static void each_bucket_of_a_histogram_counts_what_took_no_longer(void **state)
{
	struct histogram h = {.count = 0};
	const char *text;
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 4096), 0);
	histogram_add(&h, 0);
	histogram_add(&h, 5);
	histogram_add(&h, 99999);
	metrics_histogram(&b, "open_seconds", "Time.", &h);
	text = text_of(&b);
	assert_non_null(strstr(text, "# TYPE open_seconds histogram\n"));
	assert_non_null(strstr(text, "open_seconds_bucket{le=\"0.001\"} 1\n"));
	assert_non_null(strstr(text, "open_seconds_bucket{le=\"0.005\"} 2\n"));
	assert_non_null(strstr(text, "open_seconds_bucket{le=\"10.000\"} 2\n"));
	assert_non_null(strstr(text, "open_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "open_seconds_sum 100.004\nopen_seconds_count 3\n"));
	buf_free(&b);
}

static void what_does_not_fit_is_left_out_as_a_whole_line(void **state)
{
	char place[20];
	struct buf b;

	(void)state;
	buf_over(&b, place, sizeof(place));
	metrics_value(&b, "fits", NULL, NULL, 1);
	metrics_value(&b, "does_not_fit_any_more", NULL, NULL, 1);
	assert_int_equal(buf_left(&b), strlen("fits 1\n"));
}

static void the_file_is_for_everybody_and_replaced_as_a_whole(void **state)
{
	char directory[] = "/tmp/test-metrics-XXXXXX", control[64], path[METRICS_PATH], line[32];
	struct stat st;
	struct buf b;
	FILE *f;

	(void)state;
	umask(077);
	assert_non_null(mkdtemp(directory));
	snprintf(control, sizeof(control), "%s/control.sock", directory);
	metrics_prepare(control, "daemon.prom", "root", path);
	assert_non_null(strstr(path, "/metrics/daemon.prom"));
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(buf_init(&b, 64), 0);
		metrics_value(&b, "round", NULL, NULL, (uint64_t)i);
		assert_int_equal(metrics_write(path, &b), 0);
		buf_free(&b);
	}
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line, "round 2\n");
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(directory);
}

static void without_a_directory_there_is_no_file_and_no_failure(void **state)
{
	char path[METRICS_PATH];
	struct buf b;

	(void)state;
	metrics_prepare("/nonexistent/control.sock", "daemon.prom", "root", path);
	assert_string_equal(path, "");
	assert_int_equal(buf_init(&b, 64), 0);
	assert_int_equal(metrics_write(path, &b), 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_stands_below_its_help_and_type),
		cmocka_unit_test(a_time_is_written_in_seconds),
		cmocka_unit_test(each_bucket_of_a_histogram_counts_what_took_no_longer),
		cmocka_unit_test(what_does_not_fit_is_left_out_as_a_whole_line),
		cmocka_unit_test(the_file_is_for_everybody_and_replaced_as_a_whole),
		cmocka_unit_test(without_a_directory_there_is_no_file_and_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

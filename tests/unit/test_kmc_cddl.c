/* docs/kmc-protocol.cddl says what common/kmcmsg.c does: every message, key, kind and bound, and nothing else. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kmcmsg.h"
#include "tests/unit/unit.h"

static char page[32768];

/* The lines of a rule's map without comments and space around, one after the other. */
static const char *rule(const char *name, char *out, size_t cap)
{
	char start[64];
	const char *p;
	size_t n = 0;

	snprintf(start, sizeof(start), "\n%s = {\n", name);
	p = strstr(page, start);
	if (!p)
		fail_msg("there is no rule '%s'", name);
	p += strlen(start);
	while (*p != '}') {
		size_t length = strcspn(p, "\n"), text = strcspn(p, ";\n");

		while (text && strchr(" \t", p[text - 1]))
			text--;
		if (*p != '\t' || n + text + 1 >= cap)
			fail_msg("rule '%s' is not laid out as the others", name);
		memcpy(out + n, p + 1, text - 1);
		n += text - 1;
		out[n++] = '\n';
		p += length + 1;
	}
	out[n] = '\0';
	return out;
}

static void put_size(char *out, size_t cap, const char *kind, const struct msg_field *f)
{
	if (f->min == f->max)
		snprintf(out, cap, "%s .size %u", kind, f->min);
	else
		snprintf(out, cap, "%s .size (%u..%" PRIu64 ")", kind, f->min, f->max);
}

static void field_text(const struct msg_field *f, char *out, size_t cap)
{
	char kind[64] = "uuid";

	switch (f->kind) {
	case MSG_UINT:
		snprintf(kind, sizeof(kind), f->max == UINT64_MAX ? "uint" : "uint .le %" PRIu64, f->max);
		break;
	case MSG_BYTES:
		put_size(kind, sizeof(kind), "bstr", f);
		break;
	case MSG_TEXT:
		put_size(kind, sizeof(kind), "tstr", f);
		break;
	case MSG_UUID:
		break;
	}
	snprintf(out, cap, "%s%u => %s,\n", f->optional ? "? " : "", f->key, kind);
}

static void every_message_is_on_the_page_as_it_is(void **state)
{
	char expected[2048], found[2048];
	const struct msg_schema *s;

	(void)state;
	for (uint64_t type = 1; (s = kmc_schema(type)) != NULL; type++) {
		int n = snprintf(expected, sizeof(expected), "0 => %d, 1 => %" PRIu64 ", 2 => uint,\n", KMC_VERSION, type);

		for (size_t i = 0; i < s->n_fields; i++) {
			field_text(&s->fields[i], expected + n, sizeof(expected) - (size_t)n);
			n += (int)strlen(expected + n);
		}
		assert_string_equal(rule(s->name, found, sizeof(found)), expected);
	}
}

static void every_rule_is_a_message(void **state)
{
	unsigned int rules = 0, messages = 0;

	(void)state;
	for (const char *p = page; (p = strstr(p, " = {\n")) != NULL; p++)
		rules++;
	while (kmc_schema(messages + 1))
		messages++;
	assert_int_equal(rules, messages);
}

static void every_refusal_has_its_number(void **state)
{
	static const char *const names[] = {
		[KMC_REFUSED_VERSION] = "version", [KMC_REFUSED_MALFORMED] = "malformed",
		       [KMC_REFUSED_UNKNOWN_HOST] = "unknown-host",
		[KMC_REFUSED_KEY] = "key", [KMC_REFUSED_ENVELOPE] = "envelope", [KMC_REFUSED_POLICY] = "policy",
		       [KMC_REFUSED_HELD] = "held",
		[KMC_REFUSED_EPOCH] = "epoch", [KMC_REFUSED_ROLLBACK] = "rollback", [KMC_REFUSED_BUSY] = "busy",
		       [KMC_REFUSED_INTERNAL] = "internal", [KMC_REFUSED_QUOTA] = "quota",
		[KMC_REFUSED_ATTESTATION] = "attestation", [KMC_REFUSED_ENROLMENT] = "enrolment",
		[KMC_REFUSED_IMAGE] = "image", [KMC_REFUSED_RESERVATION] = "reservation", [KMC_REFUSED_SESSION] = "session",
		[KMC_REFUSED_PARKED] = "parked",
	};
	const char *list = strstr(page, "refusal = &(\n");
	unsigned int lines = 0;
	char line[64];

	(void)state;
	assert_non_null(list);
	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "\n\t%s: %zu,", names[i], i);
		assert_non_null(strstr(list, line));
	}
	for (const char *p = list; (p = strstr(p, "\n\t")) != NULL; p++)
		lines++;
	assert_int_equal(lines, sizeof(names) / sizeof(names[0]) - 1);
	assert_string_equal(kmc_refusal_text(sizeof(names) / sizeof(names[0])), "refused"); /* there is no further one */
}

static void the_frames_bound_is_on_the_page(void **state)
{
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "at most %d,%03d bytes", KMC_BODY_MAX / 1000, KMC_BODY_MAX % 1000);
	assert_non_null(strstr(page, text));
}

static int setup(void **state)
{
	FILE *f = fopen("docs/kmc-protocol.cddl", "r");
	size_t n = f ? fread(page, 1, sizeof(page) - 1, f) : 0;

	(void)state;
	if (f)
		fclose(f);
	page[n] = '\0';
	return n ? 0 : -1; /* run from the top of the tree */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_is_on_the_page_as_it_is),
		cmocka_unit_test(every_rule_is_a_message),
		cmocka_unit_test(every_refusal_has_its_number),
		cmocka_unit_test(the_frames_bound_is_on_the_page),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

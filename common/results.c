/* What a tool tells of what it did. */
#include "common/results.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

static json_t *object;

void results_as_json(void)
{
	if (!object)
		object = json_object();
}

bool results_are_json(void)
{
	return object != NULL;
}

static void append(const char *list, json_t *value)
{
	if (!json_object_get(object, list))
		json_object_set_new(object, list, json_array());
	json_array_append_new(json_object_get(object, list), value);
}

/* One line, without its end. */
static void flatten(char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

void results_tell(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (object) {
		flatten(text);
		append("notes", json_string(text));
		return;
	}
	fputs(text, stdout);
	fflush(stdout); /* what comes next may take a while */
}

void results_text(const char *name, const char *value)
{
	if (object)
		json_object_set_new(object, name, json_string(value));
}

void results_number(const char *name, uint64_t value)
{
	if (object)
		json_object_set_new(object, name, json_integer((json_int_t)value));
}

void results_truth(const char *name, bool value)
{
	if (object)
		json_object_set_new(object, name, json_boolean(value));
}

void results_finding(const char *verdict, const char *text)
{
	if (object)
		append("findings", json_pack("{s:s, s:s}", "verdict", verdict, "text", text));
	else
		printf("%-6s %s\n", strcmp(verdict, "wrong") == 0 ? "WRONG" : verdict, text);
}

bool results_any(void)
{
	return object && json_object_size(object) != 0;
}

void results_end(void)
{
	if (!object)
		return;
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
	object = NULL;
}

/* UUIDs as Xen writes them. */
#include "common/uuid.h"

#include <stddef.h>
#include <string.h>

#include "common/error.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool dash_before(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

int uuid_parse(const char *text, struct uuid *u)
{
	struct uuid out;

	for (size_t i = 0; i < UUID_SIZE; i++) {
		int hi, lo;

		if (dash_before(i) && *text++ != '-')
			return E_FORMAT;
		hi = hex(text[0]);
		if (hi < 0)
			return E_FORMAT;
		lo = hex(text[1]);
		if (lo < 0)
			return E_FORMAT;
		out.b[i] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	if (*text != '\0')
		return E_FORMAT;
	*u = out;
	return 0;
}

char *uuid_format(const struct uuid *u, char text[UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;

	for (size_t i = 0; i < UUID_SIZE; i++) {
		if (dash_before(i))
			*p++ = '-';
		*p++ = digits[u->b[i] >> 4];
		*p++ = digits[u->b[i] & 15];
	}
	*p = '\0';
	return text;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, UUID_SIZE) == 0;
}

bool uuid_is_nil(const struct uuid *u)
{
	static const struct uuid nil;

	return uuid_equal(u, &nil);
}

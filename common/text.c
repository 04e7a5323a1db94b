/* Text from elsewhere. */
#include "common/text.h"

#include <stdbool.h>
#include <string.h>

size_t text_char(const uint8_t *p, size_t n)
{
	uint8_t c = n ? p[0] : 0xff;
	size_t size = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	if (size == 0 || size > n)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return size;
}

/* C0, DEL, and C1, which a terminal may take for an escape just as well. */
static bool is_control(const uint8_t *p, size_t size)
{
	return size == 1 ? p[0] < 0x20 || p[0] == 0x7f : size == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

char *text_make_printable(char *s)
{
	uint8_t *p = (uint8_t *)s;
	size_t left = strlen(s);

	while (left) {
		size_t size = text_char(p, left);

		if (size == 0 || is_control(p, size)) {
			size = size ? size : 1;
			memset(p, '?', size);
		}
		p += size;
		left -= size;
	}
	return s;
}

const char *text_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
	return out;
}

/* UUIDs as Xen writes them: 16 bytes, printed in RFC 4122 text order. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_SIZE 16
#define UUID_TEXT 37 /* with the terminating NUL */

struct uuid {
	uint8_t b[UUID_SIZE];
};

/** uuid_parse() - read the 36-character form, either case; 0 or E_FORMAT. */
int uuid_parse(const char *text, struct uuid *u);

/** uuid_format() - write the lower-case form into @text. Return: @text. */
char *uuid_format(const struct uuid *u, char text[UUID_TEXT]);

bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);

#endif

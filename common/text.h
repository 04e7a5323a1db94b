/* Text from elsewhere: is it UTF-8, and may a terminal or a log see it? */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/** text_char() - bytes of the UTF-8 character (RFC 3629: no overlong form, no surrogate) at @p, 0 if there is none in @n bytes. */
size_t text_char(const uint8_t *p, size_t n);

/** text_make_printable() - put '?' for control characters and for bytes that are not UTF-8. Return: @s. */
char *text_make_printable(char *s);

/** text_hex() - @n bytes as hex digits into @out, which has 2 * @n + 1 bytes. Return: @out. */
const char *text_hex(const uint8_t *p, size_t n, char *out);

#endif

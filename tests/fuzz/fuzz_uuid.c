/* A UUID from xenstore: what is read is written again as it was, in lower case. */
#include <strings.h>

#include "common/uuid.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), out[UUID_TEXT];
	struct uuid u;

	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (uuid_parse(text, &u) == 0)
		must(strlen(text) == UUID_TEXT - 1 && strcasecmp(uuid_format(&u, out), text) == 0);
	free(text);
	return 0;
}

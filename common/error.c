/* The text that stands for each error code. */
#include "common/error.h"

#include <stddef.h>

static const char *const texts[] = {
	[0] = "success",
	[-E_ARG] = "invalid argument",
	[-E_NOMEM] = "out of memory",
	[-E_RANGE] = "too large",
	[-E_TRUNCATED] = "ends too early",
	[-E_TRAILING] = "has trailing bytes",
	[-E_FORMAT] = "malformed",
	[-E_VERSION] = "unknown version",
	[-E_UNKNOWN] = "unknown message or field",
	[-E_AGAIN_IN] = "waiting for input",
	[-E_AGAIN_OUT] = "waiting for output",
	[-E_EOF] = "closed by the peer",
	[-E_IO] = "input/output error",
	[-E_CRYPTO] = "cryptographic library failed",
	[-E_TPM] = "TPM error",
	[-E_DENIED] = "denied",
	[-E_NOTFOUND] = "not found",
	[-E_EXISTS] = "exists already",
	[-E_BUSY] = "held by somebody else",
	[-E_TIMEOUT] = "timed out",
	[-E_CONFIG] = "configuration error",
	[-E_XEN] = "Xen refused",
	[-E_DB] = "database error",
	[-E_STATE] = "not allowed in this state",
	[-E_INTEGRITY] = "integrity check failed",
};

const char *error_text(int r)
{
	size_t n = r <= 0 ? (size_t)-(long)r : sizeof(texts);

	if (n >= sizeof(texts) / sizeof(texts[0]) || !texts[n])
		return "unknown error";
	return texts[n];
}

/* The project's one list of error codes: negative values, 0 is success. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

enum vtpm_error {
	E_ARG = -1,	   /* the caller passed something it must not */
	E_NOMEM = -2,	   /* memory, a table slot or a lockable page is not to be had */
	E_RANGE = -3,	   /* a size or number exceeds its bound */
	E_TRUNCATED = -4,  /* the input ends too early */
	E_TRAILING = -5,   /* bytes are left over after the last field */
	E_FORMAT = -6,	   /* the input breaks its grammar */
	E_VERSION = -7,	   /* a version that this program does not speak */
	E_UNKNOWN = -8,	   /* a message, field or name that nobody knows */
	E_AGAIN_IN = -9,   /* not ready: call again when the source is readable */
	E_AGAIN_OUT = -10, /* not ready: call again when the sink is writable */
	E_EOF = -11,	   /* the peer closed the stream */
	E_IO = -12,	   /* the operating system refused; errno says why */
	E_CRYPTO = -13,	   /* the cryptographic library failed */
	E_TPM = -14,	   /* a TPM answered with an error */
	E_DENIED = -15,	   /* policy says no */
	E_NOTFOUND = -16,  /* no such object */
	E_EXISTS = -17,	   /* there is one already */
	E_BUSY = -18,	   /* somebody else holds it */
	E_TIMEOUT = -19,   /* the deadline passed */
	E_CONFIG = -20,	   /* a configuration file is wrong */
	E_XEN = -21,	   /* the hypervisor or xenstore refused */
	E_DB = -22,	   /* the database failed */
	E_STATE = -23,	   /* not allowed in the present state */
	E_INTEGRITY = -24, /* an authentication tag, hash or padding is wrong */
};

/**
 * error_text() - the sentence fragment that stands for a code
 * @r: 0 or a value of enum vtpm_error
 *
 * Return: a static string, never NULL.
 */
const char *error_text(int r);

#endif

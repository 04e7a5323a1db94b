/*
 * A channel as OpenSSL reads and writes it.
 *
 * Nothing is buffered here: what the channel does not take now is asked again, as OpenSSL does with a socket that has no room.
 */
#include "common/channel_bio.h"

#include <errno.h>
#include <stdbool.h>

#include "common/channel.h"
#include "common/error.h"

static int bio_read(BIO *b, char *p, int n)
{
	size_t got = 0;
	int r = n > 0 ? channel_read(BIO_get_data(b), p, (size_t)n, &got) : 0;

	BIO_clear_retry_flags(b);
	if (r == 0)
		return (int)got;
	if (r == E_AGAIN_IN) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (r == E_EOF) {
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
		return 0;
	}
	errno = EIO;
	return -1;
}

static int bio_write(BIO *b, const char *p, int n)
{
	size_t put = 0;
	int r = n > 0 ? channel_write(BIO_get_data(b), p, (size_t)n, &put) : 0;

	BIO_clear_retry_flags(b);
	if (r == 0)
		return (int)put;
	if (r == E_AGAIN_OUT)
		BIO_set_retry_write(b);
	else
		errno = r == E_EOF ? EPIPE : EIO;
	return -1;
}

static long bio_ctrl(BIO *b, int what, long number, void *p)
{
	(void)number, (void)p;
	if (what == BIO_CTRL_EOF)
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	return what == BIO_CTRL_FLUSH; /* nothing is held back */
}

/* One for the process: OpenSSL counts types, and each takes a number for good. */
static const BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method;
	BIO_METHOD *m;

	if (method)
		return method;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");
	if (m && BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return method = m;
	BIO_meth_free(m);
	return NULL;
}

BIO *channel_bio(struct channel *channel)
{
	const BIO_METHOD *method = bio_method();
	BIO *b = method ? BIO_new(method) : NULL;

	if (!b)
		return NULL;
	BIO_set_data(b, channel);
	BIO_set_init(b, 1);
	return b;
}

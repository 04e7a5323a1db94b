/* A stand-in's answers. */
#include "vtpm-stubdom/standin.h"

#include "common/buf.h"
#include "vtpm-stubdom/tpm12.h"

enum { ST_RSP_1_2 = 0x00c4, ST_NO_SESSIONS = 0x8001 };
enum { INVALID_POSTINIT_1_2 = 0x26, RC_INITIALIZE = 0x100 };

uint8_t *standin_response(const uint8_t *command, size_t n, uint8_t out[STANDIN_SIZE])
{
	bool is_12 = tpm12_is_command(command, n);
	struct buf b;

	buf_over(&b, out, STANDIN_SIZE);
	buf_put_u16(&b, is_12 ? ST_RSP_1_2 : ST_NO_SESSIONS);
	buf_put_u32(&b, STANDIN_SIZE);
	buf_put_u32(&b, is_12 ? INVALID_POSTINIT_1_2 : RC_INITIALIZE);
	return out;
}

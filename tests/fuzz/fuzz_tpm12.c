/* TPM 1.2 commands from a hostile guest, over a TPM 2.0 that answers rubbish: the first byte is the command's length. */
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/tpm12.h"

struct rubbish {
	const uint8_t *p;
	size_t n;
};

static int answer(void *arg, const uint8_t *command, size_t n, const uint8_t **response, size_t *n_response)
{
	struct rubbish *r = arg;
	size_t take = r->n ? r->p[0] : 0;

	must(n >= 10 && command[0] == 0x80 && (size_t)command[5] == n);
	if (take > r->n)
		take = r->n;
	*response = r->p;
	*n_response = take;
	r->p += take;
	r->n -= take;
	return take ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t response[TPM12_RESPONSE_MAX];
	struct rubbish r;
	size_t command, n;

	if (size < 1)
		return 0;
	command = data[0] < size - 1 ? data[0] : size - 1;
	r = (struct rubbish){.p = data + 1 + command, .n = size - 1 - command};
	n = tpm12_process(data + 1, command, answer, &r, response);
	must(n >= 10 && n <= sizeof(response));
	must(response[0] == 0 && response[1] == 0xc4 && ((size_t)response[4] << 8 | response[5]) == n);
	return 0;
}

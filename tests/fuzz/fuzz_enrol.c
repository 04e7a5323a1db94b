/* What comes before anybody is known: enrolment messages with their keys and certificate, and tokens. */
#include "common/buf.h"
#include "common/kmcmsg.h"
#include "common/token.h"
#include "kmc/ekcert.h"
#include "kmc/quote.h"
#include "tests/fuzz/fuzz.h"

static struct ekroots *roots;

static void try_token(const uint8_t *data, size_t size)
{
	char text[TOKEN_TEXT_MAX + 8], back[TOKEN_TEXT_MAX + 1];
	struct token t;
	size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;

	memcpy(text, data, n);
	text[n] = '\0';
	if (token_parse(text, &t) == 0)
		must(token_format(&t, back) == 0 && strstr(text, back));
}

static void try_enrol(const struct kmc_enrol *m)
{
	enum ek_check check;
	char why[EKCERT_WHY];
	struct quote_ek ek;
	struct quote_ak ak;

	quote_ak(m->ak, &ak);
	if (quote_ek(m->ek, &ek) == 0 && ekcert_check(roots, m->certificate, &ek, &check, why) == 0)
		must(check != EK_CERTIFIED); /* there are no roots */
}

static void try_message(const uint8_t *data, size_t size)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct msg_schema *schema;
	struct msg m;
	struct buf b;

	buf_view(&b, data, size);
	if (msg_next(&b, KMC_ENROL_BODY_MAX, &m) != 0)
		return;
	schema = kmc_schema(m.head.type);
	if (schema && msg_fields(&m, schema, fields) == 0 && m.head.type == KMC_ENROL)
		try_enrol((const void *)fields);
}

/* A certificate alone, for some key of the right kind. */
static void try_certificate(const uint8_t *data, size_t size)
{
	static const uint8_t number[256] = {1};
	const struct quote_ek rsa = {.is_rsa = true, .modulus = view_of(number, 256)}, ecc = {.x = view_of(number, 32), .y = view_of(number, 32)};
	enum ek_check check;
	char why[EKCERT_WHY];

	must(ekcert_check(roots, view_of(data, size), &rsa, &check, why) != 0);
	must(ekcert_check(roots, view_of(data, size), &ecc, &check, why) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[EKCERT_WHY];

	if (!roots)
		must(ekroots_load(&roots, "/nonexistent/roots.pem", why) == 0);
	try_token(data, size);
	try_message(data, size);
	try_certificate(data, size);
	return 0;
}

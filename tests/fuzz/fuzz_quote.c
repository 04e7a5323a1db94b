/* What a host's TPM is said to have said: quotes, certifications, signatures, public areas; and the verdict on what nobody signed. */
#include "kmc/attest.h"
#include "kmc/quote.h"
#include "tests/fuzz/fuzz.h"

static void is_inside(struct view v, struct view whole)
{
	must(v.n == 0 || (v.p >= whole.p && v.p + v.n <= whole.p + whole.n));
}

static void try_keys(struct view in)
{
	struct quote_ak ak;
	struct quote_ek ek;

	if (quote_ak(in, &ak) == 0) {
		is_inside(ak.x, in);
		is_inside(ak.y, in);
		must(ak.x.n >= 1 && ak.x.n <= 32);
	}
	if (quote_tls_key(in, &ak) == 0) {
		is_inside(ak.y, in);
		must(quote_ak(in, &ak) != 0);
	}
	if (quote_ek(in, &ek) == 0) {
		is_inside(ek.modulus, in);
		must(ek.is_rsa ? ek.modulus.n == 256 : ek.x.n >= 1 && ek.y.n <= 32);
	}
}

static void try_quote(struct view in)
{
	struct quote_certified c;
	struct quote_signature s;
	struct quote q;

	if (quote_parse(in, &q) == 0) {
		is_inside(q.extra, in);
		is_inside(q.digest, in);
		must(q.digest.n == 32 && q.pcrs >> QUOTE_PCRS == 0);
	}
	if (quote_certified(in, &c) == 0) {
		is_inside(c.extra, in);
		is_inside(c.name, in);
		must(c.name.n == 34);
	}
	if (quote_signature(in, &s) == 0)
		is_inside(s.s, in);
}

/* Four parts: key, quote, signature, values. Nothing that a fuzzer finds is signed. */
static void try_claim(const uint8_t *p, size_t n)
{
	static const uint8_t qualifying[32];
	struct attest_claim claim;
	struct attest_facts facts;
	char why[ATTEST_WHY] = "";
	size_t part = n / 4;

	claim = (struct attest_claim){.quote = view_of(p + part, part), .signature = view_of(p + 2 * part, part), .values = view_of(p + 3 * part, part)};
	must(attest_verify(view_of(p, part), &claim, 0x8f, qualifying, &facts, why) != 0);
	must(*why);
	must(attest_certified(view_of(p, part), claim.values, claim.quote, claim.signature, qualifying) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_keys(view_of(data, size));
	try_quote(view_of(data, size));
	if (size >= 4)
		try_claim(data, size);
	return 0;
}

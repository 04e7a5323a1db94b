/* The check of a quote, and the decision on what it says. */
#include "kmc/attest.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/eckey.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/quote.h"

_Static_assert(STORE_PCRS == QUOTE_PCRS, "one count of PCRs");

struct store_policy attest_default_policy(const char *pool)
{
	struct store_policy p = {.pcrs = ATTEST_DEFAULT_PCRS, .interval_s = ATTEST_DEFAULT_INTERVAL_S};

	snprintf(p.pool, sizeof(p.pool), "%s", pool);
	return p;
}

static int no(char why[ATTEST_WHY], int r, const char *text)
{
	snprintf(why, ATTEST_WHY, "%s", text);
	return r;
}

static int verify_signature(struct view area, struct view attest, struct view signature)
{
	struct quote_signature s;
	struct eckey_numbers n;
	struct quote_ak ak;
	int r;

	if ((r = quote_ak(area, &ak)) != 0 || (r = quote_signature(signature, &s)) != 0)
		return r;
	n = (struct eckey_numbers){.x = ak.x, .y = ak.y, .r = s.r, .s = s.s};
	return eckey_verify_numbers(&n, attest);
}

static void spread(struct view values, uint32_t mask, struct store_pcrs *out)
{
	const uint8_t *p = values.p;

	memset(out, 0, sizeof(*out));
	out->mask = mask;
	for (unsigned int i = 0; i < STORE_PCRS; i++)
		if (mask & 1u << i) {
			memcpy(out->value[i], p, 32);
			p += 32;
		}
}

int attest_verify(struct view ak, const struct attest_claim *claim, uint32_t mask, const uint8_t qualifying[32], struct attest_facts *facts,
		  char why[ATTEST_WHY])
{
	uint8_t digest[32];
	struct quote q;
	int r = quote_parse(claim->quote, &q);

	if (r != 0)
		return no(why, r, "the host's quote can't be read: it is no TPM2_Quote over PCRs of the SHA-256 bank");
	r = verify_signature(ak, claim->quote, claim->signature);
	if (r != 0)
		return no(why, r, "the quote is not signed by the attestation key that this host was enrolled with: was its TPM replaced or cleared?");
	if (q.extra.n != 32 || !bytes_equal(q.extra.p, qualifying, 32))
		return no(why, E_INTEGRITY, "the quote is not for this nonce and this connection: it is old, or another host's");
	if (q.pcrs != mask || claim->values.n != 32u * (size_t)__builtin_popcount(mask))
		return no(why, E_FORMAT, "the quote is over other PCRs than were asked for");
	if (EVP_Digest(claim->values.p, claim->values.n, digest, NULL, EVP_sha256(), NULL) != 1)
		return no(why, E_CRYPTO, "can't hash the host's PCRs");
	if (!bytes_equal(digest, q.digest.p, 32))
		return no(why, E_INTEGRITY, "the PCRs that the host sent are not those that its TPM signed");
	*facts = (struct attest_facts){.firmware = q.firmware, .clock_ms = q.clock_ms, .reset_count = q.reset_count,
				       .restart_count = q.restart_count, .clock_safe = q.clock_safe};
	spread(claim->values, mask, &facts->pcrs);
	return 0;
}

int attest_certified(struct view ak, struct view area, struct view attest, struct view signature, const uint8_t qualifying[32])
{
	uint8_t name[34] = {0x00, 0x0b}; /* SHA-256's algorithm id, then the hash: TPM 2.0 Part 1, 16 Names */
	struct quote_certified c;
	int r;

	if ((r = quote_certified(attest, &c)) != 0 || (r = verify_signature(ak, attest, signature)) != 0)
		return r;
	if (EVP_Digest(area.p, area.n, name + 2, NULL, EVP_sha256(), NULL) != 1)
		return E_CRYPTO;
	return c.extra.n == 32 && bytes_equal(c.extra.p, qualifying, 32) && bytes_equal(c.name.p, name, sizeof(name)) ? 0 : E_INTEGRITY;
}

/* PCRs that have no reference, or another one: a mask. */
static uint32_t differing(const struct store_pcrs *reference, const struct store_pcrs *found)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < STORE_PCRS; i++)
		if (found->mask & 1u << i &&
		    (!(reference->mask & 1u << i) || memcmp(reference->value[i], found->value[i], 32) != 0))
			mask |= 1u << i;
	return mask;
}

static void list_pcrs(uint32_t mask, char *out, size_t cap)
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < STORE_PCRS && n < cap; i++)
		if (mask & 1u << i)
			n += (size_t)snprintf(out + n, cap - n, "%s%u", n ? ", " : "", i);
}

/* A TPM's counters only grow; what went back is an older copy of its state. NULL: fine. */
static const char *clock_fault(const struct store_identity *known, const struct attest_facts *f)
{
	if (!known->attested_at)
		return NULL;
	if (f->reset_count < known->reset_count)
		return "its TPM counts fewer resets than before: an older state of it was put back";
	if (f->reset_count > known->reset_count)
		return f->clock_safe && f->clock_ms < known->clock_ms ? "its TPM's clock went back over a reset" : NULL;
	if (f->restart_count < known->restart_count)
		return "its TPM counts fewer restarts than before: an older state of it was put back";
	return f->clock_ms < known->clock_ms ? "its TPM's clock went back: an older state of it was put back" : NULL;
}

static bool permits(const struct store_policy *policy, const uint8_t *image)
{
	bool found = policy->n_images == 0;

	for (size_t i = 0; image && i < policy->n_images && !found; i++)
		found = memcmp(policy->images[i], image, sizeof(policy->images[i])) == 0;
	return found;
}

/* Why a pool that asks for an image does not take this one. */
static void complain_of_image(const struct store_policy *policy, const uint8_t *image, bool maintenance, char text[ATTEST_WHY])
{
	char hex[65] = "";

	for (int i = 0; image && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", image[i]);
	if (image)
		snprintf(text, ATTEST_WHY, "its stub domains' image %s is none that pool '%.40s' permits%s", hex, policy->pool,
			 maintenance ? " (maintenance)" : ": install one, or add it with 'kmcctl policy set --stub-image'");
	else
		snprintf(text, ATTEST_WHY, "it does not say which image its stub domains start from, and pool '%.40s' asks for it%s", policy->pool,
			 maintenance ? " (maintenance)" : ": upgrade its vtpm-relayd, and see its log");
}

struct attest_verdict attest_decide(const struct store_policy *policy, const struct store_identity *known, const struct attest_facts *facts,
				    int64_t now)
{
	bool maintenance = now < policy->maintenance_until;
	uint32_t changed = differing(&known->reference, &facts->pcrs);
	const char *clock = clock_fault(known, facts);
	struct attest_verdict v = {.good = true};
	char list[96];

	if (clock) {
		v.good = policy->note_clock;
		snprintf(v.text, sizeof(v.text), "%s", clock);
	} else if (changed) {
		list_pcrs(changed, list, sizeof(list));
		v.good = maintenance;
		snprintf(v.text, sizeof(v.text), "PCR %s differ%s from the reference%s", list, changed & (changed - 1) ? "" : "s",
			 maintenance ? " (maintenance)" : ": look why, then 'kmcctl policy accept' this host");
	} else if (facts->firmware != known->reference_firmware) {
		v.good = maintenance || policy->note_firmware;
		snprintf(v.text, sizeof(v.text), "its TPM's firmware version changed from %016" PRIx64 " to %016" PRIx64 "%s",
			 known->reference_firmware, facts->firmware, v.good ? "" : ": 'kmcctl policy accept' this host if that was an update");
	} else if (!permits(policy, facts->image)) {
		v.good = maintenance;
		complain_of_image(policy, facts->image, maintenance, v.text);
	}
	return v;
}

struct attest_verdict attest_may_open(const struct store_policy *policy, const struct store_identity *identity, int64_t good_until,
				      int64_t now)
{
	struct attest_verdict v = {.good = false};
	int n;

	if (!identity && !policy->require)
		v.good = true;
	else if (!identity)
		snprintf(v.text, sizeof(v.text), "pool '%s' asks for attestation, and this host was added by files: enrol it with a token", policy->pool);
	else if (identity->failed) {
		n = snprintf(v.text, sizeof(v.text), "its last attestation failed: ");
		snprintf(v.text + n, sizeof(v.text) - (size_t)n, "%.*s", (int)sizeof(v.text) - n - 1, identity->reason);
	} else if (good_until == 0)
		snprintf(v.text, sizeof(v.text), "this connection has not been attested yet");
	else if (now >= good_until)
		snprintf(v.text, sizeof(v.text), "its last attestation is too old: a new quote is needed every %" PRIu64 " s", policy->interval_s);
	else
		v.good = true;
	return v;
}

int64_t attest_good_until(const struct store_policy *policy, int64_t now)
{
	return now + (int64_t)(policy->interval_s + policy->interval_s / 2 + 5);
}

void attest_update(struct store_identity *known, const struct attest_facts *facts, int64_t now)
{
	known->clock_ms = facts->clock_ms;
	known->reset_count = facts->reset_count;
	known->restart_count = facts->restart_count;
	known->attested_at = now;
}

int attest_accept(struct store_identity *known)
{
	if (!known->last.mask)
		return E_NOTFOUND;
	for (unsigned int i = 0; i < STORE_PCRS; i++)
		if (known->last.mask & 1u << i)
			memcpy(known->reference.value[i], known->last.value[i], 32);
	known->reference.mask |= known->last.mask;
	known->reference_firmware = known->last_firmware;
	known->clock_ms = known->reset_count = known->restart_count = 0; /* and its clock, wherever it stands */
	return 0;
}

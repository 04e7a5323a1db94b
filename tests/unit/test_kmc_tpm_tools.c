/*
 * The proof, with the TCG's tools, which know nothing of us: the parent of all keys can be duplicated to another TPM with the authority's
 * signature and not without.
 */
#include "kmc/kmctpm.h"

#include <stdio.h>
#include <unistd.h>

#include "common/secret.h"
#include "tests/unit/tpms.h"

/* A blob for the tools: NAME.pub, NAME.priv. */
static void split(const struct kmctpm_blob *blob, const char *as)
{
	size_t n = 2 + ((size_t)blob->data[0] << 8 | blob->data[1]);
	char name[99];

	snprintf(name, sizeof(name), "%s.pub", as);
	tpms_write(name, blob->data, n);
	snprintf(name, sizeof(name), "%s.priv", as);
	tpms_write(name, blob->data + n, blob->size - n);
}

/* The storage primary as kmctpm.c makes it, in both TPMs; the other's parent for the copy; K loaded. */
#define PREPARE                                                                                                                        \
	"for t in $T $U; do tpm2_flushcontext -T $t -t; tpm2_flushcontext -T $t -l; done\n"                                            \
	"{ printf '\\x20\\0'; head -c 128 /dev/zero; printf '\\x20\\0'; head -c 128 /dev/zero; } >unique # TPMS_ECC_POINT in memory\n"                 \
	"A='fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt'\n"                                          \
	"tpm2_createprimary -T $U -C o -G ecc256:aes128cfb -g sha256 -a $A -c up.ctx; tpm2_readpublic -T $U -c up.ctx -o up.pub -n up.name\n" \
	"tpm2_flushcontext -T $U -t\n"                                                                                                  \
	"tpm2_createprimary -C o -G ecc256:aes128cfb -g sha256 -a $A -u unique -c tp.ctx; tpm2_flushcontext -t\n"                                \
	"tpm2_load -C tp.ctx -u k.pub -r k.priv -c k.ctx -n k.name; tpm2_flushcontext -t\n"                                            \
	"tpm2_loadexternal -C n -u up.pub -c up-here.ctx; tpm2_flushcontext -t\n"

/* With the authority's signature over "to the parent up.name, and this key only". */
#define AUTHORISE                                                                                                                      \
	"tpm2_startauthsession -S s.ctx; tpm2_policyduplicationselect -S s.ctx -N up.name -n k.name -L approved; tpm2_flushcontext s.ctx\n" \
	"printf xen-vtpm/duplicate >ref; cat approved ref >both; openssl dgst -sha256 -sign authority.key -out sig both\n"                      \
	"tpm2_loadexternal -C o -G ecc256:ecdsa-sha256 -u authority.pem -a 'sign|userwithauth' -c auth.ctx -n auth.name; tpm2_flushcontext -t\n"

static void make_public(void)
{
	char path[99];

	snprintf(path, sizeof(path), "%s/authority.key", tpms_dir);
	unlink(path);
	assert_int_equal(ca_key_write(tpms_authority_key, path), 0);
	tpms_must("openssl pkey -in authority.key -pubout -out authority.pem");
}

static void without_the_authority_the_parent_stays(void **state)
{
	struct kmctpm *t = tpms_open(0);
	struct kmctpm_blob blob;

	(void)state;
	works(kmctpm_make_parent(t, &tpms_authority, &blob, tpms_why));
	kmctpm_close(&t);
	split(&blob, "k");
	make_public();
	tpms_must(PREPARE "head -c 16 /dev/urandom >inner");
	/* with the key's own authorisation (which is empty), with the owner's, and with the policy but no signature */
	assert_int_not_equal(tpms_tools("tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -r d.priv -s d.seed"), 0);
	assert_int_not_equal(tpms_tools("tpm2_startauthsession --policy-session -S s.ctx; tpm2_policyduplicationselect -S s.ctx -N up.name -n k.name -L x\n"
				   "r=0; tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -p session:s.ctx -r d.priv -s d.seed || r=1\n"
				   "tpm2_flushcontext s.ctx; exit $r"), 0);
	/* without an inner wrapper, or to nobody in particular, not even a policy could */
	assert_int_not_equal(tpms_tools("tpm2_duplicate -C null -c k.ctx -G null -r d.priv -s d.seed"), 0);
}

/* K does not go on its own, whatever anybody signs. */
static void what_is_below_the_parent_stays_below_it(void **state)
{
	struct kmctpm *t = tpms_open(0);
	struct kmctpm_blob parent, blob;

	(void)state;
	tpms_make_keys(t, &parent, &blob);
	kmctpm_close(&t);
	split(&parent, "k");
	split(&blob, "s");
	tpms_must(PREPARE "head -c 16 /dev/urandom >inner; tpm2_load -C k.ctx -u s.pub -r s.priv -c s.ctx -n s.name; tpm2_flushcontext -t");
	assert_int_not_equal(tpms_tools("tpm2_startauthsession --policy-session -S s.ses; tpm2_policyduplicationselect -S s.ses -N up.name -n s.name -L x\n"
				   "r=0; tpm2_duplicate -C up-here.ctx -c s.ctx -G aes -i inner -p session:s.ses -r d.priv -s d.seed || r=1\n"
				   "tpm2_flushcontext s.ses; exit $r"), 0);
}

/* The whole path to another TPM with the TCG's tools, and the same MAC there. */
static void with_the_authority_it_moves_to_the_named_tpm(void **state)
{
	struct kmctpm *t = tpms_open(0);
	struct kmctpm_blob parent, blob;
	struct secret *here;
	uint8_t there[33];

	(void)state;
	tpms_make_keys(t, &parent, &blob);
	here = tpms_mac(t, "a message");
	kmctpm_close(&t);
	split(&parent, "k");
	split(&blob, "s");
	make_public();
	tpms_must(PREPARE AUTHORISE
		  "head -c 16 /dev/urandom >inner\n"
		  "tpm2_verifysignature -c auth.ctx -g sha256 -m both -s sig -f ecdsa -t ticket\n"
		  "tpm2_startauthsession --policy-session -S s.ctx; tpm2_policyduplicationselect -S s.ctx -N up.name -n k.name -L x\n"
		  "tpm2_policyauthorize -S s.ctx -i approved -q ref -n auth.name -t ticket -L y\n"
		  "tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -p session:s.ctx -r d.priv -s d.seed; tpm2_flushcontext s.ctx\n"
		  "tpm2_flushcontext -t; export TPM2TOOLS_TCTI=$U\n"
		  "tpm2_import -C up.ctx -G ecc -i d.priv -u k.pub -k inner -s d.seed -r c.priv\n"
		  "tpm2_load -C up.ctx -u k.pub -r c.priv -c c.ctx; tpm2_flushcontext -t\n"
		  "tpm2_load -C c.ctx -u s.pub -r s.priv -c m.ctx; tpm2_flushcontext -t; printf 'a message' | tpm2_hmac -c m.ctx -o mac");
	assert_int_equal(tpms_read("mac", there, sizeof(there)), 32);
	assert_memory_equal(there, here->data, 32);
	secret_free(&here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_authority_the_parent_stays),
		cmocka_unit_test(what_is_below_the_parent_stays_below_it),
		cmocka_unit_test(with_the_authority_it_moves_to_the_named_tpm),
	};

	return cmocka_run_group_tests(tests, tpms_setup, tpms_teardown);
}

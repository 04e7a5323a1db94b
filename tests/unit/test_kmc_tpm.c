/*
 * The KMC's TPM and the vault, with a real swtpm: keys that never show, an open from end to end, and the proof that the parent of all keys
 * can be duplicated to another TPM with the authority's signature and not without.
 */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/kmctpm_move.h"
#include "kmc/rsakey.h"
#include "kmc/vault.h"
#include "kmc/vault_move.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/test-kmc-tpm-XXXXXX", why[KEYRING_WHY];
static struct { pid_t pid; char tcti[99]; } tpms[2];
static struct kmcconf conf;
static struct x509_key *authority_key;
static struct kmctpm_authority authority;

static void start_tpm(int n)
{
	char state[99], server[99], control[99];

	snprintf(tpms[n].tcti, sizeof(tpms[n].tcti), "swtpm:path=%s/%d.sock", dir, n);
	snprintf(state, sizeof(state), "dir=%s/tpm%d", dir, n);
	snprintf(server, sizeof(server), "type=unixio,path=%s/%d.sock", dir, n);
	snprintf(control, sizeof(control), "type=unixio,path=%s/%d.sock.ctrl", dir, n);
	mkdir(state + 4, 0700);
	tpms[n].pid = fork();
	if (tpms[n].pid == 0) {
		if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
			_exit(1);
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", control, "--flags",
		       "not-need-init,startup-clear", (char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 200 && access(server + strlen("type=unixio,path="), F_OK) != 0; i++)
		usleep(50000);
	usleep(100000);
}

static void stop_tpm(int n)
{
	if (tpms[n].pid > 0) {
		kill(tpms[n].pid, SIGTERM);
		waitpid(tpms[n].pid, NULL, 0);
	}
	tpms[n].pid = 0;
}

static struct kmctpm *open_tpm(int n)
{
	struct kmctpm *t;

	if (kmctpm_open(&t, tpms[n].tcti, why) != 0)
		fail_msg("%s", why);
	return t;
}

static struct secret *hmac(struct kmctpm *t, const char *text)
{
	struct secret *mac;

	if (kmctpm_hmac(t, view_text(text), &mac, why) != 0)
		fail_msg("%s", why);
	return mac;
}

/* A parent with K below it, both loaded. */
static void make_keys(struct kmctpm *t, struct kmctpm_blob *parent, struct kmctpm_blob *key)
{
	assert_int_equal(kmctpm_make_parent(t, &authority, parent, why), 0);
	assert_int_equal(kmctpm_load_parent(t, parent, why), 0);
	assert_int_equal(kmctpm_make_hmac_key(t, key, why), 0);
	assert_int_equal(kmctpm_load_hmac_key(t, key, why), 0);
}

static void the_same_key_gives_the_same_mac_over_restarts(void **state)
{
	struct kmctpm *t = open_tpm(0);
	struct kmctpm_blob parent, blob, other;
	struct secret *a, *b, *c, *d;

	(void)state;
	make_keys(t, &parent, &blob);
	a = hmac(t, "one");
	assert_int_equal(a->size, 32);
	kmctpm_close(&t);
	stop_tpm(0);
	start_tpm(0);
	t = open_tpm(0);
	assert_int_equal(kmctpm_load_parent(t, &parent, why), 0);
	assert_int_equal(kmctpm_load_hmac_key(t, &blob, why), 0);
	b = hmac(t, "one");
	c = hmac(t, "two");
	assert_int_equal(kmctpm_make_hmac_key(t, &other, why), 0);
	assert_int_equal(kmctpm_load_hmac_key(t, &other, why), 0);
	d = hmac(t, "one");
	assert_true(secret_equal(a, b));
	assert_false(secret_equal(a, c));
	assert_false(secret_equal(a, d));
	secret_free(&a);
	secret_free(&b);
	secret_free(&c);
	secret_free(&d);
	kmctpm_close(&t);
}

static void what_was_sealed_comes_back_in_its_tpm_only(void **state)
{
	struct kmctpm *t = open_tpm(0), *u = open_tpm(1);
	struct secret *key = secret_random(32), *back;
	struct kmctpm_blob parent, unused, blob;

	(void)state;
	make_keys(t, &parent, &unused);
	assert_int_equal(kmctpm_make_parent(u, &authority, &unused, why), 0);
	assert_int_equal(kmctpm_load_parent(u, &unused, why), 0);
	assert_int_equal(kmctpm_seal(t, key, &blob, why), 0);
	for (size_t i = 0; i + 32 <= blob.size; i++)
		assert_memory_not_equal(blob.data + i, key->data, 32);
	assert_int_equal(kmctpm_unseal(t, &blob, &back, why), 0);
	assert_true(secret_equal(key, back));
	secret_free(&back);
	assert_int_equal(kmctpm_unseal(u, &blob, &back, why), E_TPM);
	assert_non_null(strstr(why, "kmcctl init"));
	blob.data[blob.size - 1] ^= 1;
	assert_int_equal(kmctpm_unseal(t, &blob, &back, why), E_TPM);
	blob.size--;
	assert_int_equal(kmctpm_unseal(t, &blob, &back, why), E_FORMAT);
	assert_null(back);
	secret_free(&key);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void a_killed_users_leftovers_do_not_fill_the_tpm(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct kmctpm *t;
			struct kmctpm_blob parent, blob;

			if (kmctpm_open(&t, tpms[0].tcti, why) != 0 || kmctpm_make_parent(t, &authority, &parent, why) != 0 ||
			    kmctpm_load_parent(t, &parent, why) != 0 || kmctpm_make_hmac_key(t, &blob, why) != 0 ||
			    kmctpm_load_hmac_key(t, &blob, why) != 0)
				_exit(1);
			_exit(0); /* nothing flushed */
		}
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
	}
}

/* With tpm2-tools, which know nothing of us: 0 if @script succeeds. $T, $U: TCTI of the two TPMs. */
static int tools(const char *script)
{
	char file[99], command[299];
	FILE *f;

	snprintf(file, sizeof(file), "%s/script", dir);
	f = fopen(file, "w");
	fprintf(f, "set -ex; cd %s; T=%s; U=%s; export TPM2TOOLS_TCTI=$T\n%s\n", dir, tpms[0].tcti, tpms[1].tcti, script);
	fclose(f);
	snprintf(command, sizeof(command), "bash %s >%s/log 2>&1", file, dir);
	return system(command);
}

/* The same, and the tools' words if it fails. */
static void must_do(const char *script)
{
	char command[99];

	if (tools(script) == 0)
		return;
	snprintf(command, sizeof(command), "cat %s/log", dir);
	(void)!system(command);
	fail_msg("see above");
}

/* A blob for the tools: NAME.pub, NAME.priv. */
static void split(const struct kmctpm_blob *blob, const char *as)
{
	size_t n = 2 + ((size_t)blob->data[0] << 8 | blob->data[1]);
	char name[99];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s.pub", dir, as);
	f = fopen(name, "w");
	assert_int_equal(fwrite(blob->data, 1, n, f), n);
	fclose(f);
	snprintf(name, sizeof(name), "%s/%s.priv", dir, as);
	f = fopen(name, "w");
	assert_int_equal(fwrite(blob->data + n, 1, blob->size - n, f), blob->size - n);
	fclose(f);
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

	snprintf(path, sizeof(path), "%s/authority.key", dir);
	unlink(path);
	assert_int_equal(ca_key_write(authority_key, path), 0);
	assert_int_equal(tools("openssl pkey -in authority.key -pubout -out authority.pem"), 0);
}

static void without_the_authority_the_parent_stays(void **state)
{
	struct kmctpm *t = open_tpm(0);
	struct kmctpm_blob blob;

	(void)state;
	assert_int_equal(kmctpm_make_parent(t, &authority, &blob, why), 0);
	kmctpm_close(&t);
	split(&blob, "k");
	make_public();
	must_do(PREPARE "head -c 16 /dev/urandom >inner");
	/* with the key's own authorisation (which is empty), with the owner's, and with the policy but no signature */
	assert_int_not_equal(tools("tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -r d.priv -s d.seed"), 0);
	assert_int_not_equal(tools("tpm2_startauthsession --policy-session -S s.ctx; tpm2_policyduplicationselect -S s.ctx -N up.name -n k.name -L x\n"
				   "r=0; tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -p session:s.ctx -r d.priv -s d.seed || r=1\n"
				   "tpm2_flushcontext s.ctx; exit $r"), 0);
	/* without an inner wrapper, or to nobody in particular, not even a policy could */
	assert_int_not_equal(tools("tpm2_duplicate -C null -c k.ctx -G null -r d.priv -s d.seed"), 0);
}

/* K does not go on its own, whatever anybody signs. */
static void what_is_below_the_parent_stays_below_it(void **state)
{
	struct kmctpm *t = open_tpm(0);
	struct kmctpm_blob parent, blob;

	(void)state;
	make_keys(t, &parent, &blob);
	kmctpm_close(&t);
	split(&parent, "k");
	split(&blob, "s");
	must_do(PREPARE "head -c 16 /dev/urandom >inner; tpm2_load -C k.ctx -u s.pub -r s.priv -c s.ctx -n s.name; tpm2_flushcontext -t");
	assert_int_not_equal(tools("tpm2_startauthsession --policy-session -S s.ses; tpm2_policyduplicationselect -S s.ses -N up.name -n s.name -L x\n"
				   "r=0; tpm2_duplicate -C up-here.ctx -c s.ctx -G aes -i inner -p session:s.ses -r d.priv -s d.seed || r=1\n"
				   "tpm2_flushcontext s.ses; exit $r"), 0);
}

/* The whole path to another TPM with the TCG's tools, and the same MAC there. */
static void with_the_authority_it_moves_to_the_named_tpm(void **state)
{
	struct kmctpm *t = open_tpm(0);
	struct kmctpm_blob parent, blob;
	struct secret *here;
	uint8_t there[33];
	char path[99];
	FILE *f;

	(void)state;
	make_keys(t, &parent, &blob);
	here = hmac(t, "a message");
	kmctpm_close(&t);
	split(&parent, "k");
	split(&blob, "s");
	make_public();
	must_do(PREPARE AUTHORISE
		  "head -c 16 /dev/urandom >inner\n"
		  "tpm2_verifysignature -c auth.ctx -g sha256 -m both -s sig -f ecdsa -t ticket\n"
		  "tpm2_startauthsession --policy-session -S s.ctx; tpm2_policyduplicationselect -S s.ctx -N up.name -n k.name -L x\n"
		  "tpm2_policyauthorize -S s.ctx -i approved -q ref -n auth.name -t ticket -L y\n"
		  "tpm2_duplicate -C up-here.ctx -c k.ctx -G aes -i inner -p session:s.ctx -r d.priv -s d.seed; tpm2_flushcontext s.ctx\n"
		  "tpm2_flushcontext -t; export TPM2TOOLS_TCTI=$U\n"
		  "tpm2_import -C up.ctx -G ecc -i d.priv -u k.pub -k inner -s d.seed -r c.priv\n"
		  "tpm2_load -C up.ctx -u k.pub -r c.priv -c c.ctx; tpm2_flushcontext -t\n"
		  "tpm2_load -C c.ctx -u s.pub -r s.priv -c m.ctx; tpm2_flushcontext -t; printf 'a message' | tpm2_hmac -c m.ctx -o mac");
	snprintf(path, sizeof(path), "%s/mac", dir);
	f = fopen(path, "r");
	assert_int_equal(fread(there, 1, sizeof(there), f), 32);
	fclose(f);
	assert_memory_equal(there, here->data, 32);
	secret_free(&here);
}

/* Moving, by our own code */

static int sign(const struct x509_key *key, const struct kmctpm_blob *parent, struct view to, uint8_t out[80])
{
	uint8_t approval[KMCTPM_APPROVAL_SIZE];

	assert_int_equal(kmctpm_approval(parent, to, approval), 0);
	return ca_key_sign(key, view_of(approval, sizeof(approval)), out, 80);
}

/* The MAC of "one" in a TPM that gets @copy. */
static struct secret *mac_there(struct kmctpm *u, const struct kmctpm_copy *copy, const struct secret *inner, const struct kmctpm_blob *key)
{
	struct kmctpm_blob parent;

	if (kmctpm_import(u, copy, inner, &parent, why) != 0 || kmctpm_load_parent(u, &parent, why) != 0 ||
	    kmctpm_load_hmac_key(u, key, why) != 0)
		fail_msg("%s", why);
	return hmac(u, "one");
}

static void a_replica_computes_the_same_and_only_the_named_one_can(void **state)
{
	struct kmctpm *t = open_tpm(0), *u = open_tpm(1);
	struct secret *value = secret_random(32), *back, *inner, *here, *there;
	struct kmctpm_credential credential;
	struct kmctpm_blob parent, key, none;
	struct kmctpm_identity id, own;
	struct kmctpm_copy copy;
	uint8_t name[34], signature[80];
	struct kmctpm_order order;
	int n;

	(void)state;
	make_keys(t, &parent, &key);
	here = hmac(t, "one");
	assert_int_equal(kmctpm_identify(u, &id, why), 0);
	assert_true(kmctpm_is_storage(view_of(id.storage, id.storage_size)));
	assert_false(kmctpm_is_storage(view_of(id.storage, id.storage_size - 1)));
	assert_int_equal(kmctpm_area_name(view_of(id.storage, id.storage_size), name), 0);
	assert_int_equal(kmctpm_make_credential(t, view_of(id.ek, id.ek_size), view_of(name, 34), value, &credential, why), 0);
	inner = secret_dup(value->data, KMCTPM_INNER_SIZE);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(id.storage, id.storage_size), .authority = authority, .inner = inner};
	n = sign(authority_key, &parent, order.to, signature);
	assert_true(n > 0);
	order.signature = view_of(signature, (size_t)n);
	if (kmctpm_duplicate(t, &order, &copy, why) != 0)
		fail_msg("%s", why);
	/* the replica opens the credential and imports */
	if (kmctpm_activate(u, view_of(credential.blob, credential.blob_size), view_of(credential.secret, credential.secret_size), &back, why) != 0)
		fail_msg("%s", why);
	assert_true(secret_equal(value, back));
	secret_free(&back);
	inner->data[0] ^= 1;
	assert_int_equal(kmctpm_import(u, &copy, inner, &none, why), E_TPM);
	inner->data[0] ^= 1;
	there = mac_there(u, &copy, inner, &key);
	assert_true(secret_equal(here, there));
	/* neither credential nor copy is any use to the first TPM, nor is a signature for another one */
	kmctpm_close(&t);
	t = open_tpm(0);
	assert_int_equal(kmctpm_activate(t, view_of(credential.blob, credential.blob_size),
					 view_of(credential.secret, credential.secret_size), &back, why), E_TPM);
	assert_int_equal(kmctpm_import(t, &copy, inner, &none, why), E_TPM);
	assert_int_equal(kmctpm_identify(t, &own, why), 0);
	assert_int_equal(kmctpm_load_parent(t, &parent, why), 0);
	order.to = view_of(own.storage, own.storage_size);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, why), E_TPM);
	secret_free(&value);
	secret_free(&inner);
	secret_free(&here);
	secret_free(&there);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void another_authoritys_signature_moves_nothing(void **state)
{
	struct kmctpm *t = open_tpm(0), *u = open_tpm(1);
	struct secret *inner = secret_random(KMCTPM_INNER_SIZE);
	struct x509_key *other;
	struct kmctpm_blob parent, key;
	struct kmctpm_identity id;
	struct kmctpm_copy copy;
	uint8_t signature[80];
	struct kmctpm_order order;
	int n;

	(void)state;
	make_keys(t, &parent, &key);
	assert_int_equal(kmctpm_identify(u, &id, why), 0);
	assert_int_equal(ca_key_make(&other), 0);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(id.storage, id.storage_size), .authority = authority, .inner = inner};
	n = sign(other, &parent, order.to, signature);
	order.signature = view_of(signature, (size_t)n);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, why), E_TPM);
	assert_int_equal(ca_key_point(other, order.authority.x, order.authority.y), 0); /* its own key: the policy names another */
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, why), E_TPM);
	order.signature = view_of(signature, (size_t)n - 1);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, why), E_FORMAT);
	ca_key_free(&other);
	secret_free(&inner);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void a_recovery_key_brings_the_parent_into_a_new_tpm(void **state)
{
	struct kmctpm *t = open_tpm(0), *u = open_tpm(1);
	struct secret *inner = secret_random(KMCTPM_INNER_SIZE), *seed = secret_random(32), *scalar, *here, *there;
	uint8_t area[KMCTPM_AREA_MAX], signature[80];
	struct kmctpm_recovery recovery = {.seed = seed};
	struct kmctpm_copy copy, rewrapped;
	struct kmctpm_blob parent, key;
	struct kmctpm_order order;
	struct x509_key *software;
	int n;

	(void)state;
	make_keys(t, &parent, &key);
	here = hmac(t, "one");
	assert_int_equal(ca_key_make(&software), 0);
	assert_int_equal(ca_key_point(software, recovery.x, recovery.y), 0);
	assert_int_equal(ca_key_scalar(software, &scalar), 0);
	recovery.scalar = scalar;
	n = kmctpm_recovery_area(recovery.x, recovery.y, area);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(area, (size_t)n), .authority = authority, .inner = inner};
	n = sign(authority_key, &parent, order.to, signature);
	order.signature = view_of(signature, (size_t)n);
	if (kmctpm_duplicate(t, &order, &copy, why) != 0 || kmctpm_rewrap(u, &recovery, &copy, &rewrapped, why) != 0)
		fail_msg("%s", why);
	there = mac_there(u, &rewrapped, inner, &key);
	assert_true(secret_equal(here, there));
	kmctpm_close(&u);
	u = open_tpm(1);
	scalar->data[31] ^= 1;
	assert_int_equal(kmctpm_rewrap(u, &recovery, &copy, &rewrapped, why), E_TPM);
	ca_key_free(&software);
	secret_free(&inner);
	secret_free(&seed);
	secret_free(&scalar);
	secret_free(&here);
	secret_free(&there);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

/* The vault */

static struct vault *new_vault(void)
{
	struct keyring k;
	struct vault *v;

	if (keyring_open(&k, &conf, why) != 0)
		fail_msg("%s", why);
	v = vault_new(&k);
	assert_non_null(v);
	return v;
}

static void make_key(struct vault *v, struct rsakey **key, struct vault_key *wrapped)
{
	struct secret *der;

	assert_int_equal(rsakey_make(key, 2048), 0);
	assert_int_equal(rsakey_save(*key, &der), 0);
	assert_int_equal(vault_wrap_key(v, der, wrapped), 0);
	secret_free(&der);
}

/* A host's request in software. */
static void encrypt(const struct rsakey *key, const struct uuid *uuid, const struct secret *response, const uint8_t nonce[16],
		    uint8_t cipher[256])
{
	struct secret *plain = envelope_plain_pack(uuid, response, nonce), *der;
	char path[99];
	FILE *f;

	assert_int_equal(rsakey_save(key, &der), 0);
	snprintf(path, sizeof(path), "%s/rsa.der", dir);
	f = fopen(path, "w");
	fwrite(der->data, 1, der->size, f);
	fclose(f);
	snprintf(path, sizeof(path), "%s/plain", dir);
	f = fopen(path, "w");
	fwrite(plain->data, 1, plain->size, f);
	fclose(f);
	assert_int_equal(tools("openssl pkeyutl -encrypt -keyform DER -inkey rsa.der -in plain -out cipher -pkeyopt rsa_padding_mode:oaep"
			       " -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_oaep_label:$(printf 'xen-vtpm/open/v1\\0' | xxd -p)"), 0);
	snprintf(path, sizeof(path), "%s/cipher", dir);
	f = fopen(path, "r");
	assert_int_equal(fread(cipher, 1, 256, f), 256);
	fclose(f);
	secret_free(&plain);
	secret_free(&der);
}

static void an_open_gives_the_stored_seed_and_nothing_else(void **state)
{
	const struct uuid uuid = {{4, 5, 6}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 1},
	       other = {.tenant = view_text("loop"), .uuid = uuid, .generation = 1};
	uint8_t cipher[256], nonce[16] = "nonce", wrapped[VAULT_SEED_MAX], again[VAULT_SEED_MAX],
	       reply[KMC_RSA_MAX + ENVELOPE_OVERHEAD], hash[32];
	struct secret *response = secret_random(32), *inner, *first, *second, *text;
	struct vault *v = new_vault();
	struct vault_key k;
	struct rsakey *key;
	struct uuid got;
	size_t n;

	(void)state;
	make_key(v, &key, &k);
	encrypt(key, &uuid, response, nonce, cipher);
	const struct vault_decrypt q = {.key_id = view_of(k.id, 16), .wrapped = view_of(k.wrapped, k.wrapped_size),
		.cipher = view_of(cipher, 256)};
	struct vault_seal seal = {.tenant = view_text("pool"), .generation = 1, .lease_epoch = 7};
	struct envelope_facts facts = {.key_id = q.key_id, .cipher = q.cipher, .tenant = seal.tenant, .uuid = uuid, .generation = 1,
		.lease_epoch = 7};

	memcpy(facts.nonce, nonce, 16);
	assert_int_equal(envelope_exchange(&facts, hash), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vault_decrypt(v, 1, &q, &got, why), 0);
		assert_true(uuid_equal(&uuid, &got));
		assert_int_equal(vault_make_seed(v, &owner, i ? again : wrapped, &n, why), 0);
		seal.seed = view_of(i ? again : wrapped, n);
		assert_int_equal(vault_seal(v, 1, &seal, reply, &n, why), 0);
		assert_int_equal(envelope_open(response, hash, view_of(reply, n), &inner), 0);
		text = secret_new(256);
		/* c^e: by encrypting without padding */
		{
			char path[99];
			FILE *f;

			snprintf(path, sizeof(path), "%s/inner", dir);
			f = fopen(path, "w");
			fwrite(inner->data, 1, inner->size, f);
			fclose(f);
			assert_int_equal(tools("openssl pkeyutl -encrypt -keyform DER -inkey rsa.der -in inner -out block -pkeyopt rsa_padding_mode:none"), 0);
			snprintf(path, sizeof(path), "%s/block", dir);
			f = fopen(path, "r");
			assert_int_equal(fread(text->data, 1, 256, f), 256);
			fclose(f);
		}
		assert_int_equal(envelope_block_check(text, hash, i ? &second : &first), 0);
		secret_free(&text);
		secret_free(&inner);
	}
	assert_true(secret_equal(first, second)); /* the same seed, wrapped to other bytes */
	assert_memory_not_equal(wrapped, again, 32 + WRAP_OVERHEAD);
	/* a ticket serves once; another tenant's seed does not unwrap here */
	assert_int_equal(vault_seal(v, 1, &seal, reply, &n, why), E_STATE);
	assert_int_equal(vault_make_seed(v, &other, again, &n, why), 0);
	assert_int_equal(vault_decrypt(v, 2, &q, &got, why), 0);
	seal.seed = view_of(again, n);
	assert_int_equal(vault_seal(v, 2, &seal, reply, &n, why), E_INTEGRITY);
	secret_free(&first);
	secret_free(&second);
	secret_free(&response);
	rsakey_free(&key);
	vault_free(&v);
}

/* The same seed, wrapped for another vTPM; its endorsement seed is the first one's if it says so, and is bound to that. */
static void a_shared_seed_is_the_same_and_bound_to_its_new_owner(void **state)
{
	const struct uuid one = {{4, 5, 6}}, two = {{7, 8}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = one, .generation = 3};
	struct vault_share q = {.tenant = view_text("pool"), .from = one, .to = two, .generation = 3, .to_generation = 1};
	struct vault_endorse e = {.tenant = view_text("pool"), .uuid = one, .generation = 3}, f = {.tenant = view_text("pool"), .uuid = two, .generation = 1};
	const struct origin origin = {.uuid = one, .generation = 3};
	uint8_t wrapped[VAULT_SEED_MAX], shared[VAULT_SEED_MAX], room[ORIGIN_SIZE];
	struct secret *first, *second, *own;
	struct vault *v = new_vault();
	size_t n, m;

	(void)state;
	assert_int_equal(vault_make_seed(v, &owner, wrapped, &n, why), 0);
	q.seed = view_of(wrapped, n);
	assert_int_equal(vault_share_seed(v, &q, shared, &m, why), 0);
	assert_int_equal(n, m);
	e.seed = q.seed;
	f.seed = view_of(shared, m);
	assert_int_equal(vault_endorsement_seed(v, &e, &first, why), 0);
	assert_int_equal(vault_endorsement_seed(v, &f, &own, why), 0);
	f.origin = origin_put(&origin, room);
	assert_int_equal(vault_endorsement_seed(v, &f, &second, why), 0);
	assert_true(secret_equal(first, second));
	assert_false(secret_equal(first, own));
	secret_free(&second);
	f.seed = q.seed; /* neither is taken for the other */
	assert_int_equal(vault_endorsement_seed(v, &f, &second, why), E_INTEGRITY);
	e.seed = view_of(shared, m);
	assert_int_equal(vault_endorsement_seed(v, &e, &second, why), E_INTEGRITY);
	q.generation = 2;
	assert_int_equal(vault_share_seed(v, &q, shared, &m, why), E_INTEGRITY);
	q.generation = 3;
	q.tenant = view_text("loop"); /* nor does a seed leave its pool */
	assert_int_equal(vault_share_seed(v, &q, shared, &m, why), E_INTEGRITY);
	secret_free(&first);
	secret_free(&own);
	vault_free(&v);
}

/* A KMC of its own, in the second TPM. */
static struct vault *other_vault(void)
{
	static struct kmcconf other;
	static char state[150];
	struct keyring k = {.tcti = tpms[1].tcti};
	char path[KMCCONF_PATH];
	struct vault *v;

	snprintf(state, sizeof(state), "%s/other", dir);
	other.state = state;
	mkdir(state, 0700);
	mkdir(kmcconf_path(&other, "vault", path), 0700);
	other.name = conf.name;
	if (keyring_make_tpm_keys(&k, &other, &authority, why) != 0 ||
	    keyring_make_ca(&k, &other, time(NULL) - 9, time(NULL) + 9999, why) != 0 || keyring_make_audit_key(&k, &other, why) != 0)
		fail_msg("%s", why);
	v = vault_new(&k);
	assert_non_null(v);
	return v;
}

static void card_of(struct vault *v, uint8_t bytes[MOVE_CARD_MAX], size_t *n, uint8_t fingerprint[MOVE_HASH_SIZE])
{
	struct move_card card;

	assert_int_equal(vault_card(v, "a name", bytes, n, why), 0);
	assert_int_equal(move_read(view_of(bytes, *n), MOVE_CARD, &card), 0);
	assert_int_equal(move_fingerprint(&card, fingerprint), 0);
}

/* Between two KMCs: the same seed, for the one that it was made for, from the one that is trusted. */
static void a_moved_seed_is_the_same_and_for_one_kmc_only(void **state)
{
	const struct uuid uuid = {{4, 5, 6}}, first = {{7}};
	const struct origin origin = {.uuid = first, .generation = 2};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 3};
	uint8_t card_a[MOVE_CARD_MAX], card_b[MOVE_CARD_MAX], print_a[MOVE_HASH_SIZE], print_b[MOVE_HASH_SIZE], package[MOVE_PACKAGE_MAX],
		again[MOVE_PACKAGE_MAX], wrapped[VAULT_SEED_MAX], moved[VAULT_SEED_MAX], receipt[MOVE_RECEIPT_MAX], room[ORIGIN_SIZE], id[MOVE_ID_SIZE] = "an id";
	struct vault *a = new_vault(), *b = other_vault();
	struct vault_export q = {.tenant = view_text("pool"), .id = view_of(id, sizeof(id)), .uuid = uuid, .origin = origin_put(&origin, room),
				 .generation = 3, .lease_epoch = 9, .owner_epoch = 1, .endorsement_epoch = 2, .platform_epoch = 3, .exported_at = 4};
	struct vault_endorse e = {.tenant = view_text("pool"), .uuid = uuid, .generation = 3, .endorsement_epoch = 2, .origin = q.origin};
	struct vault_receipt rq = {.id = q.id, .uuid = uuid, .lease_epoch = 9, .imported_at = 5};
	struct vault_import i = {.tenant = view_text("other pool")};
	struct secret *here, *there;
	struct move_acceptance accepted;
	struct move_checked checked;
	size_t na, nb, n, m;

	(void)state;
	card_of(a, card_a, &na, print_a);
	card_of(b, card_b, &nb, print_b);
	assert_memory_not_equal(print_a, print_b, sizeof(print_a));
	assert_int_equal(vault_make_seed(a, &owner, wrapped, &n, why), 0);
	q.seed = view_of(wrapped, n);
	q.card = view_of(card_a, na);
	assert_int_equal(vault_export(a, "a", &q, package, &n, why), E_DENIED); /* to itself */
	q.card = view_of(card_b, nb - 1);
	assert_int_not_equal(vault_export(a, "a", &q, package, &n, why), 0);
	q.card = view_of(card_b, nb);
	q.generation = 4; /* it is no such seed */
	assert_int_equal(vault_export(a, "a", &q, package, &n, why), E_INTEGRITY);
	q.generation = 3;
	if (vault_export(a, "a", &q, package, &n, why) != 0)
		fail_msg("%s", why);
	assert_int_equal(move_check(view_of(package, n), &checked), 0);
	assert_true(checked.terms.lease_epoch == 9 && checked.terms.platform_epoch == 3 && checked.origin.generation == 2);
	assert_memory_equal(checked.terms.to.p, print_b, sizeof(print_b));

	i.package = view_of(package, n);
	i.from = view_of(print_b, sizeof(print_b)); /* another is trusted */
	assert_int_equal(vault_import(b, &i, moved, &m, why), E_DENIED);
	i.from = view_of(print_a, sizeof(print_a));
	assert_int_equal(vault_import(a, &i, moved, &m, why), E_DENIED); /* for another */
	if (vault_import(b, &i, moved, &m, why) != 0)
		fail_msg("%s", why);
	e.seed = q.seed;
	assert_int_equal(vault_endorsement_seed(a, &e, &here, why), 0);
	e.seed = view_of(moved, m);
	assert_int_equal(vault_endorsement_seed(b, &e, &there, why), E_INTEGRITY); /* it is another pool's now */
	e.tenant = i.tenant;
	assert_int_equal(vault_endorsement_seed(b, &e, &there, why), 0);
	assert_true(secret_equal(here, there));
	secret_free(&there);

	/* once more: other bytes, the same seed; parts of one do not fit the other */
	assert_int_equal(vault_export(a, "a", &q, again, &m, why), 0);
	assert_memory_not_equal(again, package, n);
	i.package = view_of(again, m);
	assert_int_equal(vault_import(b, &i, moved, &m, why), 0);
	for (size_t at = 0; at < n; at += 37) {
		package[at] ^= 4;
		i.package = view_of(package, n);
		assert_int_not_equal(vault_import(b, &i, moved, &m, why), 0);
		package[at] ^= 4;
	}

	rq.from = view_of(print_a, sizeof(print_a));
	assert_int_equal(vault_receipt(b, "b", &rq, receipt, &m, why), 0);
	assert_int_equal(move_check_receipt(view_of(receipt, m), &accepted), 0);
	assert_true(uuid_equal(&accepted.uuid, &uuid) && accepted.lease_epoch == 9);
	assert_memory_equal(accepted.to.p, print_b, sizeof(print_b));
	assert_memory_equal(accepted.id.p, id, sizeof(id));
	secret_free(&here);
	vault_free(&a);
	vault_free(&b);
}

static void tickets_are_bounded_and_forgotten(void **state)
{
	const struct uuid uuid = {{4, 5, 6}};
	struct secret *response = secret_random(32);
	uint8_t cipher[256], nonce[16] = "nonce";
	struct vault *v = new_vault();
	struct vault_key k;
	struct rsakey *key;
	struct uuid got;
	uint64_t ticket = 1;
	int r;

	(void)state;
	make_key(v, &key, &k);
	encrypt(key, &uuid, response, nonce, cipher);
	const struct vault_decrypt q = {.key_id = view_of(k.id, 16), .wrapped = view_of(k.wrapped, k.wrapped_size),
		.cipher = view_of(cipher, 256)};

	while ((r = vault_decrypt(v, ticket, &q, &got, why)) == 0 && ticket < 1000)
		ticket++;
	assert_int_equal(r, E_NOMEM);
	vault_forget(v, 1);
	vault_forget(v, 5555);
	assert_int_equal(vault_decrypt(v, ticket, &q, &got, why), 0);
	cipher[5] ^= 1;
	vault_forget(v, 2);
	assert_int_equal(vault_decrypt(v, ticket + 1, &q, &got, why), E_INTEGRITY);
	cipher[5] ^= 1;
	assert_int_equal(vault_decrypt(v, ticket + 1, &q, &got, why), 0); /* a failed one holds no ticket */
	secret_free(&response);
	rsakey_free(&key);
	vault_free(&v);
}

static void a_tpm_that_was_restarted_is_opened_again(void **state)
{
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = {{1}}, .generation = 1};
	struct vault *v = new_vault();
	uint8_t wrapped[VAULT_SEED_MAX];
	size_t n;

	(void)state;
	stop_tpm(0);
	assert_int_equal(vault_make_seed(v, &owner, wrapped, &n, why), E_TPM);
	start_tpm(0);
	assert_int_equal(vault_make_seed(v, &owner, wrapped, &n, why), 0);
	vault_free(&v);
}

static void save(const char *name, const void *p, size_t n)
{
	char file[99], path[KMCCONF_PATH];
	FILE *f;

	snprintf(file, sizeof(file), "vault/%s", name);
	f = fopen(kmcconf_path(&conf, file, path), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static size_t load(const char *name, uint8_t out[KEYRING_WRAPPED_MAX])
{
	char file[99], path[KMCCONF_PATH];
	size_t n;
	FILE *f;

	snprintf(file, sizeof(file), "vault/%s", name);
	f = fopen(kmcconf_path(&conf, file, path), "r");
	assert_non_null(f);
	n = fread(out, 1, KEYRING_WRAPPED_MAX, f);
	assert_int_equal(fclose(f), 0);
	return n;
}

static void a_wrapping_key_replaces_another(void **state)
{
	const struct uuid uuid = {{9, 9}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 1};
	uint8_t message[SEED_MESSAGE_MAX], wrapped[VAULT_SEED_MAX], again[VAULT_WRAPPED_MAX], old[KEYRING_WRAPPED_MAX], file[KEYRING_FILES][KEYRING_WRAPPED_MAX];
	struct vault_rewrap q = {.kind = 1};
	struct secret *before = NULL, *after = NULL;
	struct kmctpm_blob sealed;
	char name[KEYRING_NAME], path[KMCCONF_PATH], command[KMCCONF_PATH + 20];
	struct vault *v = new_vault();
	struct keyring *k = vault_keyring(v);
	size_t n, m, size[KEYRING_FILES];
	struct buf b;

	(void)state;
	buf_over(&b, message, sizeof(message));
	assert_int_equal(seed_message(&owner, &b), 0);
	q.context = view_of(message, b.len);
	assert_int_equal(vault_make_seed(v, &owner, wrapped, &n, why), 0);
	q.wrapped = view_of(wrapped, n);
	assert_int_equal(wrap_ring_open(&k->wrapping, WRAP_SEED, q.context, q.wrapped, &before), 0);

	assert_int_equal(keyring_new_wrapping(k, 2, &sealed, why), 0);
	assert_null(wrap_ring_key(&k->wrapping, 2)); /* made, not learnt */
	assert_int_equal(keyring_learn(k, 3, view_of(sealed.data, sealed.size), why), E_FORMAT); /* passed off as another */
	assert_int_equal(keyring_learn(k, 2, view_of(sealed.data, sealed.size), why), 0);
	k->wrapping.use = 2;
	assert_int_equal(vault_rewrap(v, &q, again, &m, why), 0);
	assert_true(m == n && wrap_number(view_of(wrapped, n)) == 1 && wrap_number(view_of(again, m)) == 2);
	q.context = view_text("another's");
	assert_int_equal(vault_rewrap(v, &q, again, &n, why), E_INTEGRITY);
	q.context = view_of(message, b.len);
	q.kind = 0; /* nor is a seed a key */
	assert_int_equal(vault_rewrap(v, &q, again, &n, why), E_INTEGRITY);
	q.kind = 1;
	assert_int_equal(vault_rewrap(v, &q, again, &m, why), 0);
	for (enum keyring_file f = 0; f < KEYRING_FILES; f++)
		assert_int_equal(keyring_rewrap_file(k, f, view_of(old, load(keyring_file_name[f], old)), file[f], &size[f], why), 0);
	vault_free(&v);

	/* the machine dies with one file of the two under the new key, and again without the old key */
	save(keyring_wrapping_name(2, name), sealed.data, sealed.size);
	save(keyring_file_name[KEYRING_CA], file[KEYRING_CA], size[KEYRING_CA]);
	v = new_vault();
	assert_int_equal(keyring_oldest(vault_keyring(v)), 1);
	assert_int_equal(vault_keyring(v)->wrapping.use, 1); /* some file still is under it */
	vault_free(&v);
	snprintf(command, sizeof(command), "mv %s %s.old", kmcconf_path(&conf, "vault/wrapping.tpm", path), path);
	assert_int_equal(system(command), 0);
	{
		struct keyring none;

		assert_int_equal(keyring_open(&none, &conf, why), E_VERSION);
		assert_non_null(strstr(why, "under wrapping key 1"));
	}
	save(keyring_file_name[KEYRING_AUDIT], file[KEYRING_AUDIT], size[KEYRING_AUDIT]);
	v = new_vault();
	assert_int_equal(keyring_oldest(vault_keyring(v)), 2);
	assert_int_equal(wrap_ring_open(&vault_keyring(v)->wrapping, WRAP_SEED, q.context, view_of(again, m), &after), 0);
	assert_true(secret_equal(before, after));
	secret_free(&after);
	assert_int_equal(wrap_ring_open(&vault_keyring(v)->wrapping, WRAP_SEED, q.context, q.wrapped, &after), E_VERSION);
	secret_free(&before);
	vault_free(&v);
}

static void only_files_of_wrapping_keys_have_a_number(void **state)
{
	static const char *const others[] = {"wrapping-1.tpm", "wrapping-02.tpm", "wrapping-2.tpm.new", ".wrapping-2.tpm.new", "wrapping-0.tpm",
					     "wrapping--2.tpm", "wrapping-.tpm", "parent.tpm", "", "wrapping-99999999999.tpm"};

	(void)state;
	assert_int_equal(keyring_wrapping_number("wrapping.tpm"), 1);
	assert_int_equal(keyring_wrapping_number("wrapping-2.tpm"), 2);
	assert_int_equal(keyring_wrapping_number("wrapping-4711.tpm"), 4711);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(keyring_wrapping_number(others[i]), 0);
}

static int setup(void **state)
{
	struct keyring k = {0};
	char path[KMCCONF_PATH];

	(void)state;
	if (!mkdtemp(dir) || ca_key_make(&authority_key) != 0 || ca_key_point(authority_key, authority.x, authority.y) != 0)
		return -1;
	start_tpm(0);
	start_tpm(1);
	conf.state = dir;
	conf.name = strdup("test");
	conf.tpm = tpms[0].tcti;
	mkdir(kmcconf_path(&conf, "vault", path), 0700);
	k.tcti = conf.tpm;
	if (keyring_make_tpm_keys(&k, &conf, &authority, why) != 0 ||
	    keyring_make_ca(&k, &conf, time(NULL) - 9, time(NULL) + 9999, why) != 0 || keyring_make_audit_key(&k, &conf, why) != 0)
		fail_msg("%s", why);
	keyring_close(&k);
	conf.tls_ca = strdup(kmcconf_path(&conf, "ca.crt", path));
	return 0;
}

static int teardown(void **state)
{
	char command[99];

	(void)state;
	stop_tpm(0);
	stop_tpm(1);
	ca_key_free(&authority_key);
	free(conf.name);
	free(conf.tls_ca);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_key_gives_the_same_mac_over_restarts),
		cmocka_unit_test(what_was_sealed_comes_back_in_its_tpm_only),
		cmocka_unit_test(a_killed_users_leftovers_do_not_fill_the_tpm),
		cmocka_unit_test(without_the_authority_the_parent_stays),
		cmocka_unit_test(what_is_below_the_parent_stays_below_it),
		cmocka_unit_test(with_the_authority_it_moves_to_the_named_tpm),
		cmocka_unit_test(a_replica_computes_the_same_and_only_the_named_one_can),
		cmocka_unit_test(another_authoritys_signature_moves_nothing),
		cmocka_unit_test(a_recovery_key_brings_the_parent_into_a_new_tpm),
		cmocka_unit_test(an_open_gives_the_stored_seed_and_nothing_else),
		cmocka_unit_test(a_shared_seed_is_the_same_and_bound_to_its_new_owner),
		cmocka_unit_test(a_moved_seed_is_the_same_and_for_one_kmc_only),
		cmocka_unit_test(tickets_are_bounded_and_forgotten),
		cmocka_unit_test(a_tpm_that_was_restarted_is_opened_again),
		cmocka_unit_test(only_files_of_wrapping_keys_have_a_number),
		cmocka_unit_test(a_wrapping_key_replaces_another),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

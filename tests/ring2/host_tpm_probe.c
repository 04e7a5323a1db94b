/*
 * The host TPM's two operations, for comparison with openssl's:  host-tpm-probe TCTI {encrypt | reset | leave | recover} MODULUS-FILE IN OUT
 *
 * MODULUS-FILE holds the modulus in binary; the exponent is 65537. encrypt uses the envelope's label; reset does it twice, between which the TPM
 * loses what is loaded; leave ends without cleaning up, as who is killed.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/envelope.h"
#include "common/secret.h"
#include "common/tpm_leftovers.h"
#include "dom0-relay/host_tpm.h"
#include "dom0-relay/host_tpm_esys.h"

#define FILE_MAX 512

static size_t read_file(const char *path, uint8_t p[FILE_MAX])
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(p, 1, FILE_MAX, f) : 0;

	if (f)
		fclose(f);
	return n;
}

static int write_file(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "w");
	size_t put = f ? fwrite(p, 1, n, f) : 0;

	return f && fclose(f) == 0 && put == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint8_t modulus[FILE_MAX], bytes[FILE_MAX], cipher[FILE_MAX];
	char why[HOST_TPM_WHY] = "out of memory";
	struct host_tpm_key key = {.exponent = 65537};
	struct secret *in, *block = NULL;
	struct host_tpm *tpm = NULL;
	int r;

	if (argc != 6)
		return 2;
	key.modulus = view_of(modulus, read_file(argv[3], modulus));
	in = secret_dup(bytes, read_file(argv[4], bytes));
	r = in ? host_tpm_open(&tpm, argv[1], why) : -1;
	if (r == 0 && strcmp(argv[2], "recover") == 0) {
		r = host_tpm_recover(tpm, &key, in, &block, why);
		r = r == 0 ? host_tpm_forget(tpm) : r;
	} else if (r == 0) {
		r = host_tpm_encrypt(tpm, &key, in, ENVELOPE_LABEL, cipher, why);
	}
	if (r == 0 && strcmp(argv[2], "reset") == 0)
		r = tpm_leftovers_flush(tpm->esys, TPM_LEFTOVERS_OBJECTS) == TSS2_RC_SUCCESS
			    ? host_tpm_encrypt(tpm, &key, in, ENVELOPE_LABEL, cipher, why)
			    : 1;
	if (r != 0)
		fprintf(stderr, "%s\n", why);
	else
		r = block ? write_file(argv[5], block->data, block->size) : write_file(argv[5], cipher, key.modulus.n);
	if (strcmp(argv[2], "leave") == 0)
		_exit(r == 0 ? 0 : 1);
	host_tpm_close(&tpm);
	secret_free(&in);
	secret_free(&block);
	return r == 0 ? 0 : 1;
}

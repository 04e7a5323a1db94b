/* What a host's TPM signs with a quote. */
#include "common/proof.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/error.h"

static int hash(const char *label, const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t subject[32], const uint8_t *more,
		uint8_t proof[PROOF_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, label, strlen(label) + 1) == 1 &&
		 EVP_DigestUpdate(md, nonce, PROOF_NONCE_SIZE) == 1 && EVP_DigestUpdate(md, subject, 32) == 1 &&
		 (!more || EVP_DigestUpdate(md, more, PROOF_IMAGE_SIZE) == 1) &&
		 EVP_DigestFinal_ex(md, proof, NULL) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

int proof_make(const char *label, const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t subject[32], uint8_t proof[PROOF_SIZE])
{
	return hash(label, nonce, subject, NULL, proof);
}

int proof_renew(const uint8_t certificate[32], const uint8_t spki[32], uint8_t proof[PROOF_SIZE])
{
	_Static_assert(PROOF_NONCE_SIZE == 32, "a hash stands in the place of the nonce");

	return hash(PROOF_RENEW, certificate, spki, NULL, proof);
}

int proof_attest(const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t certificate[32], const uint8_t *image, uint8_t proof[PROOF_SIZE])
{
	return hash(image ? PROOF_ATTEST_IMAGE : PROOF_ATTEST, nonce, certificate, image, proof);
}

/* The digest of the stub domains' image. */
#include "dom0-relay/stub_image.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"

#define CHUNK 65536

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int hash_fd(int fd, uint8_t out[STUB_IMAGE_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t bytes[CHUNK];
	ssize_t n = 0;
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	while (ok && (n = read(fd, bytes, sizeof(bytes))) > 0)
		ok = EVP_DigestUpdate(md, bytes, (size_t)n) == 1;
	ok = ok && n == 0 && EVP_DigestFinal_ex(md, out, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok ? 0 : E_IO;
}

static int hash_file(const char *path, uint8_t out[STUB_IMAGE_SIZE], struct stat *st, char why[STUB_IMAGE_WHY])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd >= 0 && fstat(fd, st) == 0 ? hash_fd(fd, out) : E_IO;

	if (r != 0)
		snprintf(why, STUB_IMAGE_WHY, "can't read the stub domains' image %.120s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}

int stub_image_read(struct stub_image *image, const char *kernel, const char *initramfs, char why[STUB_IMAGE_WHY])
{
	uint8_t parts[2][STUB_IMAGE_SIZE];
	struct stat k, i;
	int r;

	if (image->known && stat(kernel, &k) == 0 && stat(initramfs, &i) == 0 && same(&k, &image->kernel) && same(&i, &image->initramfs))
		return 0;
	image->known = false;
	if ((r = hash_file(kernel, parts[0], &image->kernel, why)) != 0 || (r = hash_file(initramfs, parts[1], &image->initramfs, why)) != 0)
		return r;
	if (EVP_Digest(parts, sizeof(parts), image->digest, NULL, EVP_sha256(), NULL) != 1) {
		snprintf(why, STUB_IMAGE_WHY, "can't compute a hash");
		return E_IO;
	}
	image->known = true;
	return 0;
}

const char *stub_image_text(const uint8_t digest[STUB_IMAGE_SIZE], char text[STUB_IMAGE_TEXT])
{
	for (int i = 0; i < STUB_IMAGE_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text;
}

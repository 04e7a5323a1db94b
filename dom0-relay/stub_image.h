/* Which image stub domains start from: one digest of kernel and initramfs, and whether the files changed since. */
#ifndef DOM0_RELAY_STUB_IMAGE_H
#define DOM0_RELAY_STUB_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define STUB_IMAGE_SIZE 32 /* SHA-256(SHA-256(kernel) || SHA-256(initramfs)) */
#define STUB_IMAGE_TEXT 65 /* in hex, with its NUL */
#define STUB_IMAGE_WHY 200

struct stub_image {
	bool known;
	uint8_t digest[STUB_IMAGE_SIZE];
	struct stat kernel, initramfs; /* when it was read */
};

/**
 * stub_image_read() - read the digest anew if the files are not those of the last time
 * @image: begins as zeroes
 * @why: on an error one sentence
 *
 * Return: 0 or E_IO; then the digest is not known.
 */
int stub_image_read(struct stub_image *image, const char *kernel, const char *initramfs, char why[STUB_IMAGE_WHY]);

/** stub_image_text() - the digest in hex; return @text. */
const char *stub_image_text(const uint8_t digest[STUB_IMAGE_SIZE], char text[STUB_IMAGE_TEXT]);

#endif

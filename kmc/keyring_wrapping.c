/*
 * The wrapping keys of a KMC machine, as one replaces another.
 *
 * A key that replaces another is sealed with its number behind it: who can write the database, through which it goes to all machines,
 * can't pass one off as another. The first was sealed alone.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/keyring.h"

#define SEALED_SIZE (WRAP_KEY_SIZE + 4) /* the key and its number */

const char *keyring_wrapping_name(uint32_t number, char name[KEYRING_NAME])
{
	if (number == 1)
		snprintf(name, KEYRING_NAME, "wrapping.tpm");
	else
		snprintf(name, KEYRING_NAME, "wrapping-%u.tpm", number);
	return name;
}

uint32_t keyring_wrapping_number(const char *name)
{
	char again[KEYRING_NAME];
	unsigned int number = 1;

	if (strcmp(name, "wrapping.tpm") == 0)
		return 1;
	/* NOLINTNEXTLINE(cert-err34-c): nine digits fit */
	if (sscanf(name, "wrapping-%9u.tpm", &number) != 1 || number < 2)
		return 0;
	return strcmp(keyring_wrapping_name(number, again), name) == 0 ? number : 0;
}

/* Which number an unsealed key has, and the key alone. */
static int take_apart(const struct secret *data, uint32_t number, struct secret **key)
{
	uint32_t sealed = 1;
	struct buf b;

	if (data->size != (number == 1 ? WRAP_KEY_SIZE : SEALED_SIZE))
		return E_FORMAT;
	if (number != 1) {
		buf_view(&b, data->data + WRAP_KEY_SIZE, 4);
		buf_get_u32(&b, &sealed);
	}
	if (sealed != number)
		return E_FORMAT;
	*key = secret_dup(data->data, WRAP_KEY_SIZE);
	return *key ? 0 : E_NOMEM;
}

static int unseal(struct keyring *k, const struct kmctpm_blob *blob, struct secret **data, char why[KEYRING_WHY])
{
	int r = k->tpm ? kmctpm_unseal(k->tpm, blob, data, why) : E_TPM;

	if (r != E_TPM || keyring_again(k, why) != 0)
		return r;
	return kmctpm_unseal(k->tpm, blob, data, why);
}

int keyring_learn(struct keyring *k, uint32_t number, struct view sealed, char why[KEYRING_WHY])
{
	struct secret *data = NULL, *key = NULL;
	struct kmctpm_blob blob;
	int r;

	if (wrap_ring_key(&k->wrapping, number))
		return 0;
	if (sealed.n > sizeof(blob.data)) {
		snprintf(why, KEYRING_WHY, "the sealed wrapping key %u is too long", number);
		return E_RANGE;
	}
	memcpy(blob.data, sealed.p, sealed.n);
	blob.size = sealed.n;
	r = unseal(k, &blob, &data, why);
	if (r == 0 && ((r = take_apart(data, number, &key)) != 0 || (r = wrap_ring_add(&k->wrapping, number, &key)) != 0))
		snprintf(why, KEYRING_WHY, "what was sealed as wrapping key %u can't be used: %s", number, error_text(r));
	secret_free(&data);
	secret_free(&key);
	return r;
}

int keyring_new_wrapping(struct keyring *k, uint32_t number, struct kmctpm_blob *out, char why[KEYRING_WHY])
{
	struct secret *data = secret_random(SEALED_SIZE);
	int r = E_NOMEM;

	if (!data) {
		snprintf(why, KEYRING_WHY, "no memory that can be locked: raise RLIMIT_MEMLOCK ('ulimit -l')");
		return r;
	}
	for (int i = 0; i < 4; i++)
		data->data[WRAP_KEY_SIZE + i] = (uint8_t)(number >> (24 - 8 * i));
	r = k->tpm ? kmctpm_seal(k->tpm, data, out, why) : E_TPM;
	if (r == E_TPM && keyring_again(k, why) == 0)
		r = kmctpm_seal(k->tpm, data, out, why);
	secret_free(&data);
	return r;
}

uint32_t keyring_oldest(const struct keyring *k)
{
	uint32_t oldest = UINT32_MAX;

	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (k->wrapping.keys[i].number && k->wrapping.keys[i].number < oldest)
			oldest = k->wrapping.keys[i].number;
	return oldest;
}

/* One file of the directory; 0 too if it is none of ours. */
static int open_one(struct keyring *k, const struct kmcconf *conf, const char *name, char why[KEYRING_WHY])
{
	uint32_t number = keyring_wrapping_number(name);
	char file[KEYRING_NAME + 8], own[KEYRING_NAME];
	struct kmctpm_blob blob;
	int r;

	if (!number)
		return 0;
	snprintf(file, sizeof(file), "vault/%s", keyring_wrapping_name(number, own));
	r = keyring_read_blob(conf, file, &blob, why);
	return r != 0 ? r : keyring_learn(k, number, view_of(blob.data, blob.size), why);
}

int keyring_open_wrapping(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY])
{
	const struct dirent *entry;
	char path[KMCCONF_PATH];
	DIR *dir = opendir(kmcconf_path(conf, "vault", path));
	int r = 0;

	if (!dir) {
		snprintf(why, KEYRING_WHY, "can't read %s: %s; was 'kmcctl init' run?", path, strerror(errno));
		return E_IO;
	}
	while (r == 0 && (entry = readdir(dir)))
		r = open_one(k, conf, entry->d_name, why);
	closedir(dir);
	if (r == 0 && keyring_oldest(k) == UINT32_MAX) {
		snprintf(why, KEYRING_WHY, "there is no wrapping key in %s: restore it from the backup", path);
		r = E_NOTFOUND;
	}
	return r;
}

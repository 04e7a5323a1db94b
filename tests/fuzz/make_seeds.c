/* Writes the seed corpora of the targets for common/ and dom0-relay/: the smallest valid input of each kind. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/secret.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/protocols.h"

static const char *root;

static void put(const char *target, const char *name, const void *p, size_t n)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, target);
	must(mkdir(path, 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/%s/%s", root, target, name);
	f = fopen(path, "w");
	must(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

static void put_text(const char *target, const char *name, const char *text)
{
	put(target, name, text, strlen(text));
}

static void message(size_t protocol, const struct msg_schema *s)
{
	_Alignas(max_align_t) uint8_t fields[PRIVSEP_FIELDS_MAX] = {0};
	uint8_t mem[2048];
	char name[64], text[512];
	struct buf b;

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < s->n_fields; i++) {
		struct view v = view_of(text, s->fields[i].min);

		if (s->fields[i].kind == MSG_BYTES || s->fields[i].kind == MSG_TEXT)
			memcpy(fields + s->fields[i].offset, &v, sizeof(v));
	}
	buf_over(&b, mem, sizeof(mem));
	must(buf_put_u8(&b, (uint8_t)protocol) == 0 && msg_write(&b, s, 1, 0, fields) == 0);
	snprintf(name, sizeof(name), "%s-%s", protocols[protocol].name, s->name);
	put("msg", name, mem, b.len);
}

static void envelope(void)
{
	static const uint8_t hash[ENVELOPE_HASH_SIZE] = "the hash of the exchange", nonce[ENVELOPE_NONCE_SIZE];
	struct secret *key = secret_new(ENVELOPE_KEY_SIZE), *seed = secret_new(ENVELOPE_SEED_SIZE);
	struct secret *block = envelope_block_pack(seed, hash, 256), *plain;
	uint8_t reply[256 + ENVELOPE_OVERHEAD];
	const struct uuid uuid = {{0}};

	must(block && envelope_seal(key, hash, block, reply) == 0);
	plain = envelope_plain_pack(&uuid, key, nonce);
	must(plain);
	put("envelope", "reply", reply, sizeof(reply));
	put("envelope", "block", block->data, block->size);
	put("envelope", "plain", plain->data, plain->size);
	secret_free(&key);
	secret_free(&seed);
	secret_free(&block);
	secret_free(&plain);
}

int main(int argc, char **argv)
{
	must(argc == 2);
	root = argv[1];
	for (size_t p = 0; p < N_PROTOCOLS; p++)
		for (uint64_t type = 1; protocols[p].schema(type); type++)
			message(p, protocols[p].schema(type));
	envelope();
	put_text("uuid", "lower", "8c6f5d9e-0a1b-4c2d-9e3f-405162738495");
	put_text("uuid", "upper", "8C6F5D9E-0A1B-4C2D-9E3F-405162738495");
	put_text("nodes", "device", "/local/domain/0/backend/vtpm/7/0");
	put_text("nodes", "state", "/local/domain/0/backend/vtpm/32751/65535/state");
	put_text("config", "kmc", "[kmc]\naddress = [::1]:7443\nname = kmc\n");
	put_text("config", "all", "# all\n[tls]\nca = /a\ncertificate = /b\nkey = /c\n[host]\ntpm = swtpm\nuser = u\ncontrol = /d\n"
				  "[stub]\nkernel = /e\ninitramfs = /f\ntype = pv\nmemory = 24\n");
	return 0;
}

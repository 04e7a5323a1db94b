/* Writes the seeds of fuzz_sealed, fuzz_tpmif, fuzz_tpm12 and fuzz_handoff below a directory. Those of fuzz_blob are libtpms' own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/handoff.h"
#include "vtpm-stubdom/sealed.h"
#include "vtpm-stubdom/tpmif.h"

static const char *root;
static struct buf out;

static void save(const char *target, const char *name)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, target);
	if (mkdir(path, 0777) != 0 && errno != EEXIST) {
		perror(path);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/%s/%s", root, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(buf_ptr(&out), 1, buf_left(&out), f) != buf_left(&out) || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	buf_reset(&out);
}

static void sealed(const char *name, enum sealed_kind kind)
{
	struct sealed_head head = {.kind = kind, .generation = 1, .lease_epoch = 2, .version = 3, .incarnation = 1};
	struct secret *key = secret_new(DERIVE_STATE_KEY_SIZE);
	struct engine_state state = {.permanent = secret_dup("permanent", 9), .transient = secret_dup("transient", 9)};

	memset(key->data, 0x5c, key->size);
	if (sealed_write(&out, key, &head, &state) != 0)
		exit(1);
	save("sealed", name);
	secret_free(&key);
	engine_state_free(&state);
}

static void page(const char *name, uint32_t length, uint8_t state, uint8_t extra)
{
	const uint8_t header[8] = {(uint8_t)length, (uint8_t)(length >> 8), 0, 0, state, 0, 0, extra};

	buf_put(&out, header, sizeof(header));
	buf_put(&out, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0\x08", 12);
	save("tpmif", name);
}

static void tpm12(const char *name, const char *command, size_t n, const char *response, size_t n_response)
{
	buf_put_u8(&out, (uint8_t)n);
	buf_put(&out, command, n);
	buf_put(&out, response, n_response);
	save("tpm12", name);
}

static struct handoff_handoff given(void)
{
	static const uint8_t seed[HANDOFF_SEED_SIZE] = {1, 2, 3};
	const struct handoff_handoff h = {
		.tenant = view_text("pool"), .seed = view_of(seed, sizeof(seed)), .generation = 1, .lease_epoch = 1, .guest_domid = 5, .incarnation = 1};

	return h;
}

static void say(enum handoff_type type, const void *fields)
{
	if (handoff_write(&out, type, fields) != 0)
		exit(1);
}

static void conversations(void)
{
	const struct handoff_stored stored = {.version = 1};
	const struct handoff_stand_in q = {.guest_domid = 5};
	struct handoff_handoff h = given();

	buf_put_u8(&out, 255);
	say(HANDOFF_HANDOFF, &h);
	say(HANDOFF_STORED, &stored);
	say(HANDOFF_STATUS, NULL);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "whole-life");
	buf_put_u8(&out, 1);
	say(HANDOFF_HANDOFF, &h);
	say(HANDOFF_SERVE, NULL);
	save("handoff", "serve");
	buf_put_u8(&out, 255); /* an answer that comes after the service has failed for want of a port */
	say(HANDOFF_HANDOFF, &h);
	say(HANDOFF_SERVE, NULL);
	say(HANDOFF_STORED, &stored);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "stored-after-failure");
	buf_put_u8(&out, 0);
	say(HANDOFF_STATUS, NULL);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "close-at-once");
	buf_put_u8(&out, 1);
	say(HANDOFF_STAY, NULL);
	say(HANDOFF_STATUS, NULL);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "stay");
	buf_put_u8(&out, 1);
	say(HANDOFF_STAND_IN, &q);
	say(HANDOFF_STATUS, NULL);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "stand-in");
	h.origin = view_text("twenty bytes, a UUID");
	buf_put_u8(&out, 255);
	say(HANDOFF_HANDOFF, &h);
	say(HANDOFF_STATUS, NULL);
	say(HANDOFF_CLOSE, NULL);
	save("handoff", "shared-keys");
	h.origin = (struct view){0};
	h.state_version = 5;
	buf_put_u8(&out, 16);
	say(HANDOFF_HANDOFF, &h);
	save("handoff", "state-missing");
	h.state = view_text("XVTPMST1 and what is no sealed state");
	buf_put_u8(&out, 16);
	say(HANDOFF_HANDOFF, &h);
	save("handoff", "state-malformed");
}

int main(int argc, char **argv)
{
	if (argc != 2 || buf_init(&out, HANDOFF_BODY_MAX) != 0)
		return 1;
	root = argv[1];
	sealed("permanent", SEALED_PERMANENT);
	sealed("transient", SEALED_TRANSIENT);
	page("submit", 12, TPMIF_SUBMIT, 0);
	page("cancel", 12, TPMIF_CANCEL, 0);
	page("short", 4, TPMIF_SUBMIT, 0);
	page("long", 0x1000, TPMIF_SUBMIT, 0);
	page("extra", 12, TPMIF_SUBMIT, 255);
	tpm12("get-capability", "\0\xc1\0\0\0\x16\0\0\0\x65\0\0\0\5\0\0\0\4\0\0\1\x15", 22, "", 0);
	tpm12("get-random", "\0\xc1\0\0\0\x0e\0\0\0\x46\0\0\0\x08", 14, "\x14\1\0\0\0\x14\0\0\0\0\0\x08" "abcdefgh", 20);
	tpm12("pcr-read", "\0\xc1\0\0\0\x0e\0\0\0\x15\0\0\0\x07", 14,
	      "\x3a\1\0\0\0\x3a\0\0\0\0\0\0\0\1\0\0\0\1\0\4\3\x80\0\0\0\0\0\1\0\x14" "0123456789abcdefghij", 58);
	tpm12("extend", "\0\xc1\0\0\0\x22\0\0\0\x14\0\0\0\x07" "0123456789abcdefghij", 34, "\x0a\1\0\0\0\x0a\0\0\0\0", 10);
	conversations();
	buf_free(&out);
	return 0;
}

/* Sealed states: nothing that was not sealed with the key opens, and what opens is what its header says. */
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct secret *key;
	struct sealed_head head, again;
	struct engine_state state;

	if (!key) {
		key = secret_new(DERIVE_STATE_KEY_SIZE);
		must(key);
		memset(key->data, 0x5c, key->size); /* the seeds' */
	}
	if (sealed_open(data, size, key, &head, &state) != 0) {
		must(!state.permanent && !state.transient);
		return 0;
	}
	must((head.kind == SEALED_PERMANENT) == (state.permanent != NULL) && (head.kind == SEALED_TRANSIENT) == (state.transient != NULL));
	must(sealed_head(data, size, &again) == 0 && again.version == head.version);
	engine_state_free(&state);
	return 0;
}

/*
 * The TPM 2.0 engine: libtpms, unmodified. Only this file sees it.
 *
 * Theory of operation: libtpms keeps one TPM in its globals and asks for its state through callbacks. We answer from memory: what
 * it stores is kept as the permanent state, and what it may load was set with TPMLIB_SetState() before. Traps, all met:
 * - TPM_RETRY from the load callback, or a failed TPMLIB_SetState(), makes TPMLIB_MainInit() manufacture a TPM with random seeds
 *   and return success. So RETRY is said for the permanent state in engine_manufacture() only, and MainInit is never reached after
 *   a failure.
 * - When OpenSSL has no random bytes, libtpms takes rand() without a word. So they are tried before every power on.
 * - A store callback that fails puts the TPM into failure mode: ours can't fail, it notes that there was no memory.
 * - Entering failure mode it prints the whole command, with the passwords in it, to standard error: its words go to /dev/null.
 * - Two resumes of one transient state would give the same random numbers: TPM2_StirRandom after each.
 * - TPMLIB_MainInit() says that it failed when the TPM comes back in the failure mode that it was in, and yet has it running.
 */
#include "vtpm-stubdom/engine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_memory.h>
#include <libtpms/tpm_nvfilename.h>
#include <libtpms/tpm_types.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "common/text.h"
#include "vtpm-stubdom/blob.h"
#include "vtpm-stubdom/tpmif.h"

#define STIR_SIZE 32
#define FAILURE_SIZE 80 /* bytes of where it failed */

struct engine {
	int null; /* where libtpms' log goes */
	struct secret *permanent;
	unsigned char *response;
	uint32_t response_size, response_cap;
	unsigned int locality;
	char failure[FAILURE_SIZE]; /* "": none */
	bool running, manufacturing;
	bool changed, lost; /* the permanent state; lost: there was no memory for the change */
};

static struct engine *the_engine; /* libtpms' callbacks carry no argument */

static TPM_RESULT on_init(void)
{
	return TPM_SUCCESS;
}

/* Only while a TPM is manufactured there is none at first, and then, in the same power on, what was just made. */
static TPM_RESULT on_load(unsigned char **data, uint32_t *length, uint32_t tpm_number, const char *name)
{
	const struct secret *made = the_engine->permanent;

	(void)tpm_number;
	if (strcmp(name, TPM_PERMANENT_ALL_NAME) != 0)
		return TPM_RETRY; /* there is none */
	if (!the_engine->manufacturing)
		return TPM_FAIL;
	if (!made)
		return TPM_RETRY;
	if (TPM_Malloc(data, (uint32_t)made->size) != TPM_SUCCESS)
		return TPM_FAIL;
	memcpy(*data, made->data, made->size);
	*length = (uint32_t)made->size;
	return TPM_SUCCESS;
}

static TPM_RESULT on_store(const unsigned char *data, uint32_t length, uint32_t tpm_number, const char *name)
{
	(void)tpm_number;
	if (strcmp(name, TPM_PERMANENT_ALL_NAME) != 0)
		return TPM_SUCCESS;
	the_engine->changed = true;
	the_engine->lost = !secret_assign(&the_engine->permanent, data, length);
	return TPM_SUCCESS;
}

static TPM_RESULT on_delete(uint32_t tpm_number, const char *name, TPM_BOOL must_exist)
{
	(void)tpm_number, (void)name, (void)must_exist;
	return TPM_SUCCESS;
}

static TPM_RESULT on_locality(TPM_MODIFIER_INDICATOR *locality, uint32_t tpm_number)
{
	(void)tpm_number;
	*locality = the_engine->locality;
	return TPM_SUCCESS;
}

static TPM_RESULT on_presence(TPM_BOOL *present, uint32_t tpm_number)
{
	(void)tpm_number;
	*present = FALSE;
	return TPM_SUCCESS;
}

static bool random_works(void)
{
	uint8_t probe[STIR_SIZE];
	bool ok = RAND_status() == 1 && RAND_bytes(probe, sizeof(probe)) == 1;

	wipe(probe, sizeof(probe));
	return ok;
}

const char *engine_version(void)
{
	static char text[32];
	uint32_t v = TPMLIB_GetVersion();

	snprintf(text, sizeof(text), "libtpms %u.%u.%u", v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff);
	return text;
}

struct engine *engine_new(void)
{
	static struct libtpms_callbacks callbacks = {
		.sizeOfStruct = sizeof(callbacks),
		.tpm_nvram_init = on_init,
		.tpm_nvram_loaddata = on_load,
		.tpm_nvram_storedata = on_store,
		.tpm_nvram_deletename = on_delete,
		.tpm_io_init = on_init,
		.tpm_io_getlocality = on_locality,
		.tpm_io_getphysicalpresence = on_presence,
	};
	struct engine *e;

	if (the_engine || !random_works() || TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) != TPM_SUCCESS ||
	    TPMLIB_RegisterCallbacks(&callbacks) != TPM_SUCCESS)
		return NULL;
	TPMLIB_SetBufferSize(TPMIF_DATA_MAX, NULL, NULL); /* what it promises its user in TPM_PT_MAX_COMMAND_SIZE */
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (e->null < 0) {
		free(e);
		return NULL;
	}
	TPMLIB_SetDebugFD(e->null);
	the_engine = e;
	return e;
}

static void stop(struct engine *e)
{
	if (e->running)
		TPMLIB_Terminate();
	e->running = false;
	e->failure[0] = '\0';
}

void engine_free(struct engine **e)
{
	if (!*e)
		return;
	stop(*e);
	if ((*e)->response)
		wipe((*e)->response, (*e)->response_cap);
	free((*e)->response);
	secret_free(&(*e)->permanent);
	TPMLIB_SetDebugFD(-1);
	close((*e)->null);
	free(*e);
	*e = NULL;
	the_engine = NULL;
}

/* The beginning of a function's name, as libtpms has it in one word of this machine. */
static void name_function(uint32_t word, char name[sizeof(word) + 1])
{
	memcpy(name, &word, sizeof(word));
	name[sizeof(word)] = '\0';
	text_make_printable(name);
}

/* What TPM2_GetTestResult says, which a TPM in failure mode answers; libtpms adds where it failed: function, line, its own code. */
static void look_for_failure(struct engine *e)
{
	static const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x7c};
	uint32_t n = 0, cap = 0, code, function, line, why, result;
	unsigned char *response = NULL;
	char name[sizeof(function) + 1];
	const uint8_t *p;
	uint16_t size;
	struct buf b;

	if (TPMLIB_Process(&response, &n, &cap, (unsigned char *)(uintptr_t)command, sizeof(command)) == TPM_SUCCESS) {
		buf_view(&b, response, n);
		if (buf_get_view(&b, &p, 6) == 0 && buf_get_u32(&b, &code) == 0 && code == 0 && buf_get_u16(&b, &size) == 0 && size == 12 &&
		    buf_get_u32(&b, &function) == 0 && buf_get_u32(&b, &line) == 0 && buf_get_u32(&b, &why) == 0 && buf_get_u32(&b, &result) == 0 &&
		    result == TPMIF_RC_FAILURE) {
			name_function(function, name);
			snprintf(e->failure, sizeof(e->failure), "libtpms' failure %" PRIu32 " in %s..., line %" PRIu32, why, name, line);
		}
	}
	free(response);
}

/* @resumed: its transient state may have it in failure mode. */
static int power_on(struct engine *e, bool resumed)
{
	if (!random_works())
		return E_CRYPTO;
	if (TPMLIB_MainInit() != TPM_SUCCESS) {
		if (resumed)
			look_for_failure(e);
		if (!e->failure[0]) {
			TPMLIB_Terminate();
			return E_TPM;
		}
	}
	e->running = true;
	return e->lost ? E_NOMEM : 0;
}

/* NULL means that there is none: without saying so, one that an earlier power on left would be taken. */
static int set_state(enum TPMLIB_StateType type, const struct secret *s)
{
	return TPMLIB_SetState(type, s ? s->data : NULL, s ? (uint32_t)s->size : 0) == TPM_SUCCESS ? 0 : E_TPM;
}

/* Copy the running TPM's state into *@s; libtpms' own copy is wiped. *@s is NULL on error. */
static int get_state(enum TPMLIB_StateType type, struct secret **s)
{
	unsigned char *p = NULL;
	uint32_t n = 0;
	int r = TPMLIB_GetState(type, &p, &n) == TPM_SUCCESS && p && n ? 0 : E_TPM;

	if (r != 0)
		secret_free(s);
	else if (!secret_assign(s, p, n))
		r = E_NOMEM;
	if (p)
		wipe(p, n);
	free(p);
	return r;
}

/* Fresh bytes into the TPM's generator, which may have been resumed before. */
static int stir(struct engine *e)
{
	uint8_t bytes[12 + STIR_SIZE];
	const uint8_t *response;
	struct buf command;
	size_t n;
	int r = 0;

	buf_over(&command, bytes, sizeof(bytes));
	buf_put_u16(&command, 0x8001);
	buf_put_u32(&command, sizeof(bytes));
	buf_put_u32(&command, 0x146); /* TPM2_StirRandom */
	buf_put_u16(&command, STIR_SIZE);
	if (RAND_bytes(buf_end(&command), STIR_SIZE) != 1)
		r = E_CRYPTO;
	if (r == 0)
		r = engine_process(e, 0, bytes, sizeof(bytes), &response, &n);
	if (r == 0 && (n < 10 || memcmp(response + 6, "\0\0\0\0", 4) != 0))
		r = E_TPM;
	wipe(bytes, sizeof(bytes));
	return r;
}

int engine_resume(struct engine *e, const struct engine_state *state)
{
	int r;

	stop(e);
	/* What is resumed is what engine_permanent() says, whether libtpms stores it again or not. */
	if (state->permanent != e->permanent && !secret_assign(&e->permanent, state->permanent->data, state->permanent->size))
		return E_NOMEM;
	e->lost = false;
	if ((r = set_state(TPMLIB_STATE_PERMANENT, e->permanent)) != 0 || (r = set_state(TPMLIB_STATE_VOLATILE, state->transient)) != 0 ||
	    (r = power_on(e, state->transient != NULL)) != 0)
		return r;
	if (state->transient && !e->failure[0])
		r = stir(e);
	e->changed = false;
	if (r != 0)
		stop(e);
	return r;
}

int engine_manufacture(struct engine *e, const struct roots *roots)
{
	struct engine_state state = {0};
	int r;

	if (e->permanent)
		return E_STATE;
	e->manufacturing = true;
	r = power_on(e, false);
	e->manufacturing = false;
	if (r != 0)
		return r;
	r = get_state(TPMLIB_STATE_PERMANENT, &state.permanent);
	if (r == 0)
		r = blob_set_roots(state.permanent->data, state.permanent->size, roots);
	if (r == 0)
		r = engine_resume(e, &state);
	else
		stop(e);
	secret_free(&state.permanent);
	return r;
}

int engine_process(struct engine *e, unsigned int locality, const uint8_t *command, size_t n, const uint8_t **response,
		   size_t *n_response)
{
	if (!e->running)
		return E_STATE;
	e->locality = locality;
	/* libtpms does not write to the command. */
	if (TPMLIB_Process(&e->response, &e->response_size, &e->response_cap, (unsigned char *)(uintptr_t)command, (uint32_t)n) != TPM_SUCCESS)
		return E_TPM;
	*response = e->response;
	*n_response = e->response_size;
	if (!e->failure[0] && e->response_size >= 10 && memcmp(e->response + 6, "\0\0\1\1", 4) == 0) /* TPM_RC_FAILURE */
		look_for_failure(e);
	return e->lost ? E_NOMEM : 0;
}

const char *engine_failure(const struct engine *e)
{
	return e->failure[0] ? e->failure : NULL;
}

bool engine_take_changed(struct engine *e)
{
	bool changed = e->changed;

	e->changed = false;
	return changed;
}

const struct secret *engine_permanent(const struct engine *e)
{
	return e->permanent;
}

int engine_transient(const struct engine *e, struct secret **s)
{
	if (e->running)
		return get_state(TPMLIB_STATE_VOLATILE, s);
	secret_free(s);
	return E_STATE;
}

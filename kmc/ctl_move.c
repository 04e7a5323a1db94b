/* kmcctl move-key, vtpm export, import and moved. */
#include "kmc/ctl_move.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/results.h"
#include "common/text.h"
#include "kmc/ctl_client.h"
#include "kmc/ctl_life.h"
#include "kmc/keyfile.h"
#include "kmc/movefile.h"

#define HEX (2 * MOVE_HASH_SIZE + 1)

static int say(const char *why)
{
	ctl_say("%s", why);
	return EXIT_ERROR;
}

/* As it was read on the other KMC's screen; blanks and colons are for people. */
static bool take_fingerprint(const char *text, uint8_t hash[MOVE_HASH_SIZE])
{
	unsigned int digits = 0, value = 0;

	for (; *text; text++) {
		const char *all = "0123456789abcdef0123456789ABCDEF", *at = strchr(all, *text);

		if (*text == ':' || *text == ' ')
			continue;
		if (!at || digits == 2 * MOVE_HASH_SIZE)
			return false;
		value = value << 4 | ((unsigned int)(at - all) & 15);
		if (++digits % 2 == 0)
			hash[digits / 2 - 1] = (uint8_t)value;
	}
	return digits == 2 * MOVE_HASH_SIZE;
}

static int bad_fingerprint(const char *text)
{
	ctl_say("--fingerprint: '%s' is no SHA-256 as 'kmcctl move-key' prints one", text);
	return EXIT_USAGE;
}

/* Frames on their way into a new file. */
struct writing {
	struct keyfile file;
	char why[KEYFILE_WHY];
	bool repeated, any;
	struct uuid uuid;
	int r;
};

static int begin(struct writing *w, const char *path)
{
	*w = (struct writing){.r = 0};
	return keyfile_new(&w->file, path) == 0 ? EXIT_FINE : say("out of memory");
}

/* What was not to be had leaves no file. */
static int finish(struct writing *w, int code)
{
	if (code == EXIT_FINE && (w->r != 0 || !w->any))
		code = say(w->r == E_RANGE ? "kmcd's answer is too long" : "kmcd's answer is no such thing");
	if (code == EXIT_FINE && keyfile_write(&w->file, w->why) != 0)
		code = say(w->why);
	keyfile_free(&w->file);
	return code;
}

static void add(struct writing *w, struct view frame)
{
	w->any = true;
	if (w->r == 0)
		w->r = buf_put(&w->file.frames, frame.p, frame.n);
}

static bool on_card(void *arg, uint64_t type, const void *fields)
{
	if (type == ADM_MOVE_CARD)
		add(arg, ((const struct adm_move_card *)fields)->card);
	return false;
}

int ctl_move_key(struct ctl_client *c, const char *out)
{
	uint8_t hash[MOVE_HASH_SIZE];
	struct move_card card;
	struct writing w;
	char hex[HEX];
	int code = begin(&w, out);

	if (code != EXIT_FINE)
		return code;
	code = ctl_ask(c, ADM_MOVE_KEY, NULL, on_card, &w);
	if (code == EXIT_FINE && w.r == 0)
		w.r = move_read(view_of(buf_ptr(&w.file.frames), buf_left(&w.file.frames)), MOVE_CARD, &card);
	if (code == EXIT_FINE && w.r == 0)
		w.r = move_fingerprint(&card, hash);
	if ((code = finish(&w, code)) != EXIT_FINE)
		return code;
	results_text("file", out);
	results_text("fingerprint", text_hex(hash, sizeof(hash), hex));
	results_tell("wrote %s: to whom another KMC can give a vTPM, and whom one from here is signed by. Its fingerprint, for --fingerprint there, is\n  %s\n", out, hex);
	return EXIT_FINE;
}

static bool on_exported(void *arg, uint64_t type, const void *fields)
{
	const struct adm_exported *m = fields;
	struct writing *w = arg;

	if (type == ADM_EXPORTED) {
		w->repeated = m->repeated;
		add(w, m->package);
	} else if (type == ADM_STATE_BYTES && w->r == 0) {
		w->r = move_write(&w->file.frames, MOVE_STATE, &(const struct move_state){.state = ((const struct adm_state_bytes *)fields)->state});
	}
	return type == ADM_EXPORTED || type == ADM_STATE_BYTES;
}

int ctl_export(struct ctl_client *c, const struct uuid *uuid, const char *to, const char *fingerprint, const char *out)
{
	struct adm_export m = {.uuid = *uuid};
	uint8_t hash[MOVE_HASH_SIZE];
	char why[KEYFILE_WHY], u[UUID_TEXT];
	struct keyfile card;
	struct writing w;
	int code;

	if (!take_fingerprint(fingerprint, hash))
		return bad_fingerprint(fingerprint);
	if (keyfile_read(&card, to, why) != 0)
		return say(why);
	m.card = view_of(buf_ptr(&card.frames), buf_left(&card.frames));
	m.fingerprint = view_of(hash, sizeof(hash));
	if (m.card.n == 0 || m.card.n > MOVE_CARD_MAX) {
		ctl_say("%s is no KMC's key for moves: have it written there, by 'kmcctl move-key'", to);
		code = EXIT_ERROR;
	} else if ((code = begin(&w, out)) == EXIT_FINE) {
		code = finish(&w, ctl_ask(c, ADM_VTPM_EXPORT, &m, on_exported, &w));
	}
	keyfile_free(&card);
	if (code != EXIT_FINE)
		return code;
	results_text("file", out);
	results_truth("repeated", w.repeated);
	results_tell("wrote %s%s: nobody opens the vTPM here from now on. There: 'kmcctl vtpm import'; and its receipt here: 'kmcctl vtpm moved'.\n"
		     "If the file is lost, run this again; if the vTPM is to stay, 'kmcctl vtpm export %s --cancel'\n", out, w.repeated ? " once more" : "",
		     uuid_format(uuid, u));
	return EXIT_FINE;
}

int ctl_export_cancel(struct ctl_client *c, const struct uuid *uuid, bool yes)
{
	static const char warning[] = "if the other KMC has imported this vTPM, or still can, there will be two with the same keys, each with a state of its own: "
				      "make sure that it has not, and destroy every copy of the file";
	const struct adm_uuid m = {.uuid = *uuid};

	if (yes)
		ctl_say("warning: %s", warning);
	if (!ctl_agreed(warning, yes))
		return EXIT_ERROR;
	return ctl_order(c, ADM_EXPORT_CANCEL, &m);
}

static bool on_imported(void *arg, uint64_t type, const void *fields)
{
	const struct adm_imported *m = fields;
	struct writing *w = arg;

	if (type != ADM_IMPORTED)
		return false;
	w->repeated = m->repeated;
	w->uuid = m->uuid;
	add(w, m->receipt);
	return false;
}

/* The file's two parts. */
static int take_apart(struct keyfile *f, struct adm_import *m)
{
	struct move_state state = {.state = {0}};
	struct view frame;
	int r = move_next(&f->frames, MOVE_PACKAGE, &m->package);

	if (r != 0 || !keyfile_left(f))
		return r != 0 ? r : m->package.n <= MOVE_PACKAGE_MAX ? 0 : E_RANGE;
	if ((r = move_next(&f->frames, MOVE_STATE, &frame)) != 0 || (r = move_read(frame, MOVE_STATE, &state)) != 0)
		return r;
	m->state = state.state;
	return keyfile_left(f) ? E_TRAILING : m->package.n <= MOVE_PACKAGE_MAX ? 0 : E_RANGE;
}

int ctl_import(struct ctl_client *c, const char *file, const char *fingerprint, const char *pool, const char *out)
{
	struct adm_import m = {.pool = pool ? view_text(pool) : (struct view){0}};
	uint8_t hash[MOVE_HASH_SIZE];
	char why[KEYFILE_WHY], u[UUID_TEXT];
	struct keyfile f;
	struct writing w;
	int code, r;

	if (!take_fingerprint(fingerprint, hash))
		return bad_fingerprint(fingerprint);
	if (keyfile_read(&f, file, why) != 0)
		return say(why);
	m.fingerprint = view_of(hash, sizeof(hash));
	if ((r = take_apart(&f, &m)) != 0) {
		ctl_say("%s holds no vTPM from another KMC, or is damaged (%s): copy it anew", file, error_text(r));
		code = EXIT_ERROR;
	} else if ((code = begin(&w, out)) == EXIT_FINE) {
		code = finish(&w, ctl_ask(c, ADM_VTPM_IMPORT, &m, on_imported, &w));
	}
	keyfile_free(&f);
	if (code != EXIT_FINE)
		return code;
	uuid_format(&w.uuid, u);
	results_text("vtpm", u);
	results_text("receipt", out);
	results_truth("repeated", w.repeated);
	results_tell(w.repeated ? "vTPM %s was imported already, and nothing has changed; its receipt is in %s\n"
				: "vTPM %s is here. Make a backup, then take %s to where it came from: 'kmcctl vtpm moved' destroys what is there\n", u, out);
	return EXIT_FINE;
}

int ctl_put_state(struct ctl_client *c, const struct uuid *uuid, const char *file)
{
	char why[KEYFILE_WHY];
	struct statefile s;
	struct keyfile f;
	int code, r;

	if (keyfile_read(&f, file, why) != 0)
		return say(why);
	r = statefile_read(view_of(buf_ptr(&f.frames), buf_left(&f.frames)), &s);
	if (r != 0) {
		ctl_say("%s is not what 'vtpmctl state export' writes, or is damaged (%s): copy it anew", file, error_text(r));
		code = EXIT_ERROR;
	} else if (!uuid_equal(&s.uuid, uuid)) {
		ctl_say("%s holds the state of another vTPM", file);
		code = EXIT_ERROR;
	} else {
		code = ctl_order(c, ADM_STATE_PUT, &s);
	}
	keyfile_free(&f);
	return code;
}

int ctl_moved(struct ctl_client *c, const char *receipt)
{
	char why[KEYFILE_WHY];
	struct adm_moved m;
	struct keyfile f;
	int code;

	if (keyfile_read(&f, receipt, why) != 0)
		return say(why);
	m.receipt = view_of(buf_ptr(&f.frames), buf_left(&f.frames));
	if (m.receipt.n == 0 || m.receipt.n > MOVE_RECEIPT_MAX) {
		ctl_say("%s is no receipt of 'kmcctl vtpm import'", receipt);
		code = EXIT_ERROR;
	} else {
		code = ctl_order(c, ADM_VTPM_MOVED, &m);
	}
	keyfile_free(&f);
	if (code == EXIT_FINE)
		results_tell("done: the seed and the states of this vTPM are destroyed here\n");
	return code;
}

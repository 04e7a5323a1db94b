/* kmcctl vtpm, move-key: vTPMs, their states, and their ways to another KMC. */
#include "kmc/ctl_command.h"
#include "kmc/ctl_life.h"
#include "kmc/ctl_move.h"
#include "kmc/ctl_show.h"

static bool take_uuid(const struct ctl_line *line, struct uuid *uuid)
{
	if (uuid_parse(line->argument, uuid) == 0)
		return true;
	ctl_say("'%s' is not a UUID", line->argument);
	return false;
}

/* --- which there are --- */

static int run_vtpm_list(const struct ctl_line *line)
{
	return ctl_list(line->client, ADM_VTPM_LIST, line->o->json, true);
}

static int run_vtpm_show(const struct ctl_line *line)
{
	struct uuid uuid;

	return take_uuid(line, &uuid) ? ctl_show_vtpm(line->client, ADM_VTPM_SHOW, &uuid, line->o->json) : EXIT_USAGE;
}

static int run_vtpm_register(const struct ctl_line *line)
{
	struct adm_register m = {.pool = view_text(line->o->pool ? line->o->pool : "default")};

	return take_uuid(line, &m.uuid) ? ctl_order(line->client, ADM_VTPM_REGISTER, &m) : EXIT_USAGE;
}

static int run_vtpm_takeover(const struct ctl_line *line)
{
	struct uuid uuid;

	return take_uuid(line, &uuid) ? ctl_show_vtpm(line->client, ADM_VTPM_TAKEOVER, &uuid, line->o->json) : EXIT_USAGE;
}

/* --- states and images --- */

static int run_vtpm_states(const struct ctl_line *line)
{
	struct uuid uuid;

	return take_uuid(line, &uuid) ? ctl_list_states(line->client, &uuid, line->o->json) : EXIT_USAGE;
}

/* Back to a stored version, or forward to a file. */
static int run_vtpm_restore(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	struct adm_state_restore m;

	if (o->state ? o->version != NULL : !o->version || !ctl_options_number(o->version, INT64_MAX, &m.version))
		return CTL_MISUSED;
	if (!take_uuid(line, &m.uuid))
		return EXIT_USAGE;
	return o->state ? ctl_put_state(line->client, &m.uuid, o->state) : ctl_order(line->client, ADM_STATE_RESTORE, &m);
}

static int run_vtpm_images(const struct ctl_line *line)
{
	struct uuid uuid;

	return take_uuid(line, &uuid) ? ctl_list_images(line->client, &uuid, line->o->json) : EXIT_USAGE;
}

static int run_vtpm_allow_image(const struct ctl_line *line)
{
	struct adm_image_allow m;

	if (!line->o->image || !ctl_options_number(line->o->image, UINT32_MAX, &m.image))
		return CTL_MISUSED;
	return take_uuid(line, &m.uuid) ? ctl_order(line->client, ADM_IMAGE_ALLOW, &m) : EXIT_USAGE;
}

/* --- lives --- */

static int run_vtpm_clone(const struct ctl_line *line)
{
	struct uuid from;

	return take_uuid(line, &from) ? ctl_clone(line->client, &from, line->second, line->o->share_keys, line->o->yes) : EXIT_USAGE;
}

static int run_vtpm_rekey(const struct ctl_line *line)
{
	struct uuid uuid;

	return take_uuid(line, &uuid) ? ctl_rekey(line->client, &uuid, line->o->yes) : EXIT_USAGE;
}

static int run_vtpm_retire(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	struct uuid uuid;

	if (o->cancel && (o->grace || o->yes))
		return CTL_MISUSED;
	if (!take_uuid(line, &uuid))
		return EXIT_USAGE;
	return o->cancel ? ctl_retire_cancel(line->client, &uuid) : ctl_retire(line->client, &uuid, o->grace ? o->grace : "7d", o->yes);
}

/* --- to another KMC, and from one --- */

static int run_move_key(const struct ctl_line *line)
{
	return line->o->out ? ctl_move_key(line->client, line->o->out) : CTL_MISUSED;
}

static int run_vtpm_export(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	struct uuid uuid;

	if (o->cancel ? o->to || o->fingerprint || o->out : !o->to || !o->fingerprint || !o->out || o->yes)
		return CTL_MISUSED;
	if (!take_uuid(line, &uuid))
		return EXIT_USAGE;
	return o->cancel ? ctl_export_cancel(line->client, &uuid, o->yes) : ctl_export(line->client, &uuid, o->to, o->fingerprint, o->out);
}

static int run_vtpm_import(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;

	return o->fingerprint && o->out ? ctl_import(line->client, line->argument, o->fingerprint, o->pool, o->out) : CTL_MISUSED;
}

static int run_vtpm_moved(const struct ctl_line *line)
{
	return ctl_moved(line->client, line->argument);
}

const struct ctl_command ctl_commands_vtpm[] = {
	{"vtpm", "list", NO_ARGUMENT, run_vtpm_list, PRINTS,
	 "  vtpm list\n"},
	{"vtpm", "show", ONE_ARGUMENT, run_vtpm_show, PRINTS,
	 "  vtpm show UUID\n"},
	{"vtpm", "register", ONE_ARGUMENT, run_vtpm_register, 0,
	 "  vtpm register UUID [--pool P]\n"},
	{"vtpm", "takeover", ONE_ARGUMENT, run_vtpm_takeover, PRINTS,
	 "  vtpm takeover UUID                           end the lease of a host that is dead\n"},
	{"vtpm", "states", ONE_ARGUMENT, run_vtpm_states, PRINTS,
	 "  vtpm states UUID                             its stored states, the newest last\n"},
	{"vtpm", "restore", ONE_ARGUMENT, run_vtpm_restore, 0,
	 "  vtpm restore UUID --version N                go back to an earlier one: later ones are dropped\n"
	 "  vtpm restore UUID --state FILE               forward to what 'vtpmctl state export' wrote on the host whose lease was taken over\n"},
	{"vtpm", "images", ONE_ARGUMENT, run_vtpm_images, PRINTS,
	 "  vtpm images UUID                             the saved guests whose TPM is kept, the latest last\n"},
	{"vtpm", "allow-image", ONE_ARGUMENT, run_vtpm_allow_image, 0,
	 "  vtpm allow-image UUID --image N              let an earlier one be restored: what came later is dropped\n"},
	{"vtpm", "clone", TWO_ARGUMENTS, run_vtpm_clone, 0,
	 "  vtpm clone FROM TO                           register TO in FROM's pool, with a seed and identity of its own\n"
	 "  vtpm clone FROM TO --share-keys [--yes]      the same with the keys of FROM: to the world both are one\n"},
	{"vtpm", "rekey", ONE_ARGUMENT, run_vtpm_rekey, 0,
	 "  vtpm rekey UUID [--yes]                      a new generation of the seed: what the guest sealed is lost\n"},
	{"vtpm", "retire", ONE_ARGUMENT, run_vtpm_retire, 0,
	 "  vtpm retire UUID [--grace 7d] [--yes]        the end; its seed is destroyed after the grace\n"
	 "  vtpm retire UUID --cancel                    or not, within the grace\n"},
	{"move-key", NULL, NO_ARGUMENT, run_move_key, 0,
	 "  move-key --out FILE                          who this KMC is, for another one: what moves between them is for and by that\n"},
	{"vtpm", "export", ONE_ARGUMENT, run_vtpm_export, 0,
	 "  vtpm export UUID --to KEY --fingerprint SHA256 --out FILE      for the KMC with that key alone; nobody opens it here from now on\n"
	 "  vtpm export UUID --cancel [--yes]            it stays here: only if the other KMC has not imported it, and can't\n"},
	{"vtpm", "import", ONE_FILE, run_vtpm_import, 0,
	 "  vtpm import FILE --fingerprint SHA256 --out RECEIPT [--pool P] from the KMC with that fingerprint\n"},
	{"vtpm", "moved", ONE_FILE, run_vtpm_moved, 0,
	 "  vtpm moved RECEIPT                           the other KMC has it: destroy what is here\n"},
	{0}};

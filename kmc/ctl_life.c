/* kmcctl vtpm clone, rekey, retire. */
#include "kmc/ctl_life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/results.h"
#include "kmc/ctl_client.h"
#include "kmc/ctl_trust.h"

bool ctl_agreed(const char *warning, bool yes)
{
	char line[16] = "";

	if (yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		ctl_say("%s; say --yes if that is wanted", warning);
		return false;
	}
	fprintf(stderr, "%s. Type 'yes' to go on: ", warning);
	return fgets(line, sizeof(line), stdin) && strcmp(line, "yes\n") == 0;
}

#define SHARING                                                                                                                       \
	"two vTPMs with the same keys are one to the world: each unseals what is sealed to the other without authorisation or PCRs, nobody can tell " \
	"their attestations apart, and who takes over one has both"

int ctl_clone(struct ctl_client *c, const struct uuid *from, const char *to, bool share, bool yes)
{
	struct adm_clone m = {.from = *from, .share = share};

	if (uuid_parse(to, &m.to) != 0) {
		ctl_say("'%s' is not a UUID", to);
		return EXIT_USAGE;
	}
	if (share && yes)
		ctl_say("warning: %s", SHARING);
	if (share && !ctl_agreed(SHARING, yes))
		return EXIT_ERROR;
	return ctl_order(c, ADM_VTPM_CLONE, &m);
}

int ctl_rekey(struct ctl_client *c, const struct uuid *uuid, bool yes)
{
	const struct adm_uuid m = {.uuid = *uuid};

	if (!ctl_agreed("a new seed destroys all that the guest has sealed with this vTPM, its NV contents and its identity", yes))
		return EXIT_ERROR;
	return ctl_order(c, ADM_VTPM_REKEY, &m);
}

static bool on_retirement(void *arg, uint64_t type, const void *fields)
{
	(void)type;
	*(struct adm_retirement *)arg = *(const struct adm_retirement *)fields;
	return false;
}

int ctl_retire(struct ctl_client *c, const struct uuid *uuid, const char *grace, bool yes)
{
	struct adm_retire m = {.uuid = *uuid};
	struct adm_retirement end = {.due_at = 0};
	char text[24] = "-";
	struct tm tm;
	time_t t;
	int code;

	if (!ctl_parse_duration(grace, &m.grace) || m.grace > UINT32_MAX) {
		ctl_say("--grace: '%s' is no duration such as 0s, 12h or 30d", grace);
		return EXIT_USAGE;
	}
	if (!ctl_agreed("after the grace this vTPM's seed and states are destroyed, and with them all that the guest has sealed", yes))
		return EXIT_ERROR;
	code = ctl_ask(c, ADM_VTPM_RETIRE, &m, on_retirement, &end);
	t = (time_t)end.due_at;
	if (code == EXIT_FINE && gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		results_text("destroyed_at", text);
	if (code == EXIT_FINE)
		results_tell("retired; the seed is destroyed at %s\n", text);
	if (code == EXIT_FINE && end.sharers)
		results_tell("its keys live on: %" PRIu64 " other vTPM%s them, see 'kmcctl vtpm show'\n", end.sharers, end.sharers == 1 ? " has" : "s have");
	return code;
}

int ctl_retire_cancel(struct ctl_client *c, const struct uuid *uuid)
{
	const struct adm_retire m = {.uuid = *uuid, .cancel = 1};

	return ctl_order(c, ADM_VTPM_RETIRE, &m);
}

/* vtpmctl state export: what this host has of a vTPM and could not send, for the KMC's administrator. */
#ifndef DOM0_RELAY_STATE_EXPORT_H
#define DOM0_RELAY_STATE_EXPORT_H

struct relayconf;
struct uuid;

/** state_export_run() - the sealed state of @uuid into the new file @out, unless it runs or sleeps here. Return: an exit code; what failed was said. */
int state_export_run(const struct relayconf *conf, const struct uuid *uuid, const char *out);

#endif

/* `vtpmctl list` and `vtpmctl wait`: the vTPMs of this host, and what was refused. */
#ifndef DOM0_RELAY_LIST_H
#define DOM0_RELAY_LIST_H

#include <stdbool.h>

#include <jansson.h>

/** list_run() - print what the relay at @socket_path has, as a table or as JSON. Return: an exit status of vtpmctl. */
int list_run(const char *socket_path, bool json);

/** list_rows() - the same as a JSON array; *rows is the caller's, NULL unless EXIT_FINE is returned. */
int list_rows(const char *socket_path, json_t **rows);

/** list_is_state() - what may be waited for: a word that the list can show, or "gone". */
bool list_is_state(const char *text);

/** list_wait() - until the vTPM @uuid is in @state, for @seconds at most. Return: an exit status of vtpmctl. */
int list_wait(const char *socket_path, const char *uuid, const char *state, unsigned int seconds);

#endif

/*
 * What the builder built, for a builder that comes after it: a directory of empty files, named by the UUIDs that the
 * stub domains were created with.
 *
 * A name is there before its domain and goes after it, so that a builder killed at any moment leaves nothing unknown.
 * The directory is root's alone (the relay can't have a domain destroyed by writing one down) and lies on a file
 * system that a reboot of the host empties.
 */
#ifndef DOM0_RELAY_STUB_RECORDS_H
#define DOM0_RELAY_STUB_RECORDS_H

#include "common/uuid.h"

/** stub_records_open() - make the directory if need be. Return: its descriptor, or E_IO with errno. */
int stub_records_open(const char *path);

int stub_records_add(int dir, const struct uuid *handle);     /* 0, or E_IO with errno */
void stub_records_remove(int dir, const struct uuid *handle); /* there may be none */

/** stub_records_each() - call @fn, which may remove the record, for every one: 0 or E_IO with errno. */
int stub_records_each(int dir, void (*fn)(void *arg, const struct uuid *handle), void *arg);

#endif

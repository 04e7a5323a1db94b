/*
 * What `vtpmctl doctor` and `kmcctl status --check` have in common: one line for each thing looked at, with the remedy where it is wrong.
 */
#ifndef COMMON_CHECKUP_H
#define COMMON_CHECKUP_H

#include <stdbool.h>
#include <stdint.h>

enum finding { FINDING_OK, FINDING_NOTE, FINDING_WRONG };

struct checkup {
	unsigned int notes, wrong;
};

/** checkup_say() - one line: "ok", "note" or "WRONG", then what was found and, after a colon or semicolon, what to do. */
void checkup_say(struct checkup *c, enum finding f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** checkup_end() - the sum. Return: 0, or 1 if something is wrong. */
int checkup_end(const struct checkup *c);

/** checkup_file() - @path must be there and readable; @what: for people; @remedy: if it is not. Return: whether it is. */
bool checkup_file(struct checkup *c, const char *what, const char *path, const char *remedy);

/** checkup_private() - nobody but the owner may read @path. */
void checkup_private(struct checkup *c, const char *what, const char *path);

/** checkup_user() - the user exists. */
void checkup_user(struct checkup *c, const char *name);

/** checkup_space() - the file system of @directory has room for at least @mib MiB. */
void checkup_space(struct checkup *c, const char *directory, uint64_t mib);

/** checkup_certificate() - it is valid now and for two weeks more, and the key belongs to it; @remedy: a new one; @early: while it is valid. */
void checkup_certificate(struct checkup *c, const char *what, const char *path, const char *key_path, const char *remedy, const char *early);

/** checkup_tpm() - where @tcti is a device: it is there and can be opened. */
void checkup_tpm(struct checkup *c, const char *tcti);

#endif

/*
 * Files of key material on its way: to a replica, and for recovery. Frames of common/msg.h, one after another.
 *
 *   replica request    REQUEST                    what the new machine's TPM is; nothing secret
 *   replica package    COPY, FILE...              for that TPM alone
 *   recovery file      RECOVERY                   for who has M shares
 *
 * A FILE is one of the machine's key files, which are all encrypted by or for the parent.
 */
#ifndef KMC_KEYFILE_H
#define KMC_KEYFILE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/kmcmsg.h"
#include "common/msg.h"

#define KEYFILE_WHY 512
#define KEYFILE_NAME_MAX 100
#define KEYFILE_BYTES_MAX 4096 /* of one of the machine's files */
#define KEYFILE_WRAPPED_MAX 600
#define KEYFILE_SET_SIZE 8

enum keyfile_type { KEYFILE_REQUEST = 1, KEYFILE_COPY, KEYFILE_FILE, KEYFILE_RECOVERY };

struct keyfile_request {
	struct view name; /* of the new kmcd */
	struct view ek, certificate, storage; /* as struct kmctpm_identity; certificate absent: there is none */
};

struct keyfile_copy {
	struct view kmc;		/* whose keys these are */
	struct view credential, secret; /* as struct kmctpm_credential */
	struct view public, duplicate, seed; /* as struct kmctpm_copy */
};

struct keyfile_file {
	struct view name; /* in the state directory */
	struct view bytes;
};

struct keyfile_recovery {
	struct view kmc;
	struct view set; /* tells sets of shares apart */
	uint64_t needed, shares;
	struct view x, y;		     /* the recovery key's public half */
	struct view public, duplicate, seed; /* as struct kmctpm_copy, made for it */
	struct view key;		     /* its private half and the inner wrapper's key, under what was shared */
	struct view authority;		     /* the authority's private key, likewise */
};

/* A file being read or written. */
struct keyfile {
	const char *path;
	struct buf frames;
};

/** keyfile_read() - all of @path, which must outlive it. 0 or an error with @why filled in. */
int keyfile_read(struct keyfile *f, const char *path, char why[KEYFILE_WHY]);

/** keyfile_next() - the next frame must be of @type: into @fields, views into the file. 0 or an error with @why filled in. */
int keyfile_next(struct keyfile *f, enum keyfile_type type, void *fields, char why[KEYFILE_WHY]);

/** keyfile_left() - whether frames are left. */
bool keyfile_left(const struct keyfile *f);

/** keyfile_new() - an empty one; 0 or E_NOMEM. */
int keyfile_new(struct keyfile *f, const char *path);

/** keyfile_add() - append a frame; 0, E_RANGE or E_ARG. */
int keyfile_add(struct keyfile *f, enum keyfile_type type, const void *fields);

/** keyfile_write() - into a new file that only its owner can read, and to the disk. 0 or an error with @why filled in. */
int keyfile_write(const struct keyfile *f, char why[KEYFILE_WHY]);

void keyfile_free(struct keyfile *f);

/** keyfile_is_name() - whether a FILE may have that name: vault/NAME or NAME, and none that belongs to one machine. */
bool keyfile_is_name(const char *name);

/** keyfile_add_machine() - all files in the state directory @state that go with the parent, as FILEs. 0 or an error with @why. */
int keyfile_add_machine(struct keyfile *f, const char *state, char why[KEYFILE_WHY]);

/** keyfile_put() - write the bytes of a FILE to @path, where nothing is yet. 0 or E_IO with @why filled in. */
int keyfile_put(const char *path, struct view bytes, char why[KEYFILE_WHY]);

#endif

/*
 * What happened to the vTPMs of this host: the file "history" of the state directory, for `vtpmctl show`.
 *
 * Theory of operation: one file of fixed bounds, HISTORY_VTPMS places of HISTORY_RECORDS records. A vTPM has a place to itself, as a ring;
 * one that is new here gets a free place or that of the vTPM of which nothing was heard for longest. Nobody's noise pushes out what is known
 * of another. A record says by itself whose it is, has its number at both ends (torn is skipped) and is a divisor of a disk's sector, so
 * there is nothing to repair. It is not forced onto the disk: a power cut costs the last seconds, and nothing but people depends on it.
 */
#ifndef DOM0_RELAY_HISTORY_H
#define DOM0_RELAY_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

struct buf;
struct history;

#define HISTORY_FILE "history" /* in the state directory */
#define HISTORY_VTPMS 512
#define HISTORY_RECORDS 64
#define HISTORY_SIZE 256 /* bytes of a record */
#define HISTORY_DETAIL 192 /* bytes of a detail, with its NUL */
#define HISTORY_WHY 240

/* What people read; numbers stay. */
enum history_event {
	HISTORY_REQUESTED = 1, /* libxl asked for it */
	HISTORY_OPENED,	       /* lease and seed are here */
	HISTORY_SERVING,
	HISTORY_RESERVED, /* it came with an image, and is served once the guest runs */
	HISTORY_RUNS,	  /* which it does: the lease is asked for */
	HISTORY_SLEEPS,
	HISTORY_SEALED,	   /* on record here */
	HISTORY_SUSPENDED, /* the KMC has it too: any host may resume it */
	HISTORY_WAKES,	   /* it runs on here: the lease is asked for again */
	HISTORY_FENCED,	   /* it is another host's */
	HISTORY_STUB_DIED,
	HISTORY_STANDIN,
	HISTORY_FOUND, /* a relay that was started anew */
	HISTORY_FAILED,
	HISTORY_CLOSING,
	HISTORY_CLOSED,
	HISTORY_TPM_FAILED, /* the TPM itself: libtpms' failure mode */
	HISTORY_EVENTS /* one more than the last */
};

struct history_record {
	uint64_t number, time; /* number: of all records of the file; 0: none. time: seconds since 1970 */
	struct uuid uuid;      /* the vTPM's */
	uint32_t guest, dev;
	enum history_event event;
	char detail[HISTORY_DETAIL]; /* "": none */
};

const char *history_text(enum history_event event);

/** history_open() - in the directory at @path, for the one process that writes; the file is made if need be. 0 (*h is the caller's), E_IO or E_NOMEM, with @why. */
int history_open(struct history **h, const char *path, char why[HISTORY_WHY]);
void history_close(struct history **h);

/** history_add() - @r->number is given here. 0 or E_IO (errno says why). */
int history_add(struct history *h, const struct history_record *r);

/**
 * history_read() - what is there of @uuid, the oldest first; another process may write meanwhile
 * @out: room for HISTORY_RECORDS
 *
 * Return: how many, or E_NOTFOUND (there is no such file), E_IO (errno says why).
 */
int history_read(const char *path, const struct uuid *uuid, struct history_record *out);

/** history_record_write() - as it stands in the file; history_record_read() - 0 or E_FORMAT (none, or torn). */
void history_record_write(const struct history_record *r, uint8_t out[HISTORY_SIZE]);
int history_record_read(const uint8_t in[HISTORY_SIZE], struct history_record *r);

#endif

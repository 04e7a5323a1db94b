/*
 * A guest that writes to its TPM's NV memory all the time, and keeps a record of what it was told.
 *
 *   nv-load PORT write FILE    count up in an NV index until the TPM is gone; FILE gets a line for each step:
 *                              "try N" before the command, "done N" or "failed N RC" after the response
 *   nv-load PORT read          print the count
 *
 * Exit status 0 when the TPM went away or the count was read, 1 for an answer that must not be.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/ring2/frontend.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

#define INDEX 0x1500010
#define CONNECT_MS 20000
#define PATIENCE_MS 30000 /* of a guest's driver, more or less */
#define LOOK_MS 100

enum { RC_NV_DEFINED = 0x14c, RC_NV_UNINITIALIZED = 0x14a, RC_NV_UNAVAILABLE = 0x923, RC_INITIALIZE = 0x100 };

static int is_gone(struct frontend *f)
{
	struct pollfd p = {.fd = f->socket, .events = POLLIN};
	uint32_t state;

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP || recv(f->socket, &state, sizeof(state), MSG_DONTWAIT) == 0);
}

/* The response code, or -1: the TPM is gone. */
static long command(struct frontend *f, const struct tpm_command *c, uint8_t response[TPMIF_DATA_MAX])
{
	frontend_submit(f, c->bytes, c->b.len);
	for (int ms = 0; __atomic_load_n(f->page + 4, __ATOMIC_ACQUIRE) != TPMIF_FINISH; ms += LOOK_MS)
		if (frontend_wait(f, LOOK_MS) != 0 && (is_gone(f) || ms > PATIENCE_MS))
			return -1;
	memcpy(response, f->page + TPMIF_HEADER_SIZE, TPMIF_DATA_MAX);
	return (long)tpm_u32(response + 6);
}

/* What the index holds: 0 if it was never written; -1: the TPM is gone or answers something else. */
static long read_count(struct frontend *f)
{
	uint8_t response[TPMIF_DATA_MAX];
	struct tpm_command c;
	long rc;

	tpm_nv_read(&c, INDEX);
	rc = command(f, &c, response);
	if (rc == RC_NV_UNINITIALIZED || rc == 0x18b || rc == 0x28b) /* or not defined: a handle's error */
		return 0;
	if (rc != 0) {
		fprintf(stderr, "NV_Read: %lx\n", (unsigned long)rc);
		return -1;
	}
	return strtol((const char *)response + 16, NULL, 16);
}

static void note(int fd, const char *what, long n, long rc)
{
	char line[64];
	int size = snprintf(line, sizeof(line), "%s %ld %lx\n", what, n, (unsigned long)rc);

	if (write(fd, line, (size_t)size) != size)
		exit(1);
}

static int count_up(struct frontend *f, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	uint8_t response[TPMIF_DATA_MAX];
	struct tpm_command c;
	char text[17];
	long n, rc;

	tpm_nv_define(&c, INDEX, 0);
	rc = command(f, &c, response);
	n = rc == 0 || rc == RC_NV_DEFINED ? read_count(f) : -1;
	while (fd >= 0 && n >= 0 && rc >= 0) {
		n++;
		snprintf(text, sizeof(text), "%08lx", (unsigned long)n);
		tpm_nv_write(&c, INDEX, text);
		note(fd, "try", n, 0);
		rc = command(f, &c, response);
		if (rc >= 0)
			note(fd, rc == 0 ? "done" : "failed", n, rc);
		if (rc > 0 && rc != RC_NV_UNAVAILABLE && rc != RC_INITIALIZE)
			return 1;
		if (rc == RC_INITIALIZE)
			return 0;
	}
	return fd < 0;
}

int main(int argc, char **argv)
{
	struct frontend f;
	long n;

	if (argc < 3 || frontend_connect(&f, argv[1]) != 0 || frontend_say(&f, XENBUS_INITIALISED) != 0 ||
	    frontend_await(&f, XENBUS_CONNECTED, CONNECT_MS) != 0 || frontend_say(&f, XENBUS_CONNECTED) != 0) {
		fprintf(stderr, "usage: nv-load PORT {write FILE | read}, where a vtpm-stubdom serves\n");
		return 1;
	}
	if (argc == 4 && strcmp(argv[2], "write") == 0)
		return count_up(&f, argv[3]);
	n = read_count(&f);
	if (n >= 0)
		printf("%ld\n", n);
	frontend_say(&f, XENBUS_CLOSED);
	frontend_close(&f);
	return n < 0;
}

/*
 * A guest for tpm2-tools: `tpm2 ... -T "cmd:stub-tcti PORT"` sends TPM commands to our standard input and reads responses.
 * Connects as xen-tpmfront does at each start, and goes away as it does when it is unloaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/ring2/frontend.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

#define HEADER 10
#define WAIT_MS 60000

static int read_all(uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r = read(STDIN_FILENO, p, n);

		if (r <= 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static int write_all(const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r = write(STDOUT_FILENO, p, n);

		if (r <= 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t command[TPMIF_DATA_MAX], response[TPMIF_DATA_MAX];
	struct frontend f;

	if (argc != 2 || frontend_connect(&f, argv[1]) != 0 || frontend_say(&f, XENBUS_INITIALISED) != 0 ||
	    frontend_await(&f, XENBUS_CONNECTED, WAIT_MS) != 0 || frontend_say(&f, XENBUS_CONNECTED) != 0) {
		fprintf(stderr, "usage: stub-tcti PORT, where a vtpm-stubdom serves\n");
		return 1;
	}
	while (read_all(command, HEADER) == 0) {
		size_t n = (size_t)command[2] << 24 | (size_t)command[3] << 16 | (size_t)command[4] << 8 | command[5];
		int r;

		if (n < HEADER || n > sizeof(command) || read_all(command + HEADER, n - HEADER) != 0)
			return 1;
		r = frontend_command(&f, command, n, response, WAIT_MS);
		if (r < 0 || write_all(response, (size_t)r) != 0)
			return 1;
	}
	frontend_say(&f, XENBUS_CLOSED);
	frontend_close(&f);
	return 0;
}

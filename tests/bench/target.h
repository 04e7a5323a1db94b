/* What is measured: a TPM 2.0 that takes raw commands, in one of three places. */
#ifndef TESTS_BENCH_TARGET_H
#define TESTS_BENCH_TARGET_H

#include <stddef.h>
#include <stdint.h>

#define TARGET_RESPONSE_MAX 4096

struct target {
	const char *name;
	/* one command and its response; the response's size, or -1 */
	int (*command)(struct target *t, const uint8_t *command, size_t n, uint8_t response[TARGET_RESPONSE_MAX]);
	void *state;
};

/** target_in_process() - libtpms in this process, through the stub domain's engine; NULL: it failed. */
struct target *target_in_process(void);

/** target_stub() - @program over its Unix twins: shared page and eventfds; the relay answers every STORE at once. */
struct target *target_stub(const char *program);

/** target_swtpm() - Debian's swtpm over its Unix socket; its state lives below @dir. */
struct target *target_swtpm(const char *dir);

/** target_stop() - end it; *@t may be NULL. */
void target_stop(struct target **t);

#endif

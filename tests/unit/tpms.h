/* Two TPMs for a test, each a real swtpm, and a KMC's keys in the first. */
#ifndef TESTS_UNIT_TPMS_H
#define TESTS_UNIT_TPMS_H

#include <sys/types.h>

#include "kmc/keyring.h"
#include "kmc/kmctpm.h"
#include "tests/unit/unit.h"

/* A group's setup and teardown. */
int tpms_setup(void **state);
int tpms_teardown(void **state);

extern char tpms_dir[], tpms_why[KEYRING_WHY];
extern struct tpms_one { pid_t pid; char tcti[99]; } tpms[2];
extern struct kmcconf tpms_conf; /* of the KMC; its state is in that directory */
extern struct x509_key *tpms_authority_key;
extern struct kmctpm_authority tpms_authority;

/* works(CALL) - 0, or the test fails with what the call said. */
#define works(call) do { if ((call) != 0) fail_msg("%s", tpms_why); } while (0)

void tpms_start(int n);
void tpms_stop(int n);
struct kmctpm *tpms_open(int n);

/* All keys of a new KMC; @k: zeroed but for its TCTI, and open afterwards. */
void tpms_make_kmc(struct keyring *k, const struct kmcconf *conf);

/* A parent with K below it, both loaded, and what K makes of a text. */
void tpms_make_keys(struct kmctpm *t, struct kmctpm_blob *parent, struct kmctpm_blob *key);
struct secret *tpms_mac(struct kmctpm *t, const char *text);

/* With tpm2-tools, which know nothing of us, in the directory: 0 if @script succeeds. $T, $U: TCTI of the two TPMs. */
int tpms_tools(const char *script);

/* The same, and the tools' words if it fails. */
void tpms_must(const char *script);

/* A file in the directory. */
void tpms_write(const char *name, const void *p, size_t n);
size_t tpms_read(const char *name, void *p, size_t max);

#endif

/* Two TPMs for a test, and a KMC's keys in the first. */
#include "tests/unit/tpms.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char tpms_dir[] = "/tmp/test-kmc-tpm-XXXXXX", tpms_why[KEYRING_WHY];
struct tpms_one tpms[2];
struct kmcconf tpms_conf;
struct x509_key *tpms_authority_key;
struct kmctpm_authority tpms_authority;

static void make_directory(const char *path)
{
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
}

void tpms_start(int n)
{
	char state[99], server[99], control[99];

	snprintf(tpms[n].tcti, sizeof(tpms[n].tcti), "swtpm:path=%s/%d.sock", tpms_dir, n);
	snprintf(state, sizeof(state), "dir=%s/tpm%d", tpms_dir, n);
	snprintf(server, sizeof(server), "type=unixio,path=%s/%d.sock", tpms_dir, n);
	snprintf(control, sizeof(control), "type=unixio,path=%s/%d.sock.ctrl", tpms_dir, n);
	make_directory(state + strlen("dir="));
	tpms[n].pid = fork();
	if (tpms[n].pid == 0) {
		if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
			_exit(1);
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", control, "--flags",
		       "not-need-init,startup-clear", (char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 200 && access(server + strlen("type=unixio,path="), F_OK) != 0; i++)
		usleep(50000);
	usleep(100000);
}

void tpms_stop(int n)
{
	if (tpms[n].pid > 0) {
		kill(tpms[n].pid, SIGTERM);
		waitpid(tpms[n].pid, NULL, 0);
	}
	tpms[n].pid = 0;
}

void tpms_make_kmc(struct keyring *k, const struct kmcconf *conf)
{
	char path[KMCCONF_PATH];

	make_directory(conf->state);
	make_directory(kmcconf_path(conf, "vault", path));
	works(keyring_make_tpm_keys(k, conf, &tpms_authority, tpms_why));
	works(keyring_make_ca(k, conf, time(NULL) - 9, time(NULL) + 9999, tpms_why));
	works(keyring_make_audit_key(k, conf, tpms_why));
}

int tpms_setup(void **state)
{
	struct keyring k = {0};
	char path[KMCCONF_PATH];

	(void)state;
	if (!mkdtemp(tpms_dir) || ca_key_make(&tpms_authority_key) != 0 || ca_key_point(tpms_authority_key, tpms_authority.x, tpms_authority.y) != 0)
		return -1;
	tpms_start(0);
	tpms_start(1);
	tpms_conf.state = tpms_dir;
	tpms_conf.name = strdup("test");
	tpms_conf.tpm = tpms[0].tcti;
	k.tcti = tpms_conf.tpm;
	tpms_make_kmc(&k, &tpms_conf);
	keyring_close(&k);
	tpms_conf.tls_ca = strdup(kmcconf_path(&tpms_conf, "ca.crt", path));
	return 0;
}

int tpms_teardown(void **state)
{
	char command[99];

	(void)state;
	tpms_stop(0);
	tpms_stop(1);
	ca_key_free(&tpms_authority_key);
	free(tpms_conf.name);
	free(tpms_conf.tls_ca);
	snprintf(command, sizeof(command), "rm -rf %s", tpms_dir);
	return system(command);
}

struct kmctpm *tpms_open(int n)
{
	struct kmctpm *t;

	works(kmctpm_open(&t, tpms[n].tcti, tpms_why));
	return t;
}

struct secret *tpms_mac(struct kmctpm *t, const char *text)
{
	struct secret *mac;

	works(kmctpm_hmac(t, view_text(text), &mac, tpms_why));
	return mac;
}

void tpms_make_keys(struct kmctpm *t, struct kmctpm_blob *parent, struct kmctpm_blob *key)
{
	works(kmctpm_make_parent(t, &tpms_authority, parent, tpms_why));
	works(kmctpm_load_parent(t, parent, tpms_why));
	works(kmctpm_make_hmac_key(t, key, tpms_why));
	works(kmctpm_load_hmac_key(t, key, tpms_why));
}

int tpms_tools(const char *script)
{
	char file[99], command[299];
	FILE *f;

	snprintf(file, sizeof(file), "%s/script", tpms_dir);
	f = fopen(file, "w");
	fprintf(f, "set -ex; cd %s; T=%s; U=%s; export TPM2TOOLS_TCTI=$T\n%s\n", tpms_dir, tpms[0].tcti, tpms[1].tcti, script);
	fclose(f);
	snprintf(command, sizeof(command), "bash %s >%s/log 2>&1", file, tpms_dir);
	return system(command);
}

void tpms_must(const char *script)
{
	char command[99];

	if (tpms_tools(script) == 0)
		return;
	snprintf(command, sizeof(command), "cat %s/log", tpms_dir);
	(void)!system(command);
	fail_msg("see above");
}

void tpms_write(const char *name, const void *p, size_t n)
{
	char path[KMCCONF_PATH];
	FILE *f = fopen(kmcconf_path(&tpms_conf, name, path), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

size_t tpms_read(const char *name, void *p, size_t max)
{
	char path[KMCCONF_PATH];
	FILE *f = fopen(kmcconf_path(&tpms_conf, name, path), "r");
	size_t n;

	assert_non_null(f);
	n = fread(p, 1, max, f);
	fclose(f);
	return n;
}

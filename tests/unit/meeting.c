/* Two sides of a TLS connection for a test. */
#include "tests/unit/meeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/error.h"
#include "common/privsep.h"

char meeting_dir[] = "/tmp/test-tls-XXXXXX", meeting_why[TLS_WHY];

/* Made by openssl's own command. */
static const char make_pki[] =
	"set -e; cd %s; exec >log 2>&1\n"
	"for ca in one two; do\n"
	"  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca-$ca -keyout $ca.key -out $ca.crt -days 9\n"
	"  for n in server client; do\n"
	"    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$n-$ca -keyout $n-$ca.key -out $n.csr\n"
	"    printf 'subjectAltName=DNS:kmc.example,IP:127.0.0.1\\n' >ext\n"
	"    openssl x509 -req -in $n.csr -CA $ca.crt -CAkey $ca.key -CAcreateserial -days 9 -extfile ext -out $n-$ca.crt\n"
	"  done\n"
	"done\n"
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=late -keyout late.key -out late.csr\n"
	"mkdir db; touch db/index; echo 01 >db/serial\n"
	"printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=db/index\\nserial=db/serial\\nnew_certs_dir=db\\ndefault_md=sha256\\npolicy=p\\nx509_extensions=x\\n[x]\\nsubjectAltName=IP:127.0.0.1\\n[p]\\ncommonName=supplied\\n' >ca.cnf\n"
	"openssl ca -batch -config ca.cnf -cert one.crt -keyfile one.key -in late.csr -out late.crt -startdate 20200101000000Z -enddate 20200102000000Z\n"
	"chmod 600 *.key\n";

int meeting_setup(void **state)
{
	char script[sizeof(make_pki) + sizeof(meeting_dir)];

	(void)state;
	if (!mkdtemp(meeting_dir))
		return -1;
	snprintf(script, sizeof(script), make_pki, meeting_dir);
	return system(script);
}

int meeting_teardown(void **state)
{
	char command[99];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", meeting_dir);
	return system(command);
}

struct tls_context *meeting_context(enum tls_role role, const char *ca, const char *name)
{
	char a[99], c[99], k[99];
	struct tls_context *ctx;

	snprintf(a, sizeof(a), "%s/%s.crt", meeting_dir, ca);
	snprintf(c, sizeof(c), "%s/%s.crt", meeting_dir, name);
	snprintf(k, sizeof(k), "%s/%s.key", meeting_dir, name);
	if (tls_context_new(&ctx, role, a, c, k, meeting_why) != 0)
		fail_msg("%s", meeting_why);
	return ctx;
}

void meeting_begin(struct meeting *m, const char *client_ca, const char *client, const char *server, const char *peer)
{
	assert_int_equal(privsep_pair(m->fd), 0);
	m->client_ctx = meeting_context(TLS_CLIENT, client_ca, client);
	m->server_ctx = meeting_context(TLS_SERVER, "one", server);
	m->client = tls_new(m->client_ctx, m->fd[0], peer);
	m->server = tls_new(m->server_ctx, m->fd[1], NULL);
	assert_non_null(m->client);
	assert_non_null(m->server);
}

void meeting_end(struct meeting *m)
{
	tls_free(&m->client);
	tls_free(&m->server);
	tls_context_free(&m->client_ctx);
	tls_context_free(&m->server_ctx);
	close(m->fd[0]);
	close(m->fd[1]);
}

bool meeting_waits(int r)
{
	return r == E_AGAIN_IN || r == E_AGAIN_OUT;
}

void meeting_shake(struct meeting *m, int *client, int *server)
{
	*client = *server = E_AGAIN_IN;
	for (int i = 0; i < 20; i++) {
		if (meeting_waits(*client))
			*client = tls_handshake(m->client);
		if (meeting_waits(*server))
			*server = tls_handshake(m->server);
	}
}

/*
 * common/channel.h's vchan server without Xen, for a forwarder: the Unix socket kmc-N.sock of the domain N in $RING2_FORWARDER, and in
 * xenstore what libxenvchan would write there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenstore.h>

#include "common/channel.h"
#include "tests/ring2/domains.h"

static int listener = -1;

/* Before the program gives up the right to. */
static void __attribute__((constructor)) listen_early(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *domid = getenv("RING2_FORWARDER");
	char name[DOMAIN_PATH];

	if (!domid)
		return;
	ring2_path(name, "kmc-%s.sock", domid);
	unlink(name);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (strlen(name) >= sizeof(addr.sun_path))
		abort();
	memcpy(addr.sun_path, name, strlen(name) + 1);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(listener, 16) != 0 || chmod(name, 0666) != 0)
		abort();
}

struct channel *channel_vchan_server(const char *path)
{
	struct xs_handle *xs = xs_open(0);
	char node[200];
	bool ok;

	snprintf(node, sizeof(node), "%s/event-channel", path);
	ok = xs && xs_write(xs, XBT_NULL, node, "1", 1);
	if (xs)
		xs_close(xs);
	return ok ? channel_unix_server(listener) : NULL;
}

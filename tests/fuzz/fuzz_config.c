/* A configuration file: either every option has its value, or there is one line that says what is wrong. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dom0-relay/relayconf.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32], why[CONFIG_WHY];
	struct kmc_address first;
	struct relayconf c;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (relayconf_read(path, &c, why) == 0) {
		must(c.kmc_address && c.tls_ca && c.tpm && c.user && c.control && c.stub_kernel);
		must(c.stub_memory_mib >= 16 && c.stub_memory_mib <= 1024 && c.stub_type <= STUB_PV);
		must(relayconf_address(c.kmc_address, 0, &first) == 0 && first.host[0] && !first.port[0] == !!first.domain[0]);
		relayconf_free(&c);
	} else {
		must(why[0] && !strchr(why, '\n') && !c.kmc_address && !c.user);
	}
	close(fd);
	return 0;
}

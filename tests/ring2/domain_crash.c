/* domain-crash DOMID: the domain ends as one whose kernel has panicked. For the lab's dom0. */
#include <stdio.h>
#include <stdlib.h>

#include <xenctrl.h>

int main(int argc, char **argv)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);

	if (argc != 2 || !xc || xc_domain_shutdown(xc, (uint32_t)strtoul(argv[1], NULL, 10), SHUTDOWN_crash) != 0) {
		perror("domain-crash");
		return 1;
	}
	return 0;
}

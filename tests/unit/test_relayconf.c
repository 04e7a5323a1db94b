/* relay.conf: defaults that stand, addresses that split, and mistakes that are named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "dom0-relay/relayconf.h"
#include "tests/unit/unit.h"

static char path[] = "/tmp/test-relayconf-XXXXXX";
static char why[CONFIG_WHY];

static int read_text(const char *text, struct relayconf *c)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	return relayconf_read(path, c, why);
}

static void without_a_file_the_defaults_hold(void **state)
{
	struct relayconf c;

	(void)state;
	assert_int_equal(relayconf_read(NULL, &c, why), 0);
	assert_string_equal(c.kmc_address, "localhost:7443");
	assert_null(c.kmc_name);
	assert_string_equal(c.tpm, "device:/dev/tpmrm0");
	assert_string_equal(c.control, "/run/xen-vtpm/control.sock");
	assert_int_equal(c.stub_type, STUB_PVH);
	assert_int_equal(c.stub_memory_mib, 24);
	relayconf_free(&c);
}

static void several_addresses_keep_their_order(void **state)
{
	struct kmc_address a;
	struct relayconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\naddress = [2001:db8::1]:7000  kmc-b:7443,192.0.2.1:1 ,\n", &c), 0);
	assert_int_equal(relayconf_address(c.kmc_address, 0, &a), 0);
	assert_string_equal(a.text, "[2001:db8::1]:7000");
	assert_string_equal(a.host, "2001:db8::1");
	assert_int_equal(relayconf_address(c.kmc_address, 1, &a), 0);
	assert_string_equal(a.host, "kmc-b");
	assert_int_equal(relayconf_address(c.kmc_address, 2, &a), 0);
	assert_string_equal(a.text, "192.0.2.1:1");
	assert_int_equal(relayconf_address(c.kmc_address, 3, &a), E_NOTFOUND);
	relayconf_free(&c);
}

static void too_many_addresses_are_refused_and_so_are_none(void **state)
{
	struct relayconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\naddress = a:1 b:1 c:1 d:1 e:1 f:1 g:1 h:1 i:1\n", &c), E_CONFIG);
	assert_int_equal(read_text("[kmc]\naddress = ,\n", &c), E_CONFIG);
	assert_int_equal(read_text("[kmc]\naddress = a:1 b\n", &c), E_CONFIG);
	assert_non_null(strstr(why, "'b' is not host:port, vchan:DOMAIN or vchan:DOMAIN:NAME"));
}

static void vchan_addresses_stand_among_the_others(void **state)
{
	struct kmc_address a;
	struct relayconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\naddress = vchan:kmc 192.0.2.1:1 vchan:3:kmc1.example\nname = every.kmc\n", &c), 0);
	assert_int_equal(relayconf_address(c.kmc_address, 0, &a), 0);
	assert_string_equal(a.text, "vchan:kmc");
	assert_string_equal(a.domain, "kmc");
	assert_string_equal(a.port, "");
	assert_string_equal(relayconf_peer(&c, &a), "every.kmc");
	assert_int_equal(relayconf_address(c.kmc_address, 1, &a), 0);
	assert_string_equal(a.domain, "");
	assert_string_equal(relayconf_peer(&c, &a), "every.kmc");
	assert_int_equal(relayconf_address(c.kmc_address, 2, &a), 0);
	assert_string_equal(a.domain, "3");
	assert_string_equal(relayconf_peer(&c, &a), "kmc1.example");
	relayconf_free(&c);
	assert_int_equal(read_text("[kmc]\naddress = vchan:kmc\n", &c), 0);
	assert_int_equal(relayconf_address(c.kmc_address, 0, &a), 0);
	assert_string_equal(relayconf_peer(&c, &a), "kmc");
	relayconf_free(&c);
	assert_int_equal(read_text("[kmc]\naddress = vchan:3\n", &c), E_CONFIG);
	assert_non_null(strstr(why, "'vchan:3' is not host:port"));
}

static void the_tls_key_is_in_the_tpm_unless_a_file_is_named(void **state)
{
	struct relayconf c;

	(void)state;
	assert_int_equal(relayconf_read(NULL, &c, why), 0);
	assert_true(relayconf_key_in_tpm(&c));
	relayconf_free(&c);
	assert_int_equal(read_text("[tls]\nkey = /etc/xen-vtpm/host.key\n", &c), 0);
	assert_false(relayconf_key_in_tpm(&c));
	relayconf_free(&c);
	assert_int_equal(read_text("[tls]\nkey = host.key\n", &c), E_CONFIG);
	assert_non_null(strstr(why, "'host.key' is neither 'tpm' nor"));
}

static void the_name_of_the_kmc_may_be_given(void **state)
{
	struct relayconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\naddress = 192.0.2.1:7000\nname = kmc.example\n", &c), 0);
	assert_string_equal(c.kmc_name, "kmc.example");
	relayconf_free(&c);
}

static void an_address_that_is_none_is_named(void **state)
{
	struct relayconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\naddress = kmc.example\n", &c), E_CONFIG);
	assert_non_null(strstr(why, "'kmc.example' is not host:port"));
	assert_non_null(strstr(why, path));
	assert_null(c.kmc_address);
}

static void splits(const char *address, const char *host, const char *port)
{
	char h[256], p[6];

	assert_int_equal(relayconf_split_address(address, h, sizeof(h), p), 0);
	assert_string_equal(h, host);
	assert_string_equal(p, port);
}

static void addresses_split_into_host_and_port(void **state)
{
	(void)state;
	splits("kmc:7443", "kmc", "7443");
	splits("192.0.2.1:1", "192.0.2.1", "1");
	splits("[::1]:65535", "::1", "65535");
	splits("kmc:0443", "kmc", "443");
}

static void what_is_no_address_does_not_split(void **state)
{
	static const char *const bad[] = {"", ":", "kmc", "kmc:", ":7443", "kmc:0", "kmc:65536", "kmc:-1", "kmc:+1", "kmc: 1", "kmc:1x", "::1:7443",
					  "[::1]", "[::1", "[::1]7443", "[]:1", "kmc:99999999999999999999", "["};
	char h[256], p[6], small[4];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (relayconf_split_address(bad[i], h, sizeof(h), p) != E_FORMAT)
			fail_msg("'%s' was split", bad[i]);
	assert_int_equal(relayconf_split_address("four:1", small, sizeof(small), p), E_FORMAT);
	assert_int_equal(relayconf_split_address("thr:1", small, sizeof(small), p), 0);
}

static int begin(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_the_defaults_hold),
		cmocka_unit_test(several_addresses_keep_their_order),
		cmocka_unit_test(too_many_addresses_are_refused_and_so_are_none),
		cmocka_unit_test(vchan_addresses_stand_among_the_others),
		cmocka_unit_test(the_tls_key_is_in_the_tpm_unless_a_file_is_named),
		cmocka_unit_test(the_name_of_the_kmc_may_be_given),
		cmocka_unit_test(an_address_that_is_none_is_named),
		cmocka_unit_test(addresses_split_into_host_and_port),
		cmocka_unit_test(what_is_no_address_does_not_split),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

/* Addresses, admission and kmc.conf: what the front decides before it knows anybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "kmc/admission.h"
#include "kmc/kmcconf.h"
#include "tests/unit/unit.h"

static struct address_key from(const char *text)
{
	struct sockaddr_storage addr;
	char full[99];
	socklen_t size;

	snprintf(full, sizeof(full), strchr(text, ':') ? "[%s]:1" : "%s:1", text);
	assert_int_equal(address_parse(full, &addr, &size), 0);
	return address_key(&addr);
}

static void addresses_split_into_host_and_port(void **state)
{
	static const char *const bad[] = {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "::1:7", "[::1]", "[::1]7",
		"[]:1", "host:-1"};
	char host[ADDRESS_HOST], port[6];

	(void)state;
	assert_int_equal(address_split("kmc.example:7443", host, port), 0);
	assert_string_equal(host, "kmc.example");
	assert_string_equal(port, "7443");
	assert_int_equal(address_split("[2001:db8::1]:1", host, port), 0);
	assert_string_equal(host, "2001:db8::1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_split(bad[i], host, port), E_FORMAT);
}

static void networks_have_what_lies_in_them(void **state)
{
	static const struct {
		const char *net, *in, *out;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", "11.0.0.1"},	  {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"192.0.2.0/25", "192.0.2.127", "192.0.2.128"},	  {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
		{"0.0.0.0/0", "203.0.113.9", "2001:db8::1"},
	};
	static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/8x", "x"};
	struct address_net net;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct address_key in = from(cases[i].in), out = from(cases[i].out);

		assert_int_equal(address_net_parse(cases[i].net, &net), 0);
		assert_true(address_net_has(&net, &in));
		assert_false(address_net_has(&net, &out));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_net_parse(bad[i], &net), E_FORMAT);
}

static struct admission_rules rules(unsigned int connections, unsigned int per_address, unsigned int rate)
{
	return (struct admission_rules){.connections = connections, .per_address = per_address, .rate = rate};
}

static void a_burst_is_let_in_and_then_the_rate(void **state)
{
	const struct admission_rules r = rules(100, 100, 5);
	struct admission *a = admission_new(&r);
	uint64_t now = 1000;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(admission_enter(a, from("192.0.2.1"), now), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), now), ADMISSION_TOO_FAST);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), now + 199), ADMISSION_TOO_FAST);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), now + 200), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), now + 201), ADMISSION_TOO_FAST);
	assert_int_equal(admission_enter(a, from("192.0.2.2"), now), ADMISSION_WELCOME);
	now += 3600000;
	for (int i = 0; i < 10; i++)
		assert_int_equal(admission_enter(a, from("192.0.2.1"), now), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), now), ADMISSION_TOO_FAST);
	admission_free(&a);
}

static void an_address_has_so_many_connections(void **state)
{
	const struct admission_rules r = rules(100, 2, 100);
	struct admission *a = admission_new(&r);

	(void)state;
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_TOO_MANY_OF_ADDRESS);
	admission_leave(a, from("192.0.2.1"));
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_WELCOME);
	admission_free(&a);
}

static void a_whole_64_counts_as_one_address(void **state)
{
	const struct admission_rules r = rules(100, 1, 100);
	struct admission *a = admission_new(&r);

	(void)state;
	assert_int_equal(admission_enter(a, from("2001:db8::1"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("2001:db8::2"), 0), ADMISSION_TOO_MANY_OF_ADDRESS);
	assert_int_equal(admission_enter(a, from("2001:db8:0:1::2"), 0), ADMISSION_WELCOME);
	admission_leave(a, from("2001:db8::ffff"));
	assert_int_equal(admission_enter(a, from("2001:db8::2"), 0), ADMISSION_WELCOME);
	admission_free(&a);
}

static void there_are_so_many_connections_in_all(void **state)
{
	const struct admission_rules r = rules(2, 2, 100);
	struct admission *a = admission_new(&r);

	(void)state;
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.2"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("192.0.2.3"), 0), ADMISSION_TOO_MANY);
	admission_leave(a, from("192.0.2.9")); /* was never here */
	assert_int_equal(admission_enter(a, from("192.0.2.3"), 0), ADMISSION_TOO_MANY);
	admission_leave(a, from("192.0.2.2"));
	assert_int_equal(admission_enter(a, from("192.0.2.3"), 0), ADMISSION_WELCOME);
	admission_free(&a);
}

static void strangers_can_not_make_it_forget_who_is_connected(void **state)
{
	const struct admission_rules r = rules(10, 1, 100);
	struct admission *a = admission_new(&r);
	char text[32];

	(void)state;
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 0), ADMISSION_WELCOME);
	for (unsigned int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "198.51.%u.%u", i / 250, 1 + i % 250);
		assert_int_equal(admission_enter(a, from(text), i + 1), ADMISSION_WELCOME);
		admission_leave(a, from(text));
	}
	assert_int_equal(admission_enter(a, from("192.0.2.1"), 9999), ADMISSION_TOO_MANY_OF_ADDRESS);
	admission_free(&a);
}

static void a_list_of_networks_lets_in_those_only(void **state)
{
	struct address_net nets[2];
	struct admission_rules r = rules(10, 10, 10);
	struct admission *a;

	(void)state;
	assert_int_equal(address_net_parse("192.0.2.0/24", &nets[0]), 0);
	assert_int_equal(address_net_parse("2001:db8::/32", &nets[1]), 0);
	r.allowed = nets;
	r.n_allowed = 2;
	a = admission_new(&r);
	assert_int_equal(admission_enter(a, from("192.0.2.77"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("2001:db8::7"), 0), ADMISSION_WELCOME);
	assert_int_equal(admission_enter(a, from("198.51.100.1"), 0), ADMISSION_NOT_ALLOWED);
	admission_free(&a);
}

/* kmc.conf */

static int read_text(const char *text, struct kmcconf *c, char why[CONFIG_WHY])
{
	char path[] = "/tmp/test-kmc-conf-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = kmcconf_read(path, c, why);
	unlink(path);
	return r;
}

static void the_defaults_are_complete(void **state)
{
	char why[CONFIG_WHY];
	struct kmcconf c;

	(void)state;
	assert_int_equal(kmcconf_read(NULL, &c, why), 0);
	assert_int_equal(c.n_listen, 2);
	assert_int_equal(c.rsa_bits, 2048);
	assert_int_equal(c.key_lifetime_s, 86400);
	assert_string_equal(c.address, "kmc:7443");
	assert_string_equal(c.database, "/var/lib/xen-vtpm-kmc/db/kmc.db");
	assert_string_equal(kmcconf_user(&c), "xen-vtpm-kmc");
	kmcconf_free(&c);
}

static void options_are_read_and_checked(void **state)
{
	static const struct {
		const char *text, *complaint;
	} bad[] = {
		{"[kmc]\nlisten = kmc.example:7443\n", "listen"}, {"[kmc]\nlisten = [::1]\n", "listen"},
		       {"[kmc]\naddress = kmc\n", "host:port"},
		{"[kmc]\naddress = vchan:3\n", "vchan:DOMAIN"}, {"[kmc]\nlisten = vchan:kmc\n", "listen"},
		{"[store]\nengine = postgresql\n", "connection"}, {"[states]\nkeep = 0\n", "keep"},
		{"[keys]\nrsa = 1024\n", "rsa"}, {"[keys]\nlifetime = 5s\n", "lifetime"},
		       {"[limits]\nallow = 10.0.0.0/8 x\n", "allow"},
		{"[kmc]\nlisten = 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 127.0.0.1:4 127.0.0.1:5 127.0.0.1:6 127.0.0.1:7 127.0.0.1:8 127.0.0.1:9\n", "too many"},
	};
	char why[CONFIG_WHY], host[ADDRESS_HOST];
	struct kmcconf c;

	(void)state;
	assert_int_equal(read_text("[kmc]\nname = k\nlisten = 127.0.0.1:99\nuser = root\nstate = /s\n[keys]\nrsa = 3072\n[limits]\nallow = 10.0.0.0/8\n", &c, why), 0);
	assert_int_equal(c.rsa_bits, 3072);
	assert_string_equal(c.address, "k:99");
	assert_string_equal(c.tls_key, "/s/server.key");
	assert_int_equal(c.n_allowed, 1);
	assert_null(kmcconf_user(&c));
	kmcconf_free(&c);
	assert_int_equal(read_text("[kmc]\naddress = vchan:net_fwd:kmc1.example 192.0.2.1:7443\n", &c, why), 0);
	assert_int_equal(kmcconf_own_host(&c, host), 0);
	assert_string_equal(host, "kmc1.example");
	kmcconf_free(&c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_text(bad[i].text, &c, why), E_CONFIG);
		assert_non_null(strstr(why, bad[i].complaint));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_split_into_host_and_port),
		cmocka_unit_test(networks_have_what_lies_in_them),
		cmocka_unit_test(a_burst_is_let_in_and_then_the_rate),
		cmocka_unit_test(an_address_has_so_many_connections),
		cmocka_unit_test(a_whole_64_counts_as_one_address),
		cmocka_unit_test(there_are_so_many_connections_in_all),
		cmocka_unit_test(strangers_can_not_make_it_forget_who_is_connected),
		cmocka_unit_test(a_list_of_networks_lets_in_those_only),
		cmocka_unit_test(the_defaults_are_complete),
		cmocka_unit_test(options_are_read_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

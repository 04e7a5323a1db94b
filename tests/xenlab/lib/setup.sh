# shellcheck shell=bash
# What every scenario without a line "# lab: bare" finds ready. Called once after each boot, in host A's dom0: a KMC, the
# hosts registered there, and a relay in each that is connected. `fail` says why they don't come up.

# Domains whose names match this pattern belong to the services: the clean-up between two scenarios leaves them alone.
LAB_KEEP_DOMAINS=''

# lab_restore: before each such scenario: what another has stopped or changed is as it was.
lab_restore() {
	kmc_pid kmcd-kmc >/dev/null 2>&1 || kmcd_start kmc
	cmp -s "/run/lab/a/relay.conf" /etc/xen-vtpm/relay.conf && relay_connected 2>/dev/null && return
	cp -p /run/lab/a/* /etc/xen-vtpm/
	! dom0_pid vtpm-relayd >/dev/null || relay_stop
	relay_start || fail "the relay does not come back after the scenario before"
}

lab_setup() {
	kmc_make kmc "$KMC_PORT" || fail "the KMC does not start"
	host_join kmc a || fail "host a does not come up"
	[ "$LAB_HOSTS" -lt 2 ] || host_join kmc b || fail "host b does not come up"
}

# lab: timeout=900
# The KMC in a domain of its own: dom0 has no other way to it than vchan. Guests get their vTPMs; the domain dies under a running guest and comes back.
set -e

# no_tcp: neither a connection of the relay's, nor an address of another KMC.
no_tcp() {
	! ss -Htnp | grep -q vtpm-relayd && ! grep -E '^address' /etc/xen-vtpm/relay.conf | grep -q ':7443'
}

relay_away() {
	! relay_connected
}

# no_zombie: what died is gone, its memory too. no_stub: dom0 and the KMC alone are left.
no_zombie() {
	[ "$(xl list | awk 'NR > 1 && $2 != 0' | grep -vcE '^(one|two|kmc|vtpm-)')" = 0 ]
}

no_stub() {
	[ "$(lab_domains)" = "$(guest_id kmc)" ]
}

step "a domain with kmcd, its TPM and a forwarder starts"
kmcd_stop # the one that other scenarios use, outside
relay_stop
expect_ok kmcdomain_make
expect_ok kmcdomain_start

step "this host is registered there, and its relay connects over vchan"
expect_ok kmcdomain_join a
expect_ok grep -qx 'address = vchan:kmc' /etc/xen-vtpm/relay.conf
expect_ok relay_start
expect_ok no_tcp
vtpmctl doctor >/run/lab/doctor 2>&1 || true # the lab has no systemd to be content with
expect_ok grep -q "KMC: vchan:kmc can be reached" /run/lab/doctor

step "a guest gets its vTPM over it"
tiny_cfg one >/dev/null
quiet_xl create /etc/xen/lab/one.cfg
expect_ok guest_wait one
wait_for 15 tiny_random one || fail "no TPM in the guest"
expect_output "$(vtpm_uuid one)" guest_run kmc kmcctl -c /kmc/kmc.conf vtpm list

step "the forwarder is killed: the relay notices; it comes back"
guest_run kmc 'kill -9 $(cat /run/forward.pid)'
wait_for 10 relay_away || fail "the relay takes a dead forwarder for a KMC"
guest_run kmc kmc-domain forward
wait_for 40 relay_connected || fail "the relay does not come back: $(vtpmctl list | head -n 1)"

step "the KMC's domain is destroyed: the relay notices, the guest does not"
domain=$(guest_id kmc)
guest_kill kmc
wait_for 10 relay_away || fail "the relay takes a dead domain for a KMC"
relay_log | grep -q "domain $domain has ended" || fail "the log does not say so: $(relay_log 3)"
wait_for 20 no_zombie || fail "the dead domain's memory is held: $(xl list | tail -n +3)"
expect_ok tiny_random one

step "a guest that starts now is refused, and told why"
tiny_cfg two >/dev/null
expect_fail xl create /etc/xen/lab/two.cfg
expect_output "there is no domain 'kmc' on this host" vtpm_field "$(vtpm_uuid two)" reason

step "the domain starts again, under another number: the relay finds it"
expect_ok kmcdomain_start
wait_for 40 relay_connected || fail "the relay does not come back: $(vtpmctl list | head -n 1)"
[ "$(guest_id kmc)" != "$domain" ] || fail "the same number as before"
expect_ok tiny_random one

step "and the guest that was refused gets its vTPM"
quiet_xl create /etc/xen/lab/two.cfg
expect_ok guest_wait two
wait_for 15 tiny_random two || fail "no TPM in the guest"
expect_ok no_tcp

step "nothing stays behind"
quiet_xl destroy one
quiet_xl destroy two
wait_for 20 no_stub || fail "left behind: $(xl list | tail -n +3)"
expect_ok kmcdomain_end
relay_stop
expect_clean

# lab: timeout=600
# An administrator's first day, on a real dom0: enrolment by token with a TLS key in the host's TPM, what the tools then say, attestation
# that fails and is accepted, and a host that is thrown out while its guest runs.
set -e
kept=/run/lab/kept-config
numbers=/run/xen-vtpm/metrics/vtpm-relayd.prom

relay_is_away() {
	! relay_connected
}

attested_again() {
	relay_log | grep -q "attestation succeeds again"
}

as_before() {
	relay_stop
	rm -rf /etc/xen-vtpm
	mv $kept /etc/xen-vtpm
	relay_start
}

step "a host is enrolled by a token; its TLS key is in its TPM"
relay_stop
mv /etc/xen-vtpm $kept
token=$(kmc_run 'kmcctl -c kmc/kmc.conf host add dom0 2>/dev/null') || fail "no token"
expect_output "TLS key in its TPM" vtpmctl enroll "$token"
[ ! -e /etc/xen-vtpm/host.key ] || fail "there is a key in a file"
printf '\n[stub]\ntype = %s\nspares = 0\n' "${LAB_STUB_TYPE:-pv}" >>/etc/xen-vtpm/relay.conf
expect_ok relay_start

step "the token is spent"
expect_fail vtpmctl enroll --replace "$token"

step "the doctor finds a dom0 that is well"
vtpmctl doctor >/run/lab/doctor || fail "doctor: $(grep -v '^ok' /run/lab/doctor)"
grep -q '^ok     vtpm-relayd: connected to the KMC' /run/lab/doctor || fail "doctor: $(cat /run/lab/doctor)"

step "a guest is served; the listing, the numbers and top speak of it"
tiny_cfg first >/dev/null
quiet_xl create /etc/xen/lab/first.cfg
expect_ok guest_wait first
wait_for 15 tiny_random first || fail "no TPM in the guest"
[[ $(vtpmctl list) != *insecure* ]] || fail "the listing speaks of an insecure key"
wait_for 40 grep -qxF 'xen_vtpm_vtpms{state="serving"} 1' $numbers || fail "the numbers: $(grep xen_vtpm_vtpms $numbers)"
expect_output "$(vtpm_uuid first)" vtpmctl top -d 1 -n 1

step "a host whose PCRs change gets no seed, and its guest goes on"
expect_ok env TPM2TOOLS_TCTI=device:/dev/tpmrm0 tpm2_pcrextend 7:sha256=1111111111111111111111111111111111111111111111111111111111111111
relay_stop
relay_start --away
tiny_cfg second >/dev/null
expect_fail xl create /etc/xen/lab/second.cfg
expect_output "PCR" vtpm_field "$(vtpm_uuid second)" reason
expect_ok tiny_random first

step "its administrator accepts them"
expect_ok kmcctl_at kmc policy accept dom0
wait_for 40 attested_again || fail "the relay's next attestation does not succeed: $(relay_log 3)"
quiet_xl create /etc/xen/lab/second.cfg
expect_ok guest_wait second
quiet_xl destroy second

step "a host that is removed is cut off at once, and its guest goes on"
expect_ok kmcctl_at kmc host remove dom0
wait_for 5 relay_is_away || fail "the relay is still connected"
expect_fail xl create /etc/xen/lab/second.cfg
expect_output "removed" vtpm_field "$(vtpm_uuid second)" reason
expect_ok tiny_random first

step "the guest goes; the host's files are as before"
quiet_xl destroy first
as_before
expect_clean 20

# lab: hosts=2 timeout=900
# The same vTPM on another host is the same TPM, on one host at a time; in another KMC it is another one.
set -e

step "the second host is connected too"
expect_ok peer_run relay_connected

step "a guest runs on the first host"
guest_cfg mobile >/dev/null
peer_run guest_cfg mobile >/dev/null
expect_ok guest_start mobile
guest_has_tpm mobile || fail "no TPM in the guest"
names=$(key_names mobile) || fail "SRK and EK cannot be made"

step "meanwhile the second host is refused its vTPM"
expect_fail peer_run xl create /etc/xen/lab/mobile.cfg
expect_output "held" peer_run vtpm_field "$(vtpm_uuid mobile)" reason
expect_ok peer_run expect_clean
expect_ok tpm mobile tpm2_getrandom --hex 8
quiet_xl destroy mobile
expect_clean

step "then it runs there, with the same SRK and EK"
expect_ok peer_run guest_start mobile
expect_same "$(peer_run key_names mobile)" "$names" "names of SRK and EK"
expect_ok peer_run quiet_xl destroy mobile
expect_ok peer_run expect_clean

step "a host that the KMC no longer knows is refused"
kmcctl_at kmc host remove b
expect_fail peer_run xl create /etc/xen/lab/mobile.cfg
expect_output "was removed" peer_run vtpm_field "$(vtpm_uuid mobile)" reason
expect_ok peer_run expect_clean

step "in another KMC the same UUID has other keys"
port=$(kmc_port) tcti=$(kmc_second_tpm) || fail "no second TPM"
kmc_make other "$port" "$tcti" || fail "the second KMC does not start"
peer_run 'relay_stop; rm -rf /var/lib/xen-vtpm/state'
expect_ok host_join other b
expect_ok peer_run guest_start mobile
others=$(peer_run key_names mobile) || fail "SRK and EK cannot be made"
expect_same "$(printf '%s\n' "$names" "$others" | sort -u | wc -l)" 8 "different names in two KMCs"
expect_ok peer_run quiet_xl destroy mobile
expect_ok peer_run expect_clean

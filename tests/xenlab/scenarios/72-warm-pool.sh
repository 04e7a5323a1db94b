# lab: timeout=900
# The warm pool: a guest takes a stub domain that waits, what dies is replaced, what the host runs short of is given back.
set -e
conf=/etc/xen-vtpm/relay.conf

spare() { xl list | awk '$1 ~ /^vtpm-spare-/ { print $2; exit }'; }

step "a spare stub domain is built before anybody asks"
spares_keep
first=$(spare)
[ -n "$first" ] || fail "xl list shows no spare"

step "a guest gets it, and it is replaced"
tiny_cfg alpha >/dev/null
quiet_xl create /etc/xen/lab/alpha.cfg
expect_same "$(vtpm_field "$(vtpm_uuid alpha)" stub_domain)" "$first" "stub domain of the guest"
expect_output "vtpm-$(guest_id alpha)-0" xl list
expect_ok guest_wait alpha
wait_for 15 tiny_random alpha >/dev/null || fail "no TPM in the guest"
wait_for 40 spares_are 1 || fail "no new spare within 40 s: $(relay_log 3)"

step "a spare that dies is replaced"
second=$(spare)
xl destroy "$second"
wait_for 60 eval 'spares_are 1 && [ "$(spare)" != "$second" ]' || fail "not replaced within 60 s: $(relay_log 5)"

step "when memory is short, the spare goes first"
free=$(xl info free_memory)
tiny_cfg filler pv "memory=$((free - 50))" 'vtpm=[]' >/dev/null
quiet_xl create /etc/xen/lab/filler.cfg
note "free before: $free MiB, with the filler: $(xl info free_memory) MiB"
wait_for 40 spares_are 0 || fail "the spare is still there: $(vtpmctl list | head -n 2)"
expect_output "short of memory" relay_log 20
tiny_random alpha >/dev/null || fail "the guest that runs has lost its TPM"
quiet_xl destroy filler
quiet_xl destroy alpha

cp /run/lab/a/relay.conf $conf
relay_stop
expect_ok relay_start
expect_clean 20

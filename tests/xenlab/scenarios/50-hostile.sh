# lab: timeout=600
# A hostile guest loses its own device at most; its neighbours, the relay and the host do not notice.
set -e

neighbour_is_well() {
	tiny_random neighbour || fail "the neighbour's TPM no longer answers"
	expect_same "$(vtpm_field "$(vtpm_uuid neighbour)" state)" serving "state of the neighbour's vTPM"
	expect_same "$(pgrep -fc '^/usr/sbin/vtpm-relayd')" "$relay_processes" "processes of the relay"
	expect_same "$(dom0_pid vtpm-relayd)" "$relay_pid" "process id of the relay"
}

# attack MODE TIMES: the guest takes its device from the driver and plays MODE; afterwards the driver, and then a frontend
# that behaves, may have the device again.
attack() {
	GUEST_TIMEOUT=120 guest_run hostile "hostile $1 $2" || fail "the attack '$1' could not be made"
}

step "a guest and its neighbour run"
tiny_cfg neighbour >/dev/null
quiet_xl create /etc/xen/lab/neighbour.cfg
guest_cfg hostile >/dev/null
expect_ok guest_start hostile
expect_ok guest_wait neighbour
guest_has_tpm hostile || fail "no TPM in the guest"
wait_for 15 tiny_random neighbour || fail "no TPM in the neighbour"
relay_pid=$(dom0_pid vtpm-relayd) relay_processes=$(pgrep -fc '^/usr/sbin/vtpm-relayd')

step "the guest closes and reopens its device"
for n in 1 2 3; do
	expect_ok guest_run hostile 'echo vtpm-0 >/sys/bus/xen/drivers/vtpm/unbind && sleep 1 && echo vtpm-0 >/sys/bus/xen/drivers/vtpm/bind'
	wait_for 20 guest_run hostile 'TPM2TOOLS_TCTI=device:$(ls /dev/tpm[0-9]) tpm2_getrandom --hex 8' || fail "no TPM after unbind and bind, round $n"
done
neighbour_is_well

step "with well-formed requests, a frontend of its own gets answers"
expect_ok guest_run hostile 'echo vtpm-0 >/sys/bus/xen/drivers/vtpm/unbind'
expect_output 00000000 guest_run hostile 'hostile ask'

step "it fills the shared page with rubbish: any length, any state, extra pages"
attack page 2000
expect_output 00000000 guest_run hostile 'hostile ask'
neighbour_is_well

step "it changes the request while it is carried out"
attack race 300
expect_output 00000000 guest_run hostile 'hostile ask'
neighbour_is_well

step "it floods its event channel"
attack flood 200000
expect_output 00000000 guest_run hostile 'hostile ask'
neighbour_is_well

step "it rewrites its own xenstore nodes"
attack nodes 400
neighbour_is_well

step "the hostile guest goes as any other"
quiet_xl destroy hostile
neighbour_is_well
quiet_xl destroy neighbour
expect_clean

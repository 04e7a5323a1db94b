# lab: timeout=900
# A stub domain is destroyed or crashes under a running guest, PV and PVH: another stands in, the guest's kernel is not hurt, a reboot brings the TPM back.
set -e

is_standing_in() { [ "$(vtpm_field "$(vtpm_uuid "$1")" state)" = stand-in ]; }

stub_of() { vtpm_field "$(vtpm_uuid "$1")" stub_domain; }

# kernel_is_well NAME: the guest's kernel has found nothing wrong, and has the device and the driver that it had.
kernel_is_well() {
	local trouble
	trouble=$(guest_run "$1" "dmesg | grep -E 'BUG|Oops|WARNING|Call Trace|general protection|use-after-free|xenbus.*(error|fatal)|vtpm vtpm-0'") || true
	[ -z "$trouble" ] || fail "the guest's kernel says: $trouble"
	expect_same "$(guest_run "$1" 'echo /dev/tpm*')" /dev/tpm0 "TPM devices in the guest"
	expect_same "$(xenstore-read "/local/domain/$(guest_id "$1")/device/vtpm/0/state")" 4 "state of the guest's driver"
}

# says_initialize NAME [COMMAND]: TPM_RC_INITIALIZE is the guest's answer.
says_initialize() {
	local answer
	answer=$(guest_run "$1" tpm-raw "${2:-80010000000c0000017b0008}") || return
	[ "$answer" = 80010000000a00000100 ] || { echo "answer: $answer" >&2; return 1; }
}

# stands_in NAME STUB: within a while, under the number of the dead one.
stands_in() {
	wait_for 120 is_standing_in "$1" || fail "no stand-in within 120 s: $(vtpmctl list); $(relay_log 5)"
	expect_same "$(stub_of "$1")" "$2" "domain of the stand-in"
	wait_for 20 says_initialize "$1" || fail "the guest's TPM does not say TPM_RC_INITIALIZE"
	says_initialize "$1" 80010000000c000001440000 || fail "TPM2_Startup started something"
	kernel_is_well "$1"
}

# ends_first DOMID, ends_second DOMID: destroyed, or crashed as when its kernel panics; for the other type of guest it is the other way round.
ends_first() { if [ $type = pv ]; then xl destroy "$1"; else domain-crash "$1"; fi; }
ends_second() { if [ $type = pv ]; then domain-crash "$1"; else xl destroy "$1"; fi; }

for type in pv pvh; do
	step "$type: the stub domain ends under its guest"
	tiny_cfg "$type" "$type" >/dev/null
	quiet_xl create "/etc/xen/lab/$type.cfg"
	expect_ok guest_wait "$type"
	wait_for 15 tiny_random "$type" >/dev/null || fail "no TPM in the guest"
	stub=$(stub_of "$type")
	ends_first "$stub"
	stands_in "$type" "$stub"
	expect_output "start the guest anew" vtpmctl list
	expect_output "stub domain $stub stands in" relay_log 20

	step "$type: the stand-in ends while a command is under way, and the relay is restarted"
	relay_stop KILL
	(GUEST_TIMEOUT=100 guest_run "$type" tpm-raw 80010000000c0000017b0008 >/run/lab/under-way 2>&1) &
	waiting=$!
	ends_second "$stub"
	relay_start
	stands_in "$type" "$stub"
	wait $waiting || fail "the command that was under way: $(cat /run/lab/under-way)"
	expect_same "$(cat /run/lab/under-way)" 80010000000a00000100 "answer to the command that was under way"

	step "$type: a reboot brings the TPM back"
	first=$(guest_id "$type")
	quiet_xl reboot "$type"
	wait_for 60 eval '[ "$(guest_id $type || echo "$first")" != "$first" ]' || fail "no new domain within 60 s"
	expect_ok guest_wait "$type"
	wait_for 15 tiny_random "$type" >/dev/null || fail "no TPM after the reboot"
	expect_same "$(vtpm_field "$(vtpm_uuid "$type")" state)" serving "state in vtpmctl list"
	quiet_xl destroy "$type"
	expect_clean
done

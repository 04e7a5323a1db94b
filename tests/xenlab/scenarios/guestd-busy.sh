# lab: timeout=600
# A guest with vtpm-guestd is to be suspended while a TPM command is under way: Linux can't freeze who waits for it, gives up after its 20 s, and
# suspends when the daemon asks it once more. Not part of make check: the guests need 3 minutes.
set -e

clock=80010000000a00000181 # ReadClock: Linux waits two minutes for its answer

guestd_initrd
for type in pvh pv; do
	name=busy-$type
	step "a $type guest with vtpm-guestd"
	expect_ok guestd_guest "$name" $type
	expect_ok guestd_modules "$name"
	guestd_serves "$name"
	pid=$(guestd_pid "$name")
	domain=$(guest_id "$name")
	stub=$(vtpm_field "$(vtpm_uuid "$name")" stub_domain)

	step "xl save -c while a command is under way ($type)"
	expect_ok xl pause "$stub"
	expect_ok guest_run "$name" "tpm-raw $clock /dev/tpm0 >/run/answer 2>&1 & sleep 1"
	began=$SECONDS
	xl save -c "$name" /var/tmp/busy.save >/run/lab/busy.log 2>&1 &
	saving=$!
	sleep 5
	expect_ok xl unpause "$stub"
	wait $saving || fail "xl save: $(tail -n 3 /run/lab/busy.log); $(guestd_log "$name")"
	note "xl save took $((SECONDS - began)) s"
	rm -f /var/tmp/busy.save

	step "nothing in the guest has noticed but the clock ($type)"
	expect_ok guest_wait "$name"
	expect_same "$(guest_id "$name")" "$domain" "the domain"
	expect_output "freeze processes failed" guest_run "$name" dmesg
	expect_output "asked it to suspend once more" guest_run "$name" 'cat /run/guestd.log'
	expect_output "800100000023000000" guest_run "$name" cat /run/answer
	wait_for 30 guestd_tpm "$name" tpm2_getrandom --hex 8 || fail "no TPM: $(guestd_log "$name")"
	expect_same "$(guestd_pid "$name")" "$pid" "the daemon's process"
	expect_same "$(guest_run "$name" cat /sys/power/pm_freeze_timeout)" 20000 "the freezer's patience"

	step "and it can be saved again at once ($type)"
	expect_ok quiet_xl save -c "$name" /var/tmp/busy.save
	rm -f /var/tmp/busy.save
	expect_ok guest_wait "$name"
	wait_for 30 guestd_tpm "$name" tpm2_getrandom --hex 8 || fail "no TPM: $(guestd_log "$name")"
	expect_ok guestd_unharmed "$name"
	quiet_xl destroy "$name"
	expect_clean
done

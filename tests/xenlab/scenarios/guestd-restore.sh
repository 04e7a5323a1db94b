# lab: timeout=900
# A guest with vtpm-guestd is saved and restored: the same device, the same process, and a program that had the device open all the while
# still has its key and its session. Not part of make check: the guests need 4 minutes.
set -e

guestd_initrd
for type in pvh pv; do
	name=guestd-$type
	step "a $type guest with vtpm-guestd, and a program that holds its device open with a key and a session"
	expect_ok guestd_guest "$name" $type
	expect_ok guestd_modules "$name"
	guestd_serves "$name"
	expect_ok guestd_tpm "$name" tpm2_pcrextend 16:sha256=0000000000000000000000000000000000000000000000000000000000000001
	before=$(guestd_tpm "$name" tpm2_pcrread sha256:16)
	pid=$(guestd_pid "$name")
	holder_start "$name"
	held=$(holder_asks "$name")

	step "restored, it has the same TPM ($type)"
	expect_ok xl save "$name" /var/tmp/guestd.save
	expect_ok xl restore /var/tmp/guestd.save
	rm -f /var/tmp/guestd.save
	expect_ok guest_wait "$name"
	wait_for 30 guestd_tpm "$name" tpm2_getrandom --hex 8 || fail "no TPM after the restore: $(guestd_log "$name")"
	expect_same "$(guestd_tpm "$name" tpm2_pcrread sha256:16)" "$before" "PCR 16"
	expect_same "$(guestd_pid "$name")" "$pid" "the daemon's process"
	expect_ok guest_run "$name" '[ -c /dev/tpmrm0 ] && [ ! -e /dev/tpm1 ]'
	expect_same "$(holder_asks "$name")" "$held" "key and session over the descriptor that was open"

	step "and the daemon can be restarted ($type)"
	expect_ok guest_run "$name" "kill \$(cat /run/holder.pid) $pid; sleep 1; [ ! -e /dev/tpm0 ]" # or the next one's device has another number
	guestd_serves "$name"
	expect_ok guestd_tpm "$name" tpm2_getrandom --hex 8
	expect_ok guestd_unharmed "$name"
	quiet_xl destroy "$name"
	expect_clean
done

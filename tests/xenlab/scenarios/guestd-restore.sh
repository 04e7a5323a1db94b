# lab: timeout=900
# A guest with vtpm-guestd is saved and restored: the same device, the same process, and a program that had the device open all the while
# still has its key and its session. Not part of make check: the guests need 4 minutes.
set -e

auth=00000009400000090000000000 zeros=00000000
# A storage key on P-256 below the owner; a policy session without salt or bind.
create_primary=8002000000430000013140000001${auth}000400000000001a0023000b000304720000000600800043001000030010${zeros}0000$zeros
start_policy=80010000002b0000017640000007400000070010$(printf '5a%.0s' {1..16})0000010010000b

# holds_open NAME: a program in the guest opens /dev/tpmrm0 once, and sends what asked() tells it to.
holds_open() {
	guest_run "$1" 'mkfifo /run/ask; : >/run/answers; cat >/run/holder <<X
		exec 3<>/dev/tpmrm0 4<>/run/ask
		while read -r command <&4; do
			printf %s "\$command" | xxd -r -p | dd bs=4096 iflag=fullblock 2>/dev/null >&3
			dd bs=4096 count=1 <&3 2>/dev/null | xxd -p | tr -d "\n" >>/run/answers
			echo >>/run/answers
		done
X
		setsid sh /run/holder </dev/null >/run/holder.log 2>&1 & echo $! >/run/holder.pid; sleep 0.2; kill -0 $!'
}

# asked NAME COMMAND-HEX: the answer, in hex.
asked() {
	guest_run "$1" "n=\$(wc -l </run/answers); echo $2 >/run/ask; until [ \$(wc -l </run/answers) -gt \$n ]; do sleep 0.2; done; tail -n 1 /run/answers"
}

# what_is_held NAME: the name of its key and the digest of its session, by the handles that it was given.
what_is_held() {
	asked "$1" "80010000000e00000173$key" && asked "$1" "80010000000e00000189$session"
}

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
	expect_ok holds_open "$name"
	key=$(asked "$name" "$create_primary" | cut -c 21-28)
	session=$(asked "$name" "$start_policy" | cut -c 21-28)
	asked "$name" "8001000000120000016c${session}00000144" >/dev/null
	held=$(what_is_held "$name")
	expect_same "$(cut -c 13-20 <<<"$held" | tr '\n' ' ')" "00000000 00000000 " "response codes for key $key and session $session"

	step "restored, it has the same TPM ($type)"
	expect_ok xl save "$name" /var/tmp/guestd.save
	expect_ok xl restore /var/tmp/guestd.save
	rm -f /var/tmp/guestd.save
	expect_ok guest_wait "$name"
	wait_for 30 guestd_tpm "$name" tpm2_getrandom --hex 8 || fail "no TPM after the restore: $(guestd_log "$name")"
	expect_same "$(guestd_tpm "$name" tpm2_pcrread sha256:16)" "$before" "PCR 16"
	expect_same "$(guestd_pid "$name")" "$pid" "the daemon's process"
	expect_ok guest_run "$name" '[ -c /dev/tpmrm0 ] && [ ! -e /dev/tpm1 ]'
	expect_same "$(what_is_held "$name")" "$held" "key and session over the descriptor that was open"

	step "and the daemon can be restarted ($type)"
	expect_ok guest_run "$name" "kill \$(cat /run/holder.pid) $pid; sleep 1; [ ! -e /dev/tpm0 ]" # or the next one's device has another number
	guestd_serves "$name"
	expect_ok guestd_tpm "$name" tpm2_getrandom --hex 8
	expect_ok guestd_unharmed "$name"
	quiet_xl destroy "$name"
	expect_clean
done

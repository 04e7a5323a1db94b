# lab: hosts=2 timeout=3600
# xl migrate between two hosts, there and back, with vtpm-guestd under load and a program that holds a key, a policy session and an HMAC session
# over one descriptor: nobody in the guest notices. ROUNDS says how often.
set -e
ROUNDS=${ROUNDS:-10}

# arrived STATE-COMMAND...: the guest runs there, its vTPM is served, and all in it go on.
arrived() {
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait keeper
	wait_for 30 "$@" vtpm_serving keeper || fail "not served: $("$@" vtpmctl list)"
	expect_same "$(holder_asks keeper)" "$held" "key and session over the descriptor that was open"
	holder_counts keeper
	wait_for 60 load_beyond keeper "$before" || fail "the load stands still: $(guest_run keeper 'tail -n 3 /tmp/errors')"
	before=$(load_extends keeper)
}

step "a guest with vtpm-guestd uses its TPM without a pause, and a program in it holds a key and two sessions"
guestd_initrd
expect_ok guestd_guest keeper pvh memory=176
expect_ok guestd_modules keeper
guestd_serves keeper
pid=$(guestd_pid keeper)
raw keeper /dev/tpmrm0 "$RAW_DEFINE" >/dev/null
holder_start keeper
held=$(holder_asks keeper)
holder_counts_start keeper
raw_load_start keeper /dev/tpmrm0
before=0

for ((round = 1; round <= ROUNDS; round++)); do
	step "there, and nobody in it has noticed, $round of $ROUNDS"
	output=$(guest_migrate keeper 2>&1) || fail "xl migrate: $output"
	arrived peer_run
	expect_clean 20
	step "and back, $round of $ROUNDS"
	output=$(RUN_TIMEOUT=900 peer_run guest_migrate keeper 2>&1) || fail "xl migrate: $output"
	arrived
	peer_run expect_clean 20
	note "$(load_says keeper); suspensions asked for once more: $(guest_run keeper 'grep -c "once more" /run/guestd.log')"
done

step "the counters and the PCR are what its own log says"
errors=$(guest_run keeper 'tr "\n" ";" </tmp/errors')
[ -z "$errors" ] || note "failed (docs/guests.md says what Linux may cut off when it freezes a guest): $errors"
raw_load_expect keeper /dev/tpmrm0
expect_same "$(guestd_pid keeper)" "$pid" "the daemon's process"
expect_same "$(holder_counted keeper)" "$((holder_first + 2 * ROUNDS + 1))" "the count of the HMAC session's counter"
expect_ok guestd_unharmed keeper
quiet_xl destroy keeper
expect_clean 20

# lab: timeout=2400
# xl migrate to the guest's own host, again and again, with vtpm-guestd under load and a program that holds a key and a session: nobody in the guest notices.
# ROUNDS says how often; about half a minute each, and 20 s more where Linux gives up a suspension because of a command under way.
set -e
ROUNDS=${ROUNDS:-20}

spares_keep
guestd_initrd
step "one with vtpm-guestd uses its TPM without a pause, and a program in it holds a key and a session"
expect_ok guestd_guest keeper pvh
expect_ok guestd_modules keeper
guestd_serves keeper
pid=$(guestd_pid keeper)
expect_ok guestd_tpm keeper tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
holder_start keeper
held=$(holder_asks keeper)
load_start keeper device:/dev/tpmrm0
for ((round = 1; round <= ROUNDS; round++)); do
	step "it migrates to its own host, and nobody in it has noticed, $round of $ROUNDS"
	before=$(load_extends keeper)
	vtpm_migrate_here keeper
	wait_for 30 guestd_tpm keeper tpm2_getrandom --hex 8 || fail "no TPM: $(guestd_log keeper)"
	expect_same "$(holder_asks keeper)" "$held" "key and session over the descriptor that was open"
	expect_same "$(guestd_pid keeper)" "$pid" "the daemon's process"
	wait_for 30 load_beyond keeper "$before" || fail "the load stands still: $(guest_run keeper 'tail -n 3 /tmp/errors')"
	note "$(load_says keeper); suspensions asked for once more: $(guest_run keeper 'grep -c "once more" /run/guestd.log')"
done
step "counter and PCR are what its own log says"
load_expect keeper device:/dev/tpmrm0
expect_ok guestd_unharmed keeper
quiet_xl destroy keeper
expect_clean 20

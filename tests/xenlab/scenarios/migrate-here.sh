# lab: timeout=2400
# xl migrate to the guest's own host, again and again under load. With vtpm-guestd nobody in the guest notices; over xen-tpmfront the TPM comes
# back under another name. ROUNDS says how often; about half a minute each.
set -e
ROUNDS=${ROUNDS:-20}

serving() { [ "$(vtpm_field "$(vtpm_uuid "$1")" state)" = serving ]; }
further() { [ "$(load_extends "$1")" -gt "$2" ]; }

# migrated NAME: and whoever watched saw no error.
migrated() {
	local output
	output=$(guest_migrate_here "$1" 2>&1) || fail "xl migrate: $output"
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait "$1"
	wait_for 30 serving "$1" || fail "not served: $(vtpmctl list)"
}

guestd_initrd
step "a PVH guest with vtpm-guestd uses its TPM without a pause; a program holds a key and a session"
expect_ok guestd_guest keeper pvh
expect_ok guestd_modules keeper
guestd_serves keeper
pid=$(guestd_pid keeper)
expect_ok guestd_tpm keeper tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
holder_start keeper
held=$(holder_asks keeper)
load_start keeper device:/dev/tpmrm0

for ((round = 1; round <= ROUNDS; round++)); do
	step "it migrates to its own host, $round of $ROUNDS"
	before=$(load_extends keeper)
	migrated keeper
	wait_for 30 further keeper "$before" || fail "the load stands still: $(guestd_log keeper)"
	note "$(load_says keeper)"
done

step "key, session, counter and PCR are the guest's own, and no command has failed"
expect_same "$(holder_asks keeper)" "$held" "key and session over the descriptor that was open"
expect_same "$(guestd_pid keeper)" "$pid" "the daemon's process"
load_expect keeper device:/dev/tpmrm0
[ -z "$(guest_run keeper cat /tmp/errors)" ] || fail "the load met errors: $(guest_run keeper 'tail -n 3 /tmp/errors')"
expect_ok guestd_unharmed keeper
quiet_xl destroy keeper
expect_clean 20

step "a guest with xen-tpmfront"
guest_cfg plain pvh >/dev/null
expect_ok guest_start plain
guest_has_tpm plain || fail "no TPM in the guest"
expect_ok tpm plain tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
# shellcheck disable=SC2016
newest='device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)'
load_start plain "$newest"
for round in 1 2 3; do
	step "it migrates to its own host, $round of 3"
	migrated plain
	note "$(load_says plain)"
done
step "counter and PCR are the guest's own"
load_expect plain "$newest"
quiet_xl destroy plain
expect_clean 20

# lab: timeout=2400
# xl migrate to the guest's own host, again and again. Over xen-tpmfront under load, where the TPM comes back under another name; with vtpm-guestd
# nobody in the guest notices. ROUNDS says how often; about half a minute each.
set -e
ROUNDS=${ROUNDS:-20}

serving() { [ "$(vtpm_field "$(vtpm_uuid "$1")" state)" = serving ]; }
further() { [ "$(load_extends "$1")" -gt "$2" ]; }

# migrated NAME: and whoever watched saw no error.
migrated() {
	local output
	wait_for 40 spares_are 1 || fail "no spare: $(relay_log 3)"
	output=$(guest_migrate_here "$1" 2>&1) || fail "xl migrate: $output"
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait "$1"
	wait_for 30 serving "$1" || fail "not served: $(vtpmctl list)"
}

# The warm pool that an installed relay has: a stub domain that boots while a guest moves may take longer here than xl waits.
spares_keep

step "a PVH guest with xen-tpmfront uses its TPM without a pause"
guest_cfg plain pvh >/dev/null
expect_ok guest_start plain
guest_has_tpm plain || fail "no TPM in the guest"
expect_ok tpm plain tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
# shellcheck disable=SC2016
newest='device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)'
load_start plain "$newest"
for ((round = 1; round <= ROUNDS; round++)); do
	step "it migrates to its own host, $round of $ROUNDS"
	before=$(load_extends plain)
	migrated plain
	wait_for 30 further plain "$before" || fail "the load stands still: $(guest_run plain 'tail -n 3 /tmp/errors')"
	note "$(load_says plain)"
done
step "counter and PCR are what the guest's own log says"
load_expect plain "$newest"
quiet_xl destroy plain
expect_clean 20

guestd_initrd
step "one with vtpm-guestd, in which a program holds a key and a session"
expect_ok guestd_guest keeper pvh
expect_ok guestd_modules keeper
guestd_serves keeper
pid=$(guestd_pid keeper)
expect_ok guestd_tpm keeper tpm2_pcrextend "16:sha256=$(printf 'ab%.0s' {1..32})"
pcr=$(guestd_tpm keeper tpm2_pcrread sha256:16)
holder_start keeper
held=$(holder_asks keeper)
for round in 1 2 3; do
	step "it migrates to its own host, and nobody in it has noticed, $round of 3"
	migrated keeper
	wait_for 30 guestd_tpm keeper tpm2_getrandom --hex 8 || fail "no TPM: $(guestd_log keeper)"
	expect_same "$(holder_asks keeper)" "$held" "key and session over the descriptor that was open"
	expect_same "$(guestd_tpm keeper tpm2_pcrread sha256:16)" "$pcr" "PCR 16"
	expect_same "$(guestd_pid keeper)" "$pid" "the daemon's process"
done
expect_ok guestd_unharmed keeper
quiet_xl destroy keeper
expect_clean 20

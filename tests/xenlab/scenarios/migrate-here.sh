# lab: timeout=2400
# xl migrate to the guest's own host, again and again, over xen-tpmfront under load: the TPM comes back under another name. ROUNDS says how often; about
# half a minute each.
set -e
ROUNDS=${ROUNDS:-20}

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
	vtpm_migrate_here plain
	wait_for 30 load_beyond plain "$before" || fail "the load stands still: $(guest_run plain 'tail -n 3 /tmp/errors')"
	note "$(load_says plain)"
done
step "counter and PCR are what the guest's own log says"
load_expect plain "$newest"
quiet_xl destroy plain
expect_clean 20

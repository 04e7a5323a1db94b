# lab: hosts=2 timeout=3600
# xl migrate, there and back, under load: the TPM goes with its guest. ROUNDS below says how often; about a minute each.
set -e
ROUNDS=${ROUNDS:-10}

on_guest_host() {
	if guest_id mover >/dev/null; then "$@"; else peer_run "$@"; fi
}

# In the guest: extend and count as fast as it goes, and log what was answered; the TPM device changes with each migration.
load='
n=0
echo 0 >/tmp/extends; : >/tmp/counts; : >/tmp/errors
while [ ! -e /tmp/stop ]; do
	export TPM2TOOLS_TCTI=device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)
	tpm2_pcrextend 16:sha256='$(printf 'ab%.0s' {1..32})' 2>>/tmp/errors && n=$((n + 1)) && echo $n >/tmp/extends
	tpm2_nvincrement -C o 0x1500001 2>>/tmp/errors && tpm2_nvread -C o 0x1500001 2>>/tmp/errors | od -An -tx1 | tr -d " " >>/tmp/counts
done
'

# The PCR that N extensions of that digest make.
expected() {
	local pcr digest n
	pcr=$(printf '0%.0s' {1..64}) digest=$(printf 'ab%.0s' {1..32})
	for ((n = 0; n < $1; n++)); do
		pcr=$(printf %s "$pcr$digest" | xxd -r -p | sha256sum | cut -c1-64)
	done
	echo "$pcr"
}

# shellcheck disable=SC2016
now='export TPM2TOOLS_TCTI=device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1);'

step "a guest runs, with its TPM under load"
guest_cfg mover pvh >/dev/null
peer_run guest_cfg mover pvh >/dev/null
expect_ok guest_start mover
guest_has_tpm mover || fail "no TPM in the guest"
expect_ok tpm mover tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
expect_ok tpm mover tpm2_createprimary -Q -C o -G ecc256 -c /tmp/key.ctx
object=$(tpm mover tpm2_readpublic -Q -c 0x80000000 -f pem -o /dev/stdout | md5sum)
guest_run mover "cat >/tmp/load.sh <<'X'
$load
X
sh /tmp/load.sh >/dev/null 2>&1 &"

for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round: there"
	output=$(guest_migrate mover 2>&1) || fail "xl migrate: $output"
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok wait_for 60 guest_run mover true
	wait_for 30 eval '[ "$(peer_run vtpm_field "$(vtpm_uuid mover)" state)" = serving ]' || fail "not served there: $(peer_run vtpmctl list)"
	expect_clean 20
	step "round $round: and back"
	output=$(RUN_TIMEOUT=900 peer_run guest_migrate mover 2>&1) || fail "xl migrate: $output"
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok wait_for 60 guest_run mover true
	wait_for 30 eval '[ "$(vtpm_field "$(vtpm_uuid mover)" state)" = serving ]' || fail "not served here: $(vtpmctl list)"
	peer_run expect_clean 20
	note "extends: $(guest_run mover cat /tmp/extends), counts: $(guest_run mover 'wc -l </tmp/counts'), errors: $(guest_run mover 'wc -l </tmp/errors')"
done

step "the counter never fell nor repeated, the PCR is the guest's own log, the object is there"
guest_run mover 'touch /tmp/stop; sleep 3'
guest_run mover 'sort -c -u /tmp/counts' || fail "counts out of order: $(guest_run mover 'tail -n 5 /tmp/counts')"
extends=$(guest_run mover cat /tmp/extends)
pcr=$(guest_run mover "$now tpm2_pcrread sha256:16" | sed -n 's/.*16: *0x//p' | tr 'A-F' 'a-f')
expect_same "$pcr" "$(expected "$extends")" "PCR 16 after $extends extensions"
expect_same "$(guest_run mover "$now tpm2_readpublic -Q -c 0x80000000 -f pem -o /dev/stdout" | md5sum)" "$object" "the loaded object"
quiet_xl destroy mover
expect_clean

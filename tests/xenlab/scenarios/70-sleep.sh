# lab: timeout=900
# xl save, xl restore and xl save -c: the TPM sleeps and wakes with its guest, whole, and only with the guest that it slept with.
set -e

# tpm_now NAME COMMAND...: over the TPM device that the guest has now: xen-tpmfront makes another one after each restore.
tpm_now() {
	local name=$1
	shift
	# shellcheck disable=SC2016
	guest_run "$name" 'TPM2TOOLS_TCTI=device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1) exec '"${*@Q}"
}

pcr() {
	tpm_now "$1" tpm2_pcrread sha256:16 | sed -n 's/.*16: *0x//p'
}

count() {
	tpm_now "$1" tpm2_nvincrement -C o 0x1500001 && tpm_now "$1" tpm2_nvread -C o 0x1500001 | od -An -tx1 | tr -d ' \n'
}

has_new_tpm() {
	wait_for 20 guest_run "$1" test -c "/dev/tpm$2"
}

step "a guest has something in its TPM: NV, a PCR, an object, a session"
guest_cfg sleeper >/dev/null
expect_ok guest_start sleeper
guest_has_tpm sleeper || fail "no TPM in the guest"
expect_ok tpm_now sleeper tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
first=$(count sleeper)
expect_ok tpm_now sleeper tpm2_pcrextend "16:sha256=$(printf 'ab%.0s' {1..32})"
before=$(pcr sleeper)
expect_ok tpm_now sleeper tpm2_createprimary -Q -C o -G ecc256 -c /tmp/key.ctx
object=$(tpm_now sleeper tpm2_readpublic -Q -c 0x80000000 -f pem -o /dev/stdout | md5sum)
expect_ok tpm_now sleeper tpm2_startauthsession --policy-session -S /tmp/session.ctx

step "xl save: the guest is gone, nothing is left behind, its vTPM waits"
quiet_xl save sleeper /var/tmp/sleeper.save
expect_clean
[ -z "$(vtpm_field "$(vtpm_uuid sleeper)" state)" ] || fail "the relay still has it: $(vtpmctl list)"

step "xl restore: all of it is there"
quiet_xl restore /var/tmp/sleeper.save
expect_ok guest_wait sleeper
has_new_tpm sleeper 1 || fail "no TPM after the restore: $(vtpmctl list; guest_run sleeper 'dmesg | tail -n 5')"
expect_same "$(pcr sleeper)" "$before" "PCR 16"
second=$(count sleeper)
expect_same "$((16#$second))" "$((16#$first + 1))" "the counter"
expect_same "$(tpm_now sleeper tpm2_readpublic -Q -c 0x80000000 -f pem -o /dev/stdout | md5sum)" "$object" "the loaded object"
expect_ok tpm_now sleeper tpm2_policypcr -S /tmp/session.ctx -l sha256:16
expect_same "$(vtpm_field "$(vtpm_uuid sleeper)" state)" serving "state in vtpmctl list"

step "xl save -c: the guest goes on with the same TPM"
quiet_xl save -c sleeper /var/tmp/sleeper.old
expect_ok guest_wait sleeper
expect_same "$(pcr sleeper)" "$before" "PCR 16"
third=$(count sleeper)
expect_same "$((16#$third))" "$((16#$second + 1))" "the counter"

step "the file is refused once the guest has run on"
quiet_xl destroy sleeper
expect_clean
expect_fail xl restore /var/tmp/sleeper.old
expect_output "image" vtpm_field "$(vtpm_uuid sleeper)" reason
expect_clean 20

step "a fresh boot does not wear the saved PCRs"
expect_ok guest_start sleeper
guest_has_tpm sleeper || fail "no TPM in the guest"
expect_same "$(pcr sleeper)" "$(printf '0%.0s' {1..64})" "PCR 16"
fourth=$(count sleeper)
expect_same "$((16#$fourth))" "$((16#$third + 1))" "the counter"

step "xl pause, unpause and rename leave the TPM alone"
quiet_xl pause sleeper
quiet_xl unpause sleeper
quiet_xl rename sleeper other
quiet_xl rename other sleeper
expect_ok tpm_now sleeper tpm2_getrandom --hex 8

quiet_xl destroy sleeper
rm -f /var/tmp/sleeper.*
expect_clean

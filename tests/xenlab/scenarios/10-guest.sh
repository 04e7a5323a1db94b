# lab: timeout=900
# A guest's TPM as its user meets it: tpm2-tools over /dev/tpm0, PV and PVH; the same keys after destroy and create.
set -e

# flows NAME: what tpm2-tools' manual shows, in one go inside the guest: each line of the console costs time.
flows() {
	GUEST_TIMEOUT=240 guest_run "$1" 'set -ex
		refused() { if "$@"; then echo "should have been refused: $*"; exit 1; fi; }
		export TPM2TOOLS_TCTI=device:/dev/tpm0
		cd /tmp
		tpm2_selftest -f
		tpm2_getrandom --hex 16
		printf message >message
		digest=$(sha256sum message | cut -d" " -f1)
		before=$(tpm2_pcrread sha256:16)
		tpm2_pcrextend 16:sha256=$digest
		after=$(tpm2_pcrread sha256:16)
		test "$before" != "$after"
		tpm2_createprimary -C o -G rsa2048 -c rsa.ctx
		tpm2_flushcontext -t
		tpm2_createprimary -C o -G ecc256 -c ecc.ctx
		tpm2_create -C ecc.ctx -G ecc256:ecdsa-sha256 -u key.pub -r key.priv
		tpm2_flushcontext -t
		tpm2_load -C ecc.ctx -u key.pub -r key.priv -c key.ctx
		tpm2_flushcontext -t
		tpm2_sign -c key.ctx -g sha256 -o signature message
		tpm2_flushcontext -t
		tpm2_verifysignature -c key.ctx -g sha256 -m message -s signature
		tpm2_flushcontext -t
		printf changed >changed
		refused tpm2_verifysignature -c key.ctx -g sha256 -m changed -s signature
		tpm2_flushcontext -t
		tpm2_nvdefine -C o -s 32 -a "ownerread|ownerwrite|authread|authwrite" 0x1500016
		printf 0123456789abcdef0123456789abcdef | tpm2_nvwrite -C o -i - 0x1500016
		[ "$(tpm2_nvread -C o -s 32 0x1500016)" = 0123456789abcdef0123456789abcdef ]
		tpm2_createek -G rsa -c ek.ctx -u ek.pub
		tpm2_flushcontext -t
		tpm2_createak -C ek.ctx -G ecc -g sha256 -s ecdsa -c ak.ctx -u ak.pub -n ak.name
		tpm2_flushcontext -t
		tpm2_flushcontext -l
		tpm2_quote -c ak.ctx -l sha256:0,16 -q 00112233 -m quote.msg -s quote.sig -o quote.pcr -g sha256
		tpm2_flushcontext -t
		tpm2_checkquote -u ak.pub -m quote.msg -s quote.sig -f quote.pcr -g sha256 -q 00112233
		refused tpm2_checkquote -u ak.pub -m quote.msg -s quote.sig -f quote.pcr -g sha256 -q 44556677
		tpm2_startauthsession -S trial.ctx
		tpm2_policypcr -S trial.ctx -l sha256:16 -L pcr.policy
		tpm2_flushcontext trial.ctx
		printf "sealed data" | tpm2_create -C ecc.ctx -i - -L pcr.policy -u seal.pub -r seal.priv
		tpm2_flushcontext -t
		tpm2_load -C ecc.ctx -u seal.pub -r seal.priv -c seal.ctx
		tpm2_flushcontext -t
		tpm2_startauthsession --policy-session -S session.ctx
		tpm2_policypcr -S session.ctx -l sha256:16
		[ "$(tpm2_unseal -c seal.ctx -p session:session.ctx)" = "sealed data" ]
		tpm2_flushcontext -t
		tpm2_flushcontext session.ctx
		tpm2_pcrextend 16:sha256=$digest
		tpm2_startauthsession --policy-session -S session.ctx
		tpm2_policypcr -S session.ctx -l sha256:16
		refused tpm2_unseal -c seal.ctx -p session:session.ctx
		tpm2_flushcontext -t
		tpm2_flushcontext session.ctx' 2>&1
}

for type in pv pvh; do
	step "a $type guest gets /dev/tpm0 by loading xen-tpmfront"
	guest_cfg "user-$type" $type >/dev/null
	expect_ok guest_start "user-$type"
	guest_has_tpm "user-$type" || fail "no /dev/tpm0 in the guest: $(guest_run "user-$type" 'dmesg | tail -n 3')"
	expect_same "$(vtpm_field "$(vtpm_uuid "user-$type")" state)" serving "state in vtpmctl list"

	step "tpm2-tools' flows work over it ($type)"
	expect_ok flows "user-$type"

	step "the kernel's own commands work: hwrng gives bytes, the log has no TPM error ($type)"
	expect_output tpm-rng guest_run "user-$type" 'cat /sys/class/misc/hw_random/rng_available'
	expect_ok guest_run "user-$type" 'echo tpm-rng-0 >/sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng of=/tmp/random bs=64 count=1 iflag=fullblock && [ $(stat -c %s /tmp/random) = 64 ]'
	expect_ok guest_run "user-$type" '! dmesg | grep -i tpm | grep -iE "error|fail|timeout|unable|invalid"'
	names=$(key_names "user-$type") || fail "SRK and EK cannot be made"
	printf '%s\n' "$names"
	expect_same "$(wc -l <<<"$names")" 4 "number of names"

	printf '%s\n' "$names" >"/run/lab/names-$type"
	quiet_xl destroy "user-$type"
	expect_clean
done

step "created again, it has the same SRK and EK"
expect_ok guest_start user-pv
expect_same "$(key_names user-pv)" "$(cat /run/lab/names-pv)" "names of SRK and EK"

step "and what it wrote into NV is still there"
expect_same "$(tpm user-pv tpm2_nvread -C o -s 32 0x1500016)" 0123456789abcdef0123456789abcdef "NV index"
quiet_xl destroy user-pv
expect_clean

step "another UUID has other keys"
expect_same "$(cat /run/lab/names-pv /run/lab/names-pvh | sort -u | wc -l)" 8 "different names of two UUIDs"

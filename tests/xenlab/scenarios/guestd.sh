# lab: timeout=900
# vtpm-guestd: a true TPM 2.0 with /dev/tpmrm0 in PVH and PV guests, beside xen-tpmfront, and through restarts.
set -e

# flows NAME: what needs a resource manager, and two programs at once.
flows() {
	GUEST_TIMEOUT=300 guest_run "$1" 'set -ex
		export TPM2TOOLS_TCTI=device:/dev/tpmrm0
		cd /tmp
		tpm2_getcap properties-fixed | grep -A2 TPM2_PT_FAMILY_INDICATOR
		tpm2_pcrread sha256:0,1,2,16
		for n in 1 2 3 4 5; do tpm2_createprimary -Q -C o -G ecc256 -c p$n.ctx; done
		tpm2_create -Q -C p5.ctx -G ecc256:ecdsa-sha256 -u key.pub -r key.priv
		tpm2_load -Q -C p5.ctx -u key.pub -r key.priv -c key.ctx
		printf message >message
		tpm2_sign -Q -c key.ctx -g sha256 -o signature message
		tpm2_verifysignature -Q -c key.ctx -g sha256 -m message -s signature
		many() { for n in 1 2 3; do tpm2_createprimary -Q -C o -G ecc256 -c many$1.ctx && tpm2_getrandom -Q --hex 8 || exit 1; done; }
		many 1 & one=$!
		many 2 & two=$!
		wait $one
		wait $two
		[ "$(tpm2_getcap handles-transient)" = "" ]' 2>&1
}

# latency_of NAME WHAT: of TPM2_GetRandom, as a program in the guest waits for it.
latency_of() {
	local median p99 rc
	read -r median p99 rc < <(GUEST_TIMEOUT=60 guest_run "$1" latency 80010000000c0000017b0008 100)
	expect_same "$rc" 00000000 "response code of GetRandom over $2"
	note "GetRandom over $2: median $median us, p99 $p99 us"
}

guestd_initrd
for type in pvh pv; do
	name=guestd-$type
	step "a $type guest without xen-tpmfront: vtpm-guestd finds its vTPM unserved"
	expect_ok guestd_guest "$name" $type
	expect_output "load the module tpm_vtpm_proxy" guest_run "$name" 'vtpm-guestd -n 2>&1; [ $? = 1 ]'
	expect_ok guestd_modules "$name"
	expect_ok guest_run "$name" vtpm-guestd -n

	step "the daemon makes a TPM 2.0 with a resource manager ($type)"
	guestd_serves "$name"
	expect_same "$(guest_run "$name" cat /sys/class/tpm/tpm0/tpm_version_major)" 2 "the kernel's TPM version"
	expect_output "nothing to do: another vtpm-guestd" guest_run "$name" 'vtpm-guestd -n 2>&1; [ $? = 2 ]'

	step "tpm2-tools over /dev/tpmrm0: properties, PCRs, more objects than the TPM has room for, two programs at once ($type)"
	expect_ok flows "$name"
	expect_ok guest_run "$name" '! dmesg | grep -i tpm | grep -iE "error|fail|unable|invalid"'
	note "commands that took the kernel too long on this emulated machine: $(guest_run "$name" 'dmesg | grep -c "Operation Timed out"')"

	step "how long a command takes, beside xen-tpmfront ($type)"
	latency_of "$name" "vtpm-guestd ($type)"
	expect_ok guest_run "$name" "kill -USR1 $(guestd_pid "$name")"
	note "$(guest_run "$name" 'sleep 0.2; grep -o "[0-9]* commands, from.*" /run/guestd.log | tail -n 1')"

	step "the daemon leaves, xen-tpmfront serves, and the other way round ($type)"
	expect_ok guest_run "$name" "kill $(guestd_pid "$name"); sleep 1; [ ! -e /dev/tpm0 ]"
	expect_ok guest_run "$name" 'insmod /modules/xen-tpmfront.ko && [ -c /dev/tpm0 ]'
	latency_of "$name" "xen-tpmfront ($type)"
	expect_output "xen-tpmfront has vTPM number 0" guest_run "$name" 'vtpm-guestd -n 2>&1; [ $? = 2 ]'
	expect_ok guest_run "$name" 'echo vtpm-0 >/sys/bus/xen/drivers/vtpm/unbind; [ ! -e /dev/tpm0 ]'
	guestd_serves "$name"
	expect_ok guestd_tpm "$name" tpm2_getrandom --hex 8

	step "bound while the daemon serves, xen-tpmfront gets the device and the daemon ends ($type)"
	expect_ok guest_run "$name" 'echo vtpm-0 >/sys/bus/xen/drivers/vtpm/bind'
	wait_for 20 guest_run "$name" 'grep -q "took the vTPM: leaving it" /run/guestd.log' || fail "the daemon does not yield: $(guestd_log "$name")"
	expect_ok guest_run "$name" 'echo vtpm-0 >/sys/bus/xen/drivers/vtpm/unbind'
	guestd_serves "$name"
	expect_ok guestd_unharmed "$name"

	step "killed without a word, the daemon's successor serves ($type)"
	expect_ok guest_run "$name" "kill -9 $(guestd_pid "$name"); sleep 0.5"
	guestd_serves "$name"
	expect_ok guestd_tpm "$name" tpm2_getrandom --hex 8
	expect_ok guestd_unharmed "$name"

	quiet_xl destroy "$name"
	expect_clean
done

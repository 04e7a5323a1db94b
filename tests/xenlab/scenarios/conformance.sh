# lab: timeout=3600 tools
# Each command that the TPM offers, spoiled, used and at its limits, from within a guest: over xen-tpmfront's /dev/tpm0 and over vtpm-guestd's. It
# answers as a swtpm in the same guest does, which is sent the same. The program is ring 2's.
set -e

# conforms TYPE DRIVER
conforms() {
	local name=conformance-$1 options=() log=/run/lab/conformance-$2
	[ "$2" != vtpm-guestd ] || options=('extra="console=hvc0 quiet loglevel=4 panic=5 lab.nodrivers"')
	step "a $1 guest with $2"
	tools_cfg "$name" "$1" 'ramdisk="/run/lab/guestd-initrd"' "${options[@]}" >/dev/null
	quiet_xl create "$LAB_CONFIGS/$name.cfg"
	expect_ok guest_wait "$name" 180
	if [ "$2" = vtpm-guestd ]; then
		guestd_modules "$name" >/dev/null
		guestd_serves "$name"
	else
		guest_has_tpm "$name" 60 || fail "no /dev/tpm0: $(guest_run "$name" 'cat /run/modules.log; dmesg | tail -n 5')"
	fi

	step "its TPM answers as swtpm does ($1, $2)"
	guest_run "$name" 'mkdir -p /tmp/swtpm && cd /tmp && { swtpm socket --tpm2 --tpmstate dir=/tmp/swtpm --server type=unixio,path=data --ctrl type=unixio,path=control \
			>swtpm.log 2>&1 & } && { until [ -S control ]; do sleep 0.2; done; }
		{ python3 /lab/conformance/conformance /dev/tpm0 data control >tap 2>&1; echo $? >status; } </dev/null >/dev/null 2>&1 &'
	wait_for 1500 guest_run "$name" test -s /tmp/status || fail "not done in 25 minutes: $(guest_run "$name" 'tail -n 3 /tmp/tap')"
	guest_run "$name" cat /tmp/tap >"$log"
	[ "$(guest_run "$name" cat /tmp/status)" = 0 ] || fail "it ended early: $(tail -n 3 "$log")"
	! grep -A 5 '^not ok' "$log" || fail "it does not: see above"
	[ "$(grep -c '^ok' "$log")" -gt 100 ] || fail "only $(grep -c '^ok' "$log") topics"
	note "$(grep -c '^ok' "$log") topics, $(sed -n 's/^ok.*: \([0-9]*\) answers$/\1/p' "$log" | paste -sd+ | sed 's/^/echo $((/; s/$/))/' | sh) answers; $(grep '^#' "$log")"
	quiet_xl destroy "$name"
	expect_clean 20
}

guestd_initrd /lab/tools/initrd /lab/conformance
conforms pvh xen-tpmfront
conforms pv vtpm-guestd

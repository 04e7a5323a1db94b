# lab: timeout=900
# A vTPM that can't be had: xl create fails in its own time, the reason is there in one line, nothing stays behind, and
# once the cause is gone the next create works.
set -e
conf=/etc/xen-vtpm/relay.conf
cp $conf /run/lab/relay.conf

# relay_with [SECTION KEY VALUE]...: restart the relay with some options changed.
relay_with() {
	cp /run/lab/relay.conf $conf
	while [ $# -ge 3 ]; do
		sed -i "/^$2 *=/d" $conf
		grep -q "^\[$1\]" $conf || echo "[$1]" >>$conf
		sed -i "s,^\[$1\],[$1]\n$2 = $3," $conf
		shift 3
	done
	relay_stop
	relay_start --away
}

relay_as_before() {
	cp /run/lab/relay.conf $conf
	relay_stop
	relay_start
}

# refused REASON: creating the guest fails, without hanging; the relay's log and vtpmctl list tell REASON; all is clean.
refused() {
	local lines
	lines=$(relay_log | wc -l)
	tiny_cfg victim >/dev/null
	expect_fail xl_create_ends victim
	expect_output "$1" vtpm_field "$(vtpm_uuid victim)" reason
	relay_log $((lines + 1)) | grep -F "no vTPM:" | grep -qF "$1" || fail "the log does not say '$1': $(relay_log | tail -n 2)"
	expect_clean
}

# xl_create_ends NAME: status 0 as well when it hangs.
xl_create_ends() {
	local status=0
	timeout 60 xl create "/etc/xen/lab/$1.cfg" || status=$?
	[ $status -ne 124 ] || { echo "xl create hangs"; return 0; }
	return $status
}

# works: the same guest can be created now.
works() {
	tiny_cfg victim >/dev/null
	quiet_xl create /etc/xen/lab/victim.cfg
	expect_ok guest_wait victim
	wait_for 15 tiny_random victim || fail "no TPM in the guest"
	expect_same "$(vtpm_field "$(vtpm_uuid victim)" reason)." . "reason of a vTPM that serves"
	quiet_xl destroy victim
	expect_clean
}

step "the KMC does not run"
kmcd_stop
refused "Connection refused"

step "it runs again: the guest starts"
kmcd_start
wait_for 30 relay_connected || fail "the relay does not come back: $(vtpmctl list | head -n 1)"
works

step "the KMC's certificate is not from our CA"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /run/lab/other.key -out /run/lab/other.crt -subj /CN=other -days 2 2>/dev/null
relay_with tls ca /run/lab/other.crt
refused "certificate"

step "the KMC's certificate has expired"
relay_as_before
date -s "+20 years" >/dev/null
relay_with
refused "expired"
date -s "-20 years" >/dev/null

step "the KMC does not know the host any more"
expect_ok host_add kmc gone
kmcctl_at kmc host remove gone
relay_with tls certificate /run/lab/gone/host.crt tls key /run/lab/gone/host.key
refused "was removed"

step "the host has no TPM"
relay_with host tpm device:/dev/no-such-tpm
refused "host TPM"

step "the stub domain's image is missing"
relay_with stub initramfs /usr/lib/xen-vtpm/no-such-image
refused "stub domain image /usr/lib/xen-vtpm/no-such-image: No such file"

step "no memory is left for the stub domain"
relay_with stub memory 1024
tiny_cfg filler pvh 'vtpm=[]' "memory=$(($(xl info free_memory) - 700))" >/dev/null
quiet_xl create -p /etc/xen/lab/filler.cfg
LAB_LEAVE=filler refused "no memory for the stub domain"
quiet_xl destroy filler

step "all causes gone: the guest starts"
relay_as_before
works

step "another guest of this host has the vTPM"
tiny_cfg holder pvh "vtpm=[\"backend=0,uuid=$(vtpm_uuid victim)\"]" >/dev/null
quiet_xl create /etc/xen/lab/holder.cfg
expect_ok guest_wait holder
LAB_LEAVE=holder refused "in use"
wait_for 15 tiny_random holder || fail "the holder has lost its TPM"
quiet_xl destroy holder
works

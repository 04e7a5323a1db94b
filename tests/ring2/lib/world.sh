# All of it together: a KMC, and hosts whose relays build real stub domains from processes.
# shellcheck shell=bash
for part in xen tpm tls kmc relay; do
	# shellcheck source=/dev/null
	. "$RING2_TOP/tests/ring2/lib/$part.sh"
done
STUB_PROGRAM=$BIN/vtpm-stubdom
STUB_LAUNCHER=$RING2_TOP/tests/ring2/launch-stub

# kmc_up: the KMC of the test, in $WORK/kmc; again after it was stopped or killed.
kmc_up() {
	if [ ! -d "$WORK/kmc" ]; then
		kmc_setup "$WORK/kmc" || give_up "a KMC is made"
		at_end+=("kmc_end $WORK/kmc")
		KMC_ADDRESS=127.0.0.1:$(<"$WORK/kmc/port")
	fi
	kmc_tpm_stop "$WORK/kmc" # a restart of the whole machine
	kmc_start "$WORK/kmc" || give_up "kmcd starts" "$WORK/kmc/log"
}

# kmc_register NAME DIR [OPTION...]: a host's key and certificates in DIR.
kmc_register() { kmc_host_add "$WORK/kmc" "$@" >>"$WORK/kmcctl.log" 2>&1 || give_up "$1 is registered at the KMC" "$WORK/kmcctl.log"; }

# holder UUID: the host that has the lease, - for none.
holder() { kmc_ctl "$WORK/kmc" vtpm list | awk -v uuid="$1" '$1 == uuid { print $3 }'; }

# is_held UUID HOST: by that host (-: by none).
is_held() { [ "$(holder "$1")" = "$2" ]; }

# host_up NAME [OPTION=VALUE...]: a host with TPM and relay, registered at the KMC under that name.
host_up() {
	host_start "$1"
	host_tpm_start "$1"
	[ -d "$WORK/tls-$1" ] || kmc_register "$1" "$WORK/tls-$1"
	relay_start "$@"
	eventually 10 relay_is_connected || give_up "the relay reaches the KMC" "$RING2_DIR/relay.log"
}

relay_is_connected() { ! relay_list | grep -q "not connected"; }

# refused DOMID UUID REASON [NAME]: xl create gets no state 2, vtpmctl names the reason, xl destroy cleans up.
refused() {
	player create "$1" "$(printf 'd0000000-0000-4000-8000-%012x' "$1")"
	attach_refused "$@"
}

# served DOMID UUID [NAME]: xl create succeeds and the guest's TPM answers.
served() { guest_create "$@" && guest_tpm "$1" tpm2_getrandom --hex 8; }

# guest_tpm DOMID TOOL ARGUMENT...: a tpm2-tools command in the guest.
guest_tpm() {
	local port
	port=$RING2_DIR/stub-$(stub_of "$1").tpm
	TPM2TOOLS_TCTI="cmd:$RING2_BIN/stub-tcti $port" "${@:2}"
}

# srk DOMID: a digest that names the guest's storage root key.
srk() {
	local file=$WORK/srk-$1-$BASHPID
	guest_tpm "$1" tpm2_createprimary -Q -C o -G ecc256 -c "$file.ctx" &&
		guest_tpm "$1" tpm2_readpublic -Q -c "$file.ctx" -f pem -o "$file.pem" && sha256sum <"$file.pem" | cut -c1-32
}

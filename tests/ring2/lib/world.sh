# All of it together: a KMC, and hosts whose relays build real stub domains from processes.
# shellcheck shell=bash
for part in xen tpm tls kmc relay stub; do
	# shellcheck source=/dev/null
	. "$RING2_TOP/tests/ring2/lib/$part.sh"
done
STUB_PROGRAM=$BIN/vtpm-stubdom
STUB_LAUNCHER=$RING2_TOP/tests/ring2/launch-stub

# host_up NAME [OPTION=VALUE...]: a host with TPM and relay, registered at the KMC under that name.
host_up() {
	host_start "$1"
	host_tpm_start "$1"
	RELAY_TLS=$WORK/tls-$1
	[ -d "$RELAY_TLS" ] || kmc_add_host "$1" "$RELAY_TLS"
	relay_start "$@"
	eventually 10 relay_is_connected || { echo "# the relay does not reach the KMC:"; tail -n 5 "$RING2_DIR/relay.log"; exit 1; }
}

relay_is_connected() { ! relay_list | grep -q "not connected"; }

# refused DOMID UUID REASON: xl create gets no state 2, vtpmctl names the reason, xl destroy cleans up.
refused() {
	local status=0 waiting
	player create "$1" "$(printf 'd0000000-0000-4000-8000-%012x' "$1")"
	player attach "$1" 0 "$2" >/dev/null 2>&1 &
	waiting=$!
	eventually 12 listed "$3" >/dev/null || { echo "not said: $3"; relay_list; status=1; }
	[ "$(control_state "$1")" = 1 ] || { echo "state is $(control_state "$1")"; status=1; }
	kill $waiting 2>/dev/null
	wait $waiting 2>/dev/null
	guest_destroy "$1" || status=1
	return $status
}

# served DOMID UUID: xl create succeeds and the guest's TPM answers.
served() { guest_create "$1" "$2" && guest_tpm "$1" tpm2_getrandom --hex 8; }

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

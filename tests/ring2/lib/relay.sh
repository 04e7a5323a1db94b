# vtpm-relayd with fakes where Xen stands: one for each host.
# shellcheck shell=bash

# relay_start NAME [tls=DIR | SECTION.OPTION=VALUE]...: on the host of that name, with the TPM of that name and the files
# ca.crt, host.crt and host.key in $WORK/tls-NAME; needs KMC_ADDRESS, STUB_PROGRAM and STUB_LAUNCHER.
relay_start() {
	local dir=$WORK/host-$1 tls=$WORK/tls-$1 option
	declare -A set=(
		[kmc.address]=$KMC_ADDRESS [host.tpm]=swtpm:host=127.0.0.1,port=$(<"$WORK/tpm-$1/port") [host.user]=nobody [host.control]=$dir/control.sock [stub.kernel]=$STUB_PROGRAM
		[stub.initramfs]=$STUB_LAUNCHER [stub.spares]=0 [stub.records]=$dir/records [state.directory]=$dir/state
	)
	for option in "${@:2}"; do
		case $option in
		tls=*) tls=${option#*=} ;;
		*) set[${option%%=*}]=${option#*=} ;;
		esac
	done
	set[tls.ca]=$tls/ca.crt set[tls.certificate]=$tls/host.crt
	: "${set[tls.key]:=$tls/host.key}"
	for option in "${!set[@]}"; do
		printf '[%s]\n%s = %s\n' "${option%%.*}" "${option#*.}" "${set[$option]}"
	done >"$dir/relay.conf"
	host_use "$1"
	"$RING2_BIN/vtpm-relayd-ring2" -c "$dir/relay.conf" 2>>"$dir/relay.log" &
	echo $! >"$dir/relay.pid"
	at_end+=("relay_stop $1")
	eventually 10 relay_answers || give_up "the relay starts" "$dir/relay.log"
}

relay_answers() { relay_list >/dev/null 2>&1; }

# relay_list: vtpmctl's view of the host in use.
relay_list() { "$BIN/vtpmctl" -c "$RING2_DIR/relay.conf" list "$@"; }

relay_pid() { cat "$WORK/host-$1/relay.pid"; }

relay_stop() {
	[ -e "$WORK/host-$1/relay.pid" ] || return 0
	stop "$(relay_pid "$1")"
	rm -f "$WORK/host-$1/relay.pid"
	relay_let_go "$1"
}

# relay_let_go NAME: until its state process has gone too, which a service manager waits for.
relay_let_go() { [ ! -d "$WORK/host-$1/state" ] || flock -w 10 "$WORK/host-$1/state" true; }

# relay_kill NAME: as a crash does; its processes die with it, the state process when what it syncs is synced.
relay_kill() {
	kill -9 "$(relay_pid "$1")"
	wait "$(relay_pid "$1")" 2>/dev/null
	rm -f "$WORK/host-$1/relay.pid"
	relay_let_go "$1"
}

# relay_log: of the host in use.
relay_log() { cat "$RING2_DIR/relay.log"; }

# logged TEXT: within some seconds the relay's log says it.
logged() { eventually 5 grep -qF -- "$1" "$RING2_DIR/relay.log"; }

# listed TEXT: vtpmctl list says it.
listed() { relay_list | grep -F -- "$1"; }

# guest_listed DOMID TEXT: in the guest's own line.
guest_listed() { relay_list | grep -E "^ *$1 " | grep -F -- "$2"; }

# relay_child NAME PROCESS: the process id of builder, host-tpm or state, in the order in which they are started.
relay_child() {
	local n
	case $2 in builder) n=1 ;; host-tpm) n=2 ;; state) n=3 ;; esac
	pgrep -P "$(relay_pid "$1")" | sort -n | sed -n "${n}p"
}

relay_is_gone() {
	kill -0 "$(relay_pid "$1")" 2>/dev/null && return 1
	wait "$(relay_pid "$1")" 2>/dev/null
	rm -f "$WORK/host-$1/relay.pid"
}

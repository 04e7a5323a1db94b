# One stub program over its Unix twins, with a relay that keeps its state in a file. No Xen, no KMC, no xenstore.
# shellcheck shell=bash

STUB_SEED=$(printf '5eed%02x' $(seq 101 130))
STUB_SEED=${STUB_SEED:0:64}
STUB_UUID=6c1e5b1e-0000-4000-8000-000000000001

# try TITLE COMMAND...: check, but in this shell, which is to be the parent of what the command starts.
try() {
	local title=$1
	shift
	if "$@" >"$WORK/try.out" 2>&1; then
		ok "$title"
	else
		not_ok "$title"
		sed 's/^/#   /' "$WORK/try.out" | tail -n 20
	fi
}

# stub_start NAME: the program; its files are $WORK/NAME.{ch,port,log,state,relay}.
stub_start() {
	rm -f "$WORK/$1.ch" "$WORK/$1.port"
	"$BIN/vtpm-stubdom" --channel "$WORK/$1.ch" --port "$WORK/$1.port" >>"$WORK/$1.log" 2>&1 &
	echo $! >"$WORK/$1.pid"
	at_end+=("stub_kill $1")
	eventually 10 test -S "$WORK/$1.port"
}

stub_pid() { cat "$WORK/$1.pid"; }

stub_kill() {
	[ -e "$WORK/$1.pid" ] || return 0
	kill -9 "$(stub_pid "$1")" 2>/dev/null
	wait "$(stub_pid "$1")" 2>/dev/null
	rm -f "$WORK/$1.pid"
}

# stub_relay NAME [OPTION=NUMBER...]: hand a vTPM over; STUB_SEED and STUB_UUID say which.
stub_relay() {
	: >"$WORK/$1.relay"
	"$RING2_BIN/stub-relay" "$WORK/$1.ch" "$WORK/$1.state" "$STUB_SEED" "$STUB_UUID" "${@:2}" >>"$WORK/$1.relay" 2>&1 &
	echo $! >"$WORK/$1.relay-pid"
	eventually 20 grep -qE '^(ready|failed|broken|hello again)' "$WORK/$1.relay"
}

relay_said() { eventually "${3:-10}" grep -qE "$2" "$WORK/$1.relay"; }

# stub_stop NAME: the guest is gone: orderly end of vTPM and program.
stub_stop() {
	local status=0
	kill -TERM "$(<"$WORK/$1.relay-pid")"
	wait "$(<"$WORK/$1.relay-pid")" || status=$?
	wait "$(stub_pid "$1")" || status=$?
	rm -f "$WORK/$1.pid"
	return $status
}

# stub_up NAME [OPTION=NUMBER...]: program and relay; fails if the vTPM is refused.
stub_up() { stub_start "$1" && stub_relay "$@" && grep -q ^ready "$WORK/$1.relay"; }

# tpm NAME TOOL ARGUMENT...: a tpm2-tools command in the guest. There is no resource manager: what it loaded is flushed after it.
tpm() {
	local TPM2TOOLS_TCTI="cmd:$RING2_BIN/stub-tcti $WORK/$1.port" status
	export TPM2TOOLS_TCTI
	"${@:2}"
	status=$?
	tpm2_flushcontext -Q -t
	return $status
}

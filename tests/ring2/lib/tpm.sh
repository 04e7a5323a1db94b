# The host's TPM: swtpm on a TCP port.
# shellcheck shell=bash

# host_tpm_start NAME: it listens on the port in $WORK/tpm-NAME/port.
host_tpm_start() {
	local dir=$WORK/tpm-$1
	mkdir -p "$dir"
	[ -e "$dir/port" ] || free_port >"$dir/port"
	swtpm socket --tpm2 --tpmstate dir="$dir" --server type=tcp,port="$(<"$dir/port")" \
		--ctrl type=tcp,port=$(($(<"$dir/port") + 1)) --flags not-need-init,startup-clear >"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
	at_end+=("host_tpm_stop $1")
	eventually 10 tpm_answers "$dir" || give_up "swtpm starts" "$dir/log"
}

tpm_answers() { ss -Htln "sport = :$(<"$1/port")" | grep -q .; }

host_tpm_stop() {
	stop "$(cat "$WORK/tpm-$1/pid" 2>/dev/null)"
	rm -f "$WORK/tpm-$1/pid"
}

# shellcheck shell=bash
# The calling side of lib/agent: run a command at the other end of a TCP or UNIX socket.

# lab_rpc SOCAT-ADDRESS STDIN COMMAND...: print the command's output and errors, return its status; 255: the way there failed.
# RUN_TIMEOUT (default 120) seconds are allowed.
lab_rpc() {
	local address=$1 input=$2 seconds=${RUN_TIMEOUT:-120} arg request result=0
	shift 2
	request="$input $seconds"
	for arg in "$@"; do
		request+=" =$(printf %s "$arg" | base64 -w 0)"
	done
	{
		echo "$request"
		[ "$input" = 1 ] && cat
	} | timeout $((seconds + 10)) socat -t600 - "$address" | {
		if ! read -r status out err; then
			echo "no answer from $address to: $*" >&2
			exit 255
		fi
		head -c "$out"
		head -c "$err" >&2
		exit "$status"
	} || result=$?
	return $result
}

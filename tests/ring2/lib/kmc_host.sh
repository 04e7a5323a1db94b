# Hosts that speak to the KMC of kmc.sh without a relay: kmc-host (tests/ring2/kmc_host.c) and what its answers say.
# shellcheck shell=bash disable=SC2053

# kmc_host DIR TLS COMMAND...: a connection to the KMC of DIR with the files in TLS.
kmc_host() {
	local dir=$1 tls=$2
	shift 2
	"$RING2_BIN/kmc-host" -a "127.0.0.1:$(<"$dir/port")" -d "$tls" "$@"
}

# opened DIR TLS UUID: the line of one open.
opened() { kmc_host "$1" "$2" hello protect open "$3" | tail -n 1; }

# seed_of DIR TLS UUID: the seed that an open gives, in hex; nothing if there is none.
seed_of() { opened "$@" | sed -n 's/.* seed=\([0-9a-f]*\) .*/\1/p;s/^OPENED seed=\([0-9a-f]*\) .*/\1/p' | head -n 1; }

# says PATTERN COMMAND...: the command's last line matches.
says() {
	local pattern=$1 out
	shift
	out=$("$@" 2>&1 | tail -n 1)
	[[ $out == $pattern ]] && return
	echo "wanted: $pattern"
	echo "got:    $out"
	return 1
}

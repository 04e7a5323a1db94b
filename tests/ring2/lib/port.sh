# shellcheck shell=bash
# TCP ports of the loopback for a test's servers.
#
# free_port: print an even port that nobody listens at, nor at the next one, and that no other test of this run has been told:
# between the choice and the listening lie seconds. What was told is noted in TEST_PORTS, the run's directory, or in WORK.
# The lab takes its ports below 26000 (tests/xenlab/outer/hosts.sh), the kernel its own from 32768.
free_port() {
	local port
	for _ in {1..200}; do
		port=$((26000 + RANDOM % 3000 * 2))
		mkdir "${TEST_PORTS:-$WORK}/port-$port" 2>/dev/null || continue
		ss -Htln "sport = :$port or sport = :$((port + 1))" | grep -q . || { echo "$port"; return; }
	done
	return 1
}

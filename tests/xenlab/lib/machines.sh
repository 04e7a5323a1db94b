# shellcheck shell=bash
# Commands on the other machines: the KMC machine (outside) and the other host's dom0; and what befalls them.
#
# One argument is a shell command line, several are a command with its arguments. RUN_TIMEOUT=SECONDS allows more than 120.

# kmc_run [-i] COMMAND...: run a command on the KMC machine; -i passes standard input on.
kmc_run() {
	lab_call TCP:10.8.0.100:7000 "$@"
}

# peer_run [-i] COMMAND...: run a command, or a function of this library, in the other host's dom0.
peer_run() {
	lab_need_peer
	lab_call TCP:10.8.0.101:7000 "$@"
}

lab_call() {
	local address=$1 input=0
	shift
	[ "${1:-}" = -i ] && input=1 && shift
	[ $# -gt 0 ] || fail "kmc_run and peer_run need a command"
	lab_rpc "$address" $input "$@"
}

lab_need_peer() {
	[ "$LAB_HOSTS" -ge 2 ] || fail "this needs a second host: run with -n 2, or give the scenario a line '# lab: hosts=2'"
}

# kmc_put FILE DEST, kmc_get SOURCE FILE: copy a file there and back (paths there may be relative to KMC_DIR).
kmc_put() {
	kmc_run -i "cat >'$2'" <"$1"
}

kmc_get() {
	kmc_run cat "$1" >"$2"
}

# peer_put FILE [DEST], peer_get SOURCE [FILE]: the same with the other host's dom0; the paths are the same by default.
peer_put() {
	peer_run -i "mkdir -p '$(dirname "${2:-$1}")' && cat >'${2:-$1}'" <"$1"
}

peer_get() {
	peer_run cat "$1" >"${2:-$1}"
}

# Daemons, each with a NAME: dom0_ ones run in this dom0 and log to /var/log/lab/NAME.log, kmc_ ones run on the KMC machine
# and log to KMC_DIR's run, see lab_log. `peer_run dom0_start NAME COMMAND...` starts one in the other host's dom0.
# They run on from one scenario to the next, until stopped or the run ends.
#
# dom0_start NAME COMMAND...: start it; fails if it runs already or ends at once.
# dom0_stop NAME [SIGNAL]: stop it (TERM, or KILL for a crash) and wait until it is gone.
# dom0_pid NAME: print its process id; status 1 when it does not run.
dom0_start() {
	/lab/lib/lab-daemon start "$@"
}

dom0_stop() {
	/lab/lib/lab-daemon stop "$@"
}

dom0_pid() {
	/lab/lib/lab-daemon pid "$@"
}

kmc_start() {
	kmc_run lab-daemon start "$@"
}

kmc_stop() {
	kmc_run lab-daemon stop "$@"
}

kmc_pid() {
	kmc_run lab-daemon pid "$@"
}

# peer_power off|on|cycle|down: cut the other host's power, or switch it on and wait until it has booted; down: its systemd shuts it down.
# Its disk and TPM stay. lose: it is gone, disk and TPM too, and what is switched on next is another machine.
peer_power() {
	lab_need_peer
	case $1 in
	off | lose) kmc_run lab-power "$(lab_peer)" "$1" ;;
	on) RUN_TIMEOUT=440 kmc_run lab-power "$(lab_peer)" on && wait_for 30 peer_run true ;;
	cycle) peer_power off && peer_power on ;;
	down) peer_run systemctl --no-block poweroff && RUN_TIMEOUT=300 kmc_run lab-power "$(lab_peer)" down ;;
	*) fail "peer_power: off, on, cycle, down or lose, not '$1'" ;;
	esac
}

lab_peer() {
	[ "$LAB_HOST" = a ] && echo b || echo a
}

# lab_remember_domains: what runs now was started by lab_setup and stays between scenarios.
lab_remember_domains() {
	lab_domains >/run/lab/domains
}

# lab_cleanup: destroy every other domain and forget every config; done on each host before a scenario.
lab_cleanup() {
	local id
	for id in $(lab_domains); do
		grep -qx "$id" /run/lab/domains 2>/dev/null && continue
		# shellcheck disable=SC2053
		[[ -n ${LAB_KEEP_DOMAINS:-} && $(xl domname "$id" 2>/dev/null) == $LAB_KEEP_DOMAINS ]] && continue
		xl destroy "$id"
	done
	rm -f "$LAB_CONFIGS"/*
}

# lab_domains: print the ids of the domains here but dom0.
lab_domains() {
	xl list | awk 'NR > 1 && $2 > 0 { print $2 }'
}

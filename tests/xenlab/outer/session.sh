# shellcheck shell=bash
# One run of the lab from boot to clean-up: hosts up, setup, scenarios one after another, hosts down.

kept="" used="" set_up="" images="" number=0

# session_begin: directories of this run.
session_begin() {
	LAB_RUN=$LAB_CACHE/runs/$(date +%Y%m%d-%H%M%S)-$$
	LAB_LOG=$LAB_RUN/log
	LAB_SOCKETS=$(mktemp -d /tmp/xenlab.XXXXXX)
	mkdir -p "$LAB_LOG"
	export LAB_RUN LAB_LOG LAB_DIR LAB_CACHE LAB_SOCKETS LAB_HOSTS LAB_PAYLOAD
}

# session_end: stop all of it; remove the run's directory unless something failed or --keep was given.
session_end() {
	local name
	trap - EXIT
	[ -z "$images" ] || kill "$images" 2>/dev/null
	for name in "${names[@]}"; do
		host_off "$name"
	done
	kmc_end
	rm -rf "$LAB_SOCKETS"
	if [ "$failed" -gt 0 ] || [ -n "$keep" ]; then
		kept=$LAB_LOG
		[ -n "$keep" ] || rm -f "$LAB_RUN"/?/disk.qcow2 "$LAB_RUN/payload.tar"
	else
		rm -rf "$LAB_RUN"
	fi
}

# session_boot FILE: new hosts and a new KMC machine for that scenario, nothing set up. Status 1: a host did not come up, and the report says so.
session_boot() {
	local name
	set_up=''
	LAB_INIT=$(init_of "$1")
	report_progress "Xen and Linux boot in ${#names[@]} virtual machine(s), half a minute or so"
	rm -rf "$LAB_RUN"/{a,b,kmc,kmc-tpm,daemons}
	kmc_create || { report_event "@fail the KMC's TPM does not start: see $LAB_LOG/swtpm-kmc.log"; return 1; }
	make_payload || { report_event "@fail cannot write the payload"; return 1; }
	for name in "${names[@]}"; do
		host_create "$name"
	done
	for name in "${names[@]}"; do
		host_on "$name" || { report_event "@fail host $name does not start: $(tail -n 3 "$LAB_LOG/qemu-$name.log")"; return 1; }
	done
	exec {orders}<>"$LAB_RUN/a/ctl.in" {events}<>"$LAB_RUN/a/ctl.out"
	for name in "${names[@]}"; do
		host_wait "$name" && continue
		tail -n 20 "$LAB_LOG/console-$name.log"
		report_event "@fail host $name did not boot in time"
		return 1
	done
}

# init_of FILE: what is PID 1 of dom0: systemd where a scenario asks for it, else the lab's own.
init_of() {
	header "$1" systemd >/dev/null && echo systemd
}

# make_packages: the Debian packages, for hosts that have nothing of the project installed.
make_packages() {
	mkdir -p "$LAB_RUN/packages/lab/debs"
	"$LAB_TOP/packaging/build-deb" --reuse >&2 && cp "$LAB_TOP"/build/deb/xen-vtpm-{dom0,kmc}_*.deb "$LAB_RUN/packages/lab/debs/"
}

# make_payload: the disk that each host unpacks over its root: the lab's scripts, the scenarios, the installed project or its packages.
make_payload() {
	local stage=$LAB_RUN/stage installed=${LAB_INIT:+$LAB_RUN/packages} file number=0
	rm -rf "$stage"
	mkdir -p "$stage/lab/scenarios"
	cp -r "$LAB_DIR/dom0/." "$LAB_DIR/lib" "$stage/lab/"
	# Each function of the library is a command as well, for `timeout`, `bash -c` and the shell in dom0.
	sed -nE 's/^([a-z0-9_]+)\(\) \{$/\1/p' "$LAB_DIR"/lib/*.sh | while read -r file; do
		ln -s lab-exec "$stage/lab/bin/$file"
	done
	cp "$LAB_TOP"/build/release/ring2/{memory-search,domain-crash} "$stage/lab/bin/"
	mkdir -p "$stage/lab/conformance/lib"
	cp "$LAB_TOP/tests/ring2/conformance" "$stage/lab/conformance/"
	cp "$LAB_TOP"/tests/ring2/lib/*.py "$stage/lab/conformance/lib/"
	for file in "${scenarios[@]}"; do
		number=$((number + 1))
		mkdir "$stage/lab/scenarios/$number"
		cp "$file" "$stage/lab/scenarios/$number/"
	done
	{
		grep -E '^KMC_PORT=' "$LAB_RUN/kmc-env"
		echo "KMC_ADDRESS=10.0.2.2 LAB_LOG='$LAB_LOG' LAB_HOSTS=$LAB_HOSTS LAB_DAEMONS=/run/lab/daemons LAB_DAEMON_LOGS=/var/log/lab LAB_TERM='${TERM:-linux}' LAB_TRACE='${LAB_TRACE:-}'"
		echo "ROUNDS='${ROUNDS:-}' ROWS='${ROWS:-}'" # what scenarios ask for: how often, and which
	} >"$stage/lab/env"
	tar -C "$stage" --owner=0 --group=0 -cf "$LAB_RUN/payload.tar" lab || return
	installed=${installed:-$LAB_PAYLOAD}
	if [ -d "$installed" ]; then
		(cd "$installed" && find . -mindepth 1 -maxdepth 1 -print0 |
			tar --null --owner=0 --group=0 -rf "$LAB_RUN/payload.tar" -T -) || return
	fi
	rm -rf "$stage"
}

# order SECONDS WORDS...: give host A's dom0 an order and report events until it is done; order_status is its status then.
# Status 1: the host died.
order() {
	local deadline=$((SECONDS + $1 + 30)) line='' part
	shift
	echo "$*" >&"$orders"
	while :; do
		if IFS= read -r -t 1 part <&"$events"; then
			line+=$part
			[[ $line == '@done '* ]] && order_status=${line#* } && return
			report_event "$line"
			line=''
			continue
		fi
		line+=$part
		host_alive a || { report_event "@fail host a went down: see $LAB_LOG/console-a.log"; return 1; }
		[ "$SECONDS" -lt "$deadline" ] || { report_event "@fail host a no longer answers: see $LAB_LOG/console-a.log"; return 1; }
	done
}

# run_setup: once after each boot, before the first scenario that needs the services.
run_setup() {
	local before=$failed
	if [ -z "$set_up" ]; then
		step_text="the lab's services start" step_began=$SECONDS
		report_progress "A key management centre is made, the host is registered there, the relay starts"
		order 180 setup 180
		set_up=yes
		[ "$failed" -eq "$before" ] || set_up=no
	elif [ "$set_up" = no ]; then
		report_event "@fail the lab's services did not start"
	fi
	[ "$set_up" = yes ]
}

# claim FILE: this run takes that scenario. Status 1: another one has it, of those that share the directory LAB_CLAIMS (tests/check looks that one has).
claim() {
	local file
	file=${LAB_CLAIMS:-}/$(basename "$1")
	[ -n "${LAB_CLAIMS:-}" ] || return 0
	{ (set -C && echo "$LAB_CLAIMANT" >"$file") || [ "$(<"$file")" = "$LAB_CLAIMANT" ]; } 2>/dev/null
}

run_scenario() {
	local file=$1 seconds name before failures
	name=$(basename "$file")
	number=$((${number:-0} + 1))
	claim "$file" || return
	report_scenario "$name"
	if [ -n "$used" ] && { header "$file" fresh >/dev/null || [ "$(init_of "$file")" != "$LAB_INIT" ]; }; then
		exec {orders}>&- {events}>&-
		for host in "${names[@]}"; do
			host_off "$host"
		done
		kmc_end
		session_boot "$file" || return
	fi
	if ! host_alive a; then
		report_event "@fail host a is down"
		return
	fi
	used=1
	header "$file" bare >/dev/null || run_setup || return
	seconds=$(header "$file" timeout) || seconds=600
	step_text=''
	before=$((passed + failed + skipped)) order_status=0
	failures=$failed
	order "$seconds" scenario "$number/$name" "$seconds"
	# Whatever went wrong inside, what did not end well is no success.
	[ "$order_status" -eq 0 ] || [ "$failed" -gt "$failures" ] || report_event "@fail ended with status $order_status"
	[ $((passed + failed + skipped)) -gt "$before" ] || report_event "@fail ended without a result"
}

run_shell() {
	echo "Connecting to dom0 of host a (leave with Ctrl-\\) ..."
	socat -,rawer,escape=0x1c "UNIX-CONNECT:$LAB_SOCKETS/a.shell"
	echo
}

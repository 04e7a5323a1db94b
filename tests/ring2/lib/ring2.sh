# Sourced by every ring 2 test: scratch directory, reporting, and waits that end. Parts: xen.sh, tpm.sh, kmc.sh, relay.sh, stub.sh.
# shellcheck shell=bash
set -u
RING2_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export VARIANT=${VARIANT:-release}
export BIN=${BIN:-$RING2_TOP/build/$VARIANT/bin} RING2_BIN=${RING2_BIN:-$RING2_TOP/build/$VARIANT/ring2}
WORK=$(mktemp -d "/tmp/ring2-$(basename "$0")-XXXXXX")
chmod 755 "$WORK"
# leaks at exit are not what these tests look for, errors are
mkdir -m 1777 "$WORK/sanitizer" # the daemons' users write there
export ASAN_OPTIONS=detect_leaks=0:log_path=$WORK/sanitizer/log UBSAN_OPTIONS=print_stacktrace=1:log_path=$WORK/sanitizer/log
. "$RING2_TOP/tests/ring2/lib/port.sh"
. "$RING2_TOP/tests/ring2/lib/wait.sh"
passed=0 failed=0 skipped=0

ok() { echo "ok - $*"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $*"; failed=$((failed + 1)); }
skip() { echo "ok - $* # SKIP"; skipped=$((skipped + 1)); }

# check TITLE COMMAND...: one test; what the command prints shows if it fails.
check() {
	local title=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$title"
	else
		not_ok "$title"
		printf '%s\n' "$out" | sed 's/^/#   /' | tail -n 20
	fi
}

# check_ended TITLE PID: one test; a command in the background has succeeded.
check_ended() {
	if wait "$2"; then ok "$1"; else not_ok "$1"; fi
}

# checks_of COMMAND...: the tests of a program that prints such lines itself.
checks_of() {
	local line
	"$@" >"$WORK/checks" 2>&1 || not_ok "$1 ends well: $(tail -n 1 "$WORK/checks")"
	while IFS= read -r line; do
		case $line in
		"ok - "*" # SKIP"*) echo "$line"; skipped=$((skipped + 1)) ;;
		"ok - "*) ok "${line#ok - }" ;;
		"not ok - "*) not_ok "${line#not ok - }" ;;
		*) echo "$line" ;;
		esac
	done <"$WORK/checks"
}

# give_up TITLE [FILE]: without this nothing that follows means anything; the end of FILE says why.
exec {report}>&1
give_up() {
	exec >&"$report" # a test may have sent its output elsewhere
	not_ok "$1"
	[ -z "${2:-}" ] || tail -n 5 "$2" | sed 's/^/#   /'
	exit 1
}

# Each part adds what ends it; the newest first.
at_end=()
finish() {
	local i logs
	for ((i = ${#at_end[@]} - 1; i >= 0; i--)); do ${at_end[i]}; done
	logs=$(cat "$WORK"/sanitizer/* 2>/dev/null)
	if [ -n "$logs" ]; then
		not_ok "no sanitizer has complained"
		printf '%s\n' "$logs" | head -n 60 | sed 's/^/#   /'
	elif [ "$VARIANT" = asan ]; then
		ok "no sanitizer has complained"
	fi
	if [ "$failed" -ne 0 ]; then
		echo "# logs are kept in $WORK"
	else
		rm -rf "$WORK"
	fi
	[ "$failed" -eq 0 ] && [ "$((passed + skipped))" -gt 0 ]
	exit
}
trap finish EXIT

# stop PID: end a process that this shell started, and wait for it.
stop() {
	[ -n "${1:-}" ] || return 0
	kill "$1" 2>/dev/null
	for _ in $(seq 300); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

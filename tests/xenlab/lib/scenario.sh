# shellcheck shell=bash
# The library that every scenario meets: steps and results here, guests and machines in the files below.
. /lab/lib/rpc.sh
. /lab/lib/machines.sh
. /lab/lib/guest.sh
. /lab/lib/vtpm.sh
. /lab/lib/guestd.sh
. /lab/lib/holder.sh
. /lab/lib/load.sh
. /lab/lib/raw.sh
. /lab/lib/kmc.sh
. /lab/lib/kmcdomain.sh
. /lab/lib/packages.sh

LAB_STEP='' LAB_STEPS=0 LAB_ENDED=''

# lab_event KIND TEXT...: tell the machine outside; silent in a lab shell, where nobody listens.
lab_event() {
	local text
	[ -n "${LAB_EVENTS:-}" ] || return 0
	text=$(printf %s "$*" | tr '\n' ' ')
	printf '@%s\n' "${text:0:600}" >&"$LAB_EVENTS"
}

# step TEXT: end the step before, which has passed, and begin another.
step() {
	lab_end_step
	LAB_STEP=$* LAB_STEPS=$((LAB_STEPS + 1))
	lab_event step "$*"
	echo "== $*"
}

lab_end_step() {
	[ -n "$LAB_STEP" ] && lab_event pass
	LAB_STEP=''
}

# note TEXT: a line for people who watch.
note() {
	echo "-- $*"
	lab_event note "$*"
}

# fail TEXT: the step fails and the scenario ends.
fail() {
	lab_end_scenario 1 fail "$@"
}

# skip TEXT: the step, or before any step the scenario, is skipped, and the scenario ends.
skip() {
	lab_end_scenario 0 skip "$@"
}

lab_end_scenario() {
	local status=$1 kind=$2
	shift 2
	echo "== $kind: $*"
	lab_event "$kind" "$@"
	LAB_ENDED=$kind
	if [ "$BASHPID" != $$ ] && [ -n "${LAB_EVENTS:-}" ]; then
		# In a subshell: the scenario's own shell has to end as well, and not to report again.
		: >"/run/lab/ended.$$"
		kill -USR1 $$
	fi
	exit "$status"
}

# lab_begin NAME: from here on the end of this shell is the end of the scenario, whichever way it comes.
lab_begin() {
	rm -f "/run/lab/ended.$$"
	trap 'exit 1' USR1
	trap 'exit 143' TERM
	trap lab_end EXIT
	mkdir -p /var/log/lab
	if [ -n "${LAB_TRACE:-}" ]; then
		exec {BASH_XTRACEFD}>>"/var/log/lab/$1.trace"
		PS4='+ ${BASH_SOURCE##*/}:$LINENO: '
		set -x
	fi
}

lab_end() {
	local status=$? IFS=' '
	set +e
	trap '' USR1
	[ -n "$LAB_ENDED" ] || [ -e "/run/lab/ended.$$" ] && return
	if [ "$status" -eq 143 ]; then
		: # out of time: the controller says so
	elif [ "$status" -ne 0 ]; then
		lab_event fail "ended with status $status"
	elif [ "$LAB_STEPS" -eq 0 ]; then
		lab_event pass
	else
		lab_end_step
	fi
}

# expect_ok COMMAND...: fail unless the command succeeds; its output is shown in the log.
expect_ok() {
	local status=0
	"$@" || status=$?
	[ $status -eq 0 ] || fail "status $status from: $*"
}

# expect_fail COMMAND...: fail if the command succeeds.
expect_fail() {
	! "$@" || fail "should have failed: $*"
}

# expect_output TEXT COMMAND...: fail unless the command succeeds and prints TEXT somewhere.
expect_output() {
	local text=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	printf '%s\n' "$output"
	[ $status -eq 0 ] || fail "status $status from: $*: $(tail -c 300 <<<"$output")"
	[[ $output == *"$text"* ]] || fail "no '$text' in the output of: $*: $(tail -c 300 <<<"$output")"
}

# expect_same A B WHAT: fail unless A and B are the same text and not empty.
expect_same() {
	[ -n "$1" ] || fail "$3: empty"
	[ "$1" = "$2" ] || fail "$3: '$1' is not '$2'"
}

# wait_for SECONDS COMMAND...: run the command again and again until it succeeds; status 1 when time is up.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -ge "$end" ] && return 1
		sleep 0.2
	done
}

# lab_log: print the directory on the machine outside that holds this run's logs.
lab_log() {
	echo "$LAB_LOG"
}

# shellcheck shell=bash
# What a run tells people: steps as they happen, and the result.

passed=0 failed=0 skipped=0
step_text='' step_began=0 scenario_name='' run_began=$SECONDS

# report_scenario NAME: the lines that follow are about this one.
report_scenario() {
	scenario_name=$1 step_text=''
	[ -n "$narrate" ] || echo "== $1 ($((SECONDS - run_began)) s)"
}

# report_progress TEXT: what happens now, for people who watch.
report_progress() {
	[ -z "$narrate" ] || echo "> $1"
}

# report_event LINE: one event from the scenario library (lib/scenario.sh).
report_event() {
	local text=${1#* }
	case $1 in
	'@step '*)
		step_text=$text step_began=$SECONDS
		[ -n "$narrate" ] && echo "> $text"
		;;
	@pass)
		passed=$((passed + 1))
		[ -n "$narrate" ] || echo "ok - ${step_text:-$scenario_name} ($((SECONDS - step_began)) s)"
		step_text=''
		;;
	'@fail '*)
		failed=$((failed + 1))
		echo "not ok - ${step_text:-$scenario_name}: $text"
		step_text=''
		;;
	'@skip '*)
		skipped=$((skipped + 1))
		echo "skip - ${step_text:-$scenario_name}: $text"
		step_text=''
		;;
	'@note '*) echo "  $text" ;;
	esac
}

# report_result: the last line; status 0 when nothing failed.
report_result() {
	[ -z "$kept" ] || echo "consoles and logs: $kept"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}

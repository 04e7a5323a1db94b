# shellcheck shell=bash
# Waits that end.
#
# eventually SECONDS COMMAND...: try until it succeeds, ever more seldom: looking costs more than what is looked at. The seconds are a quick
# machine's: a busy one gets three times as many.
exec {nothing}<> <(:) # to read from it is to sleep, without a process for that
eventually() {
	local end=$((SECONDS + 3 * $1)) pauses=(0.05 0.05 0.1 0.1 0.2 0.2 0.4) i=0
	shift
	until "$@"; do
		[ $SECONDS -ge $end ] && return 1
		read -r -t "${pauses[i]}" -u "$nothing"
		[ $((i + 1)) -ge ${#pauses[@]} ] || i=$((i + 1))
	done
}

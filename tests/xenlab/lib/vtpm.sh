# shellcheck shell=bash
# The project's own parts as scenarios handle them: what the relay says, what is left behind, TPM commands in guests.

# vtpm_uuid NAME: print the UUID of the vTPM that guest_cfg gives to guest NAME.
vtpm_uuid() {
	lab_uuid vtpm "$1"
}

# vtpm_field UUID FIELD: print a field of what `vtpmctl list --json` says of a vTPM (its last entry); empty: nothing.
vtpm_field() {
	vtpmctl list --json | jq -r --arg uuid "$1" --arg field "$2" '[.[] | select(.uuid == $uuid)][-1][$field] // empty'
}

# relay_start, relay_stop [SIGNAL]: vtpm-relayd here. relay_start waits until it is connected, or "ready" alone with --away.
relay_start() {
	dom0_start vtpm-relayd /usr/sbin/vtpm-relayd || return
	if ! wait_for 15 test -S /run/xen-vtpm/control.sock; then
		echo "vtpm-relayd does not listen: $(tail -n 3 /var/log/lab/vtpm-relayd.log)" >&2
		return 1
	fi
	[ "${1:-}" = --away ] && return
	wait_for 30 relay_connected && return
	echo "vtpm-relayd is not connected after 30 s: $(vtpmctl list 2>&1 | head -n 1); its log: $(relay_log 2)" >&2
	return 1
}

relay_connected() {
	local text
	text=$(vtpmctl list) && [[ $text != *"not connected"* ]]
}

relay_stop() {
	dom0_stop vtpm-relayd "$@"
}

# relay_log [LINES]: the relay's log, or the end of it.
relay_log() {
	tail -n "${1:-+1}" /var/log/lab/vtpm-relayd.log
}

# leftovers: print what guests have left behind on this host; nothing when all is clean. A grant that somebody still
# maps keeps its dead domain as a zombie, which xl list shows. LAB_LEAVE is the name of a guest that is meant to be there.
leftovers() {
	local leave=none stub=none
	if [ -n "${LAB_LEAVE:-}" ]; then
		leave=$(guest_id "$LAB_LEAVE")
		stub=$(vtpmctl list --json | jq -r --argjson guest "$leave" '[.[] | select(.guest == $guest).stub_domain][0] // "none"')
	fi
	xl list | awk -v leave="$leave" -v stub="$stub" 'NR > 1 && $2 > 0 && $2 != leave && $2 != stub { print "domain " $0 }'
	xenstore-list /local/domain | grep -vxE "0|$leave|$stub" | sed 's,^,/local/domain/,'
	xenstore-list /local/domain/0/backend/vtpm 2>/dev/null | grep -vx "$leave" | sed 's,^,/local/domain/0/backend/vtpm/,'
	xenstore-list /libxl 2>/dev/null | grep -vxE "0|$leave|$stub" | sed 's,^,/libxl/,'
	pgrep -af "^(/usr/sbin/)?xl " | sed "/${LAB_LEAVE:-^$}/d; s/^/process /"
}

# expect_clean [SECONDS]: fail if guests have left anything behind.
expect_clean() {
	wait_for "${1:-10}" is_clean || fail "left behind: $(leftovers | head -n 8)"
}

is_clean() {
	[ -z "$(leftovers)" ]
}

# host_counts: print what must be the same before and after: free memory in MiB, the relay's descriptors and memory.
host_counts() {
	local pid n=0
	echo "free_mib $(xl info free_memory)"
	for pid in $(pgrep -f '^/usr/sbin/vtpm-relayd'); do
		echo "descriptors_of_$(tr -c 'a-z' _ <"/proc/$pid/comm")$((n += 1)) $(find "/proc/$pid/fd" -mindepth 1 | wc -l)"
	done
}

# quiet_xl ARGUMENT...: run xl; fail if it fails or prints a libxl error.
quiet_xl() {
	local output status=0
	output=$(xl "$@" 2>&1) || status=$?
	printf '%s\n' "$output"
	[ $status -eq 0 ] || fail "xl $*: status $status: $(tail -n 2 <<<"$output")"
	[[ $output != *libxl* ]] || fail "xl $*: $(grep libxl <<<"$output" | head -n 2)"
}

# tpm NAME COMMAND...: a tpm2-tools command in a guest, over its /dev/tpm0.
tpm() {
	local name=$1
	shift
	guest_run "$name" env TPM2TOOLS_TCTI=device:/dev/tpm0 "$@"
}

# guest_has_tpm NAME: wait until the guest's driver has made /dev/tpm0.
guest_has_tpm() {
	wait_for "${2:-20}" guest_run "$1" test -c /dev/tpm0
}

# tiny_random NAME: 8 random bytes from a tiny guest's TPM, checked for their header and printed in hex.
tiny_random() {
	local answer
	answer=$(guest_run "$1" tpm-raw 80010000000c0000017b0008) || return
	[[ $answer =~ ^800100000014000000000008([0-9a-f]{16})$ ]] && echo "${BASH_REMATCH[1]}" && return
	echo "TPM2_GetRandom in $1: '$answer'" >&2
	return 1
}

# key_names NAME: the names of SRK and EK, RSA and P-256 each.
key_names() {
	GUEST_TIMEOUT=120 guest_run "$1" 'export TPM2TOOLS_TCTI=device:/dev/tpm0
		for kind in rsa2048 ecc256; do
			tpm2_createprimary -Q -C o -G $kind -c /tmp/k.ctx && tpm2_readpublic -c /tmp/k.ctx -n /tmp/k.name >/dev/null || exit 1
			echo "SRK-$kind $(xxd -p -c 99 /tmp/k.name)"
			tpm2_flushcontext -t
		done
		for kind in rsa ecc; do
			tpm2_createek -Q -G $kind -c /tmp/k.ctx && tpm2_readpublic -c /tmp/k.ctx -n /tmp/k.name >/dev/null || exit 1
			echo "EK-$kind $(xxd -p -c 99 /tmp/k.name)"
			tpm2_flushcontext -t
		done'
}

# spares_keep: have the relay keep one spare stub domain, and wait for it. spares_are N: so many of the one are ready.
spares_keep() {
	sed -i "s/^spares = .*/spares = 1/" /etc/xen-vtpm/relay.conf
	relay_stop
	relay_start || fail "the relay does not start: $(relay_log 3)"
	wait_for 40 spares_are 1 || fail "no spare within 40 s: $(relay_log 3)"
}

spares_are() {
	local text
	text=$(vtpmctl list) && [[ $text == *"spare stub domains: $1 of 1 ready"* ]]
}

# vtpm_serving NAME: the vTPM of a guest is served on this host.
vtpm_serving() {
	[ "$(vtpm_field "$(vtpm_uuid "$1")" state)" = serving ]
}

# vtpm_migrate_here NAME: xl migrate to the guest's own host, with a spare stub domain at hand; whoever watched saw no error, and its vTPM is served.
vtpm_migrate_here() {
	local output
	wait_for 40 spares_are 1 || fail "no spare: $(relay_log 3)"
	output=$(guest_migrate_here "$1" 2>&1) || fail "xl migrate: $output"
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait "$1"
	wait_for 30 vtpm_serving "$1" || fail "not served: $(vtpmctl list)"
}

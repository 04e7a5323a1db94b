# lab: hosts=2 timeout=3600
# Measures what a vTPM adds to xl migrate, xl save and xl restore: numbers for bench-life, as notes that begin with "life".
#
# A guest's own process says when it stood still (tick.c); its clock is the host's. Migration: a new PVH guest each time, because the
# emulation does not carry one through two. Save and restore: one PV guest for all rounds, on one host.
set -e
rounds=${ROUNDS:-7}
life=/run/lab/life
rm -rf $life
mkdir -p $life

# median FILE: of its numbers; microseconds there, milliseconds here.
median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END { if (NR) printf "%.0f\n", v[int((NR + 1) / 2)] / 1000 }'
}

now_us() { echo "${EPOCHREALTIME/./}"; }

# --- the guest ---

make_guest() {
	local tree=$life/tree
	mkdir -p $tree/etc $tree/bin
	# shellcheck disable=SC2016
	kmc_run 'cat "$LAB_DIR/../../build/release/bench/tick"' >$tree/bin/tick || fail "no tick: run this as make bench-life"
	printf '#!/bin/sh\nexec tick /run/gaps\n' >$tree/etc/rc.local
	chmod 755 $tree/bin/tick $tree/etc/rc.local
	cp /lab/guests/tiny-initrd $life/initrd
	truncate -s %4 $life/initrd
	(cd $tree && find . -mindepth 1 | busybox cpio -o -H newc 2>/dev/null) >>$life/initrd
}

# life_cfg NAME TYPE [XL-LINE...]: one that does not start anew when the emulation has killed it.
life_cfg() {
	tiny_cfg "$@" memory=40 "ramdisk=\"$life/initrd\"" 'on_reboot="destroy"' 'on_crash="destroy"' >/dev/null
}

# begin NAME: it runs, and has its TPM if its line says so.
begin() {
	quiet_xl create "/etc/xen/lab/$1.cfg" >/dev/null
	guest_wait "$1" || return
	grep -q 'vtpm=\[\]' "/etc/xen/lab/$1.cfg" || wait_for 15 tiny_random "$1" >/dev/null
}

# gap_at NAME TIME: "FROM TO" of the time around that moment in which it stood still. (It does so while its memory is sent, too, in emulation for seconds.)
gap_at() {
	guest_run "$1" cat /run/gaps | awk -v at="$2" '$1 <= at && $2 >= at { found = $0 } END { if (!found) exit 1; print found }'
}

# --- clocks ---

# clock_offset: by how many microseconds the other host's clock is ahead of ours; of 100 questions the one that was answered fastest counts.
clock_offset() {
	local fd before there after best=1000000000 offset=0
	exec {fd}<>"/dev/tcp/$LAB_PEER/9998"
	for _ in {1..100}; do
		before=$(now_us)
		echo >&"$fd"
		read -r there <&"$fd"
		after=${EPOCHREALTIME/./}
		[ $((after - before)) -lt $best ] || continue
		best=$((after - before)) offset=$((there - (before + after) / 2))
	done
	exec {fd}>&-
	echo $offset
}

# One clock for both, or a guest that moves would see it jump.
join_clocks() {
	local offset
	# shellcheck disable=SC2016
	printf '#!/bin/bash\nwhile read -r _; do echo "${EPOCHREALTIME/./}"; done\n' >$life/clock
	chmod 755 $life/clock
	peer_run "mkdir -p $life"
	peer_put $life/clock
	peer_run "chmod 755 $life/clock; dom0_start clock socat TCP-LISTEN:9998,bind=$LAB_PEER,reuseaddr,fork EXEC:$life/clock"
	offset=$(clock_offset)
	peer_run "now=\$((\${EPOCHREALTIME/./} - ($offset))); date -s @\${now:0:10}.\${now:10}" >/dev/null
	note "clocks: the other host's was $((offset / 1000)) ms ahead, now $(clock_offset) us"
}

# --- when what happened ---

# stamped: each line of standard input with the time that it came at.
stamped() {
	local line
	while IFS= read -r line; do
		echo "${EPOCHREALTIME/./} $line"
	done
}

# when_logged FILE TEXT: of the first such line of a relay's log, in microseconds since 1970; nothing if there is none.
when_logged() {
	local line
	line=$(grep -m 1 -F "$2" "$1") && date -d "${line%% *}" +%s%6N
}

# record KIND STEP TIME: unless there is no time; from the moment on that the guest stood still ($from).
record() {
	[ -z "$3" ] || echo $(($3 - from)) >>"$life/step-$1-$2"
}

# --- migration ---

spares() {
	sed -i "s/^spares = .*/spares = $1/" /etc/xen-vtpm/relay.conf
	relay_stop
	relay_start
}

pool_is_full() {
	local text
	text=$(vtpmctl list) && [[ $text == *"spare stub domains: 1 of 1 ready"* ]]
}

# both FUNCTION ARGUMENT...: of this script, on both hosts.
both() {
	"$@" && peer_run "$(declare -f "$1"); ${*@Q}"
}

# lost KIND WHAT: this round does not count.
lost() {
	note "lost: $1: $2"
	echo "$2" >>"$life/lost-$1"
	xl destroy mover 2>/dev/null || true
	peer_run 'xl destroy mover 2>/dev/null || xl destroy mover--incoming 2>/dev/null || true'
}

# steps KIND OFFSET: what relays and xl have said, on our clock.
steps() {
	local name text at
	while read -r name text; do
		record "$1" "$name" "$(when_logged $life/a.log "$text")"
	done <<-TEXT
		noticed sleeps, its TPM is being sealed
		sealed sealed, on record here
		stored suspended, the KMC has its state
	TEXT
	while read -r name text; do
		at=$(when_logged $life/b.log "$text") || true
		record "$1" "$name" "${at:+$((at - $2))}"
	done <<-TEXT
		requested : requested
		reserved reserved at the KMC
		ready resumed in stub domain
		runs its guest runs
		served served by stub domain
	TEXT
	record "$1" transferred "$(awk '/Target has acknowledged transfer/ { print $1 }' $life/xl.log)"
	record "$1" permitted "$permitted"
}

# migrate_once KIND
migrate_once() {
	local kind=$1 offset lines_a lines_b permitted from to
	begin mover || { lost "$kind" "did not start"; return 0; }
	[ "$kind" != warm ] || wait_for 40 both pool_is_full || fail "no spare stub domain within 40 s"
	sleep 1
	lines_a=$(relay_log | wc -l) lines_b=$(peer_run 'relay_log | wc -l')
	offset=$(clock_offset)
	if ! guest_migrate mover > >(stamped >$life/xl.log) 2>&1; then
		lost "$kind" "xl migrate: $(tail -n 1 $life/xl.log)"
		return 0
	fi
	permitted=$(awk '/Giving target permission to start/ { print $1 }' $life/xl.log)
	if ! guest_wait mover 30 || ! read -r from to < <(gap_at mover "$permitted"); then
		lost "$kind" "the guest has died"
		return 0
	fi
	to=$((to - (offset + $(clock_offset)) / 2))
	echo $((to - from)) >>"$life/blackout-$kind"
	relay_log | tail -n "+$((lines_a + 1))" >$life/a.log
	peer_run "relay_log | tail -n +$((lines_b + 1))" >$life/b.log
	steps "$kind" "$offset"
	note "$kind: $(((to - from) / 1000)) ms"
	! grep -q error $life/xl.log || note "xl said: $(grep -m 1 error $life/xl.log)"
	peer_run xl destroy mover
}

# --- save and restore ---

# sleep_once KIND NAME
sleep_once() {
	local kind=$1 name=$2 began saved restoring restored from to
	sleep 1
	began=$(now_us)
	quiet_xl save "$name" /var/tmp/life.save >/dev/null
	saved=$(now_us)
	wait_for 40 pool_is_full || fail "no spare stub domain within 40 s"
	sleep 1
	restoring=$(now_us)
	quiet_xl restore /var/tmp/life.save >/dev/null
	restored=$(now_us)
	guest_wait "$name" || fail "$name is gone after xl restore"
	read -r from to < <(gap_at "$name" "$saved") || fail "$name says that it never stood still"
	echo $((saved - began)) >>"$life/save-$kind"
	echo $((saved - from)) >>"$life/asleep-$kind"
	echo $((restored - restoring)) >>"$life/restore-$kind"
	echo $((to - restoring)) >>"$life/awake-$kind"
}

# migrations KIND: with the vTPM's stub domain from there.
migrations() {
	local n name kinds
	for ((n = 0; n < rounds; n++)); do
		life_cfg mover pvh 'vtpm=[]'
		migrate_once "bare-$1"
		life_cfg mover pvh
		migrate_once "$1"
	done
	for kinds in "bare-$1" "$1"; do
		touch "$life/blackout-$kinds" "$life/lost-$kinds"
		note "life blackout $kinds $(median "$life/blackout-$kinds") $(wc -l <"$life/blackout-$kinds") $(wc -l <"$life/lost-$kinds")"
	done
	for name in noticed sealed stored requested reserved ready transferred permitted runs served; do
		note "life step $1 $name $(median "$life/step-$1-$name")"
	done
	for name in transferred permitted; do
		note "life step bare-$1 $name $(median "$life/step-bare-$1-$name")"
	done
}

step "two hosts on one clock"
make_guest
join_clocks
peer_run expect_clean 20

step "xl migrate with and without vTPM, $rounds times each, from a warm pool"
both spares 1
migrations warm

step "xl save and xl restore with and without vTPM, $rounds times each"
life_cfg bare pv 'vtpm=[]'
life_cfg with pv
for name in bare with; do
	begin $name || fail "$name does not start"
	for ((n = 0; n < rounds; n++)); do
		sleep_once $name $name
	done
	quiet_xl destroy $name
	for what in save asleep restore awake; do
		note "life $what $name $(median "$life/$what-$name")"
	done
done

step "xl migrate with and without vTPM, $rounds times each, the stub domain is built meanwhile"
both spares 0
migrations cold
peer_run dom0_stop clock

# lab: timeout=2400
# Measures in the lab what a vTPM costs xl create, and what a command costs: prints a section for docs/benchmarks.md as notes.
set -e
rounds=${BENCH_ROUNDS:-7} together=${BENCH_TOGETHER:-20}
conf=/etc/xen-vtpm/relay.conf

# median: of the numbers on standard input.
median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# create_ms NAME: create and destroy it, print how many milliseconds xl create took.
create_ms() {
	local began
	began=$(date +%s%N)
	xl create "/etc/xen/lab/$1.cfg" >/dev/null || fail "xl create $1 failed"
	echo $((($(date +%s%N) - began) / 1000000))
	xl destroy "$1" || fail "xl destroy $1 failed"
}

# stub_ms: from the relay's log, milliseconds from the request to each of: stub domain built, device served.
stub_ms() {
	relay_log | awk -v what="$1" '
		function ms(text) { split(text, t, /[T:.Z]/); return ((t[2] * 60 + t[3]) * 60 + t[4]) * 1000 + t[5] }
		/: requested/ { began = ms($1) }
		index($0, what) && began { print ms($1) - began }' | tail -n "$rounds" | median
}

# service NAME: commands and nanoseconds of service so far, as the stub domain counts them.
service() {
	local uuid
	uuid=$(vtpm_uuid "$1")
	vtpmctl list --json >/dev/null
	sleep 1
	echo "$(vtpm_field "$uuid" commands) $(vtpm_field "$uuid" service_us)"
}

# option SECTION KEY VALUE: in relay.conf from now on.
option() {
	if grep -q "^$2 = " $conf; then
		sed -i "s/^$2 = .*/$2 = $3/" $conf
	else
		printf '\n[%s]\n%s = %s\n' "$1" "$2" "$3" >>$conf
	fi
	relay_stop
	relay_start || fail "the relay does not start with $2 = $3"
}

get_random=80010000000c0000017b0010
define_counter=80020000002d0000012a40000001000000094000000900000000000000000e01500001000b0002001200000008
increment=80020000001f00000134400000010150000100000009400000090000000000

# latency NAME N ARGUMENT...: median and 99th percentile in microseconds, as the program latency in the guest measures them.
latency() {
	local p50 p99 rc
	read -r p50 p99 rc < <(GUEST_TIMEOUT=120 guest_run "$1" latency "${@:3}" "$2") && [ "$rc" = 00000000 ] || fail "latency ${*:3}: $p50 $p99 $rc"
	echo "$p50 / $p99"
}

# fsync_us: of files as large as a small vTPM's state, on the disk that has them.
fsync_us() {
	local file=/var/lib/xen-vtpm/bench began
	began=$(date +%s%N)
	dd if=/dev/zero of=$file bs=4096 count=200 oflag=dsync 2>/dev/null
	echo $((($(date +%s%N) - began) / 200000))
	rm -f $file
}

# free_mib: once Xen has scrubbed what was given back.
free_mib() {
	sleep 2
	xl info free_memory
}

pool_is_full() {
	local text
	text=$(vtpmctl list) && [[ $text == *"spare stub domains: 1 of 1 ready"* ]]
}

step "xl create of a tiny guest, with and without vtpm line, $rounds times each"
tiny_cfg without 'vtpm=[]' >/dev/null
tiny_cfg with >/dev/null
create_ms with >/dev/null
for ((n = 0; n < rounds; n++)); do
	create_ms without >>/run/lab/without
	create_ms with >>/run/lab/with
done
expect_clean
note "| xl create, no vtpm line | $(median </run/lab/without) ms |"
note "| xl create, vtpm line | $(median </run/lab/with) ms |"
note "| request to stub domain built | $(stub_ms 'built stub domain') ms |"
note "| request to device served | $(stub_ms 'served by stub domain') ms |"

step "the same with a warm pool of one stub domain, refilled between two guests"
option stub spares 1
for ((n = 0; n < rounds; n++)); do
	wait_for 40 pool_is_full || fail "no spare stub domain within 40 s: $(relay_log 3)"
	create_ms without >>/run/lab/without-warm
	wait_for 40 pool_is_full || fail "no spare stub domain within 40 s: $(relay_log 3)"
	create_ms with >>/run/lab/with-warm
done
bare=$(median </run/lab/without-warm) warm=$(median </run/lab/with-warm)
note "| xl create, no vtpm line, beside a warm pool | $bare ms |"
note "| xl create, vtpm line, from the warm pool | $warm ms |"
note "| that is more by | $(((warm - bare) * 100 / bare)) % |"
option stub spares 0
expect_clean

step "memory of a stub domain, PV and PVH: what the host has less of with one more spare"
for type in pv pvh; do
	option stub type $type
	wait_for 20 is_clean || fail "left behind: $(leftovers | head -n 3)"
	before=$(free_mib)
	option stub spares 1
	wait_for 60 pool_is_full || fail "no spare stub domain within 60 s: $(relay_log 3)"
	note "| memory of a stub domain, $type | $((before - $(free_mib))) MiB, $(xl list | awk '$1 ~ /^vtpm-spare-/ { print $3; exit }') MiB of it its own |"
	option stub spares 0
done
option stub type "${LAB_STUB_TYPE:-pv}"
expect_clean 20

step "a command from a guest, by each way"
guestd_initrd
expect_ok guestd_guest bench pv
expect_ok guestd_modules bench
guestd_serves bench
read -r count_before us_before < <(service bench)
through_guestd=$(latency bench 200 $get_random)
read -r count us < <(service bench)
[ "$count" -gt "$count_before" ] || fail "the stub domain counted no command"
served=$(((us - us_before) / (count - count_before)))
note "| GetRandom through vtpm-guestd, median / p99 | $through_guestd us |"

step "writes to NV, with each durability, beside one fsync"
expect_output 80020000001300000000 guest_run bench tpm-raw $define_counter
note "| NV_Increment through vtpm-guestd, durability = host | $(latency bench 50 $increment) us |"
option state durability kmc
note "| NV_Increment through vtpm-guestd, durability = kmc | $(latency bench 50 $increment) us |"
option state durability host
note "| one fsync of 4 KiB in dom0's state directory, mean | $(fsync_us) us |"

step "the same without the kernel's TPM driver, and with xen-tpmfront"
expect_ok guest_run bench "kill $(guestd_pid bench); sleep 1"
ping=$(latency bench 500 ping)
note "| bare ping-pong of events between the same two domains | $ping us |"
through_page=$(latency bench 200 page $get_random)
note "| GetRandom over the shared page, without the kernel's TPM driver | $through_page us |"
note "| GetRandom, in the stub domain, mean | $served us |"
for way in "over the shared page:$through_page" "through vtpm-guestd:$through_guestd"; do
	median=${way#*:}
	note "| GetRandom ${way%%:*}, of ping-pong and stub domain together | $((${median%% *} * 100 / (${ping%% *} + served))) % |"
done
expect_ok guest_run bench 'insmod /modules/xen-tpmfront.ko'
guest_has_tpm bench || fail "no TPM in the guest"
note "| GetRandom through xen-tpmfront | $(latency bench 200 $get_random) us |"
note "| memory of a stub domain's program | $(vtpm_field "$(vtpm_uuid bench)" memory_kib) KiB |"
quiet_xl destroy bench
expect_clean

step "up to $together guests with vTPMs side by side"
# Each is there before the next one is created, and none of them does anything then: one emulated processor serves all.
add_guest() {
	local began
	began=$(date +%s%N)
	xl create "/etc/xen/lab/$1.cfg" >/dev/null || return
	echo $((($(date +%s%N) - began) / 1000000)) >>/run/lab/together
	expect_ok guest_wait "$1" 120
}

before=$(free_mib) n=0
while [ $n -lt "$together" ]; do
	tiny_cfg "bench-$((n + 1))" >/dev/null
	add_guest "bench-$((n + 1))" || add_guest "bench-$((n + 1))" || break
	n=$((n + 1))
done
[ $n -eq "$together" ] || note "no more than $n guests: $(relay_log 20 | grep -o 'no vTPM: .*' | tail -n 1)"
note "| memory of a guest of 32 MiB and its stub domain, of $n | $(((before - $(free_mib)) / n)) MiB |"
for ((i = 1; i <= n; i++)); do
	wait_for 30 tiny_random "bench-$i" >/dev/null || fail "no TPM in bench-$i"
done
note "| guests side by side, the TPM of each answers | $n of $together |"
note "| xl create of the last five of them | $(tail -n 5 /run/lab/together | median) ms |"
for ((i = 1; i <= n; i++)); do
	quiet_xl destroy "bench-$i"
done
expect_clean 30

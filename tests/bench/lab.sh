# lab: timeout=900
# Measures in the lab what a vTPM costs xl create, and what a command costs: prints a section for docs/benchmarks.md as notes.
set -e
rounds=${BENCH_ROUNDS:-7}

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

# spares N: the warm pool from now on.
spares() {
	sed -i "s/^spares = .*/spares = $1/" /etc/xen-vtpm/relay.conf
	relay_stop
	relay_start || fail "the relay does not start with $1 spares"
}

pool_is_full() {
	local text
	text=$(vtpmctl list) && [[ $text == *"spare stub domains: 1 of 1 ready"* ]]
}

step "xl create of a tiny guest, with and without vtpm line, $rounds times each"
tiny_cfg without pvh 'vtpm=[]' >/dev/null
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
spares 1
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
spares 0
expect_clean

step "commands through the guest's /dev/tpm0"
guest_cfg bench >/dev/null
expect_ok guest_start bench
guest_has_tpm bench || fail "no TPM in the guest"
for command in 80010000000c0000017b0010:GetRandom 80010000000a0000017e:malformed; do
	read -r count_before us_before < <(service bench)
	result=$(guest_run bench latency "${command%%:*}" 200) || fail "latency: $result"
	read -r count us < <(service bench)
	read -r p50 p99 _ <<<"$result"
	note "| ${command#*:}, seen by the guest, median / p99 | $p50 / $p99 us |"
	[ "$count" -gt "$count_before" ] || fail "the stub domain counted no command"
	note "| ${command#*:}, service time in the stub domain, mean | $(((us - us_before) / (count - count_before))) us |"
done
stub=$(vtpm_field "$(vtpm_uuid bench)" stub_domain)
note "| memory of a stub domain | $(xl list | awk -v id="$stub" '$2 == id { print $3 }') MiB |"
note "| of that, its program | $(vtpm_field "$(vtpm_uuid bench)" memory_kib) KiB |"
quiet_xl destroy bench

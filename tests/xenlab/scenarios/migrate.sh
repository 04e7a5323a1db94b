# lab: hosts=2 timeout=3600
# xl migrate, there and back, under load: the TPM goes with its guest. ROUNDS says how often. The guest is the tiny one: what has to be sent, and
# with it the time that the emulation has to spoil the guest, is a sixth of the Debian guest's.
set -e
ROUNDS=${ROUNDS:-10}

# a storage key on P-256, and its public part
create_primary=8002000000430000013140000001${RAW_PASSWORD}000400000000001a0023000b0003007200000006008000430010000300100000000000000000000000
read_public=80010000000e0000017380000000

# object: the public part of the loaded object, without its response header.
object() {
	raw mover "$RAW_NEWEST" $read_public | cut -c 21-
}

# moved STATE-COMMAND...: the guest runs, its vTPM is served, and its load goes on.
moved() {
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait mover
	wait_for 30 "$@" vtpm_serving mover || fail "not served: $("$@" vtpmctl list)"
	extends=$(load_extends mover)
	wait_for 30 load_beyond mover "$extends" || fail "its load does not get on: $(guest_run mover 'tail -n 3 /tmp/errors')"
}

step "a guest runs, with its TPM under load"
tiny_cfg mover pvh >/dev/null
expect_ok guest_start mover
wait_for 30 tiny_random mover >/dev/null || fail "no TPM in the guest"
raw mover "$RAW_NEWEST" "$RAW_DEFINE" "$create_primary" >/dev/null
object=$(object)
raw_load_start mover "$RAW_NEWEST"

for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round: there"
	output=$(guest_migrate mover 2>&1) || fail "xl migrate: $output"
	moved peer_run
	expect_clean 20
	step "round $round: and back"
	output=$(RUN_TIMEOUT=900 peer_run guest_migrate mover 2>&1) || fail "xl migrate: $output"
	moved
	peer_run expect_clean 20
	note "$(load_says mover)"
done

step "the counter never fell nor repeated, the PCR is the guest's own log, the object is there"
raw_load_expect mover "$RAW_NEWEST"
expect_same "$(object)" "$object" "the loaded object"
quiet_xl destroy mover
expect_clean

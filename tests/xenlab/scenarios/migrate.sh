# lab: hosts=2 timeout=3600
# xl migrate, there and back, under load: the TPM goes with its guest. ROUNDS says how often. The guest is the tiny one: what has to be sent, and
# with it the time that the emulation has to spoil the guest, is a sixth of the Debian guest's.
set -e
ROUNDS=${ROUNDS:-10}

auth=00000009400000090000000000
counter=01500001
digest=$(printf 'ab%.0s' {1..32})
define=80020000002d0000012a40000001${auth}0000000e${counter}000b0002001200000008
increment=80020000001f0000013440000001${counter}$auth
read_counter=8002000000230000014e40000001${counter}${auth}00080000
read_pcr=8001000000140000017e00000001000b03000001
extend=8002000000410000018200000010${auth}00000001000b$digest
# a storage key on P-256, and its public part
create_primary=8002000000430000013140000001${auth}000400000000001a0023000b0003007200000006008000430010000300100000000000000000000000
read_public=80010000000e0000017380000000

# In the guest: extend and count without end, and log what was answered; the TPM device changes with each migration. The pause leaves the
# emulated processors to those that send the guest.
load='
n=0
echo 0 >/tmp/extends; : >/tmp/counts; : >/tmp/errors; : >/tmp/unanswered
while [ ! -e /tmp/stop ]; do
	device=$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)
	answer=$(tpm-raw '$extend' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) n=$((n + 1)); echo $n >/tmp/extends ;;
	*) echo "extend: $answer" >>/tmp/errors; echo >>/tmp/unanswered ;;
	esac
	answer=$(tpm-raw '$increment' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) ;;
	*) echo "increment: $answer" >>/tmp/errors; continue ;;
	esac
	answer=$(tpm-raw '$read_counter' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) echo $answer | cut -c 33-48 >>/tmp/counts ;;
	*) echo "read: $answer" >>/tmp/errors ;;
	esac
	sleep 0.2
done
'

# raw COMMAND: a TPM command, answered by the device that the guest has now.
raw() {
	# shellcheck disable=SC2016
	guest_run mover 'tpm-raw '"$1"' $(ls /dev/tpm[0-9]* | sort -V | tail -n 1)'
}

# object: the public part of the loaded object, without its response header.
object() {
	raw $read_public | cut -c 21-
}

got_on() {
	[ "$(guest_run mover cat /tmp/extends)" -gt "$1" ]
}

# moved STATE-COMMAND...: the guest runs, its vTPM is served, and its load goes on.
moved() {
	[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
	expect_ok guest_wait mover
	wait_for 30 eval "[ \"\$($* vtpm_field $(vtpm_uuid mover) state)\" = serving ]" || fail "not served: $("$@" vtpmctl list)"
	extends=$(guest_run mover cat /tmp/extends)
	wait_for 30 got_on "$extends" || fail "its load does not get on: $(guest_run mover 'tail -n 3 /tmp/errors')"
}

step "a guest runs, with its TPM under load"
tiny_cfg mover pvh >/dev/null
expect_ok guest_start mover
wait_for 30 tiny_random mover >/dev/null || fail "no TPM in the guest"
raw $define >/dev/null
raw $create_primary >/dev/null
object=$(object)
guest_run mover "cat >/tmp/load.sh <<'X'
$load
X
sh /tmp/load.sh >/dev/null 2>&1 &"

for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round: there"
	output=$(guest_migrate mover 2>&1) || fail "xl migrate: $output"
	moved peer_run
	expect_clean 20
	step "round $round: and back"
	output=$(RUN_TIMEOUT=900 peer_run guest_migrate mover 2>&1) || fail "xl migrate: $output"
	moved
	peer_run expect_clean 20
	note "extends: $extends, counts: $(guest_run mover 'wc -l </tmp/counts'), errors: $(guest_run mover 'wc -l </tmp/errors')"
done

step "the counter never fell nor repeated, the PCR is the guest's own log, the object is there"
guest_run mover 'touch /tmp/stop; sleep 3'
guest_run mover 'sort -c -u /tmp/counts' || fail "counts out of order: $(guest_run mover 'tail -n 5 /tmp/counts')"
pcr=$(raw $read_pcr)
pcr_within "${pcr: -64}" "$(guest_run mover cat /tmp/extends)" "$(guest_run mover 'wc -l </tmp/unanswered')"
expect_same "$(object)" "$object" "the loaded object"
quiet_xl destroy mover
expect_clean

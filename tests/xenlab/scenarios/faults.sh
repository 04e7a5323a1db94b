# lab: hosts=2 timeout=3600
# A guest goes from one host to the other by real xl, and at each step of it something dies: the guest ends on exactly one host with exactly
# its TPM (a counter, a PCR), or is refused with the reason. The table is below; docs/failures.md names its rows.
# PV guests are saved and restored; xl migrate has PVH ones, each new, since the emulation seldom carries one through two migrations.
# Not part of make check: half an hour. ROWS, a regular expression, says which rows: ROWS='^(migrate|old-file)', ROWS='^restore reserved guest'.
set -e
ROWS=${ROWS:-.}
uuid=$(vtpm_uuid sleeper)

# --- what is done on the host that it happens to ---

# strike FAULT: to this host, or to what it talks with.
strike() {
	case $1 in
	nothing) ;;
	relay) relay_stop KILL ;;
	relay-restarted) relay_stop KILL && relay_start ;;
	kmc) kmcd_stop kmc KILL ;;
	network) ip link set kmc0 down ;;
	stub) xl destroy "$(vtpm_field "$uuid" stub_domain)" ;;
	guest) xl destroy sleeper ;;
	xl) pkill -KILL -f '(^|/)xl (restore|migrate-receive)' ;;
	wire) pkill -KILL -f '^socat -t2 - TCP:.*:9999' ;;
	esac
}

# mend FAULT: undo it, where that can be.
mend() {
	case $1 in
	relay) relay_start ;;
	kmc) kmcd_start ;;
	network) ip link set kmc0 up ;;
	esac
}

# hold_kmc: what is requested from now on is not reserved before release_kmc. A call to the KMC's machine takes longer than a reservation.
hold_kmc() {
	held=$(kmc_pid kmcd-kmc)
	kmc_run kill -STOP "$held"
}
release_kmc() { kmc_run kill -CONT "$held" 2>/dev/null || true; }

# strike_when POINT FAULT MARK [PID]: when the relay's log says so after its byte MARK. Meanwhile nothing goes on: xl (PID) is stopped, or, for
# requested, kmcd since before ($held). Status 99: too late.
strike_when() {
	local text pid=${4:-} log=/var/log/lab/vtpm-relayd.log
	case $1 in
	sleeps) text="sleeps, its TPM is being sealed" ;;
	stored) text="suspended, the KMC has its state" ;;
	requested) text=": requested" ;;
	*) return 0 ;;
	esac
	lab_follow $log "$3" 120 grep -qm 1 "$text" || return 99
	[ "$1" = requested ] || kill -STOP "$pid" || return 99
	strike "$2"
	if [ "$1" = requested ]; then release_kmc; else kill -CONT "$pid" 2>/dev/null || true; fi
}

# with_fault POINT FAULT XL-ARGUMENT...: xl, and the fault at that point of it. Its output is in /run/lab/fault.out. Status: xl's, or 99.
with_fault() {
	local point=$1 fault=$2 mark pid struck=0 status=0
	shift 2
	[ "$point" != requested ] || hold_kmc
	mark=$(stat -c %s /var/log/lab/vtpm-relayd.log)
	[ "$point" != before ] || strike "$fault"
	xl "$@" >/run/lab/fault.out 2>&1 &
	pid=$!
	strike_when "$point" "$fault" "$mark" $pid || struck=$?
	wait $pid || status=$?
	[ "$point" != reserved ] || [ $status -ne 0 ] || strike "$fault"
	[ $struck -eq 0 ] && return $status
	return $struck
}

# --- hosts ---

other() { [ "$1" = a ] && echo b || echo a; }

# at HOST COMMAND...: a command or a function of this script there.
at() {
	local host=$1
	shift
	if [ "$host" = "$LAB_HOST" ]; then
		"$@"
	else
		RUN_TIMEOUT=240 peer_run "uuid=$uuid; $(declare -f strike mend hold_kmc release_kmc strike_when with_fault lab_follow other quiet); ${*@Q}"
	fi
}

# quiet: xl has said nothing of an error, here and on the other side of a migration.
quiet() {
	! grep -iE 'error|libxl' /run/lab/fault.out
}

# mended HOST FAULT: undone there, and both hosts are connected.
mended() {
	at "$1" mend "$2" || fail "$2 does not come back: $(at "$1" relay_log 3)"
	wait_for 60 relay_connected && wait_for 60 peer_run relay_connected || fail "not connected again after $2"
}

# carry FROM TO: the save file.
carry() {
	if [ "$1" = a ]; then peer_put /var/tmp/sleeper.save; else peer_get /var/tmp/sleeper.save; fi
}

# --- the guest: $where it is, and what its TPM has to hold ---

where=a count=0 pcr=$(printf '0%.0s' {1..64})

# asks COMMAND...: its TPM answers.
asks() { GUEST_TIMEOUT=${RAW_TIMEOUT:-60} raw "$guest" "$RAW_NEWEST" "$@"; }

# holds: what is wrong with the guest's TPM; nothing: it holds what it should.
holds() {
	local number value
	{ read -r number && read -r value; } < <(asks $RAW_READ_COUNTER $RAW_READ_PCR) || { echo "no answer from its TPM"; return; }
	[ "${number:32:16}" = "$(printf %016x "$count")" ] || echo "the counter says ${number:-nothing}, not $count"
	[[ $value == *$pcr ]] || echo "PCR 16 says ${value:-nothing}, not $pcr"
}

# used: it counts and extends.
used() {
	local answers
	answers=$(asks $RAW_INCREMENT "$RAW_EXTEND") || fail "its TPM does not answer any more"
	[ "$(cut -c 13-20 <<<"$answers" | tr -d '\n')" = 0000000000000000 ] || fail "its TPM answers $answers"
	count=$((count + 1))
	pcr=$(printf %s "$pcr$RAW_DIGEST" | xxd -r -p | sha256sum | cut -c 1-64)
}

is_serving() { [ "$(at "$1" vtpm_field "$uuid" state)" = serving ]; }

holder() { kmcctl_at kmc vtpm list --json | jq -r --arg uuid "$uuid" '.[] | select(.uuid == $uuid) | .holder // "-"'; }

# whole HOST: the guest is there and not elsewhere, with all of its TPM, which it goes on using.
whole() {
	local wrong
	where=$1
	guest_wait "$guest" 90 || fail "the guest does not run: $(at a xl list; at b xl list)"
	wait_for 60 is_serving "$where" || fail "not served at $where: $(at "$where" vtpmctl list)"
	expect_ok at "$where" guest_id "$guest"
	expect_fail at "$(other "$where")" guest_id "$guest"
	! is_serving "$(other "$where")" || fail "served twice"
	expect_same "$(holder)" "$where" "who holds it at the KMC"
	wrong=$(holds)
	[ -z "$wrong" ] || fail "$wrong"
	used
}

# cold: the guest starts anew where it was: NV kept, PCRs not.
cold() {
	pcr=$(printf '0%.0s' {1..64})
	at "$where" xl create /etc/xen/lab/sleeper.cfg || fail "xl create: $(at "$where" vtpmctl list)"
	whole "$where"
}

# restored HOST [OPTION]: xl restore; the network may need a moment after it was cut.
restored() {
	local host=$1
	shift
	for _ in 1 2 3; do
		at "$host" with_fault none nothing restore "$@" /var/tmp/sleeper.save && return
	done
	fail "xl restore at $host: $(at "$host" vtpm_field "$uuid" reason)"
}

# told HOST REASON: the relay says so; nothing for no reason.
told() {
	[ -z "$2" ] || wait_for 15 eval "at $1 vtpm_field $uuid reason | grep -qF '$2'" || fail "'$2' is not said: $(at "$1" vtpmctl list)"
}

# refused HOST REASON: the file, and the domain is gone.
refused() {
	expect_fail at "$1" with_fault none nothing restore /var/tmp/sleeper.save
	told "$1" "$2"
	at "$1" wait_for 20 guest_gone sleeper || fail "refused, and still there"
}

# saved POINT FAULT [OPTION...]: xl save where the guest is.
saved() {
	local point=$1 fault=$2 status=0
	shift 2
	at "$where" with_fault "$point" "$fault" save "$@" sleeper /var/tmp/sleeper.save || status=$?
	[ $status -ne 99 ] || fail "the save was over before the fault"
	xl_status=$status
}

# --- the rows of the table ---

# The fault comes while it is saved.
row_save() {
	local from=$where to
	to=$(other "$from")
	saved "$1" "$2"
	carry "$from" "$to"
	case $3 in
	moved)
		restored "$to"
		whole "$to"
		;;
	mended)
		refused "$to" "$4"
		;;
	cold)
		mended "$from" "$2"
		refused "$to" "$4"
		cold
		return
		;;
	esac
	mended "$from" "$2"
	if [ "$3" = mended ]; then
		restored "$to"
		whole "$to"
	fi
}

# It comes while it is restored on the other host.
row_restore() {
	local from=$where to status=0 options=()
	to=$(other "$from")
	[ "$1" != reserved ] || options=(-p)
	saved none nothing
	[ $xl_status -eq 0 ] || fail "xl save: status $xl_status"
	at "$from" quiet || fail "xl save prints errors"
	carry "$from" "$to"
	at "$to" with_fault "$1" "$2" restore "${options[@]}" /var/tmp/sleeper.save || status=$?
	[ $status -ne 99 ] || fail "the restore was over before the fault"
	case $3 in
	moved)
		[ $status -eq 0 ] && at "$to" quiet || fail "xl restore: status $status, or it prints errors"
		whole "$to"
		;;
	mended)
		[ $status -ne 0 ] || [ "$1" = reserved ] || fail "the restore succeeded"
		[ "$2" = relay ] || told "$to" "$4"
		! at "$to" guest_id sleeper >/dev/null || at "$to" xl destroy sleeper # xl was killed, or had done its part
		mended "$to" "$2"
		restored "$to"
		whole "$to"
		;;
	waits)
		at "$to" xl unpause sleeper
		! guest_wait sleeper 5 2>/dev/null || [ -n "$(RAW_TIMEOUT=5 holds)" ] || fail "its TPM answers before it is mended"
		mended "$to" "$2"
		whole "$to"
		;;
	home)
		restored "$from"
		whole "$from"
		;;
	esac
}

# It comes while it sleeps for a checkpoint, after which it runs on.
row_checkpoint() {
	saved "$1" "$2" -c
	if [ "$3" = cold ]; then
		told "$where" "$4"
		at "$where" xl destroy sleeper
		cold
	else
		mended "$where" "$2"
		whole "$where"
	fi
}

# A file of a guest that runs: refused while it does, and for good once it has run on.
row_old-file() {
	local to
	saved none nothing -c
	[ $xl_status -eq 0 ] && at "$where" quiet || fail "xl save -c: status $xl_status, or it prints errors"
	whole "$where"
	to=$(other "$where")
	carry "$where" "$to"
	refused "$to" "held"
	whole "$where"
	at "$where" xl destroy sleeper
	refused "$to" "image"
	cold
}

# The second restore of one file.
row_file-twice() {
	local from=$where
	saved none nothing
	carry "$from" "$(other "$from")"
	restored "$(other "$from")"
	whole "$(other "$from")"
	refused "$from" "held"
	whole "$where"
}

# xl migrate of a new guest.
row_migrate() {
	local guest=mover uuid where=a count=0 pcr status=0 mark point=none fault_process='' began
	uuid=$(vtpm_uuid mover) pcr=$(printf '0%.0s' {1..64})
	tiny_cfg mover pvh 'on_reboot="destroy"' 'on_crash="destroy"' >/dev/null
	begin
	began=$SECONDS
	mark=$(peer_run stat -c %s /var/log/xen/migrate-receive.log 2>/dev/null || echo 0)
	case $1 in
	before) at b strike "$2" ;;
	requested)
		hold_kmc
		at b eval "held=$held; strike_when requested $2 $(peer_run stat -c %s /var/log/lab/vtpm-relayd.log)" &
		fault_process=$!
		;;
	sleeps | stored) point=$1 ;;
	esac
	# when the receiver has gone, xl hears of it from socat's end, as from that of ssh
	with_fault $point "$2" migrate -s '' mover "socat -t2 - TCP:$LAB_PEER:9999" || status=$?
	[ -z "$fault_process" ] || wait "$fault_process" || fail "the fault did not come"
	note "xl migrate: status $status after $((SECONDS - began)) s"
	case $3 in
	moved)
		[ $status -eq 0 ] && quiet || fail "xl migrate: status $status: $(tail -n 3 /run/lab/fault.out)"
		! peer_run "tail -c +$((mark + 1)) /var/log/xen/migrate-receive.log | grep -iE 'error'" || fail "the receiving xl prints errors"
		whole b
		;;
	stays)
		[ $status -ne 99 ] || fail "the migration was over before the fault"
		[ $status -ne 0 ] || fail "xl migrate succeeded"
		mended b "$2"
		peer_run 'for g in mover mover--incoming; do ! guest_id $g >/dev/null || xl destroy $g; done'
		whole a
		;;
	esac
	at "$where" xl destroy mover
}

# begin: a guest with a counter in its TPM.
begin() {
	quiet_xl create "/etc/xen/lab/$guest.cfg" >/dev/null
	guest_wait "$guest" && wait_for 15 tiny_random "$guest" >/dev/null || fail "no guest with a TPM"
	asks $RAW_DEFINE >/dev/null
	asks $RAW_INCREMENT >/dev/null
	read -r answer < <(asks $RAW_READ_COUNTER)
	[[ $answer =~ ^.{12}00000000 ]] || fail "no counter in its TPM: $answer"
	count=$((16#${answer:32:16}))
}

guest=sleeper
step "a guest counts in its TPM"
tiny_cfg sleeper >/dev/null
peer_run tiny_cfg sleeper >/dev/null
begin

while read -r op point fault outcome reason; do
	[[ "$op $point $fault" =~ $ROWS ]] || continue
	step "$op, $point: $fault: $outcome${reason:+ ($reason)}"
	"row_$op" "$point" "$fault" "$outcome" "$reason" </dev/null
done <<TABLE
restore    none      nothing         moved
save       before    relay           cold    not suspended
save       sleeps    relay-restarted moved
save       stored    stub            moved
save       before    kmc             mended  Connection refused
save       stored    kmc             mended  Connection refused
save       before    network         mended  held
save       stored    network         moved
restore    before    relay           mended
restore    requested relay           mended
restore    requested kmc             mended  Connection refused
restore    requested network         mended  has not answered
restore    requested xl              mended
restore    reserved  stub            mended  died
restore    reserved  relay           waits
restore    reserved  kmc             waits
restore    reserved  network         waits
restore    reserved  guest           home
checkpoint sleeps    nothing         stays
checkpoint sleeps    relay-restarted stays
checkpoint sleeps    kmc             stays
checkpoint stored    network         stays
checkpoint stored    stub            cold    died
old-file   -         -               refused
file-twice -         -               refused
migrate    none      nothing         moved
migrate    before    relay           stays
migrate    before    kmc             stays
migrate    requested xl              stays
migrate    sleeps    wire            stays
TABLE

step "nothing is left on either host"
for host in a b; do
	at $host xl destroy sleeper 2>/dev/null || true
done
expect_clean 30
peer_run expect_clean 30

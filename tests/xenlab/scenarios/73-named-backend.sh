# lab: timeout=900
# Named backends: vtpmctl prepare, and guests whose vtpm line says backend=NAME, through create, reboot, shutdown, save and restore.
set -e
name=tpm-alpha
uuid=$(vtpm_uuid alpha)

# named_cfg NAME TYPE UUID: a tiny guest whose line names the backend.
named_cfg() {
	tiny_cfg "$1" "$2" "vtpm=[\"backend=$name,uuid=$3\"]" >/dev/null
}

# prepared: print the domain that waits under the name.
prepared() {
	vtpmctl list --json | jq -er --arg name $name '.[] | select(.backend == $name and .state == "prepared").stub_domain'
}

# refusal TEXT COMMAND...: the command fails and says so.
refusal() {
	local output
	output=$("${@:2}" 2>&1) && fail "it did not fail: $output"
	[[ $output == *"$1"* ]] || fail "it says: $output"
}

begin() {
	named_cfg alpha pv "$uuid"
	quiet_xl create /etc/xen/lab/alpha.cfg
	expect_ok guest_wait alpha
	wait_for 15 tiny_random alpha || fail "no TPM in the guest: $(guest_run alpha 'dmesg | tail -n 3')"
}

step "a backend is prepared, under a name that xl knows"
expect_ok vtpmctl prepare "$uuid" $name
first=$(prepared) || fail "not listed: $(vtpmctl list)"
expect_same "$(xl domid $name)" "$first" "domain of that name"
vtpmctl list

step "what would clash is refused"
refusal "is prepared already" vtpmctl prepare "$uuid" tpm-beta
refusal "is prepared already" vtpmctl prepare "$(vtpm_uuid beta)" $name
refusal "is no name" vtpmctl prepare "$(vtpm_uuid beta)" Domain-0

step "xl create with the name: the prepared domain serves"
begin
expect_same "$(vtpm_field "$uuid" stub_domain)" "$first" "stub domain of the guest"
expect_same "$(vtpm_field "$uuid" backend)" $name "backend in vtpmctl list"
expect_output "$uuid" quiet_xl vtpm-list alpha

step "a second guest on the same name gets nothing, the first goes on"
named_cfg gamma pv "$uuid"
refusal "" xl create /etc/xen/lab/gamma.cfg
expect_output "in use" relay_log 20
xl destroy gamma 2>/dev/null || true
tiny_random alpha >/dev/null || fail "the guest that runs has lost its TPM"

step "xl destroy: no libxl error, and the next domain has the name"
quiet_xl destroy alpha
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"
[ "$(prepared)" != "$first" ] || fail "it is the domain that held the guest's TPM"
wait_for 20 eval "[ \"\$(xl list | awk 'NR > 1 && \$2 > 0' | wc -l)\" = 1 ]" || fail "left behind: $(xl list)"

step "another vTPM on that name, and backend=0 with this vTPM, are refused with the reason"
named_cfg gamma pv "$(vtpm_uuid gamma)"
refusal "" xl create /etc/xen/lab/gamma.cfg
expect_output "backend $name is prepared for vTPM $uuid" relay_log 20
xl destroy gamma 2>/dev/null || true
tiny_cfg alpha pv >/dev/null
refusal "" xl create /etc/xen/lab/alpha.cfg
expect_output "its line must say backend=$name" relay_log 20
xl destroy alpha 2>/dev/null || true

step "xl reboot: libxl looks the name up again"
begin
before=$(guest_id alpha)
quiet_xl reboot alpha
wait_for 60 eval '[ "$(guest_id alpha || echo "$before")" != "$before" ]' || fail "no new domain within 60 s: $(relay_log 5)"
expect_ok guest_wait alpha
wait_for 15 tiny_random alpha || fail "no TPM after the reboot: $(relay_log 5)"
expect_same "$(vtpm_field "$uuid" backend)" $name "backend after the reboot"

step "the relay is killed and comes back: the guest is adopted under its name"
relay_stop KILL
tiny_random alpha >/dev/null || fail "without relay the guest has no TPM"
expect_ok relay_start
wait_for 15 eval '[ "$(vtpm_field "$uuid" state)" = serving ]' || fail "not adopted: $(vtpmctl list)"
expect_same "$(vtpm_field "$uuid" backend)" $name "backend after the relay's restart"

step "xl shutdown"
quiet_xl shutdown alpha
wait_for 40 guest_gone alpha || fail "still there after 40 s"
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"

step "xl save and xl restore"
guest_cfg alpha pv "vtpm=[\"backend=$name,uuid=$uuid\"]" >/dev/null # the tiny guest can't sleep
expect_ok guest_start alpha
guest_has_tpm alpha || fail "no TPM in the guest: $(vtpmctl list)"
quiet_xl save alpha /var/tmp/alpha.save
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"
quiet_xl restore /var/tmp/alpha.save
rm -f /var/tmp/alpha.save
expect_ok guest_wait alpha
wait_for 20 eval '[ "$(vtpm_field "$uuid" state)" = serving ]' || fail "not served after xl restore: $(vtpmctl list)"
quiet_xl destroy alpha
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"

step "the domain that waits outlives the relay, and is replaced when it dies"
idle=$(prepared)
relay_stop KILL
expect_ok relay_start
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"
expect_same "$(prepared)" "$idle" "domain that waits"
xl destroy "$idle"
wait_for 40 eval '[ "$(prepared || echo "$idle")" != "$idle" ]' || fail "not replaced: $(vtpmctl list)"
expect_same "$(xl domid $name)" "$(prepared)" "domain of that name"

step "a guest's stub domain dies: a stand-in answers, under the same name, until the guest is started anew"
begin
xl destroy "$(vtpm_field "$uuid" stub_domain)"
wait_for 40 eval '[ "$(vtpm_field "$uuid" state)" = stand-in ]' || fail "no stand-in: $(vtpmctl list)"
expect_same "$(xl domid $name)" "$(vtpm_field "$uuid" stub_domain)" "domain of that name"
quiet_xl destroy alpha
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"
begin
quiet_xl destroy alpha
wait_for 20 prepared >/dev/null || fail "nothing is prepared: $(vtpmctl list)"

step "vtpmctl unprepare leaves nothing"
expect_ok vtpmctl unprepare $name
refusal "" xl domid $name
expect_clean 20

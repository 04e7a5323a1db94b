# lab: timeout=900
# Coming and going: what xl does to guests and devices leaves no libxl error and nothing else behind.
set -e

# A tiny guest, ready when its TPM has answered.
begin() {
	tiny_cfg "$1" "${2:-pvh}" >/dev/null
	quiet_xl create "/etc/xen/lab/$1.cfg"
	guest_wait "$1" || fail "the guest does not answer"
	wait_for 15 tiny_random "$1" || fail "no TPM in the guest: $(guest_run "$1" 'dmesg | tail -n 3')"
}

step "xl destroy leaves nothing behind"
begin alpha pv
quiet_xl destroy alpha
expect_clean

step "xl shutdown leaves nothing behind"
begin alpha
quiet_xl shutdown alpha
wait_for 40 guest_gone alpha || fail "still there after 40 s"
expect_clean

step "xl reboot brings the guest back with its TPM, under another domain id"
begin alpha
first=$(guest_id alpha)
quiet_xl reboot alpha
wait_for 60 eval '[ "$(guest_id alpha || echo "$first")" != "$first" ]' || fail "no new domain within 60 s"
expect_ok guest_wait alpha
wait_for 15 tiny_random alpha || fail "no TPM after the reboot"
expect_same "$(vtpm_field "$(vtpm_uuid alpha)" guest)" "$(guest_id alpha)" "domain in vtpmctl list"

step "xl vtpm-list shows the device"
expect_output "$(vtpm_uuid alpha)" quiet_xl vtpm-list alpha

step "its stub domain crashes, as by a panic of its kernel: another stands in"
domain-crash "$(vtpm_field "$(vtpm_uuid alpha)" stub_domain)"
wait_for 60 eval '[ "$(vtpm_field "$(vtpm_uuid alpha)" state)" = stand-in ]' || fail "no stand-in within 60 s: $(vtpmctl list); $(relay_log 5)"
wait_for 20 eval '[ "$(guest_run alpha tpm-raw 80010000000c0000017b0008)" = 80010000000a00000100 ]' || fail "the guest's TPM does not say TPM_RC_INITIALIZE"

quiet_xl destroy alpha
expect_clean

step "a guest's kernel panics: all of it is cleaned up"
guest_cfg crash 'on_crash="destroy"' >/dev/null
expect_ok guest_start crash
guest_has_tpm crash || fail "no TPM in the guest"
GUEST_TIMEOUT=1 GUEST_PATIENCE=1 guest_run crash 'echo c >/proc/sysrq-trigger' || true
wait_for 20 guest_gone crash || fail "the guest is still there after its kernel's panic"
expect_clean

step "xl vtpm-attach and vtpm-detach on a running guest, twice"
tiny_cfg beta 'vtpm=[]' >/dev/null
quiet_xl create /etc/xen/lab/beta.cfg
expect_ok guest_wait beta
for n in 1 2; do
	quiet_xl vtpm-attach beta "uuid=$(vtpm_uuid beta)" backend=0
	expect_same "$(vtpm_field "$(vtpm_uuid beta)" state)" serving "state in vtpmctl list"
	expect_output "$(vtpm_uuid beta)" quiet_xl vtpm-list beta
	quiet_xl vtpm-detach beta "$(vtpm_uuid beta)"
	wait_for 10 eval '[ "$(xl list | grep -c vtpm-)" = 0 ]' || fail "the stub domain is still there after vtpm-detach"
	expect_same "$(xl vtpm-list beta | wc -l)" 1 "lines of vtpm-list without a device"
	expect_ok guest_run beta true
done
quiet_xl destroy beta
expect_clean

step "five create and destroy cycles leave memory and counts where they were"
host_counts >/run/lab/before
for ((n = 0; n < 5; n++)); do
	tiny_cfg cycle >/dev/null
	quiet_xl create /etc/xen/lab/cycle.cfg >/dev/null
	quiet_xl destroy cycle >/dev/null
done
expect_clean
host_counts >/run/lab/after
note "before: $(tr '\n' ' ' </run/lab/before) after: $(tr '\n' ' ' </run/lab/after)"
expect_same "$(grep -v free_mib /run/lab/after)" "$(grep -v free_mib /run/lab/before)" "descriptors of the relay's processes"
[ $(($(awk '/free_mib/ { print $2 }' /run/lab/before) - $(awk '/free_mib/ { print $2 }' /run/lab/after))) -le 2 ] || fail "Xen has lost memory"

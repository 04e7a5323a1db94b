# lab: hosts=2 timeout=2400 systemd bare fresh
# docs/install.md by its words, on two Debian hosts with systemd, Xen's own start scripts and AppArmor: a KMC's package, two hosts' packages,
# enrolment by token, a guest that migrates, hosts that go down and come back with xendomains, an upgrade under load, removal.
set -e
export DEBIAN_FRONTEND=noninteractive
uuid=$(lab_uuid vtpm guest)

step "two hosts have booted with systemd; Xen's daemons and xendomains were started by their own scripts"
for unit in xen xendomains; do
	expect_ok systemctl is-active $unit
	expect_ok peer_run systemctl is-active $unit
done
forget_project
peer_run forget_project

step "the KMC's package is installed: nothing runs yet"
expect_ok install_packages /lab/debs/xen-vtpm-kmc_0*.deb
expect_fail systemctl is-active kmcd
printf '[kmc]\nname = kmc.lab\nlisten = %s:7443\naddress = %s:7443\n' "$LAB_ADDRESS" "$LAB_ADDRESS" >/etc/xen-vtpm/kmc.conf
expect_ok kmcd -n
expect_ok kmcctl init --san "$LAB_ADDRESS"
expect_ok systemctl start kmcd
expect_output serving systemctl status kmcd

step "two hosts are enrolled by token"
kmcctl host add xen1 2>/dev/null | enrol_host || fail "xen1 is not enrolled"
kmcctl host add xen2 2>/dev/null | peer_run -i enrol_host || fail "xen2 is not enrolled"
wait_for 30 serving_vtpms || fail "no relay here: $(journalctl -u vtpm-relayd -n 5 -o cat)"
peer_run wait_for 30 serving_vtpms || fail "no relay there: $(peer_run journalctl -u vtpm-relayd -n 5 -o cat)"
expect_ok vtpmctl doctor
expect_ok kmcctl status --check

step "AppArmor holds the daemons to their profiles"
enforced vtpm-relayd || fail "vtpm-relayd: $(grep vtpm /sys/kernel/security/apparmor/profiles)"
enforced kmcd || fail "kmcd: $(grep kmcd /sys/kernel/security/apparmor/profiles)"
for pid in $(pgrep -x 'vtpm-relayd|kmcd'); do
	expect_output "(enforce)" cat "/proc/$pid/attr/current"
done

step "a guest gets its TPM from a warm stub domain"
guest_cfg guest pvh >/dev/null
peer_run guest_cfg guest pvh >/dev/null
expect_ok guest_start guest
guest_has_tpm guest || fail "no TPM in the guest: $(vtpmctl list)"
expect_ok tpm guest tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
expect_ok tpm guest tpm2_nvincrement -C o 0x1500001
expect_ok tpm guest tpm2_pcrextend "16:sha256=$(printf 'ab%.0s' {1..32})"
before=$(tpm_marks guest)
expect_output requested journalctl -q "VTPM_UUID=$uuid"
expect_output opened journalctl -q "VTPM_UUID=$uuid" HOST=xen1
xl list -l 2>/dev/null | jq -r '.[].config.c_info.name' | grep -qx guest || fail "xl list -l does not know the guest"
[[ $(xl list -l 2>/dev/null | jq -r '.[].config.c_info.name') != *vtpm* ]] || fail "xl list -l shows stub domains"

step "it migrates to the other host"
output=$(guest_migrate guest 2>&1) || fail "xl migrate: $output"
[[ $output != *"libxl: error"* ]] || fail "xl migrate: $output"
expect_ok peer_run guest_wait guest
expect_same "$(peer_run tpm_marks guest)" "$before" "counter and PCR"

step "that host shuts down and starts: xendomains saved the guest and restores it, with its TPM as it was"
peer_run 'mkdir -p /etc/xen/auto; ln -s /etc/xen/lab/guest.cfg /etc/xen/auto/'
expect_ok peer_power down
expect_ok peer_power on
expect_ok peer_run guest_wait guest 90
expect_same "$(peer_run tpm_marks guest)" "$before" "counter and PCR"
[ -z "$(peer_run 'ls /var/lib/xen/save')" ] || fail "left in /var/lib/xen/save: $(peer_run 'ls /var/lib/xen/save')"

# swtpm's clock falls back to the last orderly shutdown, and says that it is safe (docs/attestation.md)
expect_ok kmcctl policy set default --clock note
# Only a PVH guest migrates here, and only PVH guests die of triple faults in emulation (docs/lab.md): from now on it is a PV guest.
peer_run 'guest_cfg guest pv >/dev/null; sync'
step "its power is cut: xendomains starts the guest at boot, with its NV and new PCRs"
expect_ok peer_power cycle
expect_ok peer_run guest_wait guest 100
peer_run guest_has_tpm guest || fail "no TPM: $(peer_run vtpmctl list)"
expect_same "$(peer_run tpm_marks guest | sed -n 1p)" "$(sed -n 1p <<<"$before")" "counter"
expect_output 0x0000000000000000000000000000000000000000000000000000000000000000 peer_run tpm_marks guest

step "the package is upgraded while the guest uses its TPM: the guest does not notice"
expect_ok peer_run 'guest_run guest "(while [ ! -e /tmp/stop ]; do TPM2TOOLS_TCTI=device:/dev/tpm0 tpm2_nvincrement -C o 0x1500001 2>>/tmp/errors && echo >>/tmp/done; done) >/dev/null 2>&1 &"'
peer_run wait_for 20 guest_run guest test -s /tmp/done || fail "the guest does not use its TPM: $(peer_run 'guest_run guest cat /tmp/errors')"
pid=$(peer_run systemctl show -p MainPID --value vtpm-relayd)
peer_run newer_package /lab/debs/xen-vtpm-dom0_0*.deb
expect_ok peer_run 'install_packages /run/lab/newer/*.deb'
expect_ok peer_run wait_for 60 restarted_relay "$pid"
expect_ok peer_run vtpmctl wait "$uuid" serving --timeout 30
expect_output newer1 peer_run 'dpkg-query -W xen-vtpm-dom0'
sleep 5
peer_run 'guest_run guest "touch /tmp/stop; sleep 3"'
[ -z "$(peer_run 'guest_run guest cat /tmp/errors')" ] || fail "the guest: $(peer_run 'guest_run guest cat /tmp/errors' | tail -n 2)"
[ "$(peer_run 'guest_run guest "wc -l </tmp/done"')" -gt 3 ] || fail "the guest did not get on"
expect_same "$(peer_run vtpm_field "$uuid" state)" serving "the vTPM's state"

step "removed, the package leaves the guest its TPM, and its state and configuration"
expect_ok peer_run 'DEBIAN_FRONTEND=noninteractive apt-get -qq remove xen-vtpm-dom0'
expect_fail peer_run systemctl is-active vtpm-relayd
expect_ok peer_run tpm guest tpm2_getrandom --hex 8
expect_ok peer_run test -e /etc/xen-vtpm/relay.conf
peer_run xl destroy guest || true # nobody is left to let its device go: xl says so after ten seconds
expect_ok peer_run wait_for 20 guest_gone guest

step "purged, it asks, and keeps what nobody said to destroy"
expect_ok peer_run 'DEBIAN_FRONTEND=noninteractive apt-get -qq purge xen-vtpm-dom0'
expect_ok peer_run test -d /var/lib/xen-vtpm
systemctl stop vtpm-relayd
echo xen-vtpm-dom0 xen-vtpm-dom0/destroy-state boolean true | debconf-set-selections
expect_ok apt-get -qq purge xen-vtpm-dom0
[ ! -e /var/lib/xen-vtpm ] && [ ! -e /etc/xen-vtpm/relay.conf ] || fail "left: $(ls -d /var/lib/xen-vtpm /etc/xen-vtpm/* 2>/dev/null)"
expect_ok systemctl is-active kmcd

step "AppArmor has refused nothing"
[ -z "$(denials)" ] || fail "here: $(denials | head -n 3)"
[ -z "$(peer_run denials)" ] || fail "there: $(peer_run denials | head -n 3)"

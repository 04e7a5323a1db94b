# lab: hosts=2 timeout=1800 systemd bare fresh
# The recovery of docs/operate.md by its words: host b is a KMC from its package, loses disk and TPM, and another machine takes its place with
# a backup and three of five shares. Host a's guests have the same keys, and what they stored as the page says.
set -e
export DEBIAN_FRONTEND=noninteractive
backup=/backup/kmc-2026-11-25
people=/run/lab/people
kept=$(lab_uuid vtpm kept) runs=$(lab_uuid vtpm runs)

# the_page: the commands of docs/operate.md, one a line, without prompts and remarks; names of guests, vTPMs and files are this scenario's.
the_page() {
	kmc_run "sed -nE 's/^ {4,}(host# |kmc#  )?//p' \$LAB_DIR/../../docs/operate.md" | sed -E "s/ +# .*//; s/web1/kept/; s/8f3c1d2e-[-0-9a-f]+/$kept/"
}

# on_page COMMAND: does the page have it?
on_page() {
	the_page | grep -qxF -- "$1" || fail "docs/operate.md does not say: $1"
}

desk=/srv/desk # where the administrator works on the KMC machine

# at_kmc COMMAND, at_host COMMAND: type it there, once the page was found to have it.
at_kmc() {
	on_page "$1"
	expect_ok peer_run "mkdir -p $desk && cd $desk && $1"
}

at_host() {
	on_page "$1"
	expect_ok eval "cd /run/lab && $1"
}

# carry_out DIRECTORY NAME..., carry_in DIRECTORY NAME...: from the KMC machine, and to it: a medium in somebody's pocket.
carry_out() {
	peer_run tar -C "$1" -c "${@:2}" | tar -C $people -x
}

carry_in() {
	tar -C $people -c "${@:2}" | peer_run -i "mkdir -p '$1' && tar -C '$1' -x"
}

# kmc_machine: a Debian with the KMC's package, as docs/install.md has it, under the name that hosts know.
kmc_machine() {
	peer_run "echo $LAB_PEER kmc.example >>/etc/hosts"
	peer_run forget_project
	expect_ok peer_run 'install_packages /lab/debs/xen-vtpm-kmc_0*.deb tpm-udev'
	expect_fail peer_run systemctl is-active kmcd
}

count() {
	guest_run "$1" "export TPM2TOOLS_TCTI=device:/dev/tpm0; for n in $(seq -s ' ' "$2"); do tpm2_nvincrement -C o 0x1500001 || exit; done"
}

counter() {
	guest_run "$1" 'TPM2TOOLS_TCTI=device:/dev/tpm0 tpm2_nvread -C o 0x1500001 | xxd -p'
}

# keys NAME: the names of its storage root key and of its endorsement key, P-256 both.
keys() {
	guest_run "$1" 'export TPM2TOOLS_TCTI=device:/dev/tpm0
		tpm2_createprimary -Q -C o -G ecc256 -c /tmp/k.ctx && tpm2_readpublic -Q -c /tmp/k.ctx -n /tmp/srk.name && tpm2_flushcontext -t &&
			tpm2_createek -Q -G ecc -c /tmp/k.ctx && tpm2_readpublic -Q -c /tmp/k.ctx -n /tmp/ek.name && tpm2_flushcontext -t &&
			echo "SRK $(xxd -p -c 99 /tmp/srk.name) EK $(xxd -p -c 99 /tmp/ek.name)"'
}

# all_sent: the KMC has all that this host's guests stored.
all_sent() {
	grep -qx 'xen_vtpm_states_waiting 0' /run/xen-vtpm/metrics/vtpm-relayd.prom
}

connected() {
	systemctl is-active vtpm-relayd >/dev/null && relay_connected
}

is_in_state() {
	[ "$(vtpm_field "$1" state)" = "$2" ]
}

step "a KMC with a recovery key, and a host"
mkdir -p $people
echo "$LAB_PEER kmc.example" >>/etc/hosts
kmc_machine
peer_run "printf '[kmc]\nname = kmc.example\n' >/etc/xen-vtpm/kmc.conf; mkdir -p /backup /media/safe"
at_kmc "kmcctl init --recovery 3-of-5 --shares /media/safe/shares"
expect_ok peer_run systemctl start kmcd
forget_project
peer_run kmcctl host add xen1 2>/dev/null | enrol_host || fail "xen1 is not enrolled"
wait_for 30 connected || fail "no relay: $(journalctl -u vtpm-relayd -n 5 -o cat)"
carry_out /media/safe/shares share-1.txt share-4.txt share-5.txt
expect_ok peer_run rm -r /media/safe

step "two guests get their vTPMs and count in them; a backup is made while they run"
for guest in kept runs; do
	guest_cfg $guest >/dev/null
	expect_ok guest_start $guest
	guest_has_tpm $guest || fail "no TPM in $guest: $(vtpmctl list)"
	expect_ok tpm $guest tpm2_nvdefine -Q -C o 0x1500001 -a 'ownerread|ownerwrite|nt=counter'
	expect_ok count $guest 2
done
kept_keys=$(keys kept) runs_keys=$(keys runs)
kept_then=$(counter kept) runs_then=$(counter runs)
sleep 16 # for new numbers
wait_for 30 all_sent || fail "the KMC does not have the states: $(grep waiting /run/xen-vtpm/metrics/vtpm-relayd.prom)"
at_kmc "kmcctl backup --out $backup"
carry_out / ${backup#/}

step "the KMC machine is lost, with its TPM; the guests go on and store"
expect_ok peer_power lose
expect_ok count kept 3
kept_now=$(counter kept)
[ "$kept_now" != "$kept_then" ] || fail "the counter stands still"

step "one of them is shut down, and its host's newest state exported"
at_host "xl shutdown -w kept"
at_host "vtpmctl wait $kept gone"
at_host "vtpmctl state export $kept kept.state"

step "another machine is brought up in its place"
expect_ok peer_power on
kmc_machine
carry_in / ${backup#/}
carry_in $desk share-1.txt share-4.txt share-5.txt
expect_ok peer_run 'TPM2TOOLS_TCTI=device:/dev/tpmrm0 tpm2_getcap commands | grep -i rewrap'
at_kmc "cp $backup/kmc.conf /etc/xen-vtpm/"
expect_fail peer_run kmcctl recover $backup
at_kmc "kmcctl recover $backup --share share-1.txt --share share-4.txt --share share-5.txt --san kmc.example"
at_kmc "systemctl start kmcd"
wait_for 120 connected || fail "the host does not connect: $(journalctl -u vtpm-relayd -n 5 -o cat)"
expect_output "whole and in order" peer_run kmcctl audit verify
at_kmc "kmcctl status --check"

step "the state of the host's disk is taken to it: the guest has its keys, and all that it stored"
peer_put /run/lab/kept.state $desk/kept.state
at_kmc "kmcctl vtpm restore $kept --state kept.state"
expect_ok guest_start kept
guest_has_tpm kept || fail "no TPM: $(vtpmctl list)"
expect_same "$(keys kept)" "$kept_keys" "keys"
expect_same "$(counter kept)" "$kept_now" "the counter"

step "the one that ran goes on until it stores; started anew it has its keys, and what the backup has"
expect_ok tpm runs tpm2_getrandom --hex 8
count runs 1 || true # the write is answered; what the tool sends next may come too late
wait_for 120 is_in_state "$runs" stand-in || fail "it is not refused: $(vtpmctl list)"
expect_output "the KMC refused its state" vtpm_field "$runs" reason
expect_fail tpm runs tpm2_getrandom --hex 8
expect_ok guest_stop runs
expect_ok guest_start runs
guest_has_tpm runs || fail "no TPM: $(vtpmctl list)"
expect_same "$(keys runs)" "$runs_keys" "keys"
expect_same "$(counter runs)" "$runs_then" "the counter"

step "on a host that has nothing of them left they start alike"
expect_ok count kept 1
kept_now=$(counter kept)
for guest in kept runs; do
	expect_ok guest_stop $guest
	expect_ok vtpmctl wait "$(vtpm_uuid $guest)" gone
done
systemctl stop vtpm-relayd
find /var/lib/xen-vtpm -mindepth 1 -delete
systemctl start vtpm-relayd
wait_for 30 connected || fail "the relay does not come back: $(journalctl -u vtpm-relayd -n 5 -o cat)"
for guest in kept runs; do
	expect_ok guest_start $guest
	guest_has_tpm $guest || fail "no TPM in $guest: $(vtpmctl list)"
done
expect_same "$(keys kept)" "$kept_keys" "keys"
expect_same "$(keys runs)" "$runs_keys" "keys"
expect_same "$(counter kept)" "$kept_now" "the counter"
expect_same "$(counter runs)" "$runs_then" "the counter"

step "AppArmor has refused nothing"
[ -z "$(denials)" ] || fail "here: $(denials | head -n 3)"
[ -z "$(peer_run denials)" ] || fail "there: $(peer_run denials | head -n 3)"

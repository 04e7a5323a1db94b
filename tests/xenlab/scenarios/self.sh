# lab: bare
# lab: timeout=600
# The lab itself, for who has changed it: dom0, host TPM, guests of each kind without a vTPM, the KMC machine, the other host.
set -e

step "dom0 runs on Xen"
expect_output "hvm hap" xl info
expect_output Domain-0 xenstore-read /local/domain/0/name
[ "$(id -u xen-vtpm)" -gt 0 ]
test -d /var/lib/xen-vtpm && test -d /etc/xen-vtpm && test -d /run/xen-vtpm

step "the host TPM answers"
expect_ok tpm2_getrandom --hex 8

for type in pv pvh; do
	step "a Debian $type guest starts and runs commands"
	guest_cfg "debian-$type" $type 'vtpm=[]'
	guest_start "debian-$type"
	expect_output Linux guest_run "debian-$type" uname -a
	expect_same "$(guest_run "debian-$type" 'exit 42' || echo $?)" 42 "status of a command in the guest"
	expect_same "$(guest_run "debian-$type" echo "two  spaces" '$HOME' 'a"b')" "two  spaces \$HOME a\"b" "arguments"
	expect_output "tpm2_getrandom" guest_run "debian-$type" tpm2_getrandom --version
	expect_ok guest_run "debian-$type" openssl version

	step "the $type guest gives long outputs whole"
	expect_same "$(guest_run "debian-$type" 'seq 1 20000' | md5sum)" "$(seq 1 20000 | md5sum)" "20000 lines"

	step "the $type guest shuts down"
	guest_stop "debian-$type"
done

# lab: timeout=600
# The base seed, computed a second time with standard tools, is nowhere once the stub domain has it.
set -e

# absent WHAT FILE-OR-PID...: the seed is not there.
absent() {
	memory-search /run/lab/seed "${@:2}" || fail "the seed is in $1"
}

begin() {
	tiny_cfg secret >/dev/null
	quiet_xl create /etc/xen/lab/secret.cfg
	expect_ok guest_wait secret
	wait_for 15 tiny_random secret || fail "no TPM in the guest"
}

step "the seed is what the documentation says: tpm2-tools and openssl compute it from the KMC's TPM"
begin
quiet_xl destroy secret
expect_clean
opened=$(kmc_run "kmc-host -a 127.0.0.1:\$KMC_PORT -d kmc/a -n $KMC_ADDRESS hello protect open $(vtpm_uuid secret)" | grep ^OPENED) || fail "the KMC does not open it for a test client"
seed=${opened#*seed=} lease=${opened#*lease=}
kmc_run "kmc-host -a 127.0.0.1:\$KMC_PORT -d kmc/a -n $KMC_ADDRESS hello release $(vtpm_uuid secret) ${lease%% *}" | grep -q ^RELEASED || fail "the lease cannot be given back"
kmcd_stop
kmc_run lab-seed kmc default "$(vtpm_uuid secret)" >/run/lab/seed.hex || fail "the seed cannot be computed"
expect_same "$(cat /run/lab/seed.hex)" "${seed%% *}" "the seed computed and the seed that the KMC gives"
xxd -r -p /run/lab/seed.hex >/run/lab/seed
expect_same "$(stat -c %s /run/lab/seed)" 32 "bytes of the seed"
expect_ok kmcd_start
wait_for 30 relay_connected || fail "the relay does not come back"

step "a guest is served, and a search finds the seed where it is"
begin
expect_fail memory-search /run/lab/seed /run/lab/seed
stub=$(vtpm_field "$(vtpm_uuid secret)" stub_domain)
note "stub domain $stub serves; $(xl list | awk -v id="$stub" '$2 == id { print $3 }') MiB"

step "it is not in the memory of the relay's processes"
for pid in $(pgrep -f '^/usr/sbin/vtpm-relayd'); do
	absent "process $pid of the relay" "$pid"
done

step "it is not in the stub domain's memory, which has derived what it needs"
xl dump-core "$stub" /run/lab/core >/dev/null || fail "the stub domain's memory cannot be dumped"
[ "$(stat -c %s /run/lab/core)" -gt 20000000 ] || fail "the dump is too small"
absent "the stub domain" /run/lab/core
rm -f /run/lab/core

step "it is not in logs, in xenstore, on dom0's disk"
xenstore-ls -f >/run/lab/xenstore
find /var/log /var/lib/xen-vtpm /run/xen-vtpm* /etc/xen-vtpm /etc/xen -type f -print0 | xargs -0 memory-search /run/lab/seed /run/lab/xenstore || fail "the seed is in one of dom0's files"

step "it is not in kmcd's memory, database and files"
kmc_put /run/lab/seed seed
kmc_run 'pid=$(lab-daemon pid kmcd-kmc)
	memory-search seed $pid $(pgrep -P $pid) && find kmc "$LAB_LOG/kmc" -type f -print0 | xargs -0 memory-search seed' || fail "the seed is on the KMC machine"
kmc_run rm -f seed

step "core dumps are off everywhere"
for pid in $(pgrep -f '^/usr/sbin/vtpm-relayd'); do
	grep -Eq 'Max core file size +0 ' "/proc/$pid/limits" || fail "process $pid would leave a core dump"
done
quiet_xl destroy secret
expect_clean
rm -f /run/lab/seed*

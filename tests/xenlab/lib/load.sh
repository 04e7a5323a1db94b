# shellcheck shell=bash
# A guest that uses its TPM as fast as it goes, and logs what it was answered.

# load_start NAME TCTI: extend PCR 16 and count on at 0x1500001 over TCTI, which the guest's shell evaluates anew each time.
load_start() {
	guest_run "$1" "cat >/tmp/load.sh <<'X'
n=0
echo 0 >/tmp/extends; : >/tmp/counts; : >/tmp/errors; : >/tmp/unanswered
while [ ! -e /tmp/stop ]; do
	export TPM2TOOLS_TCTI=$2
	tpm2_pcrextend 16:sha256=$(printf 'ab%.0s' {1..32}) 2>>/tmp/errors && n=\$((n + 1)) && echo \$n >/tmp/extends || echo >>/tmp/unanswered
	tpm2_nvincrement -C o 0x1500001 2>>/tmp/errors && tpm2_nvread -C o -s 8 0x1500001 2>>/tmp/errors | od -An -tx1 | tr -d ' ' >>/tmp/counts
done
X
sh /tmp/load.sh >/dev/null 2>&1 &"
}

# load_extends NAME: how often it has extended; load_says NAME: for people.
load_extends() { guest_run "$1" cat /tmp/extends; }
# load_beyond NAME N: more often than N times.
load_beyond() { [ "$(load_extends "$1")" -gt "$2" ]; }
# shellcheck disable=SC2016
load_says() { guest_run "$1" 'echo "extends: $(cat /tmp/extends), counts: $(wc -l </tmp/counts), errors: $(wc -l </tmp/errors)"'; }

# pcr_within PCR N MORE: N extensions by the load's digest make it, or some of MORE more: whoever is frozen while it waits for an answer does not
# hear whether its command was done. Reckoned outside: thousands of digests are minutes here.
pcr_within() {
	kmc_run python3 -c '
import hashlib, sys
pcr, wanted, least, more = bytes(32), sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for n in range(least + more + 1):
    if n >= least and pcr.hex() == wanted:
        sys.exit(0)
    pcr = hashlib.sha256(pcr + 32 * b"\xab").digest()
sys.exit(1)' "$1" "$2" "$3" || fail "PCR 16 is '$1' after $2 extensions, and $3 without an answer"
}

# load_expect NAME TCTI: the load ends; the counter never fell nor repeated, and the PCR is what the guest's own log says.
load_expect() {
	load_end "$1"
	load_agrees "$1" "$(guest_run "$1" "TPM2TOOLS_TCTI=$2 tpm2_pcrread sha256:16" | sed -n 's/.*16: *0x//p' | tr 'A-F' 'a-f')"
}

load_end() { guest_run "$1" 'touch /tmp/stop; sleep 3'; }

# load_agrees NAME PCR: the log with itself, and with PCR 16.
load_agrees() {
	local extends
	guest_run "$1" 'sort -c -u /tmp/counts' || fail "counts out of order: $(guest_run "$1" 'tail -n 5 /tmp/counts')"
	extends=$(load_extends "$1")
	[ "$extends" -gt 3 ] || fail "the load has extended $extends times only: $(guest_run "$1" 'tail -n 3 /tmp/errors')"
	pcr_within "$2" "$extends" "$(guest_run "$1" 'wc -l </tmp/unanswered')"
}

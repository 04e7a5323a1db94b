# shellcheck shell=bash
# TPM commands as bytes, for guests that have tpm-raw and no tpm2-tools: a counter and PCR 16.

RAW_PASSWORD=00000009400000090000000000 # an empty one
RAW_COUNTER=01500001
RAW_DIGEST=$(printf 'ab%.0s' {1..32})
RAW_DEFINE=80020000002d0000012a40000001${RAW_PASSWORD}0000000e${RAW_COUNTER}000b0002001200000008
RAW_INCREMENT=80020000001f0000013440000001${RAW_COUNTER}$RAW_PASSWORD
RAW_READ_COUNTER=8002000000230000014e40000001${RAW_COUNTER}${RAW_PASSWORD}00080000
RAW_EXTEND=8002000000410000018200000010${RAW_PASSWORD}00000001000b$RAW_DIGEST
RAW_READ_PCR=8001000000140000017e00000001000b03000001
# shellcheck disable=SC2016
RAW_NEWEST='$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)' # xen-tpmfront makes another one after each migration

# raw NAME DEVICE COMMAND...: what the guest's TPM answers, a line each; its shell evaluates DEVICE anew each time.
raw() {
	local name=$1 device=$2 script='' command
	shift 2
	for command in "$@"; do
		script+="tpm-raw $command $device;"
	done
	guest_run "$name" "$script"
}

# raw_load_start NAME DEVICE: the guest extends and counts without end, and logs as load.sh's does. The pause leaves the emulated processor to
# those that send the guest.
raw_load_start() {
	guest_run "$1" "cat >/tmp/load.sh <<'X'
"'n=0
echo 0 >/tmp/extends; : >/tmp/counts; : >/tmp/errors; : >/tmp/unanswered
while [ ! -e /tmp/stop ]; do
	device='"$2"'
	answer=$(tpm-raw '$RAW_EXTEND' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) n=$((n + 1)); echo $n >/tmp/extends ;;
	*) echo "extend: $answer" >>/tmp/errors; echo >>/tmp/unanswered ;;
	esac
	answer=$(tpm-raw '$RAW_INCREMENT' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) ;;
	*) echo "increment: $answer" >>/tmp/errors; continue ;;
	esac
	answer=$(tpm-raw '$RAW_READ_COUNTER' $device 2>>/tmp/errors)
	case $answer in
	????????????00000000*) echo $answer | cut -c 33-48 >>/tmp/counts ;;
	*) echo "read: $answer" >>/tmp/errors ;;
	esac
	sleep 0.2
done
X
sh /tmp/load.sh >/dev/null 2>&1 &'
}

# raw_load_expect NAME DEVICE: as load_expect.
raw_load_expect() {
	local pcr
	load_end "$1"
	pcr=$(raw "$1" "$2" $RAW_READ_PCR)
	load_agrees "$1" "${pcr: -64}"
}

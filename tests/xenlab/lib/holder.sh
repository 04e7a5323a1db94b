# shellcheck shell=bash
# A program in a guest that opens /dev/tpmrm0 once and holds it, with a key loaded and a session begun, whatever becomes of the guest.

HOLDER_AUTH=00000009400000090000000000
# A storage key on P-256 below the owner; a policy session without salt or bind.
HOLDER_CREATE_PRIMARY=8002000000430000013140000001${HOLDER_AUTH}000400000000001a0023000b00030472000000060080004300100003001000000000000000000000
HOLDER_START_POLICY=80010000002b0000017640000007400000070010$(printf '5a%.0s' {1..16})0000010010000b

# holder_start NAME: start it; the key is $holder_key, the session $holder_session, by the handles that it was given.
holder_start() {
	guest_run "$1" 'mkfifo /run/ask; : >/run/answers; cat >/run/holder <<X
		exec 3<>/dev/tpmrm0 4<>/run/ask
		while read -r command <&4; do
			printf %s "\$command" | xxd -r -p | dd bs=4096 iflag=fullblock 2>/dev/null >&3
			dd bs=4096 count=1 <&3 2>/dev/null | xxd -p | tr -d "\n" >>/run/answers
			echo >>/run/answers
		done
X
		setsid sh /run/holder </dev/null >/run/holder.log 2>&1 & echo $! >/run/holder.pid; sleep 0.2; kill -0 $!' || fail "no program holds the TPM"
	holder_key=$(holder_sends "$1" "$HOLDER_CREATE_PRIMARY" | cut -c 21-28)
	holder_session=$(holder_sends "$1" "$HOLDER_START_POLICY" | cut -c 21-28)
	holder_sends "$1" "8001000000120000016c${holder_session}00000144" >/dev/null
	expect_same "$(holder_asks "$1" | cut -c 13-20 | tr '\n' ' ')" "00000000 00000000 " "response codes for key $holder_key and session $holder_session"
}

# holder_sends NAME COMMAND-HEX: the answer, in hex.
holder_sends() {
	guest_run "$1" "n=\$(wc -l </run/answers); echo $2 >/run/ask; until [ \$(wc -l </run/answers) -gt \$n ]; do sleep 0.2; done; tail -n 1 /run/answers"
}

# holder_asks NAME: the name of its key and the digest of its session.
holder_asks() {
	holder_sends "$1" "80010000000e00000173$holder_key" && holder_sends "$1" "80010000000e00000189$holder_session"
}

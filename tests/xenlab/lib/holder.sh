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

# --- an HMAC session over the same descriptor ---

# A counter, its authorisation ("holder"), and its public area but for the attributes: before it is written and after.
HOLDER_COUNTER=01500003
HOLDER_SECRET=686f6c646572
HOLDER_PASSWORD=0000000f400000090000000006$HOLDER_SECRET
HOLDER_UNWRITTEN=${HOLDER_COUNTER}000b0204001400000008
HOLDER_WRITTEN=${HOLDER_COUNTER}000b2204001400000008

holder_command() { printf '%s%08x%s' "$1" $((6 + ${#2} / 2)) "$2"; } # TAG REST
holder_sha256() { xxd -r -p <<<"$1" | sha256sum | cut -c 1-64; }
holder_hmac() { xxd -r -p <<<"$1" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$HOLDER_SECRET" -r | cut -c 1-64; }

# holder_counts_start NAME: the program makes the counter and begins a session, neither salted nor bound: its HMACs prove that the counter's
# authorisation is known, and that no answer of the TPM was missed (TPM 2.0 Part 1, "HMAC Computation"). The count so far is $holder_first.
holder_counts_start() {
	local answer nonce
	nonce=$(openssl rand -hex 16)
	holder_sends "$1" "$(holder_command 8002 "0000012a40000001${HOLDER_AUTH}0006${HOLDER_SECRET}000e$HOLDER_UNWRITTEN")" >/dev/null
	holder_sends "$1" "$(holder_command 8002 "00000134$HOLDER_COUNTER$HOLDER_COUNTER$HOLDER_PASSWORD")" >/dev/null
	answer=$(holder_sends "$1" "$(holder_command 8001 "0000017640000007400000070010${nonce}0000000010000b")")
	[ "${answer:12:8}" = 00000000 ] || fail "no HMAC session: $answer"
	holder_hmac_session=${answer:20:8} holder_nonce=${answer:32:32}
	holder_first=$(holder_counted "$1")
	holder_counts "$1"
}

# holder_counts NAME: it counts once more in that session, and the answer is proved by it as well.
holder_counts() {
	local answer nonce name proof
	nonce=$(openssl rand -hex 16)
	name=000b$(holder_sha256 "$HOLDER_WRITTEN")
	proof=$(holder_hmac "$(holder_sha256 "00000134$name$name")$nonce${holder_nonce}01")
	answer=$(holder_sends "$1" "$(holder_command 8002 "00000134$HOLDER_COUNTER${HOLDER_COUNTER}00000039${holder_hmac_session}0010${nonce}010020$proof")")
	[ "${answer:12:8}" = 00000000 ] || fail "the HMAC session's count was answered $answer"
	holder_nonce=${answer:32:32}
	expect_same "${answer:70:64}" "$(holder_hmac "$(holder_sha256 0000000000000134)$holder_nonce${nonce}01")" "the answer's HMAC"
}

# holder_counted NAME: how far the counter has come.
holder_counted() {
	local answer
	answer=$(holder_sends "$1" "$(holder_command 8002 "0000014e$HOLDER_COUNTER$HOLDER_COUNTER${HOLDER_PASSWORD}00080000")")
	[ "${answer:12:8}" = 00000000 ] || fail "the counter can't be read: $answer"
	echo $((16#${answer:32:16}))
}

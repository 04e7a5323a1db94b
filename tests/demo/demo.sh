# lab: timeout=300
# What make demo shows: one line in a guest's config gives it a TPM of its own, with keys that come from the KMC's seed.
set -e

# show: each line of the input as a note.
show() {
	local line
	while IFS= read -r line; do
		note "$line"
	done
}

# begin NAME: create it and wait for its TPM.
begin() {
	expect_ok guest_start "$1"
	guest_has_tpm "$1" || fail "no /dev/tpm0 in the guest"
}

# srk_name NAME: the name of the guest's storage root key (P-256).
srk_name() {
	guest_run "$1" 'export TPM2TOOLS_TCTI=device:/dev/tpm0
		tpm2_createprimary -Q -C o -G ecc256 -c /tmp/srk.ctx && tpm2_flushcontext -t &&
		tpm2_readpublic -c /tmp/srk.ctx -n /tmp/srk.name >/dev/null && tpm2_flushcontext -t && xxd -p -c 99 /tmp/srk.name'
}

step "On a Xen host with a KMC, the relay waits for guests"
vtpmctl list --json >/dev/null
xl info | grep -E '^(xen_version|virt_caps)' | show

step "A guest is created with xl, and one line more in its config"
guest_cfg demo >/dev/null
grep -E '^(name|type|vtpm)' /etc/xen/lab/demo.cfg | show
begin demo
vtpmctl list | sed -n '/^GUEST/,$p' | show # what comes before is about the key of this host, which the lab made as a file

step "It reads the PCRs of its own TPM"
tpm demo tpm2_pcrread sha256:0,1,7,16 | show

step "It names its storage root key, which the KMC's seed determines"
first=$(srk_name demo)
note "$first"

step "It signs a message with a key that never leaves its TPM"
guest_run demo 'set -e; export TPM2TOOLS_TCTI=device:/dev/tpm0; cd /tmp
	printf "signed in the guest" >message
	tpm2_create -Q -C srk.ctx -G ecc256:ecdsa-sha256 -u key.pub -r key.priv && tpm2_flushcontext -t
	tpm2_load -Q -C srk.ctx -u key.pub -r key.priv -c key.ctx && tpm2_flushcontext -t
	tpm2_readpublic -Q -c key.ctx -f pem -o key.pem && tpm2_flushcontext -t
	tpm2_sign -Q -c key.ctx -g sha256 -f plain -o signature message && tpm2_flushcontext -t'
guest_run demo 'base64 /tmp/signature' | base64 -d >/run/lab/signature
guest_run demo 'cat /tmp/key.pem' >/run/lab/key.pem
note "$(openssl pkey -pubin -in /run/lab/key.pem -noout -text | head -n 1)"

step "Outside the guest, openssl verifies it, and refuses it for another message"
printf 'signed in the guest' >/run/lab/message
openssl dgst -sha256 -verify /run/lab/key.pem -signature /run/lab/signature /run/lab/message | show
printf 'something else' >/run/lab/message
expect_fail openssl dgst -sha256 -verify /run/lab/key.pem -signature /run/lab/signature /run/lab/message

step "The guest is destroyed and created again: the same storage root key"
quiet_xl destroy demo
begin demo
again=$(srk_name demo)
note "$again"
expect_same "$again" "$first" "the name of the storage root key"

step "A guest with another UUID has another one"
guest_cfg other >/dev/null
begin other
other=$(srk_name other)
note "$other"
[ "$other" != "$first" ] || fail "two UUIDs, one storage root key"

step "Both guests go, and their stub domains with them"
quiet_xl destroy demo
quiet_xl destroy other
expect_clean

# lab: timeout=3000 tools
# Other people's software with the guest's TPM: clevis and systemd-cryptenroll unlock a disk after a reboot, OpenSSL, PKCS#11 and ssh sign,
# IBM's utilities talk to it; over xen-tpmfront's /dev/tpm0 and over vtpm-guestd's /dev/tpmrm0.
set -e
disk=/run/lab/luks.img

# inside NAME SCRIPT: run a script in the guest, with the TPM's device where each software looks for it.
inside() {
	GUEST_TIMEOUT=300 guest_run "$1" "set -e
		cd /tmp
		ln -sfn /proc/self/fd /dev/fd
		export TPM=$device TCTI=device:$device DM_DISABLE_UDEV=1 LC_ALL=C.UTF-8
		export TPM2TOOLS_TCTI=\$TCTI TPM2OPENSSL_TCTI=\$TCTI TPM2_PKCS11_TCTI=\$TCTI TPM2_PKCS11_STORE=/tmp/p11 TPM_INTERFACE_TYPE=dev TPM_DEVICE=/dev/tpm0
		# without a resource manager, what a program leaves behind fills the TPM
		[ $device = /dev/tpmrm0 ] || { tpm2_flushcontext -t; tpm2_flushcontext -l; tpm2_flushcontext -s; }
		refused() { if \"\$@\"; then echo \"should have been refused: \$*\"; exit 1; fi; }
		$2" 2>&1
}

is_closed() { [ -z "$(vtpm_field "$(vtpm_uuid "$1")" state)" ]; }

# begin NAME TYPE: start the guest with its disk; its TPM is $device.
begin() {
	wait_for 60 spares_are 1 || fail "no spare stub domain within 60 s: $(relay_log 3)"
	quiet_xl create "$LAB_CONFIGS/$1.cfg"
	expect_ok guest_wait "$1" 180
	if [ "$device" = /dev/tpmrm0 ]; then
		guestd_modules "$1" >/dev/null
		guestd_serves "$1"
	else
		guest_has_tpm "$1" 60 || fail "no /dev/tpm0: $(guest_run "$1" 'cat /run/modules.log; dmesg | tail -n 5')"
	fi
	wait_for 30 guest_run "$1" test -b /dev/xvda || fail "no disk in the guest"
	# what a guest's firmware would have measured; systemd refuses PCRs that nobody extended
	expect_ok inside "$1" 'tpm2_pcrextend 7:sha256=7777777777777777777777777777777777777777777777777777777777777777'
}

# systemd and tpm2-pkcs11 open the device a second time while they have it open: that takes a resource manager.
if_systemd() {
	if [ "$device" = /dev/tpmrm0 ]; then
		echo "$1"
	fi
}

enrol_disk() {
	echo 'printf "a passphrase" >pass
	cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/xvda pass
	clevis luks bind -y -k pass -d /dev/xvda tpm2 "{\"pcr_bank\":\"sha256\",\"pcr_ids\":\"7,16\"}"'
	if_systemd 'PASSWORD="a passphrase" systemd-cryptenroll --tpm2-device=$TPM --tpm2-pcrs=7 /dev/xvda'
	echo 'cryptsetup open --key-file pass /dev/xvda data
	printf "kept on the disk" >/dev/mapper/data
	cryptsetup close data'
}

unlock_disk() {
	echo 'clevis luks unlock -d /dev/xvda -n data
	[ "$(head -c 16 /dev/mapper/data)" = "kept on the disk" ]
	cryptsetup close data'
	if_systemd '/lib/systemd/systemd-cryptsetup attach data /dev/xvda - tpm2-device=$TPM,headless
	[ "$(head -c 16 /dev/mapper/data)" = "kept on the disk" ]
	/lib/systemd/systemd-cryptsetup detach data'
	echo 'tpm2_pcrextend 7:sha256=1111111111111111111111111111111111111111111111111111111111111111
	refused clevis luks unlock -d /dev/xvda -n data'
	if_systemd 'refused /lib/systemd/systemd-cryptsetup attach data /dev/xvda - tpm2-device=$TPM,headless'
}

openssl_signs='
	printf message >message
	for kind in "EC -pkeyopt group:P-256" "RSA -pkeyopt bits:2048"; do
		openssl genpkey -provider tpm2 -algorithm $kind -out key.pem
		openssl pkey -provider tpm2 -provider default -in key.pem -pubout -out public.pem
		openssl pkeyutl -provider tpm2 -provider default -sign -rawin -digest sha256 -inkey key.pem -in message -out signature
		openssl pkeyutl -verify -rawin -digest sha256 -pubin -inkey public.pem -in message -sigfile signature
	done'
pkcs11_signs='
	mkdir -p p11
	module=/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1
	pkcs11-tool --module $module --init-token --slot-index 0 --label vtpm --so-pin 12345678
	pkcs11-tool --module $module --token-label vtpm --init-pin --login --login-type so --so-pin 12345678 --pin 123456
	pkcs11-tool --module $module --token-label vtpm --login --pin 123456 --keypairgen --key-type EC:prime256v1 --label k --id 01
	openssl dgst -sha256 -binary message >digest
	pkcs11-tool --module $module --token-label vtpm --login --pin 123456 --sign --mechanism ECDSA --id 01 --signature-format openssl -i digest -o signature
	pkcs11-tool --module $module --token-label vtpm --read-object --type pubkey --id 01 -o public.der
	openssl pkeyutl -verify -pubin -keyform DER -inkey public.der -in digest -sigfile signature
	ssh-keygen -D $module'
# Each utility is a process, and one goes on with the object that another has loaded: without the resource manager, which would flush it.
ibm_talks='
	tssgetrandom -by 16
	tsscreateprimary -hi o -ecc nistp256 -st
	tsscreate -hp 80000000 -si -ecc nistp256 -opu k.pub -opr k.priv
	tssload -hp 80000000 -ipu k.pub -ipr k.priv
	tsssign -hk 80000001 -ecc -if message -os signature
	tssverifysignature -hk 80000001 -ecc -if message -is signature
	tssnvdefinespace -ha 01500020 -hi o -sz 16
	tssnvwrite -ha 01500020 -ic 0123456789abcdef
	tssnvread -ha 01500020
	tssnvundefinespace -ha 01500020 -hi o
	tsspcrextend -ha 23 -ic data
	tsspcrread -ha 23
	tssstartauthsession -se h
	tssgetcapability -cap 1 -pr 02000000
	tssflushcontext -ha 02000000
	tssflushcontext -ha 80000001
	tssflushcontext -ha 80000000'

# all_of TYPE DEVICE
all_of() {
	local name=tools-$1
	device=$2
	rm -f $disk
	truncate -s 24M $disk

	step "a $1 guest with $device seals a disk's keys: clevis and systemd-cryptenroll"
	if [ "$device" = /dev/tpmrm0 ]; then
		guestd_initrd /lab/tools/initrd
		tools_cfg "$name" "$1" "disk=[\"format=raw,vdev=xvda,access=w,target=$disk\"]" 'ramdisk="/run/lab/guestd-initrd"' \
			'extra="console=hvc0 quiet loglevel=4 panic=5 lab.nodrivers"' >/dev/null
	else
		tools_cfg "$name" "$1" "disk=[\"format=raw,vdev=xvda,access=w,target=$disk\"]" >/dev/null
	fi
	begin "$name"
	expect_ok inside "$name" "$(enrol_disk)"

	step "after a new start it opens with the TPM, until PCRs change ($1, $device)"
	guest_stop "$name"
	wait_for 20 is_closed "$name" || fail "its vTPM is not closed: $(vtpmctl list)"
	begin "$name"
	expect_ok inside "$name" "$(unlock_disk)"

	step "OpenSSL signs with keys in the TPM ($1, $device)"
	expect_ok inside "$name" "$openssl_signs"

	if [ "$device" = /dev/tpmrm0 ]; then
		step "PKCS#11 and ssh use one ($1, $device)"
		expect_ok inside "$name" "$pkcs11_signs"
	fi

	step "IBM's utilities talk to it ($1, $device)"
	expect_ok inside "$name" "$ibm_talks"
	quiet_xl destroy "$name"
	wait_for 20 is_closed "$name" || fail "its vTPM is not closed: $(vtpmctl list)"
}

# With a guest of this size being made, an emulated dom0 is too slow for a stub domain to be ready in time: one waits already.
spares_keep
modprobe -a xen-blkback loop
all_of pvh /dev/tpm0
all_of pv /dev/tpmrm0

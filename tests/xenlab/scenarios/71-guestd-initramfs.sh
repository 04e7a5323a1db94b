# lab: timeout=900
# The guest package's initramfs-tools hook: a guest that boots Debian's initramfs has /dev/tpmrm0 before it looks for its root disk.
set -e

step "initramfs-tools packs the daemon, its libraries and its modules"
cp -a /usr/share/xen-vtpm/guest/. /
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
expect_ok mkinitramfs -o /run/lab/initramfs-initrd "$(uname -r)"
packed=$(lsinitramfs /run/lab/initramfs-initrd)
for file in usr/sbin/vtpm-guestd usr/lib/xen-vtpm/guest-start scripts/init-premount/vtpm-guestd usr/lib/modprobe.d/vtpm-guestd.conf \
	libxenstore.so.4 libxengnttab.so.1 libxenevtchn.so.1 libseccomp.so.2 tpm_vtpm_proxy.ko xen-gntalloc.ko xen-evtchn.ko; do
	grep -q "$file\$" <<<"$packed" || fail "$file is not in the initramfs"
done

for type in pvh pv; do
	step "the TPM is there before the root disk is mounted ($type)"
	name=early-$type
	console=/var/log/xen/console/guest-$name.log
	guest_cfg "$name" $type 'ramdisk="/run/lab/initramfs-initrd"' 'extra="console=hvc0 loglevel=7 panic=60 break=mount"' 'memory=256' >/dev/null
	quiet_xl create "$LAB_CONFIGS/$name.cfg"
	wait_for 120 grep -q "Spawning shell within the initramfs" "$console" || fail "no end of init-premount: $(tail -n 3 "$console")"
	grep -q "vtpm-guestd: serving /dev/tpm0 and /dev/tpmrm0" "$console" || fail "no TPM: $(grep -i vtpm "$console" | tail -n 3)"
	quiet_xl destroy "$name"
	expect_clean
done

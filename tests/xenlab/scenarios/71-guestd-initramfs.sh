# lab: timeout=900
# The guest package's initramfs-tools hook: a guest that boots Debian's initramfs has /dev/tpmrm0 before its root disk is mounted, and its daemon
# goes on in the real root, over a restore too.
set -e
tree=/run/lab/real-root

# What Debian's init calls to mount the root, with boot=lab: a copy of the lab's guest.
lab_boot() {
	cat <<-'X'
		mount_top() { :; }
		mount_premount() { :; }
		mount_bottom() { :; }
		mountfs() { :; }
		mountroot() {
			[ ! -c /dev/tpmrm0 ] || : >/lab-root/had-tpm
			mount -t tmpfs tmpfs "$rootmnt"
			cp -a /lab-root/. "$rootmnt"
		}
	X
}

# PID 1 of the real root: answers on the console, as guest/init does, and leaves alone what the initramfs has mounted and started.
lab_init() {
	cat <<-'X'
		#!/bin/busybox sh
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
		/bin/busybox --install -s 2>/dev/null
		mount -t tmpfs tmpfs /tmp
		while :; do
			stty raw -echo opost onlcr icrnl <>/dev/hvc0
			setsid /bin/busybox sh /lab/agent </dev/hvc0 >/dev/hvc0 2>/dev/null
			sleep 1
		done
	X
}

step "initramfs-tools packs the daemon, its libraries and its modules"
lab_boot | kmc_run -i lab-initramfs || fail "no initramfs"
kmc_get initramfs /run/lab/initramfs-initrd
packed=$(kmc_run cat initramfs.list)
for file in usr/sbin/vtpm-guestd usr/lib/xen-vtpm/guest-start scripts/init-premount/vtpm-guestd usr/lib/modprobe.d/vtpm-guestd.conf \
	libxenstore.so.4 libxengnttab.so.1 libxenevtchn.so.1 libseccomp.so.2 tpm_vtpm_proxy.ko xen-gntalloc.ko xen-evtchn.ko; do
	grep -q "$file\$" <<<"$packed" || fail "$file is not in the initramfs"
done
rm -rf $tree && mkdir -p $tree/lab-root
zcat -f /lab/guests/initrd | (cd $tree/lab-root && busybox cpio -i)
lab_init >$tree/lab-root/lab/real-init
chmod 755 $tree/lab-root/lab/real-init
truncate -s %4 /run/lab/initramfs-initrd # the kernel finds a second archive only at a multiple of four bytes
(cd $tree && find lab-root | busybox cpio -o -H newc) >>/run/lab/initramfs-initrd
rm -rf $tree

for type in pvh pv; do
	step "the TPM is there before the root disk is mounted, and afterwards ($type)"
	name=early-$type
	guest_cfg "$name" $type 'ramdisk="/run/lab/initramfs-initrd"' 'extra="console=hvc0 loglevel=7 panic=60 boot=lab init=/lab/real-init"' 'memory=400' >/dev/null
	quiet_xl create "$LAB_CONFIGS/$name.cfg"
	expect_ok guest_wait "$name" 180
	expect_ok guest_run "$name" test -e /had-tpm
	expect_ok guestd_tpm "$name" tpm2_pcrextend 16:sha256=0000000000000000000000000000000000000000000000000000000000000001
	before=$(guestd_tpm "$name" tpm2_pcrread sha256:16)
	[ $type = pv ] || quiet_xl destroy "$name"
done

step "the daemon of the initramfs, which is gone, finds its TPM after a restore"
daemon=$(guest_run early-pv 'grep -lxs vtpm-guestd /proc/[0-9]*/comm || true') # and its keeper
[ -n "$daemon" ] || fail "no daemon: $(guest_run early-pv 'cat /proc/[0-9]*/comm | tr "\n" " "')"
expect_ok xl save early-pv /var/tmp/early.save
expect_ok xl restore /var/tmp/early.save
rm -f /var/tmp/early.save
expect_ok guest_wait early-pv
wait_for 60 guestd_tpm early-pv tpm2_getrandom --hex 8 || fail "no TPM after the restore: $(guest_run early-pv 'dmesg | grep -i tpm | tail -n 5')"
expect_same "$(guestd_tpm early-pv tpm2_pcrread sha256:16)" "$before" "PCR 16"
expect_same "$(guest_run early-pv 'grep -lxs vtpm-guestd /proc/[0-9]*/comm || true')" "$daemon" "the daemon's processes"
quiet_xl destroy early-pv
expect_clean

# shellcheck shell=bash
# A KMC in a domain of its own, which dom0 reaches over vchan alone: kmcd, a TPM (swtpm) and vtpm-vchan-forward on a disk that outlives the domain.
# The domain is called kmc, and is the Debian guest with these programs in its initramfs.

KMC_DOMAIN=/run/lab/kmc-domain

# kmcdomain_make: initramfs, disk and configuration. It makes RSA keys when it has started: guests' stub domains go first (cpu_weight).
kmcdomain_make() {
	local tree=$KMC_DOMAIN/tree loop
	mkdir -p "$tree"/usr/{sbin,bin,lib/x86_64-linux-gnu} "$tree/modules-kmc"
	kmc_get /usr/lib/x86_64-linux-gnu/libgfshare.so.2 "$tree/usr/lib/x86_64-linux-gnu/libgfshare.so.2" || return
	kmcdomain_files /usr/sbin/kmcd /usr/sbin/kmcctl /usr/sbin/vtpm-vchan-forward /usr/bin/swtpm /usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0 || return
	kmcdomain_modules xen-blkfront ext4 || return
	install -m 755 /lab/lib/kmc-domain "$tree/usr/sbin/kmc-domain"
	{
		cat /lab/guests/initrd
		(cd "$tree" && find . -mindepth 1 ! -path ./usr ! -path ./usr/lib | busybox cpio -o -H newc 2>/dev/null)
	} >"$KMC_DOMAIN/initrd"
	rm -rf "$tree"
	truncate -s 64M "$KMC_DOMAIN/disk"
	mke2fs -q -t ext4 -F "$KMC_DOMAIN/disk" || return
	modprobe -a loop xen-blkback || return
	loop=$(losetup -f --show "$KMC_DOMAIN/disk") || return
	echo "$loop" >"$KMC_DOMAIN/loop"
	lab_config /lab/guests/vmlinux "$KMC_DOMAIN/initrd" 288 kmc pv 'vtpm=[]' "disk=[\"phy:$loop,xvda,w\"]" cpu_weight=64 >/dev/null
}

# kmcdomain_files PROGRAM...: with the libraries that they need, where the guest's initramfs has its own.
kmcdomain_files() {
	{
		printf '%s\n' "$@"
		LD_LIBRARY_PATH=$KMC_DOMAIN/tree/usr/lib/x86_64-linux-gnu ldd "$@" | grep -oE '[[:blank:]]/[^ :]+' | tr -d '[:blank:]'
	} | grep -vE "^($KMC_DOMAIN|/lib64)/" | sort -u | sed 's,^/,,' |
		tar -C / --dereference --transform='s,^lib/,usr/lib/,' -cf - -T - | tar -C "$KMC_DOMAIN/tree" -xf -
}

kmcdomain_modules() {
	local module kind path
	for module in "$@"; do
		modprobe --show-depends "$module" || return
	done | while read -r kind path _; do
		[ "$kind" = insmod ] || continue
		cp "$path" "$KMC_DOMAIN/tree/modules-kmc/"
		basename "$path" >>"$KMC_DOMAIN/tree/modules-kmc/list"
	done
}

# kmcdomain_start: the domain, and in it kmcd, which serves when this returns.
kmcdomain_start() {
	guest_start kmc && GUEST_TIMEOUT=120 guest_run kmc kmc-domain up
}

# kmcdomain_join HOST: register this host there; relay.conf and what it names stand in /etc/xen-vtpm.
kmcdomain_join() {
	GUEST_TIMEOUT=120 guest_run kmc kmcctl -c /kmc/kmc.conf host add "$1" --out "/kmc/$1" || return
	guest_run kmc tar -C "/kmc/$1" -cf - host.key host.crt ca.crt relay.conf | tar -C /etc/xen-vtpm --no-same-owner -xf - || return
	chmod 600 /etc/xen-vtpm/host.key
	mkdir -p /var/lib/xen-vtpm/vchan
	chown xen-vtpm:xen-vtpm /var/lib/xen-vtpm/vchan
	chmod 700 /var/lib/xen-vtpm/vchan
	printf '\n[stub]\ntype = %s\nspares = 0\n[state]\ndirectory = /var/lib/xen-vtpm/vchan\n' "${LAB_STUB_TYPE:-pv}" >>/etc/xen-vtpm/relay.conf
}

# kmcdomain_end: nothing of it stays.
kmcdomain_end() {
	guest_kill kmc
	wait_for 20 guest_gone kmc || return
	losetup -d "$(cat "$KMC_DOMAIN/loop")"
	rm -rf "$KMC_DOMAIN" /var/lib/xen-vtpm/vchan
}

# shellcheck shell=bash
# Guests with vtpm-guestd instead of xen-tpmfront.

# guestd_initrd [INITRAMFS [DIRECTORY]]: the lab guest's initramfs (or another one) and the guest package's files, as `make install` left them
# in dom0; and that directory, in /lab.
guestd_initrd() {
	local tree=/run/lab/guestd-tree
	rm -rf $tree
	mkdir -p $tree/lab
	cp -a /usr/share/xen-vtpm/guest/. $tree/
	[ $# -lt 2 ] || cp -a "$2" $tree/lab/
	# the kernel finds a second archive only at a multiple of four bytes
	cp "${1:-/lab/guests/initrd}" /run/lab/guestd-initrd
	truncate -s %4 /run/lab/guestd-initrd
	(cd $tree && find . -mindepth 1 | busybox cpio -o -H newc) >>/run/lab/guestd-initrd
}

# guestd_guest NAME TYPE [XL-LINE...]: start a guest that has the daemon's file and no module loaded.
guestd_guest() {
	guest_cfg "$1" "$2" 'ramdisk="/run/lab/guestd-initrd"' 'extra="console=hvc0 quiet loglevel=4 panic=5 lab.nodrivers"' 'memory=256' "${@:3}" >/dev/null
	guest_start "$1"
}

# guestd_modules NAME: load all modules that the guest has but xen-tpmfront, and note what its kernel has complained of so far.
guestd_modules() {
	guest_run "$1" 'while read -r m; do case $m in xen-tpmfront*) ;; *) insmod /modules/$m 2>/dev/null ;; esac; done </modules/list
		dmesg | grep -cE "cut here|kernel BUG|Oops|general protection" >/run/bugs; lsmod'
}

# guestd_unharmed NAME: the guest's kernel has complained of nothing since.
guestd_unharmed() {
	guest_run "$1" '[ "$(dmesg | grep -cE "cut here|kernel BUG|Oops|general protection")" = "$(cat /run/bugs)" ] || { dmesg | tail -n 30; false; }'
}

# guestd_start NAME: start the daemon.
guestd_start() {
	guest_run "$1" 'setsid vtpm-guestd </dev/null >>/run/guestd.log 2>&1 & sleep 0.1'
}

# guestd_serves NAME: start the daemon and wait for its device.
guestd_serves() {
	guestd_start "$1"
	wait_for 30 guest_run "$1" test -c /dev/tpmrm0 || fail "no /dev/tpmrm0: $(guestd_log "$1"); $(guest_run "$1" 'dmesg | tail -n 5')"
}

# guestd_pid NAME [@]: the daemon's process, or with @ its keeper's, whose name has that for its first letter.
guestd_pid() {
	guest_run "$1" 'for p in /proc/[0-9]*; do
		case $(tr "\0" " " <$p/cmdline 2>/dev/null) in '"${2:-v}"'tpm-guestd\ *) echo ${p#/proc/} ;; esac; done' | head -n 1
}

guestd_log() {
	guest_run "$1" 'tail -n 5 /run/guestd.log'
}

# guestd_tpm NAME COMMAND...: a tpm2-tools command in a guest, over /dev/tpmrm0.
guestd_tpm() {
	local name=$1
	shift
	GUEST_TIMEOUT=120 guest_run "$name" env TPM2TOOLS_TCTI=device:/dev/tpmrm0 "$@"
}

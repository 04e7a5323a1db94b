# shellcheck shell=bash
# What the lab's build scripts share: errors, Debian root file systems, kernel unpacking, module closures.

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# le BYTES OFFSET FILE: print a little-endian number.
le() {
	od -An -v -t "u$1" -j "$2" -N "$1" "$3" | tr -d ' '
}

# unpack_kernel BZIMAGE: print the ELF kernel inside, found through the Linux x86 boot protocol's payload fields.
# Unpacked once here, Xen and libxc need not do it at every boot.
unpack_kernel() {
	local image=$1 start length magic
	[ "$(od -An -c -j 514 -N 4 "$image" | tr -d ' ')" = HdrS ] || die "$image is no bzImage"
	start=$((($(le 1 497 "$image") + 1) * 512 + $(le 4 584 "$image")))
	length=$(le 4 588 "$image")
	magic=$(od -An -v -t x1 -j "$start" -N 4 "$image" | tr -d ' ')
	# The payload ends with its unpacked length: 4 bytes that the unpackers may call trailing garbage.
	case $magic in
	1f8b*) payload "$image" "$start" "$length" | gzip -qdc || [ $? -eq 2 ] ;;
	fd377a58) payload "$image" "$start" "$((length - 4))" | xz -dc ;;
	28b52ffd) payload "$image" "$start" "$((length - 4))" | zstd -dc ;;
	*) die "$image: kernel compression with magic $magic is not known here" ;;
	esac
}

# payload FILE OFFSET LENGTH
payload() {
	dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none
}

# install_modules ROOT VERSION TREE MODULE...: copy modules and what they need to TREE/modules, the load order to its list.
install_modules() {
	local root=$1 version=$2 tree=$3 module kind path
	shift 3
	mkdir -p "$tree/modules"
	for module in "$@"; do
		modprobe -d "$root" -S "$version" --show-depends "$module" || die "no kernel module $module in $root"
	done | while read -r kind path _; do
		[ "$kind" = insmod ] || continue
		[ -e "$tree/modules/$(basename "$path")" ] && continue
		cp "$path" "$tree/modules/"
		basename "$path" >>"$tree/modules/list"
	done
}

# bootstrap ROOT LIST APT EXCLUDED...: make a Debian root file system with the packages of a list, without the excluded paths. Packages are
# kept in APT, so that another time downloads only what is new. LAB_MIRROR and LAB_SUITE choose another Debian mirror or suite.
bootstrap() {
	local root=$1 apt=$3 packages options=() path
	packages=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$2" | tr -s ' \n' ,)
	shift 3
	for path in "$@"; do
		options+=("--dpkgopt=path-exclude=$path")
	done
	[ "$(id -u)" -eq 0 ] || die "not root: mmdebstrap needs root to make a root file system with its owners"
	mkdir -p "$apt"
	rm -rf "$root"
	# The skipped steps leave the downloaded packages in place, to be copied back into the cache. The initramfs hook
	# is replaced before it is installed: the lab boots from initramfs of its own, 20 times smaller.
	mmdebstrap --quiet --mode=root --variant=minbase --include="${packages%,}" \
		--skip=download/empty,essential/unlink,cleanup/apt/cache \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt=force-confold "${options[@]}" \
		--setup-hook='mkdir -p "$1"/var/cache/apt/archives' \
		--setup-hook="sync-in '$apt' /var/cache/apt/archives" \
		--essential-hook='echo "#!/bin/true" | install -D /dev/stdin "$1"/etc/kernel/postinst.d/initramfs-tools' \
		--customize-hook="sync-out /var/cache/apt/archives '$apt'" \
		--customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*' \
		"${LAB_SUITE:-bookworm}" "$root" ${LAB_MIRROR:+"$LAB_MIRROR"}
}

# shellcheck shell=bash
# Hosts where the project comes from its Debian packages and systemd runs it: for scenarios with "# lab: systemd".

# install_packages FILE...: with apt, as an administrator does.
install_packages() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install "$@" 2>&1
}

# forget_project: the lab's image has the user and the directories that the packages make.
forget_project() {
	userdel xen-vtpm
	rm -rf /etc/xen-vtpm /var/lib/xen-vtpm
}

# enrol_host HOST: what docs/install.md says of each Xen host, run there; the token is on standard input.
enrol_host() {
	install_packages /lab/debs/xen-vtpm-dom0_0*.deb || return
	! systemctl is-active -q vtpm-relayd || return
	vtpmctl enroll - || return
	printf '\n[stub]\ntype = %s\nspares = 1\n' "${LAB_STUB_TYPE:-pv}" >>/etc/xen-vtpm/relay.conf
	systemctl start vtpm-relayd
}

# serving_vtpms: the relay runs as a service, and is ready.
serving_vtpms() {
	systemctl status vtpm-relayd | grep "serving vTPMs"
}

# enforced PROFILE: AppArmor holds the processes of that profile to it.
enforced() {
	grep -qx "$1 (enforce)" /sys/kernel/security/apparmor/profiles
}

# denials: print what AppArmor refused; status 1: nothing.
denials() {
	dmesg | grep 'apparmor="DENIED"'
}

# tpm_marks NAME: print what such a guest has in its TPM: a counter, and a PCR that only this boot of it has.
tpm_marks() {
	guest_run "$1" 'export TPM2TOOLS_TCTI=device:$(ls /dev/tpm[0-9]* | sort -V | tail -n 1)
		tpm2_nvread -C o 0x1500001 | xxd -p; tpm2_pcrread sha256:16 | grep -io "0x.*"'
}

# newer_package DEB: the same package with a higher version, below /run/lab/newer.
newer_package() {
	rm -rf /run/lab/newer /run/lab/unpacked
	mkdir -p /run/lab/newer
	dpkg-deb -R "$1" /run/lab/unpacked
	sed -i 's/^Version: .*/&+newer1/' /run/lab/unpacked/DEBIAN/control
	dpkg-deb -b /run/lab/unpacked /run/lab/newer/ >/dev/null
}

# restarted_relay NUMBER: the relay runs, and as another process than that one.
restarted_relay() {
	local pid
	pid=$(systemctl show -p MainPID --value vtpm-relayd)
	[ "$pid" -gt 0 ] && [ "$pid" != "$1" ] && serving_vtpms
}

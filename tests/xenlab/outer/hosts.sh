# shellcheck shell=bash
# The lab's hosts as virtual machines: a TPM and a disk each, power on and off, wires between them.
#
# A host is a directory $LAB_RUN/HOST (disk.qcow2, tpm/, qemu.pid, ctl.in, ctl.out); what has to be a socket stands in
# $LAB_SOCKETS, since a socket's path may be 107 bytes long only. Cards, by the last byte of their address (dom0/boot
# gives them names): 0a kmc0, user network, the KMC machine's loopback is 10.0.2.2; 0b wire0, between the hosts;
# 0c ctl0, user network of the lab's own, where 10.8.0.100:7000 runs commands on the KMC machine (kmc_run) and
# 10.8.0.101:7000 on the other host (peer_run), so that a scenario may cut the first two.

# free_port: print a TCP port of the loopback that nobody listens on now: an even one, the next is for its companion.
# Ring 2, which may run beside the lab, takes its ports from 26000 on (tests/ring2/lib/port.sh).
free_port() {
	local port
	for _ in {1..200}; do
		port=$((20000 + RANDOM % 3000 * 2))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port && return; }
	done
	return 1
}

other_host() {
	[ "$1" = a ] && echo b || echo a
}

# host_create HOST: the directory of a host that never ran.
host_create() {
	local host=$1 dir=$LAB_RUN/$1
	mkdir -p "$dir" "$LAB_LOG/$host"
	host_blank "$host"
	mkfifo "$dir/ctl.in" "$dir/ctl.out"
	free_port >"$dir/agent.port"
}

# host_blank HOST: give it an empty TPM and a disk that starts as the image, and forget what it was.
host_blank() {
	local dir=$LAB_RUN/$1
	rm -rf "$dir/tpm" "$dir/disk.qcow2"
	mkdir "$dir/tpm"
	qemu-img create -q -f qcow2 -F raw -b "$LAB_CACHE/dom0/root.img" "$dir/disk.qcow2"
}

# host_on HOST: switch its TPM and itself on; host_wait tells when it has booted.
host_on() {
	local host=$1 dir=$LAB_RUN/$1 other user_net
	other=$(other_host "$host")
	swtpm socket --tpm2 --tpmstate "dir=$dir/tpm" --ctrl "type=unixio,path=$LAB_SOCKETS/$host.tpm" --terminate \
		--pid "file=$dir/swtpm.pid" --log "file=$LAB_LOG/swtpm-$host.log,level=1" --daemon || return
	user_net=net=10.8.0.0/24,host=10.8.0.2,dhcpstart=10.8.0.15,restrict=on
	user_net+=,hostfwd=tcp:127.0.0.1:$(<"$dir/agent.port")-10.8.0.15:7000
	user_net+=",guestfwd=tcp:10.8.0.100:7000-cmd:$LAB_RUN/kmc-agent"
	if [ "$LAB_HOSTS" -gt 1 ]; then
		user_net+=",guestfwd=tcp:10.8.0.101:7000-cmd:socat -t600 - TCP:127.0.0.1:$(<"$LAB_RUN/$other/agent.port")"
	fi
	# shellcheck disable=SC2046
	qemu-system-x86_64 $(accelerator) -machine q35 -m "${LAB_MEMORY:-2048}" -smp "${LAB_CPUS:-1}" \
		-display none -monitor none -no-reboot -nodefaults -serial "file:$LAB_LOG/console-$host.log" \
		-kernel "$LAB_CACHE/dom0/xen" \
		-append 'console=com1 com1=115200,8n1 dom0_mem=768M,max:768M dom0_max_vcpus=1 spec-ctrl=no,eager-fpu xpti=no noreboot' \
		-initrd "$LAB_CACHE/dom0/vmlinux console=hvc0 quiet mitigations=off lab.host=$host${LAB_INIT:+ lab.init=$LAB_INIT systemd.journald.forward_to_console=1},$LAB_CACHE/dom0/initrd" \
		$(disk "$dir/disk.qcow2" qcow2) $(disk "$LAB_RUN/payload.tar" raw,readonly=on) \
		$(disk "$LAB_CACHE/guests/guests.img" raw,readonly=on) ${LAB_TOOLS:+$(disk "$LAB_CACHE/tools/tools.img" raw,readonly=on)} \
		-chardev "socket,id=tpm,path=$LAB_SOCKETS/$host.tpm" -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-tis,tpmdev=tpm0 \
		-fsdev "local,id=log,path=$LAB_LOG,security_model=none" -device virtio-9p-pci,fsdev=log,mount_tag=lab-log \
		-device virtio-serial-pci -chardev "pipe,id=ctl,path=$dir/ctl" -device virtserialport,chardev=ctl,name=lab.ctl \
		-chardev "socket,id=shell,path=$LAB_SOCKETS/$host.shell,server=on,wait=off" \
		-device virtserialport,chardev=shell,name=lab.shell \
		-netdev user,id=kmc $(card kmc 0a) -netdev "user,id=ctl,$user_net" $(card ctl 0c) \
		-netdev "dgram,id=wire,local.type=unix,local.path=$LAB_SOCKETS/$host.wire,remote.type=unix,remote.path=$LAB_SOCKETS/$other.wire" \
		$(card wire 0b) -pidfile "$dir/qemu.pid" -daemonize >>"$LAB_LOG/qemu-$host.log" 2>&1
}

# Software emulation is the rule: it runs anywhere. LAB_ACCEL=kvm asks for nested virtualisation instead. What is switched
# off does not survive emulation: with AVX, QEMU 7.2 gives guests invalid opcodes and spoilt registers now and then,
# when it enters or leaves an emulated virtual machine. Xen's eager-fpu helps against the same: no lazy switching. One processor a host:
# with two, a PVH guest died of a triple fault after seven or eight migrations, with one it lived through all that were tried (docs/lab.md).
accelerator() {
	case ${LAB_ACCEL:-tcg} in
	tcg) echo "-accel tcg,thread=${LAB_TCG:-multi},tb-size=${LAB_TB:-1024} -cpu ${LAB_CPU:-EPYC,-smap,-smep,-monitor,-rdtscp,-avx,-avx2,-fma,-f16c}" ;;
	kvm) echo "-accel kvm -cpu host" ;;
	*) die "LAB_ACCEL is tcg or kvm, not '$LAB_ACCEL'" ;;
	esac
}

disk() {
	echo "-drive if=virtio,file=$1,format=$2"
}

card() {
	echo "-device virtio-net-pci,netdev=$1,romfile=,mac=52:54:00:78:65:$2"
}

host_alive() {
	local pid
	pid=$(cat "$LAB_RUN/$1/qemu.pid" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}

# host_wait HOST: wait until its dom0 is up; systemd makes it twice as long.
host_wait() {
	local end=$((SECONDS + ${LAB_INIT:+240} + 180))
	until [ "$(cat "$LAB_LOG/$1/lab-state" 2>/dev/null)" = up ]; do
		host_alive "$1" && [ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# host_off HOST: cut its power.
host_off() {
	local dir=$LAB_RUN/$1
	stop_pid_file "$dir/qemu.pid" KILL
	stop_pid_file "$dir/swtpm.pid" TERM
	rm -f "$LAB_LOG/$1/lab-state" "$LAB_SOCKETS/$1".*
}

# stop_pid_file FILE SIGNAL: end that process and wait until it is gone.
stop_pid_file() {
	local pid
	[ -s "$1" ] || return 0
	pid=$(cat "$1")
	kill -"$2" "$pid" 2>/dev/null
	for _ in {1..100}; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	kill -0 "$pid" 2>/dev/null && kill -KILL "$pid"
	rm -f "$1"
}

# shellcheck shell=bash
# KMCs and the hosts that belong to them. A KMC has a name: its files are in that directory of KMC_DIR on the KMC machine.

# kmc_make NAME PORT [TCTI]: make a KMC there and start its kmcd, as the daemon kmcd-NAME. The first one has the machine's
# TPM; kmc_second_tpm prints what another one needs.
kmc_make() {
	kmc_run "mkdir -p '$1'; cat >'$1/kmc.conf' <<-TEXT
		[kmc]
		name = lab-$1
		listen = 127.0.0.1:$2
		address = $KMC_ADDRESS:$2
		state = \$KMC_DIR/$1/state
		user = root
		control = \$LAB_SOCKETS/$1.sock
		[tpm]
		tcti = ${3:-\$KMC_TCTI}
	TEXT
	kmcctl -c '$1/kmc.conf' init --san $KMC_ADDRESS" && kmcd_start "$1"
}

# kmcd_start [NAME], kmcd_stop [NAME] [SIGNAL]: its daemon.
kmcd_start() {
	kmc_start "kmcd-${1:-kmc}" bash -c "exec kmcd -c \$KMC_DIR/${1:-kmc}/kmc.conf" && wait_for 15 kmcctl_at "${1:-kmc}" status
}

kmcd_stop() {
	kmc_stop "kmcd-${1:-kmc}" "${2:-TERM}"
}

# kmcctl_at NAME ARGUMENT...: kmcctl of that KMC.
kmcctl_at() {
	kmc_run kmcctl -c "$1/kmc.conf" "${@:2}"
}

# host_add KMC HOST [OPTION...]: register a host there; its files are put into /run/lab/HOST here.
host_add() {
	local kmc=$1 host=$2 file
	kmcctl_at "$kmc" host add "$host" --out "$kmc/$host" "${@:3}" || return
	mkdir -p "/run/lab/$host"
	for file in host.key host.crt ca.crt relay.conf; do
		kmc_get "$kmc/$host/$file" "/run/lab/$host/$file" || return
	done
	chmod 600 "/run/lab/$host/host.key"
	# Nested page tables in software emulation take a PVH stub domain close to libxl's patience: PV ones start in a second.
	printf '\n[stub]\ntype = %s\nspares = %s\n' "${LAB_STUB_TYPE:-pv}" "${LAB_STUB_SPARES:-0}" >>"/run/lab/$host/relay.conf"
}

# host_join KMC HOST: register a lab host (a or b), give it its files and start its relay.
host_join() {
	local file
	host_add "$1" "$2" || return
	if [ "$2" = "$LAB_HOST" ]; then
		cp -p "/run/lab/$2"/* /etc/xen-vtpm/ && relay_start
		return
	fi
	for file in host.key host.crt ca.crt relay.conf; do
		peer_put "/run/lab/$2/$file" "/etc/xen-vtpm/$file" || return
	done
	peer_run 'chmod 600 /etc/xen-vtpm/host.key && relay_start'
}

# kmc_port: print a free port of the KMC machine.
kmc_port() {
	kmc_run 'bash -c ". $LAB_DIR/outer/hosts.sh && free_port"'
}

# kmc_second_tpm: start another TPM on the KMC machine and print its TCTI.
kmc_second_tpm() {
	local port
	port=$(kmc_port) || return
	kmc_run mkdir -p tpm2 && kmc_start swtpm2 swtpm socket --tpm2 --tpmstate dir=tpm2 --flags not-need-init,startup-clear \
		--server "type=tcp,port=$port,bindaddr=127.0.0.1,disconnect" --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" &&
		echo "swtpm:host=127.0.0.1,port=$port"
}

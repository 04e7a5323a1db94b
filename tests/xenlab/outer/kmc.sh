# shellcheck shell=bash
# The KMC machine of a lab run: this one. A TPM, a state directory and a port of its own, and what kmc_run starts.

# kmc_create: an empty KMC_DIR with a TPM; writes the environment that kmc_run's commands get to $LAB_RUN/kmc-env.
kmc_create() {
	local port
	mkdir -p "$LAB_RUN/kmc" "$LAB_RUN/kmc-tpm" "$LAB_RUN/daemons" "$LAB_LOG/kmc"
	port=$(free_port) || return
	{
		echo "KMC_DIR=$LAB_RUN/kmc"
		echo "KMC_PORT=$(free_port)"
		echo "KMC_TCTI=swtpm:host=127.0.0.1,port=$port"
		echo "TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$port"
		echo "PATH=$LAB_DIR/outer/bin:$LAB_TOP/build/release/ring2:$LAB_DIR/lib:$LAB_PAYLOAD/usr/local/sbin:$LAB_PAYLOAD/usr/local/bin:$LAB_PAYLOAD/usr/sbin:$LAB_PAYLOAD/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		echo "HOME=$LAB_RUN/kmc"
		echo "LAB_DAEMONS=$LAB_RUN/daemons"
		echo "LAB_DAEMON_LOGS=$LAB_LOG/kmc"
		echo "LANG=C.UTF-8"
		declare -p LAB_RUN LAB_LOG LAB_DIR LAB_CACHE LAB_SOCKETS LAB_HOSTS LAB_PAYLOAD LAB_TOOLS LAB_INIT | sed 's/^declare -[-a-z]* //'
		[ -z "${LAB_ACCEL:-}" ] || echo "LAB_ACCEL=$LAB_ACCEL"
		[ -z "${LAB_MEMORY:-}" ] || echo "LAB_MEMORY=$LAB_MEMORY"
		[ -z "${LAB_CPUS:-}" ] || echo "LAB_CPUS=$LAB_CPUS"
	} >"$LAB_RUN/kmc-env"
	# The user network runs this for each connection; it may have no arguments that need quoting.
	cat >"$LAB_RUN/kmc-agent" <<-SCRIPT
		#!/bin/bash
		exec 2>>'$LAB_LOG/kmc/agent.log'
		set -a
		. '$LAB_RUN/kmc-env'
		cd "\$KMC_DIR" && exec '$LAB_DIR/lib/agent'
	SCRIPT
	chmod 755 "$LAB_RUN/kmc-agent"
	kmc_tpm_on "$port"
}

# kmc_tpm_on PORT: commands at PORT, control at the next, as TCTI swtpm wants it. A new connection may follow an old one;
# one at a time is served.
kmc_tpm_on() {
	swtpm socket --tpm2 --tpmstate "dir=$LAB_RUN/kmc-tpm" --server "type=tcp,port=$1,bindaddr=127.0.0.1,disconnect" \
		--ctrl "type=tcp,port=$(($1 + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear \
		--pid "file=$LAB_RUN/kmc-tpm.pid" --log "file=$LAB_LOG/swtpm-kmc.log,level=1" --daemon
}

# kmc_end: stop what kmc_start started, then the TPM.
kmc_end() {
	local file
	for file in "$LAB_RUN"/daemons/*.pid; do
		[ -e "$file" ] && stop_pid_file "$file" TERM
	done
	stop_pid_file "$LAB_RUN/kmc-tpm.pid" TERM
}

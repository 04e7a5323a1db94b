# shellcheck shell=bash disable=SC2015
# A real KMC for a test: swtpm as its TPM, kmcd and kmcctl as built. Source it; several KMCs can run at once, each with its own DIR.
#
#   kmc_setup DIR [NAME]       (options of init: KMC_INIT) a new KMC in DIR (made): TPM, configuration, init. Everything of it lives in DIR.
#   kmc_start DIR              start kmcd (and the TPM, if it was stopped); returns when it serves, or fails with the log's end
#   kmc_stop DIR               end kmcd in good order
#   kmc_kill DIR               kill -9 all of kmcd
#   kmc_end DIR                end kmcd and the TPM; DIR stays
#   kmc_ctl DIR ARGS...        kmcctl for this KMC, e.g. kmc_ctl DIR vtpm list
#   kmc_pool DIR POOL [registered]     make a pool (there is 'default')
#   kmc_host_add DIR HOST OUT [OPTION...]   host.key, host.crt, ca.crt, relay.conf into OUT; options as kmcctl's (--pool P, --days N)
#   kmc_tpm_start DIR, kmc_tpm_stop DIR     the KMC's TPM alone
#
# In DIR: kmc.conf, log (of kmcd), tpm.log, port (that kmcd listens at, on 127.0.0.1), kmcd.pid, state/.
# Run as root, kmcd's processes become KMC_USER (nobody): DIR must be in a place that this user can pass through (/tmp is).
# It keeps one RSA key ready, or KMC_READY (at kmc_setup): a key costs a third of a second, and most tests want one or none.
# With KMC_STORE=postgresql (at kmc_setup) its database is a PostgreSQL server in DIR/pg, else SQLite.
#   kmc_twin DIR FROM NAME     another kmcd over FROM's PostgreSQL, with a copy of its vault and of its TPM's inside
#   kmc_bare DIR FROM NAME     a machine without keys, configured as FROM but for what is its own
#   kmc_faults DIR SECONDS HOW kmcd's clock is set so much ahead (or back), its disk is well, full, readonly or gives errors (faults.c);
#                              for kmcd that are started after the first use
#   kmc_sql DIR SQL            ask the database behind kmcd's back
# BIN says where the programs are (build/release/bin). Options for kmc.conf: append to DIR/kmc.conf between setup and start.

BIN=${BIN:-build/release/bin}
KMC_USER=${KMC_USER:-nobody}
KMC_STORE=${KMC_STORE:-sqlite}
KMC_PGSQL=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/pgsql
. "$(dirname "${BASH_SOURCE[0]}")/port.sh"
. "$(dirname "${BASH_SOURCE[0]}")/wait.sh"

kmc_tpm_start() {
	local dir=$1
	[ -S "$dir/tpm.sock" ] && [ -e "$dir/tpm.pid" ] && kill -0 "$(<"$dir/tpm.pid")" 2>/dev/null && return
	mkdir -p "$dir/tpm"
	rm -f "$dir/tpm.sock" "$dir/tpm.sock.ctrl"
	swtpm socket --tpm2 --tpmstate "dir=$dir/tpm" --server "type=unixio,path=$dir/tpm.sock" --ctrl "type=unixio,path=$dir/tpm.sock.ctrl" \
		--flags not-need-init,startup-clear --pid "file=$dir/tpm.pid" --log "file=$dir/tpm.log,level=1" --daemon || return
	chmod 666 "$dir/tpm.sock" "$dir/tpm.sock.ctrl"
}

kmc_stop_pid() {
	local pid
	pid=$(cat "$1" 2>/dev/null) || return 0
	kill "-$2" "$pid" 2>/dev/null
	eventually 10 kmc_gone "$pid"
	rm -f "$1"
}

kmc_gone() {
	! kill -0 "$1" 2>/dev/null
}

kmc_tpm_stop() {
	kmc_stop_pid "$1/tpm.pid" TERM
}

kmc_setup() {
	local dir=$1 name=${2:-kmc}
	mkdir -p "$dir" && chmod 711 "$dir" || return
	dir=$(cd "$dir" && pwd)
	free_port >"$dir/port"
	cat >"$dir/kmc.conf" <<-CONF
		[kmc]
		name = $name
		listen = 127.0.0.1:$(<"$dir/port")
		address = 127.0.0.1:$(<"$dir/port")
		state = $dir/state
		control = $dir/control.sock
		user = $KMC_USER
		[tpm]
		tcti = swtpm:path=$dir/tpm.sock
		[keys]
		ready = ${KMC_READY:-1}
	CONF
	if [ "$KMC_STORE" = postgresql ]; then
		printf '[store]\nengine = postgresql\nconnection = host=%s/pg dbname=postgres user=kmc\n' "$dir" >>"$dir/kmc.conf"
		"$KMC_PGSQL" start "$dir/pg" || return
	fi
	kmc_tpm_start "$dir" && kmc_ctl "$dir" init ${KMC_INIT:-} >"$dir/init.log" || { cat "$dir/init.log"; return 1; }
}

# Quicker than "kmcctl replica add": a copy of the emulated TPM.
kmc_twin() {
	local dir=$1 from=$2
	mkdir -p "$dir" && chmod 711 "$dir" && cp -a "$from/state" "$dir/state" && cp -a "$from/tpm" "$dir/tpm" || return
	free_port >"$dir/port"
	sed -e "s,^name = .*,name = $3,; s,:$(<"$from/port")$,:$(<"$dir/port"),; s,$from/\(state\|control.sock\|tpm.sock\),$dir/\1," \
		"$from/kmc.conf" >"$dir/kmc.conf"
}

# A machine with a TPM of its own and configuration, but no keys yet; over FROM's PostgreSQL if there is one.
kmc_bare() {
	local dir=$1 from=$2
	mkdir -p "$dir" && chmod 711 "$dir" || return
	free_port >"$dir/port"
	sed -e "s,^name = .*,name = $3,; s,:$(<"$from/port")$,:$(<"$dir/port"),; s,$from/\(state\|control.sock\|tpm.sock\),$dir/\1," \
		"$from/kmc.conf" >"$dir/kmc.conf"
	kmc_tpm_start "$dir"
}

kmc_ctl() {
	local dir=$1
	shift
	"$BIN/kmcctl" -c "$dir/kmc.conf" "$@"
}

# Serving, or ended: kmc_start tells them apart.
kmc_is_settled() {
	kmc_gone "$(<"$1/kmcd.pid")" || kmc_is_serving "$@"
}

kmc_is_serving() {
	grep -q ' serves at ' <(tail -c "+$(($2 + 1))" "$1/log")
}

kmc_start() {
	local dir=$1 from
	kmc_tpm_start "$dir" || return
	touch "$dir/log"
	from=$(stat -c %s "$dir/log")
	if [ -e "$dir/faults" ]; then
		LD_PRELOAD=$RING2_BIN/faults.so RING2_FAULTS=$dir/faults ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
			"$BIN/kmcd" -c "$dir/kmc.conf" >>"$dir/log" 2>&1 &
	else
		"$BIN/kmcd" -c "$dir/kmc.conf" >>"$dir/log" 2>&1 &
	fi
	echo $! >"$dir/kmcd.pid"
	disown # so that bash does not report its death by kmc_kill
	eventually 20 kmc_is_settled "$dir" "$from" && kmc_is_serving "$dir" "$from" && return
	tail -n 5 "$dir/log" >&2
	return 1
}

# In place, so that a kmcd that runs sees it.
kmc_faults() {
	[ -e "$1/faults" ] || printf '%64s' '' >"$1/faults"
	chmod 644 "$1/faults"
	printf '%-63s\n' "$2 $3" 1<>"$1/faults"
}

kmc_stop() {
	kmc_stop_pid "$1/kmcd.pid" TERM
}

# The others die with their parent, if not at once: the next kmcd can't listen where one of them still does.
kmc_kill() {
	local others pid
	others=$(pgrep -P "$(<"$1/kmcd.pid")")
	kmc_stop_pid "$1/kmcd.pid" KILL
	for pid in $others; do eventually 10 kmc_gone "$pid"; done
}

kmc_end() {
	kmc_stop "$1"
	kmc_tpm_stop "$1"
	[ ! -d "$1/pg" ] || "$KMC_PGSQL" stop "$1/pg"
}

kmc_sql() {
	if [ -d "$1/pg" ]; then
		"$KMC_PGSQL" sql "$1/pg" "$2"
	else
		sqlite3 -cmd '.timeout 5000' "$1/state/db/kmc.db" "$2"
	fi
}

kmc_pool() {
	kmc_ctl "$1" pool add "$2" --policy "${3:-auto}"
}

kmc_host_add() {
	local dir=$1 host=$2 out=$3
	shift 3
	kmc_ctl "$dir" host add "$host" --out "$out" "$@"
}

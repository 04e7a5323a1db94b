# Xen hosts without Xen: a real xenstored on a directory of domains, and libxl's part played by libxl-player.
# shellcheck shell=bash

# host_start NAME: a host of that name; the functions below act on the one chosen last.
host_start() {
	local dir=$WORK/host-$1
	mkdir -p "$dir/domains"
	mkfifo "$dir/virq"
	host_use "$1"
	XENSTORED_RUNDIR=$dir XENSTORED_ROOTDIR=$dir LD_PRELOAD=$RING2_BIN/xen-shim.so \
		/usr/lib/xen-4.17/bin/xenstored -N --pid-file="$dir/xenstored.pid" >"$dir/xenstored.log" 2>&1 &
	echo $! >"$dir/pid"
	at_end+=("host_stop $1")
	eventually 10 xenstore-exists /tool/xenstored 2>/dev/null || give_up "xenstored starts" "$dir/xenstored.log"
	chmod 666 "$dir/socket" "$dir/virq"
}

# host_use NAME: the host that is meant from now on.
host_use() {
	export RING2_DIR=$WORK/host-$1 XENSTORED_PATH=$WORK/host-$1/socket
}

host_stop() {
	local pid
	for pid in "$WORK/host-$1"/stub-*.pid; do
		[ -e "$pid" ] && kill -9 -- "-$(<"$pid")" 2>/dev/null
	done
	stop "$(<"$WORK/host-$1/pid")"
}

player() { "$RING2_BIN/libxl-player" "$@"; }

# uuid_of N: a vTPM's UUID, the same for the same N.
uuid_of() { printf '5eed0000-0000-4000-8000-%012x' "$1"; }

# guest_create DOMID UUID [NAME]: what xl create does; the guest runs if it returns 0. NAME: of its line's backend, else 0.
guest_create() {
	player create "$1" "$(printf 'd0000000-0000-4000-8000-%012x' "$1")" && player attach "$1" 0 "${@:2}" >/dev/null && player unpause "$1"
}

# guest_suspend DOMID: it sleeps, as for xl save or xl migrate. guest_wake DOMID: it runs on. image_of DOMID: what its image carries.
guest_suspend() { player suspend "$1" 2; }
guest_wake() { player suspend "$1" -; }
image_of() { player incarnation "$1"; }

# guest_restore DOMID UUID IMAGE [NAME]: what xl restore and xl migrate-receive do.
guest_restore() {
	player create "$1" "$(printf 'd0000000-0000-4000-8000-%012x' "$1")" "$3" && player attach "$1" 0 "$2" "${@:4}" >/dev/null && player unpause "$1"
}

# attach_refused DOMID UUID REASON [NAME]: the device of a domain that player has created does not come: REASON is listed, libxl gives up at once, and
# destroys the domain. With NAME it waits, in the stub domain's directory, for as long as it likes.
attach_refused() {
	local status=0 waiting
	player attach "$1" 0 "$2" "${@:4}" >/dev/null 2>&1 &
	waiting=$!
	eventually 12 guest_listed "$1" "$3" >/dev/null || { echo "not said: $3"; relay_list; status=1; }
	[ $# -le 3 ] || kill $waiting 2>/dev/null
	wait $waiting 2>/dev/null && { echo "there is a device"; status=1; }
	[ $# -gt 3 ] || [ -z "$(control_state "$1")" ] || { echo "libxl has waited: state is $(control_state "$1")"; status=1; }
	guest_destroy "$1" || status=1
	return $status
}

# guest_destroy DOMID: what xl destroy does.
guest_destroy() {
	local status=0
	player detach "$1" 0 >/dev/null || status=1
	player destroy "$1"
	return $status
}

# xs_value PATH: a node's value, or nothing.
xs_value() { xenstore-read "$1" 2>/dev/null; }

control_state() { xs_value "/local/domain/0/backend/vtpm/$1/0/state"; }

# stub_of DOMID: the stub domain that the guest's frontend points to.
stub_of() { xs_value "/local/domain/$1/device/vtpm/0/backend-id"; }

# traces: whatever a guest leaves: domains, stub domains' nodes, processes and files.
traces() {
	xenstore-ls -f | grep -E '^/(local/domain/[0-9]+|libxl/)' | grep -vE '^/local/domain/0( |/backend( |/vtpm )|/xen-vtpm( |/prepared ))'
	find "$RING2_DIR/domains" -type f
	find "$RING2_DIR" -name 'stub-*' ! -name '*.log'
}

nothing_left() {
	local left
	left=$(traces)
	[ -z "$left" ] || { printf '%s\n' "$left"; return 1; }
}

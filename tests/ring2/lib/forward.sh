# vtpm-vchan-forward with a fake where libxenvchan stands: in a domain of the host in use, in front of the KMC of world.sh.
# shellcheck shell=bash

# kmc_domain DOMID: a domain called kmc-domain, as xl makes one.
kmc_domain() {
	player create "$1" "$(printf 'd0000000-0000-4000-8000-%012x' "$1")" && xenstore-write "/local/domain/$1/name" kmc-domain
}

# forward_start DOMID [ADDRESS:PORT]: the forwarder in that domain.
forward_start() {
	xenstore-write /local/domain/0/domid "$1" # xenstored's socket speaks for domain 0
	RING2_FORWARDER=$1 "$RING2_BIN/vtpm-vchan-forward-ring2" -u nobody "${2:-127.0.0.1:$(<"$WORK/kmc/port")}" >>"$RING2_DIR/forward.log" 2>&1 &
	echo $! >"$RING2_DIR/forward.pid"
	disown # so that bash does not report its death
	at_end+=("forward_stop $RING2_DIR")
	eventually 10 forward_offers "$1" || { echo "# the forwarder does not offer:"; tail -n 5 "$RING2_DIR/forward.log"; }
}

# forward_offers DOMID: one offer is there, and no second.
forward_offers() { [ "$(xenstore-ls -f "/local/domain/$1/data/vtpm-kmc" 2>/dev/null | grep -c event-channel)" = 1 ]; }

forward_pid() { cat "$RING2_DIR/forward.pid"; }

forward_stop() {
	[ -e "${1:-$RING2_DIR}/forward.pid" ] || return 0
	kill -CONT "$(<"${1:-$RING2_DIR}/forward.pid")" 2>/dev/null
	stop "$(<"${1:-$RING2_DIR}/forward.pid")"
	rm -f "${1:-$RING2_DIR}/forward.pid"
}

forward_kill() {
	kill -9 "$(forward_pid)"
	wait "$(forward_pid)" 2>/dev/null
	rm -f "$RING2_DIR/forward.pid"
}

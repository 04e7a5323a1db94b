# shellcheck shell=bash
# Guests as scenarios handle them: configurations, start and stop, commands inside over the console.

LAB_CONFIGS=/etc/xen/lab

# lab_uuid KIND NAME: print the UUID that NAME has in every run (KIND: vtpm or domain).
lab_uuid() {
	local h
	h=$(printf '%s/%s' "$1" "$2" | sha256sum)
	echo "${h:0:8}-${h:8:4}-5${h:13:3}-a${h:17:3}-${h:20:12}"
}

# guest_cfg NAME [pv|pvh] [XL-LINE...]: write a config for a Debian kernel and tpm2-tools, print its path.
# Each XL-LINE ("memory=256", 'vtpm=[]') replaces the line of the same key, or is added.
guest_cfg() {
	lab_config /lab/guests/vmlinux /lab/guests/initrd 200 "$@"
}

# tiny_cfg NAME [pv|pvh] [XL-LINE...]: the same with a small kernel, 32 MiB and busybox only.
tiny_cfg() {
	lab_config /lab/guests/tiny-vmlinux /lab/guests/tiny-initrd 32 "$@"
}

# lab_config KERNEL RAMDISK MEMORY NAME [pv|pvh] [XL-LINE...]
lab_config() {
	local kernel=$1 ramdisk=$2 memory=$3 name=$4 type=pvh line key
	local -A lines
	shift 4
	case ${1:-} in
	pv | pvh) type=$1 && shift ;;
	esac
	lines=(
		[name]="\"$name\"" [type]="\"$type\"" [kernel]="\"$kernel\"" [ramdisk]="\"$ramdisk\"" [memory]=$memory [vcpus]=1
		[extra]='"console=hvc0 quiet loglevel=4 panic=5"'
		[uuid]="\"$(lab_uuid domain "$name")\""
		[vtpm]="[\"backend=0,uuid=$(lab_uuid vtpm "$name")\"]"
	)
	for line in "$@"; do
		key=${line%%=*}
		key=${key//[[:space:]]/}
		[[ $line == *=* && -n $key ]] || fail "no xl line: '$line'"
		lines[$key]=${line#*=}
	done
	mkdir -p "$LAB_CONFIGS"
	for key in "${!lines[@]}"; do
		echo "$key=${lines[$key]}"
	done | sort >"$LAB_CONFIGS/$name.cfg"
	echo "$LAB_CONFIGS/$name.cfg"
}

# guest_start NAME [XL-CREATE-OPTION...]: create the guest (a default one if it has no config) and wait until it answers.
guest_start() {
	local name=$1
	shift
	[ -e "$LAB_CONFIGS/$name.cfg" ] || guest_cfg "$name" >/dev/null
	xl create "$@" "$LAB_CONFIGS/$name.cfg" || return
	guest_wait "$name"
}

# guest_wait NAME [SECONDS]: wait until the guest answers commands.
guest_wait() {
	local end=$((SECONDS + ${2:-60}))
	until GUEST_TIMEOUT=5 GUEST_PATIENCE=1 guest_run "$1" true 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "guest $1 does not answer after ${2:-60} s" >&2
			return 1
		fi
		sleep 0.2
	done
}

guest_id() {
	xl domid "$1" 2>/dev/null
}

# guest_gone NAME: true when no domain of that name is left.
guest_gone() {
	! guest_id "$1" >/dev/null
}

# guest_stop NAME: shut it down as xl shutdown does, and wait until it is gone.
guest_stop() {
	xl shutdown "$1" || return
	wait_for 40 guest_gone "$1" && return
	echo "guest $1 is still there 40 s after xl shutdown" >&2
	return 1
}

# guest_kill NAME: destroy it.
guest_kill() {
	xl destroy "$1"
}

# guest_migrate NAME: live-migrate it to the other host.
guest_migrate() {
	lab_need_peer
	xl migrate -s '' "$1" "socat -t600 - TCP:$LAB_PEER:9999"
}

# guest_console NAME: print what is kept of its console: the log that xenconsoled now writes.
guest_console() {
	local fd path found=''
	for fd in /proc/"$(cat /run/xen/xenconsoled.pid)"/fd/*; do
		path=$(readlink "$fd")
		case $path in
		*/guest-"$1"--incoming.log) found=$path ;;
		*/guest-"$1".log) found=${found:-$path} ;;
		esac
	done
	[ -n "$found" ] && echo "$found"
}

# guest_run NAME COMMAND...: run a command in the guest, print its output and errors, return its status.
# GUEST_TIMEOUT (default 60) seconds are allowed. 255: the guest did not answer.
guest_run() {
	local name=$1 id tty log request call sum lock arg status=254 tries=3 seconds=${GUEST_TIMEOUT:-60}
	shift
	id=$(guest_id "$name") || { echo "no guest $name here" >&2; return 255; }
	tty=$(xenstore-read "/local/domain/$id/console/tty") || return 255
	log=$(guest_console "$name") || { echo "no console log of guest $name" >&2; return 255; }

	call=$LAB_HOST$$.$BASHPID.$RANDOM
	request=$seconds
	for arg in "$@"; do
		request+=:$(printf %s "$arg" | base64 -w 0)
	done
	sum=$(printf %s "$request" | md5sum)
	exec {lock}>"/run/lab/guest-$id.lock"
	flock -w $((seconds + 30)) "$lock" || { echo "guest $name is busy" >&2; return 255; }
	while [ $status -eq 254 ] && [ $tries -gt 0 ]; do
		lab_guest_exchange "$tty" "$log" "$call" "LAB $call ${sum%% *} $request" $((seconds + ${GUEST_PATIENCE:-10}))
		status=$?
		tries=$((tries - 1))
	done
	exec {lock}>&-
	[ $status -ge 254 ] && echo "no answer from guest $name to: $*" >&2 && return 255
	return $status
}

# lab_guest_exchange TTY LOG CALL REQUEST SECONDS: send a request, find its answer in the console log (see guest/agent).
# Status 254: the answer was damaged by kernel messages, ask again; 255: none came.
lab_guest_exchange() {
	local tty=$1 log=$2 call=$3 request=$4 seconds=$5 position line status sum out='' err='' part=none pid answer
	position=$(stat -c %s "$log")
	exec {answer}< <(exec timeout "$seconds" tail -s 0.05 -c "+$((position + 1))" -f "$log")
	pid=$!
	timeout 10 tee "$tty" >/dev/null <<<"$request"
	while IFS= read -r line <&"$answer"; do
		line=${line%$'\r'}
		case $line in
		*"LAB-OUT $call "*) read -r status sum <<<"${line##*LAB-OUT "$call" }" part=out out='' err='' ;;
		"LAB-ERR $call") part=err ;;
		"LAB-END $call") part=end && break ;;
		*)
			[ $part = out ] && out+=$line
			[ $part = err ] && err+=$line
			;;
		esac
	done
	kill $pid 2>/dev/null
	exec {answer}<&-
	[ $part = end ] || return 255
	[ "$(printf '%s %s %s' "$status" "$out" "$err" | md5sum)" = "$sum  -" ] || return 254
	base64 -d <<<"$out"
	base64 -d <<<"$err" >&2
	return "$status"
}

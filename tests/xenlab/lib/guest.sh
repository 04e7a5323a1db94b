# shellcheck shell=bash
# Guests as scenarios handle them: configurations, start and stop, commands inside over the console.

LAB_CONFIGS=/etc/xen/lab

# lab_uuid KIND NAME: print the UUID that NAME has in every run (KIND: vtpm or domain).
lab_uuid() {
	local h
	h=$(printf '%s/%s' "$1" "$2" | sha256sum)
	echo "${h:0:8}-${h:8:4}-5${h:13:3}-a${h:17:3}-${h:20:12}"
}

# A guest is PV unless said otherwise: under emulation a PVH guest dies of a triple fault now and then (Xen's log says so), and
# xl starts it again.
#
# guest_cfg NAME [pv|pvh] [XL-LINE...]: write a config for a Debian kernel and tpm2-tools, print its path.
# Each XL-LINE ("memory=256", 'vtpm=[]') replaces the line of the same key, or is added.
guest_cfg() {
	lab_config /lab/guests/vmlinux /lab/guests/initrd 200 "$@"
}

# tiny_cfg NAME [pv|pvh] [XL-LINE...]: the same with a small kernel, 32 MiB and busybox only.
tiny_cfg() {
	lab_config /lab/guests/tiny-vmlinux /lab/guests/tiny-initrd 32 "$@"
}

# tools_cfg NAME [pv|pvh] [XL-LINE...]: the same with other people's TPM software; for scenarios with "# lab: tools".
tools_cfg() {
	lab_config /lab/tools/vmlinux /lab/tools/initrd 700 "$@"
}

# lab_config KERNEL RAMDISK MEMORY NAME [pv|pvh] [XL-LINE...]
lab_config() {
	local kernel=$1 ramdisk=$2 memory=$3 name=$4 type=pv line key
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
	local name=$1 log position
	shift
	[ -e "$LAB_CONFIGS/$name.cfg" ] || guest_cfg "$name" >/dev/null
	log=/var/log/xen/console/guest-$name.log
	position=$(stat -c %s "$log" 2>/dev/null || echo 0)
	xl create "$@" "$LAB_CONFIGS/$name.cfg" || return
	lab_follow "$log" "$position" 20 grep -qm 1 LAB-READY || true
	guest_wait "$name"
}

# guest_wait NAME [SECONDS]: wait until the guest answers commands, after a reboot or a restore for example.
guest_wait() {
	local end=$((SECONDS + ${2:-60}))
	until GUEST_TIMEOUT=5 GUEST_PATIENCE=0 guest_run "$1" true 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "guest $1 does not answer after ${2:-60} s" >&2
			return 1
		fi
		sleep 0.5
	done
}

# guest_id NAME: print its domain id here; status 1 when it does not run here.
guest_id() {
	xl domid "$1" 2>/dev/null
}

# guest_gone NAME: true when no domain of that name is left here.
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

# guest_migrate NAME: live-migrate it to the other host. guest_run finds it there.
guest_migrate() {
	lab_need_peer
	xl migrate -s '' "$1" "socat -t600 - TCP:$LAB_PEER:9999"
}

# guest_migrate_here NAME: live-migrate it to this host.
guest_migrate_here() {
	xl migrate -s '' "$1" 'xl migrate-receive'
}

# guest_console NAME: print the path of the console log that xenconsoled now writes (it keeps a migrated guest's first name).
guest_console() {
	local line found=''
	while read -r line; do
		case $line in
		*/guest-"$1"--incoming.log) found=$line ;;
		*/guest-"$1".log) found=${found:-$line} ;;
		esac
	done < <(find "/proc/$(</run/xen/xenconsoled.pid)/fd" -lname '*/guest-*' -printf '%l\n')
	[ -n "$found" ] && echo "$found"
}

# guest_run NAME COMMAND...: run a command in the guest, print its output and errors, return its status. One argument is
# a shell command line, several are a command with its arguments. GUEST_TIMEOUT (default 60) seconds are allowed.
# 255: the guest did not answer. With two hosts, a guest that does not run here is looked for on the other one.
guest_run() {
	local name=$1 id tty log request call sum lock status=254 tries=3 seconds=${GUEST_TIMEOUT:-60}
	shift
	if ! id=$(guest_id "$name"); then
		if [ "$LAB_HOSTS" -gt 1 ] && [ -z "${LAB_FORWARDED:-}" ]; then
			RUN_TIMEOUT=$((seconds + 60)) peer_run env LAB_FORWARDED=1 GUEST_TIMEOUT="$seconds" guest_run "$name" "$@"
			return
		fi
		echo "no guest $name here" >&2
		return 255
	fi
	if [ ! -s "/run/lab/guest-$id" ]; then
		tty=$(xenstore-read "/local/domain/$id/console/tty") || return 255
		log=$(guest_console "$name") || { echo "no console log of guest $name" >&2; return 255; }
		echo "$tty $log" >"/run/lab/guest-$id"
	fi
	exec {lock}<"/run/lab/guest-$id"
	flock -w $((seconds + 60)) "$lock" || { echo "guest $name is busy" >&2; return 255; }
	read -r tty log <"/run/lab/guest-$id"
	[ $# -eq 1 ] || set -- "${*@Q}"
	call=$LAB_HOST$$.$BASHPID.$RANDOM
	request=$seconds:$(printf %s "$1" | base64 -w 0)
	sum=$(printf %s "$request" | md5sum)
	while [ $status -eq 254 ] && [ $tries -gt 0 ]; do
		status=0
		lab_guest_exchange "$tty" "$log" "$call" "LAB $call ${sum%% *} $request" $((seconds + ${GUEST_PATIENCE:-15})) || status=$?
		tries=$((tries - 1))
	done
	exec {lock}<&-
	[ $status -lt 254 ] && return $status
	echo "no answer from guest $name to: $*" >&2
	return 255
}

# guest_shell NAME: an interactive shell in the guest; leave it with exit, then Ctrl-].
guest_shell() {
	local tty
	tty=$(xenstore-read "/local/domain/$(guest_id "$1")/console/tty") || return
	{ sleep 1; timeout 5 tee "$tty" <<<shell; } >/dev/null &
	xl console "$1"
}

# lab_guest_exchange TTY LOG CALL REQUEST SECONDS: send a request, find its answer in the console log (see guest/agent).
# Status 254: the answer was damaged by kernel messages, ask again; 255: none came.
lab_guest_exchange() {
	local tty=$1 log=$2 call=$3 position file=/run/lab/answer-$3 lines status sum out err n=0
	position=$(stat -c %s "$log")
	timeout 10 tee "$tty" >/dev/null <<<"$4" || return 255
	lab_follow "$log" "$position" "$5" sed -n "/LAB-OUT $call /,/LAB-END $call/{s/\r\$//;p;/LAB-END/q 9}" >"$file" || n=$?
	mapfile -t lines <"$file"
	rm -f "$file"
	[ ${#lines[@]} -gt 0 ] || return 255
	[ $n -eq 9 ] || return 254
	read -r status sum <<<"${lines[0]##*LAB-OUT "$call" }"
	n=1
	while [ "$n" -lt ${#lines[@]} ] && [ "${lines[n]}" != "LAB-ERR $call" ]; do
		n=$((n + 1))
	done
	out=$(printf %s "${lines[@]:1:n-1}") err=$(printf %s "${lines[@]:n+1:${#lines[@]}-n-2}")
	[ "$(printf '%s %s %s' "$status" "$out" "$err" | md5sum)" = "$sum  -" ] || return 254
	[ -z "$out" ] || base64 -d <<<"$out"
	[ -z "$err" ] || base64 -d <<<"$err" >&2
	return "$status"
}

# lab_follow FILE POSITION SECONDS FILTER...: give the filter what the file has and gets after POSITION, until the filter
# ends (its status is returned) or time is up (it sees the end of the file then).
lab_follow() {
	local fd pid status=0
	exec {fd}< <(exec timeout "$3" tail -s 0.05 -c "+$(($2 + 1))" -F "$1" 2>/dev/null)
	pid=$!
	"${@:4}" <&"$fd" || status=$?
	kill $pid 2>/dev/null || true
	exec {fd}<&-
	return $status
}

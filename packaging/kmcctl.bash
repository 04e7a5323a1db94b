# bash completion for kmcctl(8): verbs, and names of hosts, pools and vTPMs where kmcd can be asked
_kmcctl_names()
{
	kmcctl "$1" list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_kmcctl()
{
	local cur prev words cword noun verb
	_init_completion || return
	noun=${words[1]-} verb=${words[2]-}
	case $prev in
	-c | --config) _filedir conf && return ;;
	--shares) _filedir -d && return ;;
	--out | --head | --key | --share | --authority | --to | --state) _filedir && return ;;
	--pool) COMPREPLY=($(compgen -W "$(_kmcctl_names pool)" -- "$cur")) && return ;;
	--format) COMPREPLY=($(compgen -W 'json syslog' -- "$cur")) && return ;;
	--policy) COMPREPLY=($(compgen -W 'auto registered' -- "$cur")) && return ;;
	--require-attestation) COMPREPLY=($(compgen -W 'yes no' -- "$cur")) && return ;;
	--clock | --firmware) COMPREPLY=($(compgen -W 'refuse note' -- "$cur")) && return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(kmcctl 2>&1 | grep -oE -- '--[a-z-]+' | sort -u)" -- "$cur"))
	elif [ "$cword" -eq 1 ]; then
		COMPREPLY=($(compgen -W "$(kmcctl 2>&1 | awk '/^  [a-z]/ { print $1 }' | sort -u)" -- "$cur"))
	elif [ "$cword" -eq 2 ]; then
		COMPREPLY=($(compgen -W "$(kmcctl 2>&1 | awk -v noun="$noun" '$1 == noun && $2 ~ /^[a-z][a-z-]*$/ { print $2 }')" -- "$cur"))
	elif [ "$cword" -eq 3 ]; then
		case "$noun $verb" in
		'host remove' | 'policy accept' | 'key rotate') COMPREPLY=($(compgen -W "$(_kmcctl_names host)" -- "$cur")) ;;
		'pool set' | 'policy show' | 'policy set' | 'policy maintenance') COMPREPLY=($(compgen -W "$(_kmcctl_names pool)" -- "$cur")) ;;
		'vtpm import' | 'vtpm moved') _filedir ;;
		'vtpm '*) COMPREPLY=($(compgen -W "$(_kmcctl_names vtpm)" -- "$cur")) ;;
		esac
	fi
} && complete -F _kmcctl kmcctl

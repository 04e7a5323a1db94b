# bash completion for vtpmctl(8): commands and options as its usage names them
_vtpmctl()
{
	local cur prev words cword
	_init_completion || return
	case $prev in
	-c)
		_filedir conf
		return
		;;
	-d | -n | --tpm | --timeout) return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "-c --json $(vtpmctl 2>&1 | sed -n '/^  [a-z]/ { s/^  //; s/  .*//; p }' | grep -oE -- ' \[?--?[a-z-]+' | tr -d ' []' | sort -u)" -- "$cur"))
		return
	fi
	local word commands
	commands=$(vtpmctl 2>&1 | awk '/^  [a-z]/ { print $1 }')
	for word in "${words[@]:1:cword-1}"; do
		grep -qxF -- "$word" <<<"$commands" && return
	done
	COMPREPLY=($(compgen -W "$commands" -- "$cur"))
} && complete -F _vtpmctl vtpmctl

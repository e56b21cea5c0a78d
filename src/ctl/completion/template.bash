# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Completion of usherctl(1) for bash

_usherctl_names() {
	"$1" "${@:2}" --no-legend list 2>/dev/null | cut -d ' ' -f 1 | sort -u
}

_usherctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verbs='status list rules show explain metrics check cat-config diff reload hand-in withdraw claim discover monitor top doctor detach help'
	local options='--json --no-legend --instance --socket --timeout --help --version'
	local verb='' where=() i word

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			# what follows is a command line of its own
			_usherctl_command "$((i + 1))"
			return
			;;
		--instance | --socket)
			((i++))
			where+=("$word" "${COMP_WORDS[i]}")
			;;
		--timeout | --fd | --count | --interval | --sort | --from)
			((i++))
			;;
		-*) ;;
		*)
			verb=${verb:-$word}
			;;
		esac
	done

	COMPREPLY=()
	case $prev in
	--socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'lookups missing refused name' -- "$cur")
		return
		;;
	--fd | --instance | --timeout | --count | --interval | --from)
		return
		;;
	esac
	case $verb in
	list) options+=' --graph --graph=dot' ;;
	hand-in) options+=' --fd --hold --if-broker' ;;
	withdraw) options+=' --fd --if-broker' ;;
	claim) options+=' --if-broker --if-held' ;;
	monitor) options+=' --count' ;;
	top) options+=' --count --interval --sort' ;;
	explain) options+=' --from' ;;
	check) options+=' --no-listeners' ;;
	discover) options+=' --dry-run' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		return
	fi
	case $verb in
	'')
		mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
		;;
	explain)
		[[ $prev != explain ]] || mapfile -t COMPREPLY < <(compgen -W 'tcp udp' -- "$cur")
		;;
	check)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	list | rules | show | monitor | top | hand-in | withdraw | claim | discover)
		mapfile -t COMPREPLY < <(compgen -W "$(_usherctl_names "${COMP_WORDS[0]}" "${where[@]}")" -- "$cur")
		;;
	esac
}

_usherctl_command() {
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD == $1)); then
		mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
	fi
}

complete -F _usherctl usherctl

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Completion of usherctl(1) for bash

# The tables set the variables of _usherctl.
# shellcheck disable=SC2034
@TABLES@

_usherctl_words() { # WORD...
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur")
}

_usherctl_paths() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_usherctl_names() {
	"${COMP_WORDS[0]}" "${where[@]}" --no-legend list 2>/dev/null | cut -d ' ' -f 1 | sort -u
}

_usherctl_command() { # INDEX-OF-COMMAND
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$1"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD == $1)); then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	else
		_usherctl_paths
	fi
}

_usherctl() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	local verbs='' options='' valued='' takes='' words='' max=0 command=''
	local verb='' option='' where=() n=0 i word

	COMPREPLY=()
	_usherctl_table ''
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			_usherctl_command "$((i + 1))"
			return
			;;
		-*)
			# readline makes three words of --option=value
			if [[ ${COMP_WORDS[i + 1]} == = ]]; then
				((i += 2))
			elif [[ " $valued " == *" $word "* ]]; then
				((i++))
			else
				continue
			fi
			if ((i >= COMP_CWORD)); then
				option=$word
			elif [[ $word == --instance || $word == --socket ]]; then
				where+=("$word" "${COMP_WORDS[i]}")
			fi
			;;
		:*)
			# and of an address and a port
			((i++))
			;;
		*)
			if [[ -z $verb ]]; then
				verb=$word
				_usherctl_table "$verb"
			elif [[ $command && $n -ge $max ]]; then
				_usherctl_command "$i"
				return
			else
				((n++))
			fi
			;;
		esac
	done

	if [[ $option ]]; then
		takes=''
		_usherctl_value "$option"
		[[ $cur != = ]] || cur=''
	elif [[ $cur == -* ]]; then
		takes='' words=$options
	elif [[ -z $verb ]]; then
		words=$verbs
	elif ((n >= max)); then
		[[ -z $command ]] || _usherctl_command "$COMP_CWORD"
		return
	fi
	case $takes in
	names) words=$(_usherctl_names) ;;
	packet) ((n > 0)) || words='tcp udp' ;;
	verb) words=$verbs ;;
	paths)
		_usherctl_paths
		return
		;;
	esac
	_usherctl_words "$words"
}

complete -F _usherctl usherctl

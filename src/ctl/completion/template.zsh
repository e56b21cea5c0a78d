#compdef usherctl
# SPDX-License-Identifier: BSD-3-Clause
# Completion of usherctl(1) for zsh

@TABLES@

_usherctl_names() {
	local -a names where
	[[ -n ${opt_args[--instance]} ]] && where+=(--instance "${opt_args[--instance]}")
	[[ -n ${opt_args[--socket]} ]] && where+=(--socket "${opt_args[--socket]}")
	names=(${(f)"$(_call_program names ${(q)words[1]} ${(q)where} --no-legend list 2>/dev/null | cut -d ' ' -f 1 | sort -u)"})
	_describe -t names 'name' names
}

_usherctl() {
	local curcontext=$curcontext verb
	local -a valued options arguments
	local -i i
	typeset -A opt_args

	# what follows -- is a command line of its own
	i=${words[(ie)--]}
	if (( i < CURRENT )); then
		(( CURRENT -= i ))
		shift $i words
		_normal
		return
	fi
	# the verb decides what else there is
	_usherctl_table ''
	for (( i = 2; i < CURRENT; i++ )); do
		if (( ${valued[(Ie)${words[i]}]} )); then
			(( i++ ))
		elif [[ ${words[i]} != -* ]]; then
			verb=${words[i]}
			break
		fi
	done
	_usherctl_table "$verb"
	_arguments -s $options '1:verb:_usherctl_verbs' $arguments
}

_usherctl "$@"

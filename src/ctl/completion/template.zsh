#compdef usherctl
# SPDX-License-Identifier: BSD-3-Clause
# Completion of usherctl(1) for zsh

_usherctl_names() {
	local -a names where
	[[ -n ${opt_args[--instance]} ]] && where+=(--instance "${opt_args[--instance]}")
	[[ -n ${opt_args[--socket]} ]] && where+=(--socket "${opt_args[--socket]}")
	names=(${(f)"$(_call_program names usherctl $where --no-legend list 2>/dev/null | cut -d ' ' -f 1 | sort -u)"})
	_describe -t names 'name' names
}

_usherctl_verbs() {
	local -a verbs=(
		'status:is the broker well, is dispatch in place'
		'list:the sockets under each name, and what is missing'
		'rules:the matches in force, the strongest first'
		'show:all about a name, as KEY=VALUE'
		'explain:where a packet goes, and why'
		'metrics:all that is measured, as OpenMetrics text'
		'check:check rule files, without the broker'
		'cat-config:print the rule files that count'
		'diff:what a reload would change'
		'reload:put the rule files in force'
		'hand-in:hand sockets in, then execute a command'
		'withdraw:take sockets out'
		'claim:execute a command with the sockets held for it'
		'discover:hand in what daemons listen on, by [Discover]'
		'monitor:what happens, as it happens'
		'top:what each name gets, refreshed in place'
		'doctor:what is in the way of usher, and what to do about it'
		"detach:remove everything of usher's from the kernel"
		'help:print the help text'
	)
	_describe -t verbs 'verb' verbs
}

_usherctl() {
	local curcontext=$curcontext state line
	typeset -A opt_args
	local -a options=(
		'(-j --json)'{-j,--json}'[print JSON]'
		'--no-legend[print neither headings nor a summary]'
		'--instance[speak to that instance of usherd]:instance: '
		'--socket[speak to the broker at this socket]:socket:_files'
		'--timeout[give up after this time]:seconds: '
		'(- *)'{-h,--help}'[print the help text]'
		'(- *)--version[print the versions of program, protocol and schema]'
	)

	# the verb decides what else there is
	case ${words[(r)(status|list|rules|show|explain|metrics|check|cat-config|diff|reload|hand-in|withdraw|claim|discover|monitor|top|doctor|detach|help)]} in
	list)
		_arguments -s $options '--graph=-[draw rules, names, sockets and units]::form:(tree dot)' \
			'1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	rules)
		_arguments -s $options '1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	monitor)
		_arguments -s $options '--count[end after so many events]:count: ' \
			'1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	top)
		_arguments -s $options '--count[end after so many screens]:count: ' \
			'--interval[seconds between two screens]:seconds: ' \
			'--sort[what to sort by]:column:(lookups missing refused name)' \
			'1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	show)
		_arguments -s $options '1:verb:_usherctl_verbs' '2:name:_usherctl_names'
		;;
	explain)
		_arguments -s $options '--from[where the packet comes from]:address and port: ' \
			'1:verb:_usherctl_verbs' '2:protocol:(tcp udp)' '3:address and port: '
		;;
	check)
		_arguments -s $options '--no-listeners[do not look at what listens already]' \
			'1:verb:_usherctl_verbs' '*:rule file or directory:_files'
		;;
	hand-in)
		_arguments -s $options '*--fd[descriptor to hand in]:descriptor: ' \
			'--hold[the broker keeps a duplicate]' '--if-broker[no broker is fine]' \
			'1:verb:_usherctl_verbs' '2:name:_usherctl_names' '*::command:_normal'
		;;
	withdraw)
		_arguments -s $options '*--fd[descriptor to take out]:descriptor: ' '--if-broker[no broker is fine]' \
			'1:verb:_usherctl_verbs' '2:name:_usherctl_names'
		;;
	claim)
		_arguments -s $options '--if-broker[no broker is fine]' '--if-held[nothing held is fine]' \
			'1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	discover)
		_arguments -s $options '--dry-run[hand nothing in, show what would be]' \
			'1:verb:_usherctl_verbs' '*:name:_usherctl_names'
		;;
	*)
		_arguments -s $options '1:verb:_usherctl_verbs'
		;;
	esac
}

_usherctl "$@"

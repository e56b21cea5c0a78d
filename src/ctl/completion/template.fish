# SPDX-License-Identifier: BSD-3-Clause
# Completion of usherctl(1) for fish

# Print the verb and its arguments before the cursor; or -- and the words of COMMAND if it has begun.
function __usherctl_words
	set -l words
	set -l tokens (commandline -opc)
	set -e tokens[1]
	while set -q tokens[1]
		set -l token $tokens[1]
		set -e tokens[1]
		switch $token
			case --
				printf '%s\n' -- $tokens
				return
			case '-*'
				contains -- $token $__usherctl_valued
				and set -e tokens[1]
			case '*'
				if set -q words[1]
					set -l max (__usherctl_names_before_command $words[1])
					if set -q max[1]; and test (count $words) -gt $max
						printf '%s\n' -- $token $tokens
						return
					end
				end
				set -a words $token
		end
	end
	set -q words[1]
	and printf '%s\n' $words
end

function __usherctl_needs_verb
	set -l words (__usherctl_words)
	not set -q words[1]
end

# Can an option of these verbs come next? Without a verb, an option of all verbs.
function __usherctl_accepts # [VERB...]
	set -l words (__usherctl_words)
	test "$words[1]" != --
	and begin
		not set -q argv[1]
		or contains -- "$words[1]" $argv
	end
end

# Can an argument of the verb, which takes up to that many, come next?
function __usherctl_takes # VERB MAX
	set -l words (__usherctl_words)
	test "$words[1]" = $argv[1]
	and test (count $words) -le $argv[2]
end

function __usherctl_in_command
	set -l words (__usherctl_words)
	test "$words[1]" = --
	and return
	set -l max (__usherctl_names_before_command "$words[1]")
	set -q max[1]
	and test (count $words) -gt $max
end

# COMMAND is a command line of its own.
function __usherctl_command
	set -l words (__usherctl_words)
	set -l line
	if test "$words[1]" = --; and set -q words[2]
		set line (string escape -- $words[2..])
	end
	complete -C (string join ' ' -- $line "$(commandline -ct)")
end

function __usherctl_names
	set -l tokens (commandline -opc)
	set -l where
	for i in (seq 2 (count $tokens))
		switch $tokens[$i]
			case --
				break
			case --instance --socket
				set -a where $tokens[$i] $tokens[(math $i + 1)]
			case '--instance=*' '--socket=*'
				set -a where $tokens[$i]
		end
	end
	$tokens[1] $where --no-legend list 2>/dev/null | cut -d ' ' -f 1 | sort -u
end

complete -c usherctl -f
complete -c usherctl -n __usherctl_in_command -a '(__usherctl_command)'
@TABLES@

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by the scripts that make somebody wait

# show_progress WHAT: reads percentages, one a line, and shows the last one; on a terminal in one line that changes
show_progress() {
	local percent shown=-1

	while read -r percent; do
		[ "$percent" -gt "$shown" ] || continue
		if [ -t 1 ]; then
			printf '\r   %s: %d %%\e[K' "$1" "$percent"
			shown=$percent
		elif [ "$percent" -ge $((shown + 20)) ] || [ "$percent" -ge 100 ]; then
			printf '   %s: %d %%\n' "$1" "$percent"
			shown=$percent
		fi
	done
	[ ! -t 1 ] || [ "$shown" = -1 ] || printf '\n'
}

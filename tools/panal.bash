# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of panal: commands, options, names of machines.

_panal()
{
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
	local commands="clone console cpu delete doctor help image launch ls pause restart resume run shell start stop top undelete version"

	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "$commands" -- "$word"))
		return
	fi
	case $command in
	clone | console | pause | restart | resume | shell | start) words="$(panal ls -q 2>/dev/null)" ;;
	stop) words="--force --timeout $(panal ls -q 2>/dev/null)" ;;
	delete) words="--force --purge $(panal ls -q 2>/dev/null)" ;;
	ls) words="--json --quiet" ;;
	top) words="--json --interval --rounds" ;;
	launch) words="debian --memory --cpus --disk --user --port --network --no-wait --json" ;;
	doctor) words="--json" ;;
	cpu) [ "$COMP_CWORD" -gt 2 ] || words="list show compare baseline" ;;
	image) [ "$COMP_CWORD" -gt 2 ] || words="create info check convert resize snapshot" ;;
	run) [[ $word != -* ]] || words="$(panal run --help | sed -n 's/^ *\(--[a-z-]*\).*/\1/p')" ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$word"))
	[ -n "${COMPREPLY[*]}" ] || compopt -o default
}
complete -F _panal panal

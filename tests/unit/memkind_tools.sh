#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# memkind_tools.sh TOOL VARIABLE NONE -- a tool that lists nodes: what it prints,
# and how it ends; NONE if there are none
set -u
tool=$1 variable=$2 none=$3 bad=0

# expect CODE OUTPUT ENVIRONMENT [ARGUMENT...]
expect()
{
	code=$1 output=$2 environment=$3
	shift 3
	got=$(env "$environment" "$tool" "$@" 2>/dev/null)
	got_code=$?
	[ "$got_code" = "$code" ] && [ "$got" = "$output" ] && return
	echo "$environment $tool $*: $got_code, '$got', not $code, '$output'"
	bad=1
}

expect 0 0 "$variable=0"
expect "$none" "" "$variable=0-"
expect "$none" "" "$variable="
expect 0 1.14.0 "$variable=0" --version
expect 0 1.14.0 "$variable=0" -v
expect 2 "" "$variable=0" --nonsense
expect 2 "" "$variable=0" -v -v
"$tool" --help | grep -q '^usage: ' || { echo "no help"; bad=1; }
env "$variable=0-" "$tool" 2>&1 >/dev/null | grep -q '<memkind> Error parsing' ||
	{ echo "no message"; bad=1; }
exit $bad

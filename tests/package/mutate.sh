#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# mutate.sh BUILD -- does utils/mutate find what it should? On two functions of
# one file: what survives is listed; without the list it is a failure, and so is
# an entry for a mutant that there is none of.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mutate()
{
	utils/mutate --build "$1" --kept "$folder/kept" --unit \
		--function vmc_rows_take --function VMC_ROWS_GROUPS_MAX \
		--known "$2" src/policy/rows.c >"$folder/out" || {
		cat "$folder/out"
		return 1
	}
}

grep -P 'src/policy/rows.c\t(vmc_rows_take|VMC_ROWS_GROUPS_MAX)\t' tests/mutants.txt \
	>"$folder/list"
mutate "$1" "$folder/list"
grep -q 'killed (unit)' "$folder/out"
if mutate "$1" /dev/null; then
	echo "what is not listed was let pass" >&2
	exit 1
fi
grep -q 'src/policy/rows.c:[0-9]* survived:' "$folder/out"
printf 'src/policy/rows.c\tVMC_ROWS_GROUPS_MAX\tno such code\tno reason\n' >>"$folder/list"
if mutate "$1" "$folder/list"; then
	echo "an entry for nothing was let pass" >&2
	exit 1
fi
grep -q 'listed, but there is none: .*no such code' "$folder/out"

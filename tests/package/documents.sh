#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# documents.sh BUILD-DIRECTORY -- in what people read, links lead somewhere, and
# the tests that are named exist
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0

complain()
{
	echo "$*"
	bad=1
}

documents=(README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md doc/*.md
	examples/*.md src/*.md)
for document in "${documents[@]}"; do
	while read -r link; do
		[[ -e ${document%/*}/${link%%#*} || (
			$document != */* && -e ${link%%#*}) ]] ||
			complain "$document: $link is not there"
	done < <(grep -o '](\([^):]*\))' "$document" | tr -d '()[]')
done

known=$(ctest --test-dir "$1" -N | sed -n 's/.*Test *#[0-9]*: //p')
while read -r name; do
	grep -qx "$name" <<<"$known" ||
		complain "doc/MIGRATING.md: no test is called $name"
done < <(grep -o '`[a-z]*_[a-z0-9_]*`' <(awk -F'|' '{print $4}' doc/MIGRATING.md) |
	tr -d '`' | sort -u)

for program in examples/*.c examples/*.cc; do
	grep -qF "](${program##*/})" examples/README.md ||
		complain "examples/README.md: nothing about ${program##*/}"
done
exit $bad

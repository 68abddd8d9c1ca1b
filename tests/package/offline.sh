# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
#
# offline.sh -- sourced: $offline COMMAND runs without a network, where this
# user may cut it off
offline=
for command in "unshare -n" "unshare -rn"; do
	if [ -z "$offline" ] && $command true 2>/dev/null; then
		# shellcheck disable=SC2034 # used by whoever sources this
		offline=$command
	fi
done

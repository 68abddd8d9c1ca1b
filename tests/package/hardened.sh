#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# hardened.sh FILE... -- what is installed can be loaded anywhere, has nothing
# writable that need not be, and checks its stacks
set -eu

for file; do
	headers=$(readelf -hlWd "$file")
	for property in 'DYN (' GNU_RELRO BIND_NOW; do
		case $headers in
		*"$property"*) ;;
		*)
			echo "$file: not $property"
			exit 1
			;;
		esac
	done
	case $headers in
	*'GNU_STACK'*RWE*)
		echo "$file: executable stack"
		exit 1
		;;
	esac
	case $file in
	*.so*)
		readelf -W --dyn-syms "$file" | grep -q __stack_chk_fail || {
			echo "$file: no stack protector"
			exit 1
		}
		;;
	esac
done

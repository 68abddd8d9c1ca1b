#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# header.sh HEADER -- it compiles alone in every language and compiler it
# promises (an allocator: C++, a wrapper: the C++ that it names), and twice in one file
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf '#include "%s"\n#include "%s"\n' "$1" "$1" >"$scratch/header.c"
cp "$scratch/header.c" "$scratch/header.cpp"

compile()
{
	echo "$*"
	"$@" -pedantic -Wall -Wextra -Wconversion -Werror -fsyntax-only
}
for standard in c99 c11 c17; do
	case $1 in *_allocator.h | *.hpp) break ;; esac
	compile gcc -std=$standard "$scratch/header.c"
	compile clang -std=$standard "$scratch/header.c"
done
for standard in c++11 c++17 c++20; do
	case $standard:$1 in
	c++11:*.hpp | c++17:*/vmemcache.hpp) continue ;;
	esac
	compile g++ -std=$standard "$scratch/header.cpp"
	compile clang++ -std=$standard "$scratch/header.cpp"
done

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# top.sh <vmemcache-top> <publisher> -- the tool from outside: processes that
# live, one that was killed, one that is stopped, files of others, and mistakes
#
# Other processes may publish meanwhile: the names have the number of this one.
set -u
tool=$1
publisher=$2
dir=$(mktemp -d)
children=()
failures=0

end() {
	((${#children[@]} == 0)) || kill -KILL "${children[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$dir" "${strange[@]-}"
	"$tool" --clean "*.$$" >/dev/null
}
trap end EXIT

fail() {
	printf 'FAILED: %s\n' "$*"
	failures=$((failures + 1))
}

# run <exit code> <argument>...: stdout and stderr into files
run() {
	local expected=$1 got=0
	shift
	"$tool" "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
	[ "$got" = "$expected" ] ||
		fail "exit $got instead of $expected: $* ($(head -1 "$dir/err"))"
}

contains() {
	grep -qE -- "$1" "$dir/out" || fail "no \"$1\" in: $(cat "$dir/out")"
}

contains_not() {
	! grep -qE -- "$1" "$dir/out" || fail "\"$1\" in: $(cat "$dir/out")"
}

refused() {
	local says=$1
	shift
	run 2 "$@"
	[ ! -s "$dir/out" ] || fail "output in spite of a mistake: $*"
	grep -qF -- "$says" "$dir/err" ||
		fail "\"$(cat "$dir/err")\" does not say \"$says\": $*"
}

# start <file for its output> NAME...: in the background; its number is $!
start() {
	local out=$1
	shift
	mkfifo "$out.in"
	"$publisher" "$@" <"$out.in" >"$out" &
	exec {input}>"$out.in" # it ends when nobody has that open
	while ! grep -q ready "$out"; do
		kill -0 $! || { fail "$publisher $*"; return; }
		sleep 0.05
	done
	children+=($!)
}

# --- arguments ---
run 0 --help && contains '--once' && contains '--json' && contains '--clean'
run 0 --version && contains '^vmemcache [0-9]+\.[0-9]+\.[0-9]+$'
refused 'exclude each other' --once --json
refused 'exclude each other' -c -o
for seconds in '' x 0 0.05 -1 3601 1s nan; do
	refused 'seconds from 0.1' --interval "$seconds"
done
refused 'unrecognized option' --frob
refused 'see --once and --json'

# --- nobody ---
run 0 --once "*.$$" && contains '^NAME .* STATE$'
[ "$(wc -l <"$dir/out")" = 1 ] || fail "caches of nobody"
run 0 --json "*.$$" && [ "$(cat "$dir/out")" = '[]' ] || fail "JSON of nobody"

# --- two caches of a process ---
start "$dir/one" "a \"quoted\" \\.$$" "sessions.$$"
living=$!
run 0 --once "*.$$"
# others' files are told of, too: those of processes that this one may not read,
# and what tests of other versions have made
grep -vE 'not shown: [0-9]+ of other' "$dir/err" &&
	fail "stderr: $(cat "$dir/err")"
[ "$(wc -l <"$dir/out")" = 3 ] || fail "not two caches: $(cat "$dir/out")"
contains "^sessions\.$$ +$living +[0-9]+ +[0-9.]+ +[0-9.]+ +(-|[0-9.]+) "
contains "^a \"quoted\" .* running$"
run 0 --once "sess*.$$" "nobody.$$"
[ "$(wc -l <"$dir/out")" = 2 ] || fail "patterns: $(cat "$dir/out")"
run 0 --json "*.$$"
contains "\"name\":\"sessions.$$\",\"gets\":100,"
contains "\"pid\":$living,\"state\":\"running\""
if command -v python3 >/dev/null; then
	python3 -c '
import json, sys
caches = json.load(sys.stdin)
assert len(caches) == 2, caches
for cache in caches:
	for sample in cache["now"], cache["before"]:
		statistics = sample["statistics"]
		assert statistics["gets"] == 100, sample
		assert statistics["hits"] + statistics["misses"] == 100
		assert sample["time"] > 1e9 and sample["clock"] > 0
	assert statistics["name"].endswith(sys.argv[1])
	assert cache["now"]["time"] >= cache["before"]["time"]
' "$$" <"$dir/out" || fail "JSON: $(cat "$dir/out")"
fi
run 0 --clean "*.$$" && contains_not . # nothing of the living

# --- a process that was killed ---
start "$dir/two" "killed.$$"
killed=$!
run 0 --once "*.$$" && contains "^killed\.$$ .* running$"
kill -KILL "$killed"
wait "$killed" 2>/dev/null
run 0 --once "*.$$" && contains "^killed\.$$ .* gone$"
contains "^sessions\.$$ .* running$"
run 0 --json "killed.$$" && contains '"state":"gone"'
run 0 --clean "sess*.$$" && contains_not .
run 0 --clean "*.$$" && contains "^removed vmemcache\.$killed\.0: killed\.$$\$"
[ "$(wc -l <"$dir/out")" = 1 ] || fail "removed: $(cat "$dir/out")"
run 0 --once "*.$$" && contains_not killed && contains "^sessions\.$$ "

# --- one that is stopped is late, and stays ---
kill -STOP "$living"
for _ in $(seq 200); do
	run 0 --once "sess*.$$"
	grep -q 'late$' "$dir/out" && break
	sleep 0.1
done
contains 'late$'
run 0 --clean "*.$$" && contains_not .
kill -CONT "$living"

# --- what is none, or was never completed ---
free=$killed # no process has it, or else what is below stays
strange=(/dev/shm/vmemcache."$free".{7,8,9,010,x} /dev/shm/vmemcache.0.1)
: >"${strange[0]}"
ln -s /etc/passwd "${strange[1]}"
mkfifo "${strange[2]}"
: >"${strange[3]}"
: >"${strange[4]}"
head -c 8192 /dev/zero >"${strange[5]}"
run 0 --once "*.$$"
[ "$(wc -l <"$dir/out")" = 3 ] || fail "strange: $(cat "$dir/out")"
run 0 --clean
kill -0 "$free" 2>/dev/null || contains "^removed vmemcache\.$free\.7$"
for file in "${strange[@]:1}"; do
	[ -e "$file" ] || [ -L "$file" ] || fail "removed: $file"
done

# --- output that cannot be written ---
if [ -e /dev/full ]; then
	"$tool" --json >/dev/full 2>"$dir/err" && fail "a full device is fine"
	grep -q 'No space left' "$dir/err" || fail "$(cat "$dir/err")"
fi

[ "$failures" = 0 ] && echo "all as expected"
exit $((failures > 0))

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tool.sh <vmemcache-bench> <shared> -- the tool from outside: every command
# on tiny sizes, its three outputs, and one sentence for each mistake
set -u
tool=$1
shared=$2
plots=$(dirname "$0")/../../benchmarks/plots.gnuplot
medium=${TMPDIR:-/tmp}
[ -d /dev/shm ] && [ -w /dev/shm ] && medium=/dev/shm
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	printf 'FAILED: %s\n' "$*"
	failures=$((failures + 1))
}

# run <exit code> <argument>...: stdout and stderr into files
run() {
	local expected=$1 got=0
	shift
	PATH=${tool_path-$PATH} "$tool" "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
	[ "$got" = "$expected" ] ||
		fail "exit $got instead of $expected: $* ($(head -1 "$dir/err"))"
}

# refused <part of the sentence> <argument>...
refused() {
	local says=$1
	shift
	run 2 "$@"
	[ ! -s "$dir/out" ] || fail "output in spite of a mistake: $*"
	# argp adds where to find help
	[ "$(sed '/^Try /,$d' "$dir/err" | wc -l)" = 1 ] ||
		fail "not one sentence: $*"
	head -1 "$dir/err" | grep -qF -- "$says" ||
		fail "\"$(cat "$dir/err")\" does not say \"$says\": $*"
}

# contains <pattern>: in a line of the last output; each object is a line
contains() {
	{
		tr -s '\n ' ' ' <"$dir/out" | sed 's/}/}\n/g'
		echo
		cat "$dir/out"
	} | grep -E -- "$1" >"$dir/found" || fail "no \"$1\" in the output"
}

is_json() {
	command -v python3 >/dev/null || return 0
	python3 -m json.tool <"$dir/out" >/dev/null || fail "not JSON: $*"
}

# is_csv <columns>: every line has as many as the first
is_csv() {
	awk -F, -v n="$1" 'NF != n { bad = 1 } END { exit bad || NR < 2 }' \
		"$dir/out" || fail "not CSV of $1 columns"
}

# --- help ---
run 0 -h && contains 'replay'
for command in micro compare simul replay curve growth churn resize prefault util clients serve; do
	run 0 $command -h && contains '^Usage: .*'$command
	[ -s "$dir/err" ] && fail "help of $command writes to stderr"
done

run 0 --version && contains '^vmemcache [0-9]+\.[0-9]+\.[0-9]+$'

# --- mistakes in options ---
run 2
refused 'unknown command frob' frob
refused "unrecognized option '--frob'" micro --frob
refused "invalid option -- 'z'" micro -z
refused "invalid option -- 'z'" micro -zt1
refused "'--pool' requires an argument" micro --pool
refused "requires an argument -- 's'" micro -s
refused "'--json' doesn't allow an argument" micro --json=yes
refused 'exclude each other' micro --json --csv
refused 'takes no argument' micro extra
for size in '' x 4Q -1 1e9 0x10 ' 1' 1..5 9999999999T; do
	refused "--pool $size:" micro "--pool=$size"
done
refused 'a pool of 1000 bytes' micro --pool 1000
refused 'extents of 100 bytes' micro --pool 1M --extent 100
refused 'get, hot, zipf, many, pin, miss, put and mixed' micro --ops get,frob
refused 'get, hot, zipf, many, pin, miss, put and mixed' micro --ops ''
refused 'numbers from 1 to 64' micro --threads 0
refused 'numbers from 1 to 64' micro --threads 1,65
refused 'out of range' micro --values 0
refused 'below 4 GiB' micro --values 4G
refused 'does not hold two' micro --pool 1M --values 1M -p "$medium"
refused '--rounds 4: is 5 to 99' micro --rounds 4
refused '--gets 101: is 0 to 100' micro --gets 101
refused '--key-size 7: is 8 to' micro --key-size 7
refused 'policies are' micro --policy fifo
refused 'indexes are' micro --index btree
refused 'evicts nothing' micro --policy none
for command in compare growth churn resize util serve; do
	refused 'evicts nothing' $command --policy none
done
refused '--rounds 100: is 5 to 99' compare --rounds 100
refused '--gets 101: is 0 to 100' compare --gets 101
refused 'only micro has many and pin' compare --ops get,many
refused 'only micro has many and pin' compare --ops pin
refused 'at most 512K' compare --values 1M
refused '--rounds 4: is 5 to 99' growth --rounds 4
refused '--value 0: is 1 to' growth --value 0
refused 'out of range' growth --entries 0
refused '--rounds 4: is 5 to 99' churn --rounds 4
refused '--rounds 4: is 5 to 99' resize --rounds 4
refused '--times is 2 to' resize --times 1
refused '--threads is 1 to' resize --threads 65
refused '--value is at least' resize --value 7
refused 'at least 1024 values for each' resize --pool 1M --threads 2
refused '--rounds 4: is 5 to 99' prefault --rounds 4
refused '--value 2M: is 1 to' prefault --value 2M
refused 'numbers from 1 to 64' prefault --prefault 0
refused '--connections: is 1 to 256' clients -c 257
refused '--batch: is 1 to 1000' clients --batch 1001
refused 'cannot be run' clients --server /nonexistent
refused 'more than 4 directories' prefault a b c d e
refused '--turnovers 0: is at least 1' churn --turnovers 0
refused '1 byte to 16 MiB' churn --sizes 0
refused '16 of the largest' churn --pool 1M --sizes 128K
refused 'zipf is written' simul --keys zipf:1
refused 'not one of' simul --sizes normal:1:2
refused '4 GiB and more' simul --sizes 4G
refused '--threads 0: is 1 to' simul --threads 0
refused '--requests 0: is at least 1' simul --requests 0
refused '--turnovers 0: is at least 1' util --turnovers 0
refused '1 byte to 16 MiB' util --sizes 17M
refused 'takes one trace' replay
refused 'takes one trace' replay a b
refused 'takes one trace' curve
refused 'not from 0 to 100' curve --sizes 0% a
refused 'not a number' curve --sizes , a
refused 'above 0, up to 1' curve --rate 2 a
refused '/nonexistent/plot.png' simul --plot /nonexistent/plot.png
refused 'neither in .png nor in .svg' simul --plot "$dir/plot"
refused 'is for replay and simul' micro --policy all
for option in --path=x --extent=4K --policy=none --index=critnib --statistics=x; do
	refused "${option%=*} changes nothing here" clients "$option"
done
refused '--policy changes nothing here' curve -P sieve a
for command in replay curve prefault; do
	refused '--seed changes nothing here' $command --seed 2 a
done
for command in clients curve growth; do
	refused "unrecognized option '--pool=1M'" $command --pool=1M
done
for skew in x 0 11 .9x; do
	refused "--zipf $skew: is above 0, up to 10" clients --zipf $skew
done
for command in micro compare growth churn resize prefault clients serve; do
	run 0 $command --help && contains 'at least 5 '
done
tool_path=/nonexistent
refused 'gnuplot, which is not installed' simul --plot "$dir/x.png"
unset tool_path

# --- mistakes in traces ---
refused 'No such file' replay "$dir/missing"
: >"$dir/empty" && refused 'is empty' replay "$dir/empty"
head -c 25 /dev/zero >"$dir/odd"
refused 'records of 24 bytes' replay "$dir/odd"
printf '1,2,3\n' >"$dir/one.csv"
for option in --threads=2 --block=4K; do
	refused 'are for requests for blocks' replay $option "$dir/one.csv"
done
printf 'time,id,size\n1,2,3\n1,2\n' >"$dir/short.csv"
refused 'line 3: fewer than three' replay "$dir/short.csv"

# --- failures of the system ---
run 1 simul --pool 1M --path "$dir/missing"
grep -q 'open' "$dir/err" || fail "no message of the library"

# --- a run of each ---
path="--path $medium"
small="$path --pool 1M"
run 0 micro $small --values 256,4K --ops get,many,pin,miss,put,mixed --threads 1,2 \
	--rounds 5 --json
is_json micro && contains '"misses": 0' && contains '"floor_ns": [0-9]'
[ "$(grep -c '"operation"' "$dir/out")" = 28 ] || fail "not 28 rows of micro"
contains '"operation": "many", .*"floor_ns": [0-9].*"times_get": [0-9]'
contains '"operation": "pin", .*"floor_ns": null.*"times_get": [0-9]'
contains '"operation": "get", .*"times_get": null'
contains '"operation": "miss", .*"floor_ns": null'
[ -s "$dir/err" ] && fail "a run writes to stderr"

run 0 simul $small --keys zipf:1.1:1:5K --requests 20K --warmup 1K \
	--threads 2 --csv
is_csv 17

# Peers that are not there are left out, with a sentence each.
run 0 compare $path --pool 2M --values 1K --ops put,mixed --threads 2 --rounds 5 --csv
[ "$(grep -c '^1024,' "$dir/out")" = 9 ] || fail "not 9 rows of compare"
awk -F, '/^$/ { part++ } part == 0 && !/^value/ &&
	!(NF == 9 && $4 > 0 && $5 > 0 && $8 > 0) { bad = 1 }
	END { exit bad }' "$dir/out" || fail "no time of the cache or the floor"
grep -v -e 'librocksdb' -e 'memcached is not' "$dir/err" &&
	fail "compare writes to stderr"
grep -q 'memcached is not' "$dir/err" ||
	awk -F, '/^1024/ && $9 == "" { bad = 1 } END { exit bad }' "$dir/out" ||
	fail "memcached was not measured"
leftover=$(ls -d "${TMPDIR:-/tmp}"/vmemcache-bench.* 2>/dev/null)
[ -z "$leftover" ] || fail "left behind: $leftover"
tool_path=/nonexistent
run 0 compare $path --pool 2M --values 1K --ops get,hot,zipf --threads 1 --rounds 5 --json
unset tool_path
is_json compare && contains '"memcached": null'
grep -q 'memcached is not' "$dir/err" || fail "no sentence about memcached"

run 0 growth $path --entries 1K,5K --rounds 5 --csv
is_csv 10
[ "$(wc -l <"$dir/out")" = 3 ] || fail "not two rows of growth"
run 0 churn $path --pool 2M --turnovers 3 --rounds 5 --json
is_json churn && contains '"turnovers": 2,' && contains '"turnovers": 3,'

# what the size allows is found, and put: nothing is missed, nothing refused
for index in hash critnib; do
	run 0 resize $path --pool 2M --times 4 --index $index --csv
	is_csv 12
	awk -F, 'NR > 1 && !($2 > 0 && $4 > 0 && $5 > 0 && $6 == 0 && $9 > 0 &&
		$10 == 0) { bad = 1 } END { exit bad || NR != 4 }' "$dir/out" ||
		fail "resize $index: $(cat "$dir/out")"
	# as many items as before, and some three to five times as many between
	awk -F, '{ n[$1] = $4 } END { exit !(n["shrink"] > 0.97 * n["still"] &&
		n["grow"] > 3 * n["still"] && n["grow"] < 5 * n["still"]) }' \
		"$dir/out" || fail "items after resizes: $(cat "$dir/out")"
done

run 0 prefault --pool 2M --prefault 2 "$medium" "$dir" --csv
is_csv 11
[ "$(wc -l <"$dir/out")" = 5 ] || fail "not four rows of prefault"

run 0 util $small --turnovers 2 --entries 1K --json
is_json util && contains '"used_percent"' && contains '"resident_per_entry"'
run 0 util $small --turnovers 2 --entries 0 --sizes uniform:1:9K
contains 'uniform:1:9K'

run 0 serve $path --pool 4M --values 4K,100000 --rounds 5 --csv
is_csv 7
[ "$(grep -c '^pair ' "$dir/out")" = 4 ] || fail "not 4 rows of serve"
refused 'at least 4 of the largest' serve --pool 1M --values 512K

# A line for each cache: 9000 gets of two pools
run 0 simul $path --pool 1M,2M --warmup 0 --requests 9K --statistics "$dir/lines"
[ "$(grep -c '^{"name":"vmemcache","gets":9000,.*}$' "$dir/lines")" = 2 ] ||
	fail "statistics: $(cat "$dir/lines")"
refused '/nonexistent/x: No such file' simul $small --statistics /nonexistent/x

# Four keys of which the cache holds all: one miss each. A fifth is too large.
printf 'time,id,size\n' >"$dir/trace.csv"
for i in $(seq 25); do
	printf '%d,a,100\n%d,b,200000\n%d,3,0\n%d,4,4096\n' $i $i $i $i
done >>"$dir/trace.csv"
printf '99,huge,3000000\n' >>"$dir/trace.csv"
run 0 replay $small "$dir/trace.csv" --json
is_json replay
contains '"requests": 101, "hits": 96,' && contains '"refused_puts": 1'
run 0 curve --sizes 1M,50% "$dir/trace.csv" --csv && is_csv 6
run 0 curve --sizes 50% "$dir/trace.csv" && contains 'adaptive'
run 0 curve --sizes 100% --objects 2 "$dir/trace.csv" --json
contains '"sampled_objects": [12],'
refused 'exclude each other' replay --pool 1M --sizes 1% "$dir/trace.csv"
# the six blocks of small ones are larger, in a pool of the least size
printf '%d,%d,100\n' 1 1 2 2 3 3 4 1 5 2 6 3 7 4 8 1 >"$dir/small.csv"
run 0 replay $path --sizes 75%,100% "$dir/small.csv" --csv
[ "$(cut -d, -f 1,5 "$dir/out" | tr '\n' ' ')" = \
	'pool_bytes,hits 768,3 1024,4 ' ] || fail "hits: $(cat "$dir/out")"
run 0 replay $small "$dir/trace.csv"
contains '101 +96 +0\.050'
run 0 replay $small "$dir/trace.csv" --policy all --csv
is_csv 17
[ "$(cut -d, -f2 "$dir/out" | tr '\n' ' ')" = \
	'policy lru sieve s3fifo adaptive ' ] || fail 'not all policies'

server=$(dirname "$tool")/../src/server/vmemcached
if [ -x "$server" ]; then
	for socket in '' --tcp; do
		run 0 clients --server "$server" --csv -m 64M -v 100,4K -c 3 \
			--slice 10 --zipf .99 $socket
		is_csv 11
		contains '^mg in a row: vmemcached,100,100,'
		contains '^set: vmemcached,4096,1,'
		awk -F, '/^get: vmemcached/ && $7 != 100 { exit 1 }' \
			"$dir/out" || fail "values that were set are not found"
	done
fi

# Blocks shared by prefix: of 10 blocks 5 are there, one of them behind a gap.
printf '{"timestamp": 0, "hash_ids": [%s]}\n' '1, 2, 3' '1, 2, 4' '1, 5, 3, 4' \
	>"$dir/blocks.jsonl"
run 0 replay $small "$dir/blocks.jsonl" --block 8K --threads 1,2 --json
is_json replay
contains '"threads": 1, "requests": 3, "blocks": 10, "hits": 5, .*"leading_ratio": 0.3'
contains '"threads": 2, .*"refused": 0'
run 0 replay --path "$medium" "$dir/blocks.jsonl" --block 1M --policy all --csv --sizes 60%
contains '^3145728,lru,1,'
is_csv 14
refused 'are for replay' curve "$dir/blocks.jsonl"
if command -v gnuplot >/dev/null; then
	refused 'there is no --plot' replay $small "$dir/blocks.jsonl" \
		--plot "$dir/x.svg"
	[ ! -e "$dir/x.svg" ] || fail "a run that is refused leaves a drawing"
	echo mine >"$dir/x.svg"
	refused 'there is no --plot' replay $small "$dir/blocks.jsonl" \
		--plot "$dir/x.svg"
	grep -qx mine "$dir/x.svg" || fail "a run that is refused draws"
fi
refused '--block 7: is 8 bytes' replay --block 7 "$dir/blocks.jsonl"
echo '{"hash_ids": []}' >"$dir/none.jsonl"
refused 'line 1: no hash_ids' replay $small "$dir/none.jsonl"
echo '{"hash_ids": [1.5]}' >"$dir/half.jsonl"
refused 'line 1: an id is no whole' replay $small "$dir/half.jsonl"

for command in $("$tool" -h | awk '/^  [a-z]/ { print $1 }'); do
	grep -q "command eq '$command'" "$plots" || fail "no drawing of $command"
done
if command -v gnuplot >/dev/null; then
	run 0 serve $path --pool 1M --values 256,4K --rounds 5 --plot "$dir/serve.svg"
	grep -q 'TCP receive' "$dir/serve.svg" || fail "no drawing of serve"
	if [ -x "$server" ]; then
		run 0 clients --server "$server" -m 64M -v 100,4K -c 3 \
			--slice 10 --plot "$dir/clients.svg"
		grep -q 'mg in a row' "$dir/clients.svg" &&
			grep -q '>vmemcached<' "$dir/clients.svg" ||
			fail "no drawing of clients"
		[ -s "$dir/err" ] && fail "gnuplot: $(cat "$dir/err")"
	fi
	run 0 prefault $small --plot "$dir/prefault.png"
	run 0 resize $path --pool 2M --times 2 --plot "$dir/resize.svg"
	grep -q '<svg' "$dir/resize.svg" || fail "no drawing of resize"
	run 0 replay --path "$medium" --pool 1M,2M "$dir/trace.csv" \
		--plot "$dir/it's a plot.png"
	head -c 8 "$dir/it's a plot.png" | grep -q PNG || fail "no picture"
	run 0 curve "$dir/trace.csv" --sizes 50%,100% --plot "$dir/curve.svg"
	grep -q '<svg' "$dir/curve.svg" || fail "no drawing"
	[ -s "$dir/err" ] && fail "gnuplot: $(cat "$dir/err")"
fi

# Miss ratios of a reference simulator: traces/README.md.
traces=$shared/traces
room=0
[ "$medium" = /dev/shm ] &&
	room=$(df --output=avail -BM /dev/shm | tail -1 | tr -dc 0-9)
trace=$traces/cloudPhysicsIO.oracleGeneral.bin
if [ -r "$trace" ] && [ "$room" -gt 1200 ]; then
	run 0 replay --pool 128M,512M "$trace" --csv
	awk -F, 'NR == 2 { a = $6 - 0.820 } NR == 3 { b = $6 - 0.718 }
		END { exit !(NR == 3 && a * a < 1e-4 && b * b < 1e-4) }' \
		"$dir/out" || fail "miss ratios: $(cut -d, -f6 "$dir/out")"
fi

# A tenth of the objects stands for all: by .01 off, on average.
if [ -r "$trace" ] && [ "$room" -gt 1200 ]; then
	for trace in "$traces"/*.oracleGeneral.bin; do
		run 0 curve "$trace" --csv
		tail -n +2 "$dir/out" >>"$dir/exact"
		run 0 curve "$trace" --rate 0.1 --csv
		tail -n +2 "$dir/out" >>"$dir/sampled"
	done
	paste -d, "$dir/exact" "$dir/sampled" | awk -F, '
		{
			for (i = 3; i <= 6; i++)
				sum += $i > $(i + 6) ? $i - $(i + 6) : $(i + 6) - $i
			n += 4
		}
		END { print sum / n; exit !(n == 100 && sum / n <= 0.01) }' \
		>"$dir/off" || fail "sampled curves are off by $(cat "$dir/off")"
fi

# The same of blocks, with 1, 5, 10 and 20 % of them.
trace=$shared/traces/mooncake_conversation.jsonl
if [ -r "$trace" ] && [ "$medium" = /dev/shm ] &&
	[ "$(df --output=avail -BM /dev/shm | tail -1 | tr -dc 0-9)" -gt 400 ]
then
	run 0 replay --block 1K --extent 1K "$trace" --csv --sizes 1%,5%,10%,20%
	awk -F, 'BEGIN { split("0.948 0.805 0.722 0.655", expected, " ") }
		NR > 1 { d = $8 - expected[NR - 1]; if (d * d > 1e-4) bad = 1 }
		END { exit bad || NR != 5 }' "$dir/out" ||
		fail "miss ratios: $(cut -d, -f8 "$dir/out")"
fi

[ "$failures" = 0 ] && echo "all as expected"
exit $((failures > 0))

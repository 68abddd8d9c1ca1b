# SPDX-License-Identifier: BSD-3-Clause
#
# plots.gnuplot -- the picture of each command's result
#
# plot.c says before what there is: a block for each table ($speed), the values
# of its columns of texts (speed_operation), terminal, command and file. The
# cache is drawn solid and the floor dashed; colours are those of Okabe and Ito,
# which the colour-blind can tell apart. The legend is below the axes, where no
# title is.

set datafile columnheaders
set datafile missing NaN
set border 3 lc rgb '#666666'
set tics nomirror textcolor rgb '#333333'
set grid lc rgb '#dddddd' lt 1
set key bmargin center horizontal height 1 samplen 2
colours = '#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9'
colour(i) = word(colours, (i - 1) % 6 + 1)

# Panels of some columns and rows; the title is that of all.
panels(title, columns, rows, width, height) = \
	sprintf("set terminal %s size %d,%d noenhanced font 'sans,11'; ", \
		terminal, width * columns, height * rows + 30) . \
	"set output file; " . \
	sprintf("set multiplot layout %d,%d title \"%s\"", rows, columns, title)
threads(n) = sprintf('%d thread%s', n + 0, n + 0 == 1 ? '' : 's')
# An x axis of bytes: each second power of two has a label.
bytes = "set logscale x 2; set offsets graph 0.05, graph 0.05; set xtics (); " . \
	"do for [e=0:50:2] { set xtics add (sprintf('%d %s', 2 ** (e % 10), " . \
	"word('B KiB MiB GiB TiB PiB', e / 10 + 1)) 2 ** e) }"
# What a column has in rows of that text and number.
at(column1, text, column2, number, y) = \
	strcol(column1) eq text && column(column2) == number ? column(y) : NaN

if (command eq 'micro') {
	n = words(speed_operation)
	eval panels('vmemcache-bench micro: the cache on a full pool, and the floor', \
		n < 3 ? n : 3, (n + 2) / 3, 520, 480)
	eval bytes
	set logscale y
	set xlabel 'size of a value'
	set ylabel 'ns per operation, all threads together'
	do for [op in speed_operation] {
		set title op
		# the cache for each number of threads, then the floor; a miss has none
		m = words(speed_threads)
		plot for [i=0:m * (op eq 'miss' ? 1 : 2) - 1] $speed \
			using 'value_bytes':(at('operation', op, 'threads', \
				word(speed_threads, i % m + 1) + 0, \
				word('ns_per_op floor_ns', i / m + 1))) \
			with linespoints lw 2 pt 7 - i / m dt 1 + i / m lc rgb colour(i % m + 1) \
			title word('cache floor', i / m + 1) . ', ' . \
				threads(word(speed_threads, i % m + 1))
	}
}

if (command eq 'compare') {
	stores = 'cache floor hyper_clock lru_cache handmade memcached'
	names = "vmemcache floor 'RocksDB HyperClock' 'RocksDB LRU' 'by hand' memcached"
	style = '#0072b2 #777777 #d55e00 #e69f00 #009e73 #cc79a7'
	# one scale of time for all panels, and those stores that were there
	there = ''
	low = 1e300
	high = 0
	do for [k=1:6] {
		if (strstrt(speed_columns, word(stores, k))) {
			there = there . k . ' '
			stats $speed using word(stores, k) nooutput
			low = STATS_min < low ? STATS_min : low
			high = STATS_max > high ? STATS_max : high
		}
	}
	set yrange [low / 1.5:high * 1.5]
	rows = words(speed_threads)
	eval panels('vmemcache-bench compare: time per operation, all threads together, on full stores of one budget', \
		words(speed_operation), rows, 460, 420)
	eval bytes
	set logscale y
	set ytics ('1 ns' 1, '10 ns' 10, '100 ns' 100, '1 us' 1e3, '10 us' 1e4, \
		'100 us' 1e5, '1 ms' 1e6)
	set xlabel 'size of a value'
	do for [t in speed_threads] {
		do for [op in speed_operation] {
			set title op . ', ' . threads(t)
			plot for [k in there] $speed \
				using 'value_bytes':(at('operation', op, 'threads', t + 0, word(stores, k + 0))) \
				with linespoints lw 2 pt 7 dt 1 + (k + 0 == 2) lc rgb word(style, k + 0) \
				title word(names, k + 0)
		}
	}
}

if (command eq 'simul' || command eq 'replay') {
	eval panels('vmemcache-bench ' . command . ': a get, and on a miss a put', \
		2, 1, 520, 480)
	eval bytes
	set xlabel 'size of the pool'
	policy(p, y) = strcol('policy') eq p ? column(y) : NaN
	set yrange [0:100]
	set ylabel 'misses, % of the gets'
	plot for [i=1:words(traffic_policy)] $traffic \
		using 'pool_bytes':(100 * policy(word(traffic_policy, i), 'miss_ratio')) \
		with linespoints lw 2 pt 7 lc rgb colour(i) title word(traffic_policy, i)
	set yrange [0:*]
	set ylabel 'ns per request'
	plot for [i=1:words(traffic_policy)] $traffic \
		using 'pool_bytes':(policy(word(traffic_policy, i), 'ns_per_op')) \
		with linespoints lw 2 pt 7 lc rgb colour(i) title word(traffic_policy, i), \
		for [i=1:words(traffic_policy)] $traffic \
		using 'pool_bytes':(policy(word(traffic_policy, i), 'floor_ns')) \
		with linespoints lw 2 pt 6 dt 2 lc rgb colour(i) \
		title 'floor of ' . word(traffic_policy, i)
}

if (command eq 'curve') {
	eval panels('vmemcache-bench curve: misses of each policy', 1, 1, 640, 480)
	set logscale x 10
	set rmargin 4
	set xlabel 'blocks of the cache'
	set yrange [0:1]
	set ylabel 'misses of all requests'
	policies = 'lru sieve s3fifo adaptive'
	plot for [i=1:4] $curve using 'blocks':word(policies, i) \
		with linespoints lw 2 pt 7 lc rgb colour(i) title word(policies, i)
}

if (command eq 'growth') {
	eval panels('vmemcache-bench growth', 2, 1, 520, 480)
	set logscale x 10
	set format x '%.0s%c'
	set xlabel 'entries'
	set yrange [0:*]
	set ylabel 'ns per operation'
	plot for [i=1:3] $growth using 'entries':word('get_ns put_ns miss_ns', i) \
		with linespoints lw 2 pt 7 lc rgb colour(i) title word('get put miss', i), \
		for [i=1:2] $growth using 'entries':word('get_floor_ns put_floor_ns', i) \
		with linespoints lw 2 pt 6 dt 2 lc rgb colour(i) \
		title 'floor of ' . word('get put', i)
	set ylabel 'bytes of DRAM per entry, without the key'
	plot $growth using 'entries':'resident_per_entry' \
		with linespoints lw 2 pt 7 lc rgb colour(1) notitle
}

if (command eq 'churn') {
	eval panels('vmemcache-bench churn', 2, 1, 520, 480)
	set logscale x 10
	set xlabel 'turnovers of the pool'
	set yrange [0:*]
	set ylabel 'times the floor'
	plot for [i=1:2] $churn using 'turnovers':word('get_ratio put_ratio', i) \
		with linespoints lw 2 pt 7 lc rgb colour(i) title word('get put', i)
	set ylabel 'pieces that a value is in'
	plot $churn using 'turnovers':'runs_per_value' \
		with linespoints lw 2 pt 7 lc rgb colour(1) notitle
}

if (command eq 'resize') {
	eval panels('vmemcache-bench resize: single gets and puts', 1, 1, 640, 480)
	set grid noxtics
	set xrange [-0.6:2.6]
	set logscale y
	set ylabel 'us'
	names = 'get_p99_9_ns get_max_ns put_p99_9_ns put_max_ns'
	plot for [k=1:4] $resize \
		using 0:(column(word(names, k)) / 1e3):xtic(strcol('stage')) \
		with points ps 1.6 pt 7 lc rgb colour(k) \
		title word('get,p99.9 get,max put,p99.9 put,max', k)
}

if (command eq 'prefault') {
	stats $prefault using 'ready_ns' nooutput
	eval panels('vmemcache-bench prefault', 2, 1, \
		120 + STATS_records * (8 * strlen(prefault_path) / words(prefault_path) + 20), 480)
	name(x) = strcol('path') . "\n" . \
		(valid(2) ? threads(column('threads')) : 'none')
	set style fill solid 0.9 noborder
	set boxwidth 0.6
	set grid noxtics
	set bmargin 6
	set xrange [-0.6:STATS_records - 0.4]
	set yrange [0:*]
	set ylabel 'ms until the pool is ready'
	plot $prefault using 0:(column('ready_ns') / 1e6):xtic(name(0)) \
		with boxes lc rgb colour(1) notitle
	set yrange [*:*]
	set logscale y
	set ylabel 'us per put that fills the pool'
	plot for [k=1:4] $prefault \
		using 0:(column(word('p50_ns p99_ns p99_9_ns max_ns', k)) / 1e3):xtic(name(0)) \
		with points ps 1.6 pt 7 lc rgb colour(k) title word('p50 p99 p99.9 max', k)
}

if (command eq 'util') {
	stats $space using 'used_percent' nooutput
	eval panels('vmemcache-bench util: what values get of the pool', \
		1, 1, 1040, 480)
	colon(s) = strstrt(s, ':')
	name(s, gets) = s[1:colon(s) - 1] . "\n" . s[colon(s) + 1:*] . \
		(gets > 0 ? "\nwith gets" : '')
	set style fill solid 0.9 noborder
	set boxwidth 0.6
	set grid noxtics
	set bmargin 6
	low = STATS_min > 91 ? 90 : floor(STATS_min / 10) * 10
	set yrange [low:100 + (100 - low) * 0.08]
	set ylabel 'bytes of the values, % of the pool'
	plot $space using 0:'used_percent':xtic(name(strcol('sizes'), column('gets_per_put'))) \
		with boxes lc rgb colour(1) notitle, \
		$space using 0:'used_percent':(sprintf('%.2f', column('used_percent'))) \
		with labels offset 0,0.7 notitle
}

if (command eq 'serve') {
	eval panels('vmemcache-bench serve: values per second of processor time', \
		2, words(serve_operation) / 2, 520, 420)
	eval bytes
	set logscale y
	set format y '%.0s%c'
	set xlabel 'size of a value'
	set ylabel 'values per second'
	do for [op in serve_operation] {
		set title op
		plot for [k=1:3] $serve using 'value_bytes':(strcol('operation') eq op ? \
				column(word('in_place copied floor', k) . '_per_second') : NaN) \
			with linespoints lw 2 pt 7 dt 1 + (k == 3) lc rgb colour(k) \
			title word("'in place' copied floor", k)
	}
}

if (command eq 'clients') {
	set key width 2
	loads = "get 'gets of many' 'mg in a row' set"
	eval panels('vmemcache-bench clients: processor time of the server for each value', \
		2, 2, 520, 420)
	eval bytes
	set logscale y
	set xlabel 'size of a value'
	set ylabel 'us per value'
	server(s) = s[strstrt(s, ': ') + 2:*]
	number(s) = server(s) eq 'vmemcached' ? 1 : server(s) eq 'memcached' ? 2 : 3
	do for [load in loads] {
		set title load
		there = ''
		do for [s in servers_server] {
			if (strstrt(s, load . ': ') == 1) { there = there . '"' . s . '" ' }
		}
		plot for [s in there] $servers using 'value':(strcol('server') eq s ? \
				column('cpu_ns_per_value') / 1e3 : NaN) \
			with linespoints lw 2 pt 7 lc rgb colour(number(s)) title server(s)
	}
}
unset multiplot

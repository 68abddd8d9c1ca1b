/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plot.c -- scripts for gnuplot, fed through a pipe
 *
 * Data travel inside the script, in named blocks, so that no file but the
 * picture is written. The cache is drawn solid and the floor dashed; colours
 * are those of Okabe and Ito, which the colour-blind can tell apart.
 */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const char *const colours[] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

#define N_COLOURS (sizeof(colours) / sizeof(colours[0]))

void
bench_plot_check(const char *path)
{
	if (path == NULL)
		return;
	if (system("gnuplot --version >/dev/null 2>&1") != 0)
		bench_refuse("--plot needs gnuplot, which is not installed "
			     "(package gnuplot-nox)");
	FILE *file = fopen(path, "a");
	if (file == NULL)
		bench_refuse("--plot %s: %s", path, strerror(errno));
	fclose(file);
}

/* A string of gnuplot in single quotes, of which a quote is doubled. */
static void
print_quoted(FILE *script, const char *text)
{
	fputc('\'', script);
	for (; *text; text++)
		fprintf(script, *text == '\'' ? "%c'" : "%c", *text);
	fputc('\'', script);
}

static FILE *
start_plot(const char *path, unsigned width, unsigned height)
{
	/* Should gnuplot die, pclose() tells. */
	signal(SIGPIPE, SIG_IGN);
	FILE *script = popen("gnuplot", "w");

	if (script == NULL)
		bench_fail("gnuplot: %s", strerror(errno));
	fprintf(script,
		"set terminal pngcairo size %u,%u noenhanced font 'sans,11'\n"
		"set output ",
		width, height);
	print_quoted(script, path);
	fputs("\nset border 3 lc rgb '#666666'\n"
	      "set tics nomirror textcolor rgb '#333333'\n"
	      "set grid lc rgb '#dddddd' lt 1\n"
	      "set key tmargin center horizontal maxcols 2\n",
		script);
	return script;
}

static void
end_plot(FILE *script, const char *path)
{
	fputs("unset output\n", script);
	if (pclose(script) != 0)
		bench_fail("gnuplot could not draw %s", path);
}

/* Tics at powers of two, named as people name sizes. */
static void
set_size_axis(FILE *script, const struct bench_report *r, const char *table,
	const char *column)
{
	double min = INFINITY;
	double max = 0;

	for (size_t i = 0; i < bench_n_rows(r, table); i++) {
		min = fmin(min, bench_number_at(r, table, i, column));
		max = fmax(max, bench_number_at(r, table, i, column));
	}
	fprintf(script, "set logscale x 2\nset xrange [%g:%g]\nset xtics (",
		min / 1.4, max * 1.4);
	const char *separator = "";
	for (size_t i = 0; i < bench_n_rows(r, table); i++) {
		double x = bench_number_at(r, table, i, column);
		char text[24];

		if (i > 0 && x == bench_number_at(r, table, i - 1, column))
			continue;
		fprintf(script, "%s'%s' %.0f", separator,
			bench_human_bytes(text, x), x);
		separator = ", ";
	}
	fputs(")\n", script);
}

/* Rows of "speed" of that operation and number of threads, as a block. */
static void
print_series(FILE *script, const struct bench_report *r, const char *block,
	const char *operation, double threads)
{
	fprintf(script, "$%s << END\n", block);
	for (size_t i = 0; i < bench_n_rows(r, "speed"); i++) {
		if (strcmp(bench_text_at(r, "speed", i, "operation"),
			    operation) == 0 &&
			bench_number_at(r, "speed", i, "threads") == threads)
			fprintf(script, "%.0f %g %g\n",
				bench_number_at(r, "speed", i, "value_bytes"),
				bench_number_at(r, "speed", i, "ns_per_op"),
				bench_number_at(r, "speed", i, "floor_ns"));
	}
	fputs("END\n", script);
}

static void
plot_operation(
	FILE *script, const struct bench_report *r, const char *operation)
{
	double threads[N_COLOURS];
	size_t n = 0;

	for (size_t i = 0; i < bench_n_rows(r, "speed"); i++) {
		double t = bench_number_at(r, "speed", i, "threads");
		size_t k = 0;

		while (k < n && threads[k] != t)
			k++;
		if (k == n && n < N_COLOURS)
			threads[n++] = t;
	}
	for (size_t k = 0; k < n; k++) {
		char block[32];

		snprintf(block, sizeof(block), "series%zu", k);
		print_series(script, r, block, operation, threads[k]);
	}
	bool floored = strcmp(operation, "miss") != 0;
	fprintf(script, "set title '%s'\nplot ", operation);
	for (size_t k = 0; k < n; k++) {
		const char *s = threads[k] == 1 ? "" : "s";

		fprintf(script,
			"%s$series%zu using 1:2 with linespoints lw 2 pt 7 "
			"lc rgb '%s' title 'cache, %.0f thread%s'",
			k ? ", " : "", k, colours[k], threads[k], s);
		if (floored)
			fprintf(script,
				", $series%zu using 1:3 with linespoints lw 2 "
				"pt 6 dt 2 lc rgb '%s' "
				"title 'floor, %.0f thread%s'",
				k, colours[k], threads[k], s);
	}
	fputc('\n', script);
}

void
bench_plot_micro(const struct bench_report *r, const char *path)
{
	static const char *const operations[] = {
		"get", "many", "miss", "put", "mixed get"};
	enum { N = sizeof(operations) / sizeof(*operations) };
	const char *present[N];
	unsigned n = 0;

	for (size_t k = 0; k < N; k++) {
		for (size_t i = 0; i < bench_n_rows(r, "speed"); i++) {
			if (strcmp(bench_text_at(r, "speed", i, "operation"),
				    operations[k]) == 0) {
				present[n++] = operations[k];
				break;
			}
		}
	}
	FILE *script = start_plot(path, 520 * n, 480);
	set_size_axis(script, r, "speed", "value_bytes");
	fprintf(script,
		"set logscale y\nset xlabel 'size of a value'\n"
		"set ylabel 'ns per operation, all threads together'\n"
		"set multiplot layout 1,%u title \"vmemcache-bench micro: "
		"the cache on a full pool, and the floor\\n \"\n",
		n);
	for (unsigned k = 0; k < n; k++)
		plot_operation(script, r, present[k]);
	fputs("unset multiplot\n", script);
	end_plot(script, path);
}

/* The names of compare's stores, for the legend; the floor is grey. */
static const struct {
	const char *column;
	const char *title;
	const char *style;
} compared[] = {
	{"cache", "vmemcache", "lw 3 pt 7 lc rgb '#0072b2'"},
	{"floor", "floor", "lw 2 pt 6 dt 2 lc rgb '#777777'"},
	{"hyper_clock", "RocksDB HyperClockCache",
		"lw 2 pt 5 lc rgb '#d55e00'"},
	{"lru_cache", "RocksDB LRUCache", "lw 2 pt 9 lc rgb '#e69f00'"},
	{"handmade", "by hand", "lw 2 pt 11 lc rgb '#009e73'"},
	{"memcached", "memcached", "lw 2 pt 13 lc rgb '#cc79a7'"},
};

#define N_COMPARED (sizeof(compared) / sizeof(compared[0]))

static bool
is_compared(const struct bench_report *r, size_t store)
{
	return !isnan(bench_number_at(r, "speed", 0, compared[store].column));
}

/* The edges of what is drawn next, as parts of the picture. */
static void
set_edges(FILE *script, double left, double right, double bottom, double top)
{
	fprintf(script,
		"set lmargin at screen %g\nset rmargin at screen %g\n"
		"set bmargin at screen %g\nset tmargin at screen %g\n",
		left, right, bottom, top);
}

/* An empty plot as wide as the picture: only the legend is seen. Draw last. */
static void
draw_legend(FILE *script, const struct bench_report *r)
{
	const char *separator = "plot [1:2] [1:2] ";

	fputs("unset border\nunset tics\nunset xlabel\nunset title\nset key "
	      "inside center "
	      "center horizontal "
	      "maxcols 6 samplen 2\n",
		script);
	for (size_t k = 0; k < N_COMPARED; k++) {
		if (!is_compared(r, k))
			continue;
		fprintf(script, "%sNaN with linespoints %s title '%s'",
			separator, compared[k].style, compared[k].title);
		separator = ", ";
	}
	fputc('\n', script);
}

/* One panel: the rows of that operation and number of threads. */
static void
plot_compared(FILE *script, const struct bench_report *r, const char *operation,
	double threads)
{
	const char *separator = "plot ";

	fputs("$rows << END\n", script);
	for (size_t i = 0; i < bench_n_rows(r, "speed"); i++) {
		if (strcmp(bench_text_at(r, "speed", i, "operation"),
			    operation) != 0 ||
			bench_number_at(r, "speed", i, "threads") != threads)
			continue;
		fprintf(script, "%.0f",
			bench_number_at(r, "speed", i, "value_bytes"));
		for (size_t k = 0; k < N_COMPARED; k++)
			fprintf(script, " %g",
				bench_number_at(
					r, "speed", i, compared[k].column));
		fputc('\n', script);
	}
	fprintf(script, "END\nset title '%s, %.0f thread%s'\n", operation,
		threads, threads == 1 ? "" : "s");
	for (size_t k = 0; k < N_COMPARED; k++) {
		if (!is_compared(r, k))
			continue;
		fprintf(script, "%s$rows using 1:%zu with linespoints %s",
			separator, k + 2, compared[k].style);
		separator = ", ";
	}
	fputc('\n', script);
}

/* One scale of time for all panels, and one legend, above the first. */
static void
set_compared_axes(FILE *script, const struct bench_report *r)
{
	double min = INFINITY;
	double max = 0;

	for (size_t i = 0; i < bench_n_rows(r, "speed"); i++) {
		for (size_t k = 0; k < N_COMPARED; k++) {
			double ns = bench_number_at(
				r, "speed", i, compared[k].column);

			min = fmin(min, ns);
			max = fmax(max, ns);
		}
	}
	fprintf(script,
		"set logscale y\nset yrange [%g:%g]\n"
		"set ytics ('1 ns' 1, '10 ns' 10, '100 ns' 100, '1 us' 1e3, "
		"'10 us' 1e4, '100 us' 1e5, '1 ms' 1e6)\n"
		"set xlabel 'size of a value'\nunset key\n",
		min / 1.5, max * 1.5);
}

/* Panels: an operation a column, a number of threads a row. */
void
bench_plot_compare(const struct bench_report *r, const char *path)
{
	size_t n = bench_n_rows(r, "speed");
	double size = bench_number_at(r, "speed", 0, "value_bytes");
	const char *operation = bench_text_at(r, "speed", 0, "operation");
	size_t all = 0;
	size_t threads = 0;

	/* The rows of the first size, and of its first operation. */
	while (all < n &&
		bench_number_at(r, "speed", all, "value_bytes") == size)
		all++;
	while (threads < all &&
		strcmp(bench_text_at(r, "speed", threads, "operation"),
			operation) == 0)
		threads++;
	size_t columns = all / threads;
	double width = 400 * (double)columns + 60;
	double height = 320 * (double)threads + 80;
	FILE *script = start_plot(path, (unsigned)width, (unsigned)height);

	fputs("set multiplot title \"vmemcache-bench compare: time per "
	      "operation, all threads together, on full stores of one "
	      "budget\"\n",
		script);
	set_size_axis(script, r, "speed", "value_bytes");
	set_compared_axes(script, r);
	for (size_t i = 0; i < threads * columns; i++) {
		double left = 80 + 400 * (double)(i % columns);
		double top = height - 110 - 320 * (double)(i / columns);

		set_edges(script, left / width, (left + 340) / width,
			(top - 220) / height, top / height);
		plot_compared(script, r,
			bench_text_at(
				r, "speed", i % columns * threads, "operation"),
			bench_number_at(r, "speed", i / columns, "threads"));
	}
	set_edges(script, 0, 1, 1 - 70 / height, 1 - 30 / height);
	draw_legend(script, r);
	fputs("unset multiplot\n", script);
	end_plot(script, path);
}

void
bench_plot_traffic(const struct bench_report *r, const char *path)
{
	FILE *script = start_plot(path, 1040, 480);

	fputs("$rows << END\n", script);
	for (size_t i = 0; i < bench_n_rows(r, "traffic"); i++)
		fprintf(script, "%.0f %g %g %g\n",
			bench_number_at(r, "traffic", i, "pool_bytes"),
			100 * bench_number_at(r, "traffic", i, "miss_ratio"),
			bench_number_at(r, "traffic", i, "ns_per_op"),
			bench_number_at(r, "traffic", i, "floor_ns"));
	fputs("END\n", script);
	set_size_axis(script, r, "traffic", "pool_bytes");
	fprintf(script,
		"set xlabel 'size of the pool'\nset multiplot layout 1,2 title "
		"\"vmemcache-bench %s: a get, and on a miss a put\\n \"\n"
		"set yrange [0:100]\nset ylabel 'misses, %% of the gets'\n"
		"plot $rows using 1:2 with linespoints lw 2 pt 7 lc rgb '%s' "
		"notitle\n"
		"set yrange [0:*]\nset ylabel 'ns per request'\n"
		"plot $rows using 1:3 with linespoints lw 2 pt 7 lc rgb '%s' "
		"title 'cache', $rows using 1:4 with linespoints lw 2 pt 6 "
		"dt 2 lc rgb '%s' title 'floor'\nunset multiplot\n",
		bench_report_command(r), colours[0], colours[0], colours[0]);
	end_plot(script, path);
}

/* Those columns of a table, a line a row, as the block "rows". */
static void
print_columns(FILE *script, const struct bench_report *r, const char *table,
	const char *const *columns, size_t n)
{
	fputs("$rows << END\n", script);
	for (size_t i = 0; i < bench_n_rows(r, table); i++) {
		for (size_t k = 0; k < n; k++)
			fprintf(script, " %g",
				bench_number_at(r, table, i, columns[k]));
		fputc('\n', script);
	}
	fputs("END\n", script);
}

void
bench_plot_curve(const struct bench_report *r, const char *path)
{
	static const char *const names[] = {
		"blocks", "lru", "sieve", "s3fifo", "adaptive"};
	FILE *script = start_plot(path, 640, 480);

	print_columns(script, r, "curve", names, 5);
	fputs("set logscale x 10\nset xlabel 'blocks of the cache'\n"
	      "set yrange [0:1]\nset ylabel 'misses of all requests'\nplot ",
		script);
	for (unsigned i = 1; i < 5; i++)
		fprintf(script,
			"%s$rows using 1:%u with linespoints lw 2 pt 7 "
			"lc rgb '%s' title '%s'",
			i > 1 ? ", " : "", i + 1, colours[i - 1], names[i]);
	fputc('\n', script);
	end_plot(script, path);
}

void
bench_plot_growth(const struct bench_report *r, const char *path)
{
	static const char *const names[] = {"entries", "get_ns", "get_floor_ns",
		"miss_ns", "put_ns", "put_floor_ns", "resident_per_entry"};
	FILE *script = start_plot(path, 1040, 480);

	print_columns(script, r, "growth", names, 7);
	fprintf(script,
		"set logscale x 10\nset format x '10^{%%T}'\n"
		"set termoption enhanced\nset xlabel 'entries'\n"
		"set multiplot layout 1,2 title 'vmemcache-bench growth'\n"
		"set yrange [0:*]\nset ylabel 'ns per operation'\n"
		"plot $rows using 1:2 with linespoints lw 2 pt 7 lc rgb '%s' "
		"title 'get', $rows using 1:3 with linespoints lw 2 pt 6 dt 2 "
		"lc rgb '%s' title 'floor of get', "
		"$rows using 1:4 with linespoints lw 2 pt 7 lc rgb '%s' "
		"title 'miss', "
		"$rows using 1:5 with linespoints lw 2 pt 7 lc rgb '%s' "
		"title 'put', $rows using 1:6 with linespoints lw 2 pt 6 dt 2 "
		"lc rgb '%s' title 'floor of put'\n"
		"set ylabel 'bytes of DRAM per entry, without the key'\n"
		"plot $rows using 1:7 with linespoints lw 2 pt 7 lc rgb '%s' "
		"notitle\nunset multiplot\n",
		colours[0], colours[0], colours[2], colours[1], colours[1],
		colours[0]);
	end_plot(script, path);
}

void
bench_plot_churn(const struct bench_report *r, const char *path)
{
	static const char *const names[] = {
		"turnovers", "get_ratio", "put_ratio", "runs_per_value"};
	FILE *script = start_plot(path, 1040, 480);

	print_columns(script, r, "churn", names, 4);
	fprintf(script,
		"set logscale x 10\nset xlabel 'turnovers of the pool'\n"
		"set multiplot layout 1,2 title 'vmemcache-bench churn'\n"
		"set yrange [0:*]\nset ylabel 'times the floor'\n"
		"plot $rows using 1:2 with linespoints lw 2 pt 7 lc rgb '%s' "
		"title 'get', $rows using 1:3 with linespoints lw 2 pt 7 "
		"lc rgb '%s' title 'put'\n"
		"set ylabel 'pieces that a value is in'\n"
		"plot $rows using 1:4 with linespoints lw 2 pt 7 lc rgb '%s' "
		"notitle\nunset multiplot\n",
		colours[0], colours[1], colours[0]);
	end_plot(script, path);
}

void
bench_plot_prefault(const struct bench_report *r, const char *path)
{
	static const char *const names[] = {
		"ready_ns", "p50_ns", "p99_ns", "p99_9_ns", "max_ns"};
	size_t n = bench_n_rows(r, "prefault");
	size_t label = 10;

	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(bench_text_at(r, "prefault", i, "path"));

		label = length > label ? length : label;
	}
	FILE *script = start_plot(
		path, (unsigned)(2 * (n * (8 * label + 20) + 120)), 480);

	fputs("$rows << END\n", script);
	for (size_t i = 0; i < n; i++) {
		double threads = bench_number_at(r, "prefault", i, "threads");

		fprintf(script, "\"%s\\n",
			bench_text_at(r, "prefault", i, "path"));
		if (isnan(threads))
			fputs("none\"", script);
		else
			fprintf(script, "%.0f thread%s\"", threads,
				threads == 1 ? "" : "s");
		for (size_t k = 0; k < 5; k++)
			fprintf(script, " %g",
				bench_number_at(r, "prefault", i, names[k]) /
					(k ? 1e3 : 1e6));
		fputc('\n', script);
	}
	fputs("END\n", script);
	fprintf(script,
		"set style fill solid 0.9 noborder\nset boxwidth 0.6\n"
		"set grid noxtics\nset bmargin 4\nset xrange [-0.6:%g]\n"
		"set multiplot layout 1,2 title 'vmemcache-bench prefault'\n"
		"set yrange [0:*]\nset ylabel 'ms until the pool is ready'\n"
		"plot $rows using 0:2:xtic(1) with boxes lc rgb '%s' notitle\n"
		"set yrange [*:*]\nset logscale y\n"
		"set ylabel 'us per put that fills the pool'\n"
		"plot for [k=1:4] $rows using 0:k+2:xtic(1) with points "
		"ps 1.6 pt 7 lc rgb word('%s %s %s %s', k) "
		"title word('p50 p99 p99.9 max', k)\nunset multiplot\n",
		(double)n - 0.4, colours[0], colours[0], colours[2], colours[4],
		colours[1]);
	end_plot(script, path);
}

void
bench_plot_util(const struct bench_report *r, const char *path)
{
	FILE *script = start_plot(path, 1040, 480);
	double least = 100;

	fputs("$rows << END\n", script);
	for (size_t i = 0; i < bench_n_rows(r, "space"); i++) {
		double used = bench_number_at(r, "space", i, "used_percent");
		const char *sizes = bench_text_at(r, "space", i, "sizes");
		int name = (int)strcspn(sizes, ":");
		bool gets = bench_number_at(r, "space", i, "gets_per_put") > 0;

		least = fmin(least, used);
		fprintf(script, "\"%.*s\\n%s%s\" %g\n", name, sizes,
			sizes[name] ? sizes + name + 1 : "",
			gets ? "\\nwith gets" : "", used);
	}
	fputs("END\n", script);
	fprintf(script,
		"set title 'vmemcache-bench util: what values get of the "
		"pool' offset 0,1\n"
		"set style fill solid 0.9 noborder\nset boxwidth 0.6\n"
		"set grid noxtics\nset tmargin 4\nset bmargin 5\n"
		"set yrange [%g:100]\n"
		"set ylabel 'bytes of the values, %% of the pool'\n"
		"plot $rows using 0:2:xtic(1) with boxes lc rgb '%s' notitle, "
		"$rows using 0:2:(sprintf('%%.2f', $2)) with labels "
		"offset 0,0.7 notitle\n",
		least > 91 ? 90.0 : floor(least / 10) * 10, colours[0]);
	end_plot(script, path);
}

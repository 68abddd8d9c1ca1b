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
	fprintf(script, "set title '%s'\nplot ", operation);
	for (size_t k = 0; k < n; k++)
		fprintf(script,
			"%s$series%zu using 1:2 with linespoints lw 2 pt 7 "
			"lc rgb '%s' title 'cache, %.0f thread%s', "
			"$series%zu using 1:3 with linespoints lw 2 pt 6 "
			"dt 2 lc rgb '%s' title 'floor, %.0f thread%s'",
			k ? ", " : "", k, colours[k], threads[k],
			threads[k] == 1 ? "" : "s", k, colours[k], threads[k],
			threads[k] == 1 ? "" : "s");
	fputc('\n', script);
}

void
bench_plot_micro(const struct bench_report *r, const char *path)
{
	static const char *const operations[] = {"get", "put", "mixed get"};
	const char *present[3];
	unsigned n = 0;

	for (size_t k = 0; k < 3; k++) {
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plot.c -- the tables of a report, and plots.gnuplot after them, into a pipe
 *
 * The table "speed" becomes the block $speed with a line of headings, and for
 * each column of texts, and "threads", a list of its different values, such as
 * speed_threads. No file but the picture is written.
 */
#include "plot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

/* plots.gnuplot, embedded by CMake. */
extern const char bench_plots[];

static const char *
terminal(void)
{
	const char *end = strrchr(bench.plot, '.');

	return end && strcmp(end, ".png") == 0   ? "pngcairo"
	       : end && strcmp(end, ".svg") == 0 ? "svg"
						 : NULL;
}

void
bench_plot_check(void)
{
	if (bench.plot == NULL)
		return;
	if (terminal() == NULL)
		bench_refuse("--plot %s: the name ends neither in .png nor in "
			     ".svg",
			bench.plot);
	if (system("gnuplot --version >/dev/null 2>&1") != 0)
		bench_refuse("--plot needs gnuplot, which is not installed "
			     "(package gnuplot-nox)");
	/* a run that is refused later leaves no file that was not there */
	int fd =
		open(bench.plot, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd >= 0)
		unlink(bench.plot);
	else if (errno == EEXIST)
		fd = open(bench.plot, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		bench_refuse("--plot %s: %s", bench.plot, strerror(errno));
	close(fd);
}

/* Within a string of gnuplot in single quotes. */
static void
print_quoted(FILE *script, const char *text)
{
	for (; *text; text++)
		fprintf(script, *text == '\'' ? "%c'" : "%c", *text);
}

static bool
has_values(const struct bench_table *t, size_t column)
{
	size_t i;
	const json_t *row;

	json_array_foreach(t->rows, i, row)
	{
		if (!json_is_null(
			    json_object_get(row, t->columns[column].name)))
			return true;
	}
	return false;
}

/* The names of the columns that are not empty; then all columns and rows. */
static void
print_rows(FILE *script, const struct bench_table *t)
{
	size_t i;
	const json_t *row;

	fprintf(script, "%s_columns = '", t->name);
	for (size_t c = 0; c < t->n_columns; c++)
		if (has_values(t, c))
			fprintf(script, "%s ", t->columns[c].name);
	fprintf(script, "'\n$%s << END\n", t->name);
	for (size_t c = 0; c < t->n_columns; c++)
		fprintf(script, "%s ", t->columns[c].name);
	json_array_foreach(t->rows, i, row)
	{
		fputc('\n', script);
		for (size_t c = 0; c < t->n_columns; c++) {
			const json_t *cell =
				json_object_get(row, t->columns[c].name);

			if (json_is_null(cell))
				fputs("NaN", script);
			else
				json_dumpf(cell, script, JSON_ENCODE_ANY);
			fputc(' ', script);
		}
	}
	fputs("\nEND\n", script);
}

/* Each value once, in the order of their first rows. */
static void
print_values(FILE *script, const struct bench_table *t, const char *column)
{
	json_t *seen = json_object();
	size_t i;
	const json_t *row;

	fprintf(script, "%s_%s = '", t->name, column);
	json_array_foreach(t->rows, i, row)
	{
		char *word = json_dumps(
			json_object_get(row, column), JSON_ENCODE_ANY);

		if (json_object_get(seen, word) == NULL)
			print_quoted(script, word);
		fputc(' ', script);
		json_object_set_new(seen, word, json_true());
		free(word);
	}
	fputs("'\n", script);
	json_decref(seen);
}

void
bench_plot(const struct bench_report *r)
{
	if (bench.plot == NULL)
		return;
	/* Should gnuplot die, pclose() tells. */
	signal(SIGPIPE, SIG_IGN);
	FILE *script = popen("gnuplot", "w");
	if (script == NULL)
		bench_fail("gnuplot: %s", strerror(errno));
	for (size_t i = 0; i < r->n_tables; i++) {
		const struct bench_table *t = &r->tables[i];

		print_rows(script, t);
		for (size_t c = 0; c < t->n_columns; c++)
			if (t->columns[c].form == BENCH_TEXT ||
				strcmp(t->columns[c].name, "threads") == 0)
				print_values(script, t, t->columns[c].name);
	}
	fprintf(script, "terminal = '%s'\ncommand = '%s'\nfile = '", terminal(),
		json_string_value(json_object_get(r->all, "benchmark")));
	print_quoted(script, bench.plot);
	fprintf(script, "'\n%s", bench_plots);
	if (pclose(script) != 0)
		bench_fail("gnuplot could not draw %s", bench.plot);
}

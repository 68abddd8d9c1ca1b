/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c -- collecting a result, and printing it in three forms
 *
 * What is collected is what --json prints: values are kept unrounded, and the
 * form for people and CSV are made of that. CSV is a header line and the rows,
 * with an empty line between two tables and without the settings.
 * Single-threaded.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "options.h"

struct bench_report *
bench_report_new(const char *command)
{
	struct bench_report *r = bench_zeroed(1, sizeof(*r));

	r->settings = json_object();
	r->all = json_pack(
		"{s:s, s:O}", "benchmark", command, "settings", r->settings);
	r->head_file = open_memstream(&r->head, &r->head_size);
	r->notes_file = open_memstream(&r->notes, &r->notes_size);
	if (r->all == NULL || r->head_file == NULL || r->notes_file == NULL)
		bench_fail("out of memory");
	r->head_column = (size_t)fprintf(
		r->head_file, "%s %s:", program_invocation_short_name, command);
	return r;
}

void
bench_report_free(struct bench_report *r)
{
	json_decref(r->settings);
	json_decref(r->all);
	fclose(r->head_file);
	fclose(r->notes_file);
	free(r->head);
	free(r->notes);
	free(r);
}

/* Whole numbers are written without a point. */
static json_t *
number_of(double x)
{
	return !isfinite(x)                        ? json_null()
	       : fabs(x) < 0x1p53 && x == floor(x) ? json_integer((json_int_t)x)
						   : json_real(x);
}

/* People read it in lines of up to 79 characters. */
static void
add_setting(struct bench_report *r, const char *name, json_t *value,
	const char *text)
{
	bool first = json_object_size(r->settings) == 0;
	size_t width = strlen(name) + strlen(text) + 2;
	bool wrap = r->head_column + width + 1 > 79;

	fprintf(r->head_file, "%s%s %s %s", first ? "" : ",", wrap ? "\n " : "",
		name, text);
	r->head_column = width + (wrap ? 1 : r->head_column + !first);
	json_object_set_new(r->settings, name, value);
}

void
bench_setting(struct bench_report *r, const char *name, const char *text)
{
	add_setting(r, name, json_string(text), text);
}

void
bench_setting_number(struct bench_report *r, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	add_setting(r, name, json_integer((json_int_t)number), text);
}

void
bench_setting_bytes(struct bench_report *r, const char *name, uint64_t bytes)
{
	char text[24];

	add_setting(r, name, json_integer((json_int_t)bytes),
		bench_human_bytes(text, (double)bytes));
}

void
bench_setting_common(struct bench_report *r)
{
	bench_setting(r, "path", bench.path);
	bench_setting(r, "policy",
		bench.all_policies ? "all" : bench_policy_name(bench.policy));
	bench_setting(r, "index",
		bench.index == VMEMCACHE_INDEX_HASH ? "hash" : "critnib");
	bench_setting_bytes(r, "extent", bench.extent);
	bench_setting_number(r, "seed", bench.seed);
}

void
bench_note(struct bench_report *r, const char *sentence)
{
	fprintf(r->notes_file, "%s\n", sentence);
}

struct bench_table *
bench_table(struct bench_report *r, const char *name,
	const struct bench_column *columns, size_t n_columns)
{
	struct bench_table *t = &r->tables[r->n_tables++];

	*t = (struct bench_table){name, columns, n_columns, json_array()};
	json_object_set_new(r->all, name, t->rows);
	return t;
}

void
bench_row(struct bench_table *t, const char *text, const double *numbers,
	size_t n)
{
	json_t *row = json_object();

	for (size_t c = 0; c < t->n_columns; c++) {
		bool is_text = t->columns[c].form == BENCH_TEXT;

		if (!is_text && n-- == 0)
			bench_fail("a row of %s has too few cells", t->name);
		json_object_set_new(row, t->columns[c].name,
			is_text ? json_string(text) : number_of(*numbers++));
	}
	if (n > 0)
		bench_fail("a row of %s has too many cells", t->name);
	json_array_append_new(t->rows, row);
}

/* x in the largest of the units that leaves at least 1. */
static double
scale(double x, double kilo, const char *const *units, const char **unit)
{
	while (x >= kilo && units[1] != NULL) {
		x /= kilo;
		units++;
	}
	*unit = *units;
	return x;
}

char *
bench_human_bytes(char *text, double bytes)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL};
	const char *unit;

	bytes = scale(bytes, 1024, units, &unit);
	snprintf(text, 24, "%.*f %s", bytes == floor(bytes) ? 0 : 2, bytes,
		unit);
	return text;
}

enum { CELL = 4200 };

/* The cell as people or CSV have it; returns its width. */
static size_t
show_cell(const struct bench_column *column, const json_t *row, char *text,
	bool csv)
{
	static const char *const units[] = {"ns", "us", "ms", "s", NULL};
	const json_t *cell = json_object_get(row, column->name);
	double x = json_number_value(cell);
	const char *unit;

	if (json_is_string(cell))
		snprintf(text, CELL, "%s", json_string_value(cell));
	else if (!json_is_number(cell))
		strcpy(text, csv ? "" : "-");
	else if (csv)
		snprintf(text, CELL, "%.12g", x);
	else if (column->form == BENCH_BYTES)
		bench_human_bytes(text, x);
	else if (column->form == BENCH_DURATION) {
		x = scale(x, 1000, units, &unit);
		snprintf(text, CELL, "%.3g%s", x, unit);
	} else
		snprintf(
			text, CELL, "%.*f", (int)column->form - BENCH_WHOLE, x);
	return strlen(text);
}

/* One column of a line: the heading if there is no row. */
static void
print_column(const struct bench_table *t, const struct bench_column *column,
	const json_t *row, FILE *out)
{
	size_t width = strlen(column->heading);
	char text[CELL];
	const json_t *other;
	size_t i;

	json_array_foreach(t->rows, i, other)
	{
		size_t w = show_cell(column, other, text, false);

		width = w > width ? w : width;
	}
	if (row != NULL)
		show_cell(column, row, text, false);
	fprintf(out, column->form == BENCH_TEXT ? "  %-*s" : "  %*s",
		(int)width, row ? text : column->heading);
}

static void
print_for_people(const struct bench_report *r, FILE *out)
{
	fflush(r->head_file);
	fflush(r->notes_file);
	fprintf(out, "%s\n", r->head);
	for (const struct bench_table *t = r->tables;
		t < r->tables + r->n_tables; t++) {
		size_t n = json_array_size(t->rows);

		for (size_t i = 0; i <= n; i++) {
			fputc('\n', out);
			for (size_t c = 0; c < t->n_columns; c++)
				if (t->columns[c].heading != NULL)
					print_column(t, &t->columns[c],
						i ? json_array_get(
							    t->rows, i - 1)
						  : NULL,
						out);
		}
		fputc('\n', out);
	}
	if (r->notes_size > 0)
		fprintf(out, "\n%s", r->notes);
}

static void
print_csv_text(const char *text, FILE *out)
{
	bool quoted = strpbrk(text, ",\"\r\n") != NULL;

	if (quoted)
		fputc('"', out);
	for (; *text; text++)
		fprintf(out, *text == '"' ? "\"%c" : "%c", *text);
	if (quoted)
		fputc('"', out);
}

static void
print_csv(const struct bench_table *t, FILE *out)
{
	char text[CELL];
	const json_t *row;
	size_t i;

	for (size_t c = 0; c < t->n_columns; c++)
		fprintf(out, "%s%s", c ? "," : "", t->columns[c].name);
	fputc('\n', out);
	json_array_foreach(t->rows, i, row)
	{
		for (size_t c = 0; c < t->n_columns; c++) {
			show_cell(&t->columns[c], row, text, true);
			fputs(c ? "," : "", out);
			print_csv_text(text, out);
		}
		fputc('\n', out);
	}
}

void
bench_report_print(const struct bench_report *r, FILE *out)
{
	if (bench.json) {
		json_dumpf(
			r->all, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
		fputc('\n', out);
	} else if (bench.csv) {
		for (size_t i = 0; i < r->n_tables; i++) {
			fputs(i ? "\n" : "", out);
			print_csv(&r->tables[i], out);
		}
	} else {
		print_for_people(r, out);
	}
}

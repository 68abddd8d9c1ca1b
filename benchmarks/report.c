/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c -- collecting a result, and printing it in three forms
 *
 * A report is a list of settings and a list of tables; a table is its columns
 * and one array of cells, row after row. A cell is a number, a text of its
 * own, or nothing (NaN). Values are kept unrounded: only the form for people
 * rounds. Single-threaded.
 *
 * JSON:  {"benchmark": "micro", "settings": {...}, "<table>": [{...}, ...]}
 * CSV:   a header line and the rows; an empty line between two tables; the
 *        settings are left out.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum { MAX_SETTINGS = 24, MAX_NOTES = 8, MAX_TABLES = 4 };

struct cell {
	char *text;
	double number;
};

struct table {
	const char *name;
	const struct bench_column *columns;
	size_t n_columns;
	size_t n_cells;
	size_t n_rows;
	struct cell *cells;
};

struct bench_report {
	const char *command;
	struct {
		const char *name;
		char *text; /* NULL: the number */
		uint64_t number;
		bool is_bytes;
	} settings[MAX_SETTINGS];
	size_t n_settings;
	const char *notes[MAX_NOTES];
	size_t n_notes;
	struct table tables[MAX_TABLES];
	size_t n_tables;
};

struct bench_report *
bench_report_new(const char *command)
{
	struct bench_report *r = bench_realloc(NULL, sizeof(*r));

	*r = (struct bench_report){.command = command};
	return r;
}

void
bench_report_free(struct bench_report *r)
{
	for (size_t t = 0; t < r->n_tables; t++) {
		for (size_t i = 0; i < r->tables[t].n_cells; i++)
			free(r->tables[t].cells[i].text);
		free(r->tables[t].cells);
	}
	for (size_t i = 0; i < r->n_settings; i++)
		free(r->settings[i].text);
	free(r);
}

static char *
format_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		bench_fail("out of memory");
	return text;
}

void
bench_setting(struct bench_report *r, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	bench_setting_number(r, name, 0);
	r->settings[r->n_settings - 1].text = format_text(format, arguments);
	va_end(arguments);
}

void
bench_setting_number(struct bench_report *r, const char *name, uint64_t number)
{
	if (r->n_settings == MAX_SETTINGS)
		bench_fail("a report holds %d settings", MAX_SETTINGS);
	r->settings[r->n_settings].name = name;
	r->settings[r->n_settings++].number = number;
}

void
bench_setting_bytes(struct bench_report *r, const char *name, uint64_t bytes)
{
	bench_setting_number(r, name, bytes);
	r->settings[r->n_settings - 1].is_bytes = true;
}

void
bench_note(struct bench_report *r, const char *sentence)
{
	if (r->n_notes == MAX_NOTES)
		bench_fail("a report holds %d notes", MAX_NOTES);
	r->notes[r->n_notes++] = sentence;
}

void
bench_table(struct bench_report *r, const char *name,
	const struct bench_column *columns, size_t n_columns)
{
	if (r->n_tables == MAX_TABLES)
		bench_fail("a report holds %d tables", MAX_TABLES);
	r->tables[r->n_tables++] = (struct table){
		.name = name, .columns = columns, .n_columns = n_columns};
}

void
bench_row(struct bench_report *r)
{
	struct table *t = &r->tables[r->n_tables - 1];
	size_t end = ++t->n_rows * t->n_columns;

	t->cells = bench_realloc(t->cells, end * sizeof(*t->cells));
	/* Cells that are not set stay empty. */
	for (size_t i = end - t->n_columns; i < end; i++)
		t->cells[i] = (struct cell){.number = NAN};
	t->n_cells = end - t->n_columns;
}

/* The next cell of the row begun last. */
static struct cell *
next_cell(struct bench_report *r)
{
	struct table *t = &r->tables[r->n_tables - 1];

	if (t->n_cells == t->n_rows * t->n_columns)
		bench_fail("a row of %s has too many cells", t->name);
	return &t->cells[t->n_cells++];
}

void
bench_cell(struct bench_report *r, double number)
{
	next_cell(r)->number = number;
}

void
bench_cell_text(struct bench_report *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	next_cell(r)->text = format_text(format, arguments);
	va_end(arguments);
}

void
bench_cell_empty(struct bench_report *r)
{
	next_cell(r)->number = NAN;
}

const char *
bench_report_command(const struct bench_report *r)
{
	return r->command;
}

static const struct table *
table_of(const struct bench_report *r, const char *name)
{
	for (size_t t = 0; t < r->n_tables; t++) {
		if (strcmp(r->tables[t].name, name) == 0)
			return &r->tables[t];
	}
	bench_fail("no table %s", name);
}

static const struct cell *
cell_at(const struct bench_report *r, const char *table, size_t row,
	const char *column)
{
	const struct table *t = table_of(r, table);

	for (size_t c = 0; c < t->n_columns; c++) {
		if (strcmp(t->columns[c].name, column) == 0)
			return &t->cells[row * t->n_columns + c];
	}
	bench_fail("no column %s", column);
}

size_t
bench_n_rows(const struct bench_report *r, const char *table)
{
	return table_of(r, table)->n_rows;
}

double
bench_number_at(const struct bench_report *r, const char *table, size_t row,
	const char *column)
{
	return cell_at(r, table, row, column)->number;
}

const char *
bench_text_at(const struct bench_report *r, const char *table, size_t row,
	const char *column)
{
	const char *text = cell_at(r, table, row, column)->text;

	return text ? text : "";
}

char *
bench_human_bytes(char *text, double bytes)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned u = 0;

	while (bytes >= 1024 && u < 5) {
		bytes /= 1024;
		u++;
	}
	snprintf(text, 24, "%.*f %s", bytes == floor(bytes) ? 0 : 2, bytes,
		units[u]);
	return text;
}

static void
show_duration(double ns, char *text, size_t room)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	unsigned u = 0;

	while (ns >= 1000 && u < 3) {
		ns /= 1000;
		u++;
	}
	snprintf(text, room, "%.3g%s", ns, units[u]);
}

/* The cell for people, into text of the given room. */
static void
show_cell(const struct bench_column *column, const struct cell *cell,
	char *text, size_t room)
{
	if (cell->text != NULL)
		snprintf(text, room, "%s", cell->text);
	else if (!isfinite(cell->number))
		snprintf(text, room, "-");
	else if (column->form == BENCH_BYTES)
		bench_human_bytes(text, cell->number);
	else if (column->form == BENCH_DURATION)
		show_duration(cell->number, text, room);
	else
		snprintf(text, room, "%.*f", (int)column->form - BENCH_WHOLE,
			cell->number);
}

static int
width_of(const struct table *t, size_t c)
{
	size_t width = strlen(t->columns[c].heading);
	char text[80];

	for (size_t i = c; i < t->n_rows * t->n_columns; i += t->n_columns) {
		show_cell(&t->columns[c], &t->cells[i], text, sizeof(text));
		width = strlen(text) > width ? strlen(text) : width;
	}
	return (int)width;
}

static void
print_table(const struct table *t, FILE *out)
{
	for (size_t row = 0; row <= t->n_rows; row++) {
		for (size_t c = 0; c < t->n_columns; c++) {
			const struct bench_column *column = &t->columns[c];
			char text[80];

			if (column->heading == NULL)
				continue;
			if (row == 0)
				snprintf(text, sizeof(text), "%s",
					column->heading);
			else
				show_cell(column,
					&t->cells[(row - 1) * t->n_columns + c],
					text, sizeof(text));
			fprintf(out,
				column->form == BENCH_TEXT ? "  %-*s" : "  %*s",
				width_of(t, c), text);
		}
		fputc('\n', out);
	}
}

/* "micro: pool 1.5 GiB, seed 1, ...", in lines of up to 79 characters. */
static void
print_settings(const struct bench_report *r, FILE *out)
{
	int column = fprintf(
		out, "%s %s:", program_invocation_short_name, r->command);

	for (size_t i = 0; i < r->n_settings; i++) {
		const char *text = r->settings[i].text;
		char number[24];

		if (text == NULL) {
			uint64_t n = r->settings[i].number;

			text = number;
			if (r->settings[i].is_bytes)
				bench_human_bytes(number, (double)n);
			else
				snprintf(number, sizeof(number), "%" PRIu64, n);
		}
		int width = (int)(strlen(r->settings[i].name) + strlen(text));
		if (column + width + 3 > 79)
			column = fprintf(out, "\n ") - 1;
		column += fprintf(out, " %s %s%s", r->settings[i].name, text,
			i + 1 < r->n_settings ? "," : "");
	}
	fputc('\n', out);
}

static void
print_for_people(const struct bench_report *r, FILE *out)
{
	print_settings(r, out);
	for (size_t t = 0; t < r->n_tables; t++) {
		fputc('\n', out);
		print_table(&r->tables[t], out);
	}
	if (r->n_notes > 0)
		fputc('\n', out);
	for (size_t i = 0; i < r->n_notes; i++)
		fprintf(out, "%s\n", r->notes[i]);
}

static void
print_json_string(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void
print_json_row(const struct table *t, const struct cell *cells, FILE *out)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		fprintf(out, "%s\"%s\": ", c ? ", " : "", t->columns[c].name);
		if (cells[c].text != NULL)
			print_json_string(cells[c].text, out);
		else if (!isfinite(cells[c].number))
			fputs("null", out);
		else
			fprintf(out, "%.12g", cells[c].number);
	}
}

static void
print_json(const struct bench_report *r, FILE *out)
{
	fprintf(out, "{\n\t\"benchmark\": \"%s\",\n\t\"settings\": {",
		r->command);
	for (size_t i = 0; i < r->n_settings; i++) {
		fprintf(out, "%s\n\t\t\"%s\": ", i ? "," : "",
			r->settings[i].name);
		if (r->settings[i].text != NULL)
			print_json_string(r->settings[i].text, out);
		else
			fprintf(out, "%" PRIu64, r->settings[i].number);
	}
	fputs("\n\t}", out);
	for (size_t i = 0; i < r->n_tables; i++) {
		const struct table *t = &r->tables[i];

		fprintf(out, ",\n\t\"%s\": [", t->name);
		for (size_t row = 0; row < t->n_rows; row++) {
			fprintf(out, "%s\n\t\t{", row ? "," : "");
			print_json_row(t, &t->cells[row * t->n_columns], out);
			fputc('}', out);
		}
		fputs("\n\t]", out);
	}
	fputs("\n}\n", out);
}

static void
print_csv_text(const char *text, FILE *out)
{
	if (strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++)
		fprintf(out, *text == '"' ? "\"%c" : "%c", *text);
	fputc('"', out);
}

static void
print_csv(const struct bench_report *r, FILE *out)
{
	for (size_t i = 0; i < r->n_tables; i++) {
		const struct table *t = &r->tables[i];

		for (size_t c = 0; c < t->n_columns; c++)
			fprintf(out, "%s%s",
				c   ? ","
				: i ? "\n"
				    : "",
				t->columns[c].name);
		for (size_t k = 0; k < t->n_rows * t->n_columns; k++) {
			const struct cell *cell = &t->cells[k];

			fputc(k % t->n_columns ? ',' : '\n', out);
			if (cell->text != NULL)
				print_csv_text(cell->text, out);
			else if (isfinite(cell->number))
				fprintf(out, "%.12g", cell->number);
		}
		fputc('\n', out);
	}
}

void
bench_report_print(
	const struct bench_report *r, enum bench_format format, FILE *out)
{
	if (format == BENCH_JSON)
		print_json(r, out);
	else if (format == BENCH_CSV)
		print_csv(r, out);
	else
		print_for_people(r, out);
}

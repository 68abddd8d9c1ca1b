/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h -- what a run found out: settings, and tables of numbers
 *
 * Filled by a subcommand, printed once at the end as text, JSON or CSV, and
 * drawn. Nothing is printed while measuring.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

struct bench_column {
	const char *name;    /* for machines: "floor_ns" */
	const char *heading; /* for people: "floor"; NULL: not for people */
	enum bench_form {
		BENCH_TEXT,
		BENCH_BYTES,    /* whole; people see "1.5 GiB" */
		BENCH_DURATION, /* nanoseconds; people see "1.92us" */
		BENCH_WHOLE,
		BENCH_ONE_DIGIT,
		BENCH_TWO_DIGITS,
		BENCH_THREE_DIGITS
	} form;
};

struct bench_report {
	/* {"benchmark": "micro", "settings": {...}, "<table>": [{...}, ...]} */
	json_t *all;
	json_t *settings;
	struct bench_table {
		const char *name;
		const struct bench_column *columns;
		size_t n_columns;
		json_t *rows;
	} tables[4];
	size_t n_tables;
	/* For people: the settings as lines, and sentences below the tables. */
	char *head, *notes;
	size_t head_size, notes_size;
	FILE *head_file, *notes_file;
	size_t head_column;
};

struct bench_report *bench_report_new(const char *command);
void bench_report_free(struct bench_report *r);

/* One line above the tables; for machines a member of "settings". */
void bench_setting(struct bench_report *r, const char *name, const char *text);
void bench_setting_number(
	struct bench_report *r, const char *name, uint64_t number);
/* The same; people see "1.5 GiB". */
void bench_setting_bytes(
	struct bench_report *r, const char *name, uint64_t bytes);
/* Those of all commands. */
void bench_setting_common(struct bench_report *r);

/* A sentence below the tables, for people only. */
void bench_note(struct bench_report *r, const char *sentence);

/* Start a table, whose columns are an array that outlives the report. */
#define BENCH_TABLE(r, name, columns)                                          \
	bench_table(r, name, columns, sizeof(columns) / sizeof((columns)[0]))
struct bench_table *bench_table(struct bench_report *r, const char *name,
	const struct bench_column *columns, size_t n_columns);

/*
 * A row, from left to right: its only text, where the column of texts is, and
 * a double for each other column; NAN: none.
 */
#define BENCH_ROW(t, text, ...)                                                \
	bench_row(t, text, (const double[]){__VA_ARGS__},                      \
		sizeof((const double[]){__VA_ARGS__}) / sizeof(double))
void bench_row(struct bench_table *t, const char *text, const double *numbers,
	size_t n);

void bench_report_print(const struct bench_report *r, FILE *out);

/* "1.5 GiB" into text (of at least 24 bytes); returns text. */
char *bench_human_bytes(char *text, double bytes);

#endif

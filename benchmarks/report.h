/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h -- what a run found out: settings, and tables of numbers
 *
 * Filled by a subcommand, printed once at the end as text, JSON or CSV, and
 * read by the plots. Nothing is printed while measuring.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stddef.h>
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

struct bench_report;

/* Strings given to a report must outlive it, unless they are formatted. */
struct bench_report *bench_report_new(const char *command);
void bench_report_free(struct bench_report *r);

/* One line above the tables; for machines a member "settings". */
void bench_setting(struct bench_report *r, const char *name, const char *format,
	...) __attribute__((format(printf, 3, 4)));
void bench_setting_number(
	struct bench_report *r, const char *name, uint64_t number);
/* The same; people see "1.5 GiB". */
void bench_setting_bytes(
	struct bench_report *r, const char *name, uint64_t bytes);

/* A sentence below the tables, for people only. */
void bench_note(struct bench_report *r, const char *sentence);

/* Start a table; rows go into the last one started. */
void bench_table(struct bench_report *r, const char *name,
	const struct bench_column *columns, size_t n_columns);
/* Start a row, then set its cells from left to right. */
void bench_row(struct bench_report *r);
void bench_cell(struct bench_report *r, double number);
void bench_cell_text(struct bench_report *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void bench_cell_empty(struct bench_report *r);

const char *bench_report_command(const struct bench_report *r);

/* Reading: the number or text in that table's row and column. */
size_t bench_n_rows(const struct bench_report *r, const char *table);
double bench_number_at(const struct bench_report *r, const char *table,
	size_t row, const char *column);
const char *bench_text_at(const struct bench_report *r, const char *table,
	size_t row, const char *column);

enum bench_format { BENCH_FOR_PEOPLE, BENCH_JSON, BENCH_CSV };
void bench_report_print(
	const struct bench_report *r, enum bench_format format, FILE *out);

/* "1.5 GiB" into text (of at least 24 bytes); returns text. */
char *bench_human_bytes(char *text, double bytes);

#endif

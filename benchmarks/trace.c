/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.c -- two formats of traces
 *
 * oracleGeneral, the format of libCacheSim: records of 24 bytes, packed and
 * little-endian:
 *
 *	byte    0       4               12      16              24
 *	        | time  | object        | size  | next request  |
 *	         u32     u64             u32     i64, not used
 *
 * CSV: lines "time,id,size[,...]", of which the second and third field are
 * used. An id is a decimal number or any other text, then known by its hash.
 * One line of headings may come first; empty lines and lines that start with
 * # are passed over.
 *
 * The format is told by the content: only in CSV is every byte at the start
 * printable (in a record that would mean a size above half a gigabyte and the
 * same of all other fields).
 *
 * Opening reads the whole file once. That finds every mistake before anything
 * is measured, and tells the number of requests, which the progress bar and
 * the division into slices need. Traces are streamed, not loaded: they may be
 * larger than the memory. Single-threaded.
 */
#include "trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "options.h"

enum { RECORD = 24 };

struct bench_trace {
	struct bench_trace_summary summary;
	const char *path;
	FILE *file;
	/* 1: a request, 0: the end, -1: error is set. */
	int (*next)(struct bench_trace *, struct bench_trace_request *);
	char *line;
	size_t line_room;
	uint64_t line_number;
	char *error;
	size_t error_size;
};

static int wrong(struct bench_trace *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int
wrong(struct bench_trace *t, const char *format, ...)
{
	int used = snprintf(t->error, t->error_size, "%s", t->path);
	va_list arguments;

	if (used > 0 && (size_t)used < t->error_size) {
		va_start(arguments, format);
		vsnprintf(t->error + used, t->error_size - (size_t)used, format,
			arguments);
		va_end(arguments);
	}
	return -1;
}

static uint64_t
little_endian(const unsigned char *bytes, unsigned n)
{
	uint64_t x = 0;

	while (n-- > 0)
		x = x << 8 | bytes[n];
	return x;
}

static int
next_record(struct bench_trace *t, struct bench_trace_request *r)
{
	unsigned char record[RECORD];

	if (fread(record, RECORD, 1, t->file) != 1) {
		if (ferror(t->file))
			return wrong(t, ": %s", strerror(errno));
		return 0;
	}
	r->id = little_endian(record + 4, 8);
	r->size = (uint32_t)little_endian(record + 12, 4);
	return 1;
}

static char *
trim(char *field)
{
	char *end = field + strlen(field);

	while (isspace((unsigned char)*field))
		field++;
	while (end > field && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return field;
}

/* False: not a decimal number below 2^64. */
static bool
decimal(const char *field, uint64_t *n)
{
	char *end;

	if (!isdigit((unsigned char)field[0]))
		return false;
	errno = 0;
	*n = strtoull(field, &end, 10);
	return *end == '\0' && errno == 0;
}

/* 1: a request; 0: a line without one; -1: a mistake. */
static int
parse_line(struct bench_trace *t, struct bench_trace_request *r)
{
	unsigned long long number = t->line_number;
	char *rest = trim(t->line);
	uint64_t size;

	if (*rest == '\0' || *rest == '#')
		return 0;
	const char *time = trim(strsep(&rest, ","));
	char *id = rest ? trim(strsep(&rest, ",")) : NULL;
	char *size_field = rest ? trim(strsep(&rest, ",")) : NULL;
	if (size_field == NULL)
		return wrong(t,
			", line %llu: fewer than three fields "
			"(time,id,size)",
			number);
	if (!decimal(size_field, &size)) {
		/* A line of headings has a word in the place of the time. */
		if (number == 1 && isalpha((unsigned char)*time))
			return 0;
		return wrong(t,
			", line %llu: the size \"%.40s\" is not a "
			"number",
			number, size_field);
	}
	if (size > UINT32_MAX)
		return wrong(
			t, ", line %llu: the size is 4 GiB or more", number);
	if (*id == '\0')
		return wrong(t, ", line %llu: no id", number);
	if (!decimal(id, &r->id))
		r->id = XXH3_64bits(id, strlen(id));
	r->size = (uint32_t)size;
	return 1;
}

static int
next_line(struct bench_trace *t, struct bench_trace_request *r)
{
	ssize_t length;

	while ((length = getline(&t->line, &t->line_room, t->file)) >= 0) {
		t->line_number++;
		if (strlen(t->line) != (size_t)length)
			return wrong(t, ", line %llu: a byte of value 0",
				(unsigned long long)t->line_number);
		int found = parse_line(t, r);
		if (found != 0)
			return found;
	}
	return ferror(t->file) ? wrong(t, ": %s", strerror(errno)) : 0;
}

/* Find out the format and the way to read it. */
static int
recognise(struct bench_trace *t)
{
	static const unsigned char zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	unsigned char start[64];
	struct stat st;

	if (fstat(fileno(t->file), &st) || !S_ISREG(st.st_mode))
		return wrong(t, " is not a regular file");
	size_t n = fread(start, 1, sizeof(start), t->file);
	if (n == 0)
		return wrong(t, " is empty");
	if (n >= sizeof(zstd) && memcmp(start, zstd, sizeof(zstd)) == 0)
		return wrong(t, " is compressed: unpack it with zstd -d");

	size_t printable = 0;
	while (printable < n &&
		(isprint(start[printable]) || isspace(start[printable])))
		printable++;
	if (printable == n) {
		t->summary.format = "csv";
		t->next = next_line;
		return 0;
	}
	t->summary.format = "oracleGeneral";
	t->next = next_record;
	if (st.st_size % RECORD != 0)
		return wrong(t,
			" is neither text nor a whole number of "
			"records of %d bytes",
			RECORD);
	return 0;
}

static int
survey(struct bench_trace *t)
{
	struct bench_trace_request r;
	int found;

	bench_trace_rewind(t);
	while ((found = t->next(t, &r)) > 0) {
		t->summary.requests++;
		t->summary.bytes += r.size;
		if (r.size > t->summary.largest)
			t->summary.largest = r.size;
	}
	if (found == 0 && t->summary.requests == 0)
		return wrong(t, " holds no requests");
	bench_trace_rewind(t);
	return found;
}

struct bench_trace *
bench_trace_open(const char *path, char *error, size_t error_size)
{
	struct bench_trace *t = bench_realloc(NULL, sizeof(*t));

	*t = (struct bench_trace){
		.path = path, .error = error, .error_size = error_size};
	t->file = fopen(path, "r");
	if (t->file == NULL)
		wrong(t, ": %s", strerror(errno));
	else if (recognise(t) == 0 && survey(t) == 0)
		return t;
	bench_trace_close(t);
	return NULL;
}

struct bench_trace *
bench_trace_of(char **arguments)
{
	char sentence[512];

	if (arguments[0] == NULL || arguments[1] != NULL)
		bench_refuse("takes one trace");
	struct bench_trace *t =
		bench_trace_open(arguments[0], sentence, sizeof(sentence));
	if (t == NULL)
		bench_refuse("%s", sentence);
	return t;
}

void
bench_trace_close(struct bench_trace *t)
{
	if (t->file != NULL)
		fclose(t->file);
	free(t->line);
	free(t);
}

const struct bench_trace_summary *
bench_trace_summary(const struct bench_trace *t)
{
	return &t->summary;
}

bool
bench_trace_next(struct bench_trace *t, struct bench_trace_request *r)
{
	return t->next(t, r) > 0;
}

void
bench_trace_rewind(struct bench_trace *t)
{
	rewind(t->file);
	t->line_number = 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics_format.c -- statistics as text: for people, JSON, Prometheus
 *
 * One table names the figures, and each format walks through it. A figure is a
 * number, or a table of numbers by one or two labels. The names are those of
 * the members of struct vmemcache_statistics; Prometheus wants "_total" behind
 * counters as well.
 */
#include "statistics_format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Names of a label's values, NULL after the last. */
struct label {
	const char *name;
	const char *const *values;
};

static const struct label by_mode = {"mode",
	(const char *const[]){"set", "add", "replace", "if_version", NULL}};
static const struct label by_outcome = {
	"outcome", (const char *const[]){"inserted", "replaced", "exists",
			   "absent", "stale", "no_space", "no_memory", NULL}};
static const struct label by_reason = {
	"reason", (const char *const[]){"capacity", "evicted", "expired",
			  "replaced", "cleared", NULL}};
static const struct label none = {"", (const char *const[]){"", NULL}};

struct figure {
	const char *name;
	size_t offset;
	bool counts; /* a counter; else what is now */
	const char *help;
	const struct label *outer, *inner;
};

#define AT(member) #member, offsetof(struct vmemcache_statistics, member)
#define COUNTER(member, help)                                                  \
	{                                                                      \
		AT(member), true, help, &none, &none                           \
	}
#define GAUGE(member, help)                                                    \
	{                                                                      \
		AT(member), false, help, &none, &none                          \
	}

static const struct figure figures[] = {
	COUNTER(gets, "Gets."),
	COUNTER(hits, "Gets that found the key."),
	COUNTER(misses, "Gets that did not find the key."),
	{AT(stores), true, "Stores by mode and outcome; a put is an add.",
		&by_mode, &by_outcome},
	{AT(removals), true, "Items removed, by reason.", &none, &by_reason},
	COUNTER(loads, "Loaders that were called."),
	COUNTER(loads_failed, "Loaders of which no value came."),
	COUNTER(loads_shared, "Loads that met another one of their key."),
	COUNTER(touches_lost, "Gets that the order of eviction missed."),
	GAUGE(items, "Items in the cache."),
	GAUGE(value_bytes, "Bytes of all values."),
	GAUGE(block_bytes, "Bytes of the blocks that hold values."),
	GAUGE(metadata_bytes, "Bytes of keys, index and order."),
	GAUGE(metadata_limit_bytes, "Limit on that; 0: none."),
	GAUGE(pool_bytes, "Bytes of the pool."),
	GAUGE(most_bytes, "Bytes that the pool can be resized to."),
	GAUGE(free_runs, "Maximal runs of free blocks."),
	GAUGE(pieces, "Runs of blocks that values are in."),
	GAUGE(page_bytes, "Bytes of a page of the pool."),
	GAUGE(pool_huge_bytes, "Bytes of the pool in huge pages."),
	GAUGE(pinned_items, "Items that are pinned."),
	GAUGE(pinned_bytes, "Bytes of the values of pinned items."),
	GAUGE(reservations, "Reservations, not committed yet."),
	GAUGE(reserved_bytes, "Bytes of the values of reservations."),
	GAUGE(metadata_huge_bytes,
		"Bytes in huge pages of the memory of all caches' metadata."),
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

struct text {
	char *buffer;
	size_t size;
	size_t length;
};

static __attribute__((format(printf, 2, 3))) void
print(struct text *text, const char *format, ...)
{
	bool fits = text->length < text->size;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(fits ? text->buffer + text->length : NULL,
		fits ? text->size - text->length : 0, format, args);
	va_end(args);
	if (n > 0)
		text->length += (size_t)n;
}

/* Both JSON and Prometheus escape these two so, and names have no others. */
static void
print_quoted(struct text *text, const char *string)
{
	print(text, "\"");
	for (; *string; string++)
		print(text, *string == '"' || *string == '\\' ? "\\%c" : "%c",
			*string);
	print(text, "\"");
}

static const uint64_t *
numbers_of(const struct vmemcache_statistics *s, const struct figure *f)
{
	return (const uint64_t *)(const void *)((const char *)s + f->offset);
}

static void
print_percent(
	struct text *text, const char *name, uint64_t part, uint64_t whole)
{
	if (whole > 0)
		print(text, "%-42s %19.2f %%\n", name,
			100.0 * (double)part / (double)whole);
}

/* The ratios that people look for come first; what never happened is left out.
 */
static void
print_for_people(struct text *text, const struct vmemcache_statistics *s,
	const char *name)
{
	print(text, "%-42s %s\n", "name", name);
	print_percent(text, "hits of gets", s->hits, s->gets);
	print_percent(text, "blocks of pool", s->block_bytes, s->pool_bytes);
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		const uint64_t *value = numbers_of(s, f);
		bool one = f->inner == &none;
		for (const char *const *o = f->outer->values; *o; o++)
			for (const char *const *i = f->inner->values; *i;
				i++, value++)
				if (one || *value)
					print(text,
						"%-20s %-10s %-10s %19" PRIu64
						"\n",
						f->name, *o, *i, *value);
	}
}

static void
print_json_by(
	struct text *text, const struct label *label, const uint64_t **value)
{
	char before = '{';

	for (const char *const *v = label->values; *v; v++) {
		print(text, "%c\"%s\":%" PRIu64, before, *v, *(*value)++);
		before = ',';
	}
	print(text, "}");
}

static void
print_json(struct text *text, const struct vmemcache_statistics *s,
	const char *name)
{
	print(text, "{\"name\":");
	print_quoted(text, name);
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		const uint64_t *value = numbers_of(s, f);
		char before = '{';
		print(text, ",\"%s\":", f->name);
		if (f->inner == &none) {
			print(text, "%" PRIu64, *value);
			continue;
		}
		if (f->outer == &none) {
			print_json_by(text, f->inner, &value);
			continue;
		}
		for (const char *const *o = f->outer->values; *o; o++) {
			print(text, "%c\"%s\":", before, *o);
			print_json_by(text, f->inner, &value);
			before = ',';
		}
		print(text, "}");
	}
	print(text, "}\n");
}

static void
print_label(struct text *text, const struct label *label, const char *value)
{
	if (label != &none)
		print(text, ",%s=\"%s\"", label->name, value);
}

static void
print_prometheus(struct text *text, const struct vmemcache_statistics *s,
	const char *name)
{
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		const uint64_t *value = numbers_of(s, f);
		const char *suffix = f->counts ? "_total" : "";
		print(text, "# HELP vmemcache_%s%s %s\n", f->name, suffix,
			f->help);
		print(text, "# TYPE vmemcache_%s%s %s\n", f->name, suffix,
			f->counts ? "counter" : "gauge");
		for (const char *const *o = f->outer->values; *o; o++)
			for (const char *const *i = f->inner->values; *i;
				i++, value++) {
				print(text, "vmemcache_%s%s{cache=", f->name,
					suffix);
				print_quoted(text, name);
				print_label(text, f->outer, *o);
				print_label(text, f->inner, *i);
				print(text, "} %" PRIu64 "\n", *value);
			}
	}
}

size_t
vmc_statistics_format(const struct vmemcache_statistics *statistics,
	const char *name, enum vmemcache_format format, char *buffer,
	size_t size)
{
	struct text text = {buffer, size, 0};

	if (format == VMEMCACHE_FORMAT_JSON)
		print_json(&text, statistics, name);
	else if (format == VMEMCACHE_FORMAT_PROMETHEUS)
		print_prometheus(&text, statistics, name);
	else
		print_for_people(&text, statistics, name);
	return text.length;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.c -- one line a cache, in as many columns as there is room for
 *
 * Rates are those of the second before the sample. The hit ratio is that of the
 * same second, and a dash if nothing was got in it.
 */
#include "table.h"

#include <stdio.h>
#include <string.h>

#define NAME_LEAST 12

enum column {
	PID,
	ITEMS,
	POOL,
	GETS,
	HITS,
	STORES,
	EVICTIONS,
	METADATA,
	STATE,
	COLUMNS
};

static const struct {
	const char *title;
	int width; /* with the space before it */
} columns[COLUMNS] = {
	[PID] = {"PID", 8},
	[ITEMS] = {"ITEMS", 6},
	[POOL] = {"POOL%", 6},
	[GETS] = {"GETS/S", 7},
	[HITS] = {"HIT%", 6},
	[STORES] = {"STORES/S", 9},
	[EVICTIONS] = {"EVICT/S", 8},
	[METADATA] = {"METADATA", 9},
	[STATE] = {"STATE", 8},
};

/* Without the first of these, then the next as well, ... */
static const enum column dispensable[] = {
	METADATA, PID, STORES, POOL, ITEMS, EVICTIONS, GETS, HITS, STATE};

static int
width_of(unsigned shown)
{
	int sum = 0;

	for (unsigned i = 0; i < COLUMNS; i++)
		sum += shown & 1u << i ? columns[i].width : 0;
	return sum;
}

struct top_layout
top_layout(const struct top_caches *caches, int width)
{
	struct top_layout layout = {NAME_LEAST, (1u << COLUMNS) - 1};
	int room;

	for (unsigned i = 0; i < COLUMNS; i++)
		if (width - width_of(layout.columns) < NAME_LEAST)
			layout.columns &= ~(1u << dispensable[i]);
	room = width - width_of(layout.columns);
	for (size_t i = 0; i < caches->count; i++) {
		int length = (int)strlen(caches->all[i].published.now.name);
		layout.name = length > layout.name ? length : layout.name;
	}
	if (layout.name > room)
		layout.name = room > 1 ? room : 1;
	return layout;
}

const char *
top_number(char text[16], double number, bool bytes)
{
	static const char units[] = " kMGTPE";
	double unit = bytes ? 1024 : 1000;
	unsigned u = 0;

	/* what would be rounded up to the next unit has that one */
	while (number >= (bytes ? 999.5 : unit - 0.5) && u < 6) {
		number /= unit;
		u++;
	}
	int digits = number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
	if (u == 0)
		digits = bytes || number >= 9.95 || number < 0.05 ? 0 : 1;
	int n = snprintf(text, 16, "%.*f", digits, number);
	if (u > 0)
		snprintf(text + n, 16 - (size_t)n, "%c",
			u == 1 && bytes ? 'K' : units[u]);
	return text;
}

const char *
top_state_name(enum top_state state)
{
	static const char *const names[] = {
		[TOP_RUNNING] = "running",
		[TOP_LATE] = "late",
		[TOP_GONE] = "gone",
	};

	return names[state];
}

static void
percent(char text[16], double part, double whole)
{
	double of_100 = whole > 0 ? 100 * part / whole : -1;

	if (of_100 < 0)
		strcpy(text, "-");
	else
		snprintf(text, 16, "%.1f", of_100 > 100 ? 100.0 : of_100);
}

static void
print_rate(char text[16], const struct vmc_published *p, uint64_t now,
	uint64_t before)
{
	(void)top_number(text, top_rate(p, now, before), false);
}

static uint64_t
stored(const struct vmemcache_statistics *s)
{
	return top_stores(s, VMEMCACHE_OUTCOME_INSERTED) +
	       top_stores(s, VMEMCACHE_OUTCOME_REPLACED);
}

static uint64_t
evicted(const struct vmemcache_statistics *s)
{
	return s->removals[VMEMCACHE_REASON_CAPACITY] +
	       s->removals[VMEMCACHE_REASON_EVICTED];
}

static void
print_cell(char text[16], enum column column, const struct top_cache *cache)
{
	const struct vmc_published *p = &cache->published;
	const struct vmemcache_statistics *s = &p->now.statistics;
	const struct vmemcache_statistics *before = &p->before.statistics;

	switch (column) {
	case PID:
		snprintf(text, 16, "%d", p->pid);
		break;
	case ITEMS:
		(void)top_number(text, (double)s->items, false);
		break;
	case POOL:
		percent(text, (double)s->block_bytes, (double)s->pool_bytes);
		break;
	case GETS:
		print_rate(text, p, s->gets, before->gets);
		break;
	case HITS:
		percent(text, top_rate(p, s->hits, before->hits),
			top_rate(p, s->gets, before->gets));
		break;
	case STORES:
		print_rate(text, p, stored(s), stored(before));
		break;
	case EVICTIONS:
		print_rate(text, p, evicted(s), evicted(before));
		break;
	case METADATA:
		(void)top_number(text, (double)s->metadata_bytes, true);
		break;
	case STATE:
		strcpy(text, top_state_name(cache->state));
		break;
	case COLUMNS:
		break;
	}
}

void
top_line(char line[TOP_LINE], const struct top_layout *layout,
	const struct top_cache *cache)
{
	int n = snprintf(line, TOP_LINE, "%-*.*s", layout->name, layout->name,
		cache ? cache->published.now.name : "NAME");

	for (unsigned i = 0; i < COLUMNS; i++) {
		char text[16] = "";

		if (!(layout->columns & 1u << i))
			continue;
		if (cache)
			print_cell(text, (enum column)i, cache);
		n += snprintf(line + n, TOP_LINE - (size_t)n, "%*s",
			columns[i].width, cache ? text : columns[i].title);
	}
}

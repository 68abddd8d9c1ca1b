/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h -- one line a cache
 */
#ifndef VMC_TOOLS_TABLE_H
#define VMC_TOOLS_TABLE_H

#include "caches.h"

struct top_layout {
	int name;         /* characters for the name of a cache */
	unsigned columns; /* a bit for each that is shown */
};

/* The most that a line takes with its zero byte. */
#define TOP_LINE 256

/* What fits that width. */
struct top_layout top_layout(const struct top_caches *caches, int width);

/* cache NULL: the titles. */
void top_line(char line[TOP_LINE], const struct top_layout *layout,
	const struct top_cache *cache);

/* Five characters at most, with a unit of 1000, or 1024 if bytes. */
const char *top_number(char text[16], double number, bool bytes);

/* "running", "late" or "gone" */
const char *top_state_name(enum top_state state);

#endif

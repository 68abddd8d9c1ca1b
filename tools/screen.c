/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * screen.c -- the table in a terminal, and more of the cache that is selected
 *
 * Everything is read and drawn anew at each interval and each key; ncurses
 * sends what differs. A cache stays selected as long as its object is there,
 * wherever it comes to stand. Where there is little room, the table has it
 * first, of the lines and of the columns.
 */
#include "screen.h"

#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Lines above the first cache. */
#define ABOVE 2
/* Lines for the selected cache: one between, two on it, titles, figures. */
#define DETAILS (4 + VMEMCACHE_OUTCOMES)
/* Columns of one list of figures, and the space between two. */
#define LIST 36
#define GAP 4

struct screen {
	struct top_caches caches;
	char selected[VMC_PUBLICATION_PATH_MAX]; /* its file */
	size_t at;                               /* where that is, or was */
	size_t top;                              /* the first one shown */
};

static const char *const reasons[VMEMCACHE_REASONS] = {
	[VMEMCACHE_REASON_CAPACITY] = "for room",
	[VMEMCACHE_REASON_EVICTED] = "by a call",
	[VMEMCACHE_REASON_EXPIRED] = "expired",
	[VMEMCACHE_REASON_REPLACED] = "replaced",
	[VMEMCACHE_REASON_CLEARED] = "cleared",
};

static const char *const outcomes[VMEMCACHE_OUTCOMES] = {
	[VMEMCACHE_OUTCOME_INSERTED] = "inserted",
	[VMEMCACHE_OUTCOME_REPLACED] = "replaced",
	[VMEMCACHE_OUTCOME_EXISTS] = "key exists",
	[VMEMCACHE_OUTCOME_ABSENT] = "key absent",
	[VMEMCACHE_OUTCOME_STALE] = "other version",
	[VMEMCACHE_OUTCOME_NO_SPACE] = "no space",
	[VMEMCACHE_OUTCOME_NO_MEMORY] = "no memory",
};

static void
select_cache(struct screen *s, size_t at)
{
	if (s->caches.count == 0)
		return;
	s->at = at < s->caches.count ? at : s->caches.count - 1;
	strcpy(s->selected, s->caches.all[s->at].file);
}

/* The one that was selected, wherever it is now, or what is in its place. */
static void
find_selected(struct screen *s)
{
	for (size_t i = 0; i < s->caches.count; i++) {
		if (strcmp(s->caches.all[i].file, s->selected) == 0) {
			s->at = i;
			return;
		}
	}
	select_cache(s, s->at);
}

static void
draw_title(const struct screen *s)
{
	time_t now = time(NULL);
	struct tm local = {0};
	char clock[16] = "";
	unsigned gone = 0;

	for (size_t i = 0; i < s->caches.count; i++)
		gone += s->caches.all[i].state == TOP_GONE;
	if (localtime_r(&now, &local))
		strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	mvprintw(0, 0, "%s  %zu cache%s", clock, s->caches.count,
		s->caches.count == 1 ? "" : "s");
	if (gone > 0)
		printw(", %u gone (--clean removes)", gone);
	if (s->caches.of_others > 0)
		printw(", %u of other users", s->caches.of_others);
	if (s->caches.of_other_versions > 0)
		printw(", %u of other versions", s->caches.of_other_versions);
	if (getmaxx(stdscr) - getcurx(stdscr) >= 10 && getcury(stdscr) == 0)
		mvaddstr(0, getmaxx(stdscr) - 7, "q: quit");
}

static void
draw_table(struct screen *s, int lines)
{
	struct top_layout layout = top_layout(&s->caches, getmaxx(stdscr));
	size_t room = lines > ABOVE ? (size_t)(lines - ABOVE) : 0;
	char line[TOP_LINE];

	if (s->at < s->top)
		s->top = s->at;
	if (room > 0 && s->at >= s->top + room)
		s->top = s->at - room + 1;
	top_line(line, &layout, NULL);
	attron(A_BOLD);
	mvaddnstr(ABOVE - 1, 0, line, getmaxx(stdscr));
	attroff(A_BOLD);
	for (size_t i = 0; i < room && s->top + i < s->caches.count; i++) {
		const struct top_cache *cache = &s->caches.all[s->top + i];
		attr_t how = (s->top + i == s->at ? A_REVERSE : A_NORMAL) |
			     (cache->state == TOP_GONE ? A_DIM : A_NORMAL);

		top_line(line, &layout, cache);
		attron((int)how);
		mvaddnstr(ABOVE + (int)i, 0, line, getmaxx(stdscr));
		attroff((int)how);
	}
	if (s->caches.count == 0)
		mvaddnstr(ABOVE, 0, "No program publishes a cache.",
			getmaxx(stdscr));
}

/* One line of a list: what it is, how many, and how many a second. */
static void
draw_figure(int y, int x, const char *name, uint64_t total, double rate)
{
	char text[16], line[64];

	snprintf(line, sizeof(line), "  %-13s %12" PRIu64 " %7s", name, total,
		top_number(text, rate, false));
	mvaddnstr(y, x, line, getmaxx(stdscr) - x);
}

static void
draw_list_title(int y, int x, const char *title)
{
	char line[64];

	snprintf(line, sizeof(line), "%-15s %12s %7s", title, "TOTAL", "/S");
	attron(A_BOLD);
	mvaddnstr(y, x, line, getmaxx(stdscr) - x);
	attroff(A_BOLD);
}

static void
draw_memory(int y, const struct top_cache *cache)
{
	const struct vmemcache_statistics *s = &cache->published.now.statistics;
	char line[TOP_LINE], a[16], b[16], c[16], d[16];

	snprintf(line, sizeof(line),
		"%s, process %d: %" PRIu64 " items, %s of values, %.2f pieces "
		"each",
		cache->published.now.name, cache->published.pid, s->items,
		top_number(a, (double)s->value_bytes, true),
		s->items ? (double)s->pieces / (double)s->items : 0.0);
	mvaddnstr(y, 0, line, getmaxx(stdscr));
	snprintf(line, sizeof(line),
		"pool %s of %s, in huge pages %s; metadata %s",
		top_number(a, (double)s->block_bytes, true),
		top_number(b, (double)s->pool_bytes, true),
		top_number(c, (double)s->pool_huge_bytes, true),
		top_number(d, (double)s->metadata_bytes, true));
	mvaddnstr(y + 1, 0, line, getmaxx(stdscr));
}

/* Two lists beside each other, or the first alone. */
static void
draw_details(int y, const struct top_cache *cache)
{
	const struct vmc_published *p = &cache->published;
	const struct vmemcache_statistics *now = &p->now.statistics;
	const struct vmemcache_statistics *before = &p->before.statistics;

	draw_memory(y, cache);
	draw_list_title(y + 2, 0, "REMOVED");
	for (int i = 0; i < VMEMCACHE_REASONS; i++)
		draw_figure(y + 3 + i, 0, reasons[i], now->removals[i],
			top_rate(p, now->removals[i], before->removals[i]));
	if (getmaxx(stdscr) < 2 * LIST + GAP)
		return;
	draw_list_title(y + 2, LIST + GAP, "STORES");
	for (int i = 0; i < VMEMCACHE_OUTCOMES; i++) {
		uint64_t total = top_stores(now, (enum vmemcache_outcome)i);
		uint64_t was = top_stores(before, (enum vmemcache_outcome)i);

		draw_figure(y + 3 + i, LIST + GAP, outcomes[i], total,
			top_rate(p, total, was));
	}
}

static void
draw(struct screen *s)
{
	int lines = getmaxy(stdscr);
	/* a third of the lines at least is for the table */
	bool detailed = s->caches.count > 0 && lines >= DETAILS * 3 / 2;
	int table = detailed ? lines - DETAILS : lines;

	/* no more of it than there is */
	if (detailed && (size_t)(table - ABOVE) > s->caches.count)
		table = ABOVE + (int)s->caches.count;
	erase();
	draw_title(s);
	draw_table(s, table);
	if (detailed)
		draw_details(table + 1, &s->caches.all[s->at]);
	refresh();
}

/* False: it is for leaving. */
static bool
take_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 'k':
	case KEY_UP:
		select_cache(s, s->at > 0 ? s->at - 1 : 0);
		break;
	case 'j':
	case KEY_DOWN:
		select_cache(s, s->at + 1);
		break;
	case KEY_HOME:
		select_cache(s, 0);
		break;
	case KEY_END:
		select_cache(s, SIZE_MAX);
		break;
	case ERR:
		/* the interval is over, or nobody can type any more */
		return isatty(STDIN_FILENO);
	default:
		break;
	}
	return true;
}

int
top_screen(char *const *patterns, int interval)
{
	struct screen s = {.caches = {.all = NULL}};
	int rc;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return 1;
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return 1;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	timeout(interval);
	do {
		rc = top_caches_read(&s.caches, patterns);
		if (rc)
			break;
		find_selected(&s);
		draw(&s);
	} while (take_key(&s, getch()));
	endwin();
	delscreen(terminal);
	free(s.caches.all);
	return rc;
}

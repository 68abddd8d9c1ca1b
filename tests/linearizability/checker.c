/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checker.c -- Wing and Gong's search, with Lowe's memory
 *
 * All calls and returns stand in a list, in the order of their stamps. The
 * search takes the first operation whose call stands before every return and
 * that the specification allows; it and its return leave the list. Where a
 * return comes first, its operation should have happened already, so the
 * latest choice is taken back and the next one tried (Wing and Gong 1993).
 * What has been tried is remembered as the set of operations that have
 * happened and the state they led to: from the same two nothing else can
 * follow (Lowe 2017). Sets are compared, not only their hashes, so an answer
 * is never wrong.
 */
#include "checker.h"

#include <stdlib.h>
#include <string.h>

struct link {
	struct link *prev, *next;
	struct link *ret; /* of a call, else NULL */
	const struct checker_op *op;
	unsigned number;
	uint64_t stamp;
};

struct choice {
	struct link *link;
	uint64_t state; /* before it */
};

struct search {
	uint64_t *done; /* bit by operation */
	unsigned words;
	/* what was tried: `words` words of done, and the state */
	uint64_t *tried;
	size_t tried_count, tried_room;
	unsigned *table; /* of tried, by hash; 0: empty, else the index + 1 */
	size_t table_size;
	struct choice *choices;
	unsigned depth, deepest;
	uint64_t *deepest_done;
	uint64_t deepest_state;
};

static bool
fits(uint64_t state, const struct checker_op *op)
{
	if (state == CHECKER_ABSENT)
		return false;
	if (op->version)
		return state == op->version;
	return op->class == CHECKER_ANY_CLASS ||
	       state % CHECKER_CLASSES == (unsigned)op->class;
}

/* May the operation happen in this state? Then *after is the next one. */
static bool
step(uint64_t state, const struct checker_op *op, bool vanishing,
	uint64_t *after)
{
	bool absent = state == CHECKER_ABSENT || vanishing;

	switch (op->event) {
	case ADD:
		*after = op->version;
		return absent;
	case LACK:
		*after = CHECKER_ABSENT;
		return absent;
	case SEE:
		*after = state;
		return fits(state, op);
	case SET:
		*after = op->stored;
		return true;
	case WIPE:
		*after = CHECKER_ABSENT;
		return true;
	case SWAP:
		*after = op->stored;
		return fits(state, op);
	case OTHER:
		*after = state;
		return state != CHECKER_ABSENT && state != op->version;
	case REMOVE:
		break;
	}
	*after = CHECKER_ABSENT;
	return fits(state, op);
}

static uint64_t
hash_of(const uint64_t *words, unsigned count)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < count; i++)
		hash = (hash ^ words[i] ^ hash >> 29) *
		       UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* The place in the table for what is at `tried`. */
static unsigned *
place(struct search *s, const uint64_t *tried)
{
	size_t at = hash_of(tried, s->words + 1) & (s->table_size - 1);

	while (s->table[at] &&
		memcmp(&s->tried[(s->table[at] - 1) * (s->words + 1)], tried,
			(s->words + 1) * sizeof(*tried)) != 0)
		at = (at + 1) & (s->table_size - 1);
	return &s->table[at];
}

static void
grow(struct search *s)
{
	size_t room = s->tried_room ? 2 * s->tried_room : 1024;

	s->tried = realloc(s->tried, room * (s->words + 1) * sizeof(*s->tried));
	free(s->table);
	s->table_size = 2 * room;
	s->table = calloc(s->table_size, sizeof(*s->table));
	if (!s->tried || !s->table)
		abort();
	s->tried_room = room;
	for (unsigned i = 0; i < s->tried_count; i++)
		*place(s, &s->tried[i * (s->words + 1)]) = i + 1;
}

/* Remember what has been done and the state; false: known already. */
static bool
remember(struct search *s, uint64_t state)
{
	if (s->tried_count == s->tried_room)
		grow(s);
	uint64_t *tried = &s->tried[s->tried_count * (s->words + 1)];
	memcpy(tried, s->done, s->words * sizeof(*tried));
	tried[s->words] = state;
	unsigned *known = place(s, tried);
	if (*known)
		return false;
	*known = (unsigned)++s->tried_count;
	return true;
}

static void
take(struct link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->ret->prev->next = link->ret->next;
	link->ret->next->prev = link->ret->prev;
}

static void
put_back(struct link *link)
{
	link->ret->prev->next = link->ret;
	link->ret->next->prev = link->ret;
	link->prev->next = link;
	link->next->prev = link;
}

static void
note_deepest(struct search *s, uint64_t state)
{
	if (s->depth <= s->deepest)
		return;
	s->deepest = s->depth;
	s->deepest_state = state;
	memcpy(s->deepest_done, s->done, s->words * sizeof(*s->done));
}

static bool
search(struct search *s, struct link *list, uint64_t state, bool vanishing)
{
	struct link *link = list->next;

	while (list->next != list) {
		uint64_t after, bit = UINT64_C(1) << link->number % 64;
		uint64_t *done = &s->done[link->number / 64];

		if (link->ret) {
			*done |= bit;
			if (step(state, link->op, vanishing, &after) &&
				remember(s, after)) {
				s->choices[s->depth++] =
					(struct choice){link, state};
				state = after;
				note_deepest(s, state);
				take(link);
				link = list->next;
			} else {
				*done &= ~bit;
				link = link->next;
			}
			continue;
		}
		if (s->depth == 0)
			return false;
		link = s->choices[--s->depth].link;
		state = s->choices[s->depth].state;
		s->done[link->number / 64] &=
			~(UINT64_C(1) << link->number % 64);
		put_back(link);
		link = link->next;
	}
	return true;
}

static int
by_stamp(const void *a_arg, const void *b_arg)
{
	const struct link *a = a_arg, *b = b_arg;

	return (a->stamp > b->stamp) - (a->stamp < b->stamp);
}

/* links[0] is the head of the list; the calls and returns follow, sorted. */
static void
make_list(struct link *links, struct link **calls, struct checker_op *ops,
	unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		links[2 * i + 1] = (struct link){
			.op = &ops[i], .number = i, .stamp = ops[i].call};
		links[2 * i + 2] =
			(struct link){.number = i, .stamp = ops[i].ret};
	}
	qsort(links + 1, 2 * (size_t)count, sizeof(*links), by_stamp);
	for (unsigned i = 0; i <= 2 * count; i++) {
		struct link *next = &links[i < 2 * count ? i + 1 : 0];
		links[i].next = next;
		next->prev = &links[i];
		if (i > 0 && links[i].op)
			calls[links[i].number] = &links[i];
		else if (i > 0)
			calls[links[i].number]->ret = &links[i];
	}
}

static void
report_failure(const struct search *s, const struct checker_op *ops,
	unsigned count, uint64_t initial, FILE *report)
{
	static const char *const events[] = {
		"ADD", "SEE", "LACK", "REMOVE", "SET", "SWAP", "OTHER", "WIPE"};
	unsigned first = 0, last = count;
	uint64_t seen = 0;

	while (first < count && s->deepest_done[first / 64] >> first % 64 & 1)
		first++;
	while (last > 0 &&
		!(s->deepest_done[(last - 1) / 64] >> (last - 1) % 64 & 1))
		last--;
	for (unsigned i = 0; i < last; i++)
		seen = ops[i].ret > seen ? ops[i].ret : seen;
	fprintf(report,
		"key %u: not linearizable; of %u operations %u could be put in "
		"order, from state %llu to state %llu:\n",
		ops[0].key, count, s->deepest, (unsigned long long)initial,
		(unsigned long long)s->deepest_state);
	for (unsigned i = first > 20 ? first - 20 : 0;
		i < count && (i < last + 5 || ops[i].call < seen); i++)
		fprintf(report,
			"  %c thread %u [%llu, %llu] %s %llu class %d %llu\n",
			s->deepest_done[i / 64] >> i % 64 & 1 ? ' ' : '?',
			ops[i].thread, (unsigned long long)ops[i].call,
			(unsigned long long)ops[i].ret, events[ops[i].event],
			(unsigned long long)ops[i].version, ops[i].class,
			(unsigned long long)ops[i].stored);
}

bool
checker_linearizable(struct checker_op *ops, unsigned count, uint64_t initial,
	bool vanishing, FILE *report)
{
	struct search s = {.words = count / 64 + 1};
	struct link *links = calloc(2 * (size_t)count + 1, sizeof(*links));
	struct link **calls = calloc((size_t)count + 1, sizeof(*calls));

	s.done = calloc(s.words, sizeof(*s.done));
	s.deepest_done = calloc(s.words, sizeof(*s.done));
	s.choices = calloc((size_t)count + 1, sizeof(*s.choices));
	if (!links || !calls || !s.done || !s.deepest_done || !s.choices)
		abort();
	make_list(links, calls, ops, count);
	bool ok = search(&s, links, initial, vanishing);
	if (!ok)
		report_failure(&s, ops, count, initial, report);
	free(s.tried);
	free(s.table);
	free(s.choices);
	free(s.deepest_done);
	free(s.done);
	free(calls);
	free(links);
	return ok;
}

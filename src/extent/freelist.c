/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.c -- free runs, by length and by place
 *
 * See extent.c for what the list is for and for the measurements behind it.
 * Each run is in the bin of its length, a doubly linked list whose links are
 * numbers, and in two chained hash tables, under its first block and under the
 * block behind its end: so the neighbours of a freed run are found in two
 * lookups, however many runs are listed. Lengths from 256 on share bins,
 * sixteen to a power of two (as in Masmano's TLSF, 2004).
 *
 * Invariants: a bin's bit is set if and only if the bin is not empty; every
 * listed run is in its bin and in both tables, and no two listed runs touch;
 * nodes that are not listed are `spare`, chained through next, or have never
 * been used.
 *
 * Which whole runs add up to a wanted length is the subset-sum problem, small
 * enough here to be solved by bits: bit s of reach[i] says that some of the
 * first i candidates add up to s. One more candidate of length c is one shift
 * and one or: reach[i + 1] = reach[i] | reach[i] << c. For values below 64
 * blocks that is a word. Going back from the wanted sum, a candidate is used
 * only where the sum cannot be reached without it, so that the long ones,
 * which came first, make up most of it and the combination has few parts.
 */
#include "freelist.h"

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Sums below 64 * REACH_WORDS are tried. */
#define REACH_WORDS 8

/*
 * How many runs of a shared bin are looked at for one that is long enough, and
 * of any bin for those that are short enough.
 */
#define LOOK_AT 8
#define CANDIDATES_AT (2 * VMC_FREELIST_PARTS)

struct vmc_freelist_node {
	vmc_run run;
	vmc_listed prev, next;             /* in the bin */
	vmc_listed after_first, after_end; /* in the hash tables */
};

/* Bins below that hold runs of one length each. */
#define ONE_LENGTH 256

static unsigned
bin_of(uint64_t count)
{
	if (count < ONE_LENGTH)
		return (unsigned)count;
	unsigned log = 63 - (unsigned)__builtin_clzll(count);

	return ONE_LENGTH + 16 * (log - 8) +
	       (unsigned)(count >> (log - 4) & 15);
}

static uint64_t
end_of(vmc_run run)
{
	return vmc_run_first(run) + vmc_run_count(run);
}

static vmc_listed *
slot_of(const struct vmc_freelist *list, vmc_listed *table, uint64_t block)
{
	return &table[block * UINT64_C(0x9e3779b97f4a7c15) >> 32 &
		      (list->room - 1)];
}

int
vmc_freelist_init(struct vmc_freelist *list, uint32_t room,
	const struct vmc_memory *memory)
{
	size_t table = room * sizeof(vmc_listed);

	memset(list, 0, sizeof(*list));
	list->room = room;
	list->used = 1;
	list->node = vmc_alloc(memory, (room + 1) * sizeof(*list->node));
	list->by_first = vmc_alloc(memory, table);
	list->by_end = vmc_alloc(memory, table);
	if (!list->node || !list->by_first || !list->by_end) {
		vmc_freelist_fini(list, memory);
		return -ENOMEM;
	}
	memset(list->by_first, 0, table);
	memset(list->by_end, 0, table);
	return 0;
}

static void
free_unless_null(const struct vmc_memory *memory, void *p, size_t size)
{
	if (p)
		vmc_free(memory, p, size);
}

void
vmc_freelist_fini(struct vmc_freelist *list, const struct vmc_memory *memory)
{
	size_t table = list->room * sizeof(vmc_listed);

	free_unless_null(
		memory, list->node, (list->room + 1) * sizeof(*list->node));
	free_unless_null(memory, list->by_first, table);
	free_unless_null(memory, list->by_end, table);
}

size_t
vmc_freelist_memory(const struct vmc_freelist *list)
{
	return (list->room + 1) * sizeof(*list->node) +
	       2 * list->room * sizeof(vmc_listed);
}

vmc_run
vmc_freelist_run(const struct vmc_freelist *list, vmc_listed at)
{
	return list->node[at].run;
}

void
vmc_freelist_add(struct vmc_freelist *list, vmc_run run)
{
	unsigned bin = bin_of(vmc_run_count(run));
	vmc_listed *first = slot_of(list, list->by_first, vmc_run_first(run));
	vmc_listed *end = slot_of(list, list->by_end, end_of(run));
	vmc_listed at = list->spare;

	assert(list->count < list->room);
	if (at)
		list->spare = list->node[at].next;
	else
		at = list->used++;
	list->node[at] = (struct vmc_freelist_node){.run = run,
		.next = list->bin[bin],
		.after_first = *first,
		.after_end = *end};
	*first = *end = at;
	if (list->bin[bin])
		list->node[list->bin[bin]].prev = at;
	list->bin[bin] = at;
	list->filled[bin / 64] |= UINT64_C(1) << bin % 64;
	list->count++;
}

static void
take_out(struct vmc_freelist *list, vmc_listed at)
{
	struct vmc_freelist_node *n = &list->node[at];
	unsigned bin = bin_of(vmc_run_count(n->run));
	vmc_listed *link = slot_of(list, list->by_first, vmc_run_first(n->run));

	while (*link != at)
		link = &list->node[*link].after_first;
	*link = n->after_first;
	link = slot_of(list, list->by_end, end_of(n->run));
	while (*link != at)
		link = &list->node[*link].after_end;
	*link = n->after_end;

	if (n->prev)
		list->node[n->prev].next = n->next;
	else
		list->bin[bin] = n->next;
	if (n->next)
		list->node[n->next].prev = n->prev;
	if (!list->bin[bin])
		list->filled[bin / 64] &= ~(UINT64_C(1) << bin % 64);
	n->next = list->spare;
	list->spare = at;
	list->count--;
}

/* The listed run that ends before this block, or 0. */
static vmc_listed
listed_before(const struct vmc_freelist *list, uint64_t block)
{
	vmc_listed at = *slot_of(list, list->by_end, block);

	while (at && end_of(list->node[at].run) != block)
		at = list->node[at].after_end;
	return at;
}

/* The listed run that begins at this block, or 0. */
static vmc_listed
listed_after(const struct vmc_freelist *list, uint64_t block)
{
	vmc_listed at = *slot_of(list, list->by_first, block);

	while (at && vmc_run_first(list->node[at].run) != block)
		at = list->node[at].after_first;
	return at;
}

void
vmc_freelist_join(struct vmc_freelist *list, uint64_t *first, uint64_t *count)
{
	vmc_listed before = listed_before(list, *first);
	vmc_listed after = listed_after(list, *first + *count);

	if (before) {
		*count += vmc_run_count(list->node[before].run);
		*first = vmc_run_first(list->node[before].run);
		take_out(list, before);
	}
	if (after) {
		*count += vmc_run_count(list->node[after].run);
		take_out(list, after);
	}
}

unsigned
vmc_freelist_touching(
	const struct vmc_freelist *list, uint64_t first, uint64_t end)
{
	return (unsigned)(listed_before(list, first) != 0) +
	       (unsigned)(listed_after(list, end) != 0);
}

vmc_run
vmc_freelist_cut(struct vmc_freelist *list, vmc_listed at, uint64_t count)
{
	vmc_run run = list->node[at].run;
	uint64_t first = vmc_run_first(run), length = vmc_run_count(run);

	take_out(list, at);
	if (count >= length)
		return run;
	vmc_freelist_add(list, vmc_run_make(first + count, length - count));
	return vmc_run_make(first, count);
}

/*
 * The first bin from this one on that is not empty, and the last up to it. 0:
 * none, as no run is that short and that bin always empty.
 */
static unsigned
filled_from(const struct vmc_freelist *list, unsigned bin)
{
	for (unsigned w = bin / 64; w * 64 < VMC_FREELIST_BINS; w++) {
		uint64_t set = list->filled[w];
		if (w == bin / 64)
			set &= ~UINT64_C(0) << bin % 64;
		if (set)
			return w * 64 + (unsigned)__builtin_ctzll(set);
	}
	return 0;
}

static unsigned
filled_to(const struct vmc_freelist *list, unsigned bin)
{
	for (unsigned w = bin / 64 + 1; w-- > 0;) {
		uint64_t set = list->filled[w];
		if (w == bin / 64)
			set &= ~UINT64_C(0) >> (63 - bin % 64);
		if (set)
			return w * 64 + 63 - (unsigned)__builtin_clzll(set);
	}
	return 0;
}

vmc_listed
vmc_freelist_fit(const struct vmc_freelist *list, uint64_t count)
{
	unsigned bin = filled_from(list, bin_of(count));

	if (bin == bin_of(count)) {
		vmc_listed at = list->bin[bin];
		for (unsigned i = 0; at && i < LOOK_AT; i++) {
			if (vmc_run_count(list->node[at].run) >= count)
				return at;
			at = list->node[at].next;
		}
		bin = filled_from(list, bin + 1);
	}
	return list->bin[bin];
}

vmc_listed
vmc_freelist_longest(const struct vmc_freelist *list)
{
	return list->bin[filled_to(list, VMC_FREELIST_BINS - 1)];
}

vmc_listed
vmc_freelist_shortest(const struct vmc_freelist *list)
{
	return list->bin[filled_from(list, 0)];
}

unsigned
vmc_freelist_one(struct vmc_freelist *list, uint64_t count, vmc_run *run)
{
	vmc_listed at = count < ONE_LENGTH ? list->bin[count] : 0;

	if (!at)
		return 0;
	*run = list->node[at].run;
	take_out(list, at);
	return 1;
}

/* The longest runs of up to so many blocks, the longest first. */
static unsigned
candidates(const struct vmc_freelist *list, uint64_t count,
	vmc_listed run[VMC_FREELIST_PARTS])
{
	unsigned n = 0;

	for (unsigned bin = filled_to(list, bin_of(count)); bin;
		bin = filled_to(list, bin - 1)) {
		vmc_listed at = list->bin[bin];
		for (unsigned i = 0; at && i < CANDIDATES_AT;
			at = list->node[at].next, i++) {
			if (vmc_run_count(list->node[at].run) > count)
				continue;
			run[n++] = at;
			if (n == VMC_FREELIST_PARTS)
				return n;
		}
	}
	return n;
}

/* to = from | from << shift, in so many words */
static void
shift_or(uint64_t *to, const uint64_t *from, uint64_t shift, unsigned words)
{
	unsigned skip = (unsigned)shift / 64, bits = shift % 64;

	for (unsigned w = 0; w < words; w++) {
		to[w] = from[w];
		if (w >= skip)
			to[w] |= from[w - skip] << bits;
		if (w > skip && bits > 0)
			to[w] |= from[w - skip - 1] >> (64 - bits);
	}
}

static bool
reaches(const uint64_t *reach, uint64_t sum)
{
	return reach[sum / 64] >> sum % 64 & 1;
}

unsigned
vmc_freelist_exact(struct vmc_freelist *list, uint64_t count, unsigned most,
	vmc_run part[VMC_FREELIST_PARTS])
{
	uint64_t reach[VMC_FREELIST_PARTS + 1][REACH_WORDS];
	vmc_listed run[VMC_FREELIST_PARTS], used[VMC_FREELIST_PARTS];
	unsigned words = (unsigned)(count / 64) + 1, parts = 0, i = 0;

	if (count >= 64 * REACH_WORDS)
		return 0;
	unsigned n = candidates(list, count, run);
	memset(reach[0], 0, words * sizeof(*reach[0]));
	reach[0][0] = 1;
	for (; !reaches(reach[i], count); i++) {
		if (i == n)
			return 0;
		shift_or(reach[i + 1], reach[i],
			vmc_run_count(list->node[run[i]].run), words);
	}
	for (; count > 0; i--)
		if (!reaches(reach[i - 1], count)) {
			if (parts == most)
				return 0;
			used[parts] = run[i - 1];
			part[parts] = list->node[used[parts]].run;
			count -= vmc_run_count(part[parts++]);
		}
	for (i = 0; i < parts; i++)
		take_out(list, used[i]);
	return parts;
}

vmc_listed
vmc_freelist_next(const struct vmc_freelist *list, vmc_listed at)
{
	unsigned bin = 0;

	if (at) {
		if (list->node[at].next)
			return list->node[at].next;
		bin = bin_of(vmc_run_count(list->node[at].run)) + 1;
	}
	return list->bin[filled_from(list, bin)];
}

static unsigned
times_in_chain(const struct vmc_freelist *list, vmc_listed at)
{
	const struct vmc_freelist_node *n = &list->node[at];
	unsigned found = 0;
	vmc_listed i;

	for (i = *slot_of(list, list->by_first, vmc_run_first(n->run)); i;
		i = list->node[i].after_first)
		found += i == at;
	for (i = *slot_of(list, list->by_end, end_of(n->run)); i;
		i = list->node[i].after_end)
		found += i == at;
	return found;
}

int
vmc_freelist_check(const struct vmc_freelist *list, uint64_t *blocks)
{
	uint32_t count = 0, spare = 0;
	vmc_listed at, prev;

	*blocks = 0;
	for (unsigned bin = 0; bin < VMC_FREELIST_BINS; bin++) {
		if ((list->filled[bin / 64] >> bin % 64 & 1) !=
			(list->bin[bin] != 0))
			return vmc_fail_const(EINVAL, "free runs: bin's bit");
		for (prev = 0, at = list->bin[bin]; at;
			prev = at, at = list->node[at].next, count++) {
			uint64_t first = vmc_run_first(list->node[at].run);
			uint64_t blocks_here =
				vmc_run_count(list->node[at].run);
			*blocks += blocks_here;
			if (list->node[at].prev != prev ||
				bin_of(blocks_here) != bin || bin == 0)
				return vmc_fail_const(EINVAL, "free runs: bin");
			if (times_in_chain(list, at) != 2)
				return vmc_fail_const(
					EINVAL, "free runs: hash tables");
			if (listed_after(list, first + blocks_here) ||
				listed_before(list, first))
				return vmc_fail_const(
					EINVAL, "listed runs touch");
		}
	}
	for (at = list->spare; at; at = list->node[at].next)
		spare++;
	if (count != list->count || count + spare + 1 != list->used)
		return vmc_fail_const(EINVAL, "free runs: count");
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.c -- a few free runs, the longest first
 *
 * See extent.c for what the list is for and for the measurements behind it.
 * It is an array sorted by length, so the candidates for a combination are
 * its first entries. Everything is a scan of at most two dozen cache lines
 * that the previous put has just used.
 *
 * Which whole runs add up to a wanted length is the subset-sum problem, small
 * enough here to be solved by bits: bit s of reach[i] says that some of the
 * first i candidates add up to s. One more candidate of length c is one shift
 * and one or: reach[i + 1] = reach[i] | reach[i] << c. For values up to 64
 * blocks that is a word. Going back from the wanted sum, a candidate is used
 * only where the sum cannot be reached without it, so that the long ones,
 * which came first, make up most of it and the combination has few parts.
 */
#include "freelist.h"

#include <assert.h>
#include <string.h>

/* Sums below 64 * REACH_WORDS are tried. */
#define REACH_WORDS 8

static void
remove_at(struct vmc_freelist *list, unsigned index)
{
	memmove(list->run + index, list->run + index + 1,
		(list->count - index - 1) * sizeof(*list->run));
	list->count--;
}

void
vmc_freelist_join(struct vmc_freelist *list, struct vmc_span *span)
{
	uint64_t first = span->first, after = first + span->count;

	for (unsigned i = 0; i < list->count;) {
		const struct vmc_span run = list->run[i];
		if (run.first != after && run.first + run.count != first) {
			i++;
			continue;
		}
		if (run.first < span->first)
			span->first = run.first;
		span->count += run.count;
		remove_at(list, i);
	}
}

void
vmc_freelist_add(struct vmc_freelist *list, struct vmc_span span)
{
	unsigned at = list->count++;

	assert(at < VMC_FREELIST_ROOM);
	for (; at > 0 && list->run[at - 1].count < span.count; at--)
		list->run[at] = list->run[at - 1];
	list->run[at] = span;
}

struct vmc_span
vmc_freelist_cut(struct vmc_freelist *list, unsigned index, uint64_t count)
{
	struct vmc_span run = list->run[index];

	remove_at(list, index);
	if (count >= run.count)
		return run;
	vmc_freelist_add(
		list, (struct vmc_span){run.first + count, run.count - count});
	run.count = count;
	return run;
}

bool
vmc_freelist_fit(
	const struct vmc_freelist *list, uint64_t count, unsigned *index)
{
	unsigned i = list->count;

	while (i > 0 && list->run[i - 1].count < count)
		i--;
	*index = i - 1;
	return i > 0;
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
vmc_freelist_exact(struct vmc_freelist *list, uint64_t count,
	struct vmc_span part[VMC_FREELIST_PARTS])
{
	uint64_t reach[VMC_FREELIST_PARTS + 1][REACH_WORDS];
	unsigned words = (unsigned)(count / 64) + 1, begin = 0, i = 0,
		 parts = 0;

	if (count >= 64 * REACH_WORDS)
		return 0;
	while (begin < list->count && list->run[begin].count > count)
		begin++;
	memset(reach[0], 0, words * sizeof(*reach[0]));
	reach[0][0] = 1;
	for (; !reaches(reach[i], count); i++) {
		if (i == VMC_FREELIST_PARTS || begin + i == list->count)
			return 0;
		shift_or(reach[i + 1], reach[i], list->run[begin + i].count,
			words);
	}
	for (; count > 0; i--)
		if (!reaches(reach[i - 1], count)) {
			part[parts] = list->run[begin + i - 1];
			count -= part[parts++].count;
			remove_at(list, begin + i - 1);
		}
	return parts;
}

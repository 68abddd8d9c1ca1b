/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freelist.c -- a few free runs, the longest first
 *
 * See extent.c for what the list is for and for the measurements behind it.
 * It is an array sorted by length, so the candidates for a combination are
 * its first entries, and everything is a scan of a few cache lines that the
 * put before has just used.
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

#include <assert.h>
#include <string.h>

/* Sums below 64 * REACH_WORDS are tried. */
#define REACH_WORDS 8

static void
remove_at(struct vmc_freelist *list, uint64_t index)
{
	memmove(list->run + index, list->run + index + 1,
		(list->count - index - 1) * sizeof(*list->run));
	list->count--;
}

void
vmc_freelist_join(struct vmc_freelist *list, uint64_t *first, uint64_t *count)
{
	uint64_t before = *first, after = before + *count;

	for (uint64_t i = 0; i < list->count;) {
		uint64_t at = vmc_run_first(list->run[i]);
		uint64_t length = vmc_run_count(list->run[i]);
		if (at != after && at + length != before) {
			i++;
			continue;
		}
		if (at < before)
			*first = at;
		*count += length;
		remove_at(list, i);
	}
}

void
vmc_freelist_add(struct vmc_freelist *list, vmc_run run)
{
	uint64_t count = vmc_run_count(run), at = list->count++;

	assert(at < VMC_FREELIST_ROOM);
	for (; at > 0 && vmc_run_count(list->run[at - 1]) < count; at--)
		list->run[at] = list->run[at - 1];
	list->run[at] = run;
}

vmc_run
vmc_freelist_cut(struct vmc_freelist *list, uint64_t index, uint64_t count)
{
	vmc_run run = list->run[index];
	uint64_t first = vmc_run_first(run), length = vmc_run_count(run);

	remove_at(list, index);
	if (count >= length)
		return run;
	vmc_freelist_add(list, vmc_run_make(first + count, length - count));
	return vmc_run_make(first, count);
}

bool
vmc_freelist_fit(
	const struct vmc_freelist *list, uint64_t count, uint64_t *index)
{
	uint64_t i = list->count;

	while (i > 0 && vmc_run_count(list->run[i - 1]) < count)
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
	vmc_run part[VMC_FREELIST_PARTS])
{
	uint64_t reach[VMC_FREELIST_PARTS + 1][REACH_WORDS];
	uint64_t begin = 0, i = 0;
	unsigned words = (unsigned)(count / 64) + 1, parts = 0;

	if (count >= 64 * REACH_WORDS)
		return 0;
	while (begin < list->count && vmc_run_count(list->run[begin]) > count)
		begin++;
	memset(reach[0], 0, words * sizeof(*reach[0]));
	reach[0][0] = 1;
	for (; !reaches(reach[i], count); i++) {
		if (i == VMC_FREELIST_PARTS || begin + i == list->count)
			return 0;
		shift_or(reach[i + 1], reach[i],
			vmc_run_count(list->run[begin + i]), words);
	}
	for (; count > 0; i--)
		if (!reaches(reach[i - 1], count)) {
			part[parts] = list->run[begin + i - 1];
			count -= vmc_run_count(part[parts++]);
			remove_at(list, begin + i - 1);
		}
	return parts;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freemap.c -- which blocks are free: a bitmap under a tree of summaries
 *
 * One bit per block, 1 for free. Every 1024 blocks (a chunk, two cache lines)
 * have a summary of eight bytes, every eight summaries (a cache line) have one
 * above them, up to a single root:
 *
 *	63      62 .. 42    41 .. 21    20 .. 0
 *	whole | end       | longest   | start
 *
 *	start    free blocks at the low edge of the node's range
 *	longest  the longest free run inside the range
 *	end      free blocks at its high edge
 *	whole    every block of the range is free
 *
 * The lengths saturate at RUN_MAX, so a node of any level fits a word; the
 * length of a whole node follows from its level. A run of n blocks is found in
 * one descent: at each node it lies within a child (longest) or crosses from
 * one into the next (end + start). The page allocator of Go has such triples,
 * too.
 *
 * Invariants, for every node that is not below a whole node:
 *
 *	node[0][i] = summary of the bits 1024 i .. 1024 i + 1023
 *	node[l][i] = summary of node[l-1][8 i .. 8 i + 7] put side by side
 *	bits and nodes past the last block are 0 (used)
 *
 * Nodes and bits below a whole node have no meaning and may never have been
 * written; unfold() writes them when the first block is taken from the node. So
 * a map of any size is created in O(levels), in memory that need not be zeroed,
 * and its pages are touched as the pool fills. Used blocks are never below a
 * whole node.
 *
 * A map may have room for more blocks than there are. Blocks beyond the last
 * one count as used, so blocks are added and removed by changing their number
 * alone.
 *
 * Memory: blocks / 8 bytes of bits, 1/16 of that for the chunks, 1/8 of those
 * for each further level: blocks / 8 * (1 + 1/14), or 0.0523 % of a pool with
 * blocks of 256 bytes.
 *
 * Rejected: a tree of free runs (memory grows with fragmentation, just when
 * there is none to spare, and every step is a cache miss); a flat bitmap with
 * a cursor (a full pool is scanned whole to find the last free run); clearing
 * everything at the start (512 MiB for a pool of 1 TiB).
 */
#include "freemap.h"

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CHUNK_BITS 10
#define CHUNK_WORDS (1u << (CHUNK_BITS - 6))
#define FAN_BITS 3
#define FAN (1u << FAN_BITS)

#define RUN_BITS VMC_RUN_COUNT_BITS
#define RUN_MAX VMC_RUN_COUNT_MAX
#define WHOLE (UINT64_C(1) << 63)
#define CACHE_LINE 64

_Static_assert(3 * RUN_BITS < 64, "a summary is a word");

/* Blocks per node of a level, as a power of two. */
#define SHIFT(level) (CHUNK_BITS + FAN_BITS * (level))

static inline uint64_t
start_of(uint64_t node)
{
	return node & RUN_MAX;
}

static inline uint64_t
longest_of(uint64_t node)
{
	return node >> RUN_BITS & RUN_MAX;
}

static inline uint64_t
end_of(uint64_t node)
{
	return node >> 2 * RUN_BITS & RUN_MAX;
}

static inline uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t
pack(uint64_t start, uint64_t longest, uint64_t end)
{
	return least(start, RUN_MAX) | least(longest, RUN_MAX) << RUN_BITS |
	       least(end, RUN_MAX) << 2 * RUN_BITS;
}

static inline uint64_t
whole_node(unsigned level)
{
	uint64_t size = UINT64_C(1) << SHIFT(level);

	return WHOLE | pack(size, size, size);
}

static inline uint64_t
node_of(const struct vmc_freemap *map, unsigned level, uint64_t block)
{
	return map->node[level][block >> SHIFT(level)];
}

/* The summary of a chunk from its bits. */
static uint64_t
sum_words(const uint64_t *word)
{
	uint64_t start = 0, longest = 0, run = 0;
	bool edge = true; /* only free blocks so far */

	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		uint64_t w = word[i];

		if (w == ~UINT64_C(0)) {
			run += 64;
			continue;
		}
		run += (unsigned)__builtin_ctzll(~w);
		if (edge)
			start = run;
		edge = false;
		longest = most(longest, run);
		run = (unsigned)__builtin_clzll(~w);
		/* the runs inside the word, of which the last may go on */
		for (w &= w + 1; w != 0;) {
			w >>= __builtin_ctzll(w);
			unsigned ones = (unsigned)__builtin_ctzll(~w);
			longest = most(longest, ones);
			w >>= ones;
		}
	}
	if (edge)
		return whole_node(0);
	return pack(start, most(longest, run), run);
}

/* The summary of the eight nodes of the level below that child points to. */
static uint64_t
sum_nodes(const uint64_t *child, unsigned level)
{
	uint64_t size = UINT64_C(1) << SHIFT(level - 1);
	uint64_t start = 0, longest = 0, run = 0;
	bool edge = true;

	for (unsigned i = 0; i < FAN; i++) {
		uint64_t c = child[i];

		if (c & WHOLE) {
			run += size;
			continue;
		}
		run += start_of(c);
		if (edge)
			start = run;
		edge = false;
		longest = most(longest, most(run, longest_of(c)));
		run = end_of(c);
	}
	if (edge)
		return whole_node(level);
	return pack(start, most(longest, run), run);
}

/* Bring the summaries over the blocks first .. last up to date. */
static void
update(struct vmc_freemap *map, uint64_t first, uint64_t last)
{
	bool changed = false;

	for (uint64_t i = first >> CHUNK_BITS; i <= last >> CHUNK_BITS; i++) {
		uint64_t sum = sum_words(map->word + i * CHUNK_WORDS);
		changed |= sum != map->node[0][i];
		map->node[0][i] = sum;
	}
	for (unsigned l = 1; changed && l <= map->root; l++) {
		changed = false;
		for (uint64_t i = first >> SHIFT(l); i <= last >> SHIFT(l);
			i++) {
			uint64_t sum = sum_nodes(map->node[l - 1] + i * FAN, l);
			changed |= sum != map->node[l][i];
			map->node[l][i] = sum;
		}
	}
}

/* Write what a whole node stands for into the level below it. */
static void
unfold(struct vmc_freemap *map, unsigned level, uint64_t index)
{
	if (level == 0)
		memset(map->word + index * CHUNK_WORDS, 0xff,
			CHUNK_WORDS * sizeof(*map->word));
	else
		for (unsigned i = 0; i < FAN; i++)
			map->node[level - 1][index * FAN + i] =
				whole_node(level - 1);
}

static void
fill(uint64_t *word, uint64_t first, uint64_t count, bool is_free)
{
	while (count > 0) {
		uint64_t in_word = least(count, 64 - first % 64);
		uint64_t mask = ~UINT64_C(0) >> (64 - in_word) << first % 64;
		uint64_t *w = word + first / 64;

		assert((*w & mask) == (is_free ? 0 : mask));
		*w = is_free ? *w | mask : *w & ~mask;
		first += in_word;
		count -= in_word;
	}
}

static bool
bit(const struct vmc_freemap *map, uint64_t block)
{
	return map->word[block / 64] >> block % 64 & 1;
}

bool
vmc_freemap_is_free(const struct vmc_freemap *map, uint64_t block)
{
	if (block >= map->blocks)
		return false;
	for (unsigned l = map->root + 1; l-- > 0;) {
		uint64_t node = node_of(map, l, block);
		if (node & WHOLE)
			return true;
		if (longest_of(node) == 0)
			return false;
	}
	return bit(map, block);
}

/* How many of the two neighbours of a run are free. */
static unsigned
free_neighbours(const struct vmc_freemap *map, uint64_t first, uint64_t count)
{
	return vmc_freemap_is_free(map, first - 1) +
	       vmc_freemap_is_free(map, first + count);
}

void
vmc_freemap_claim(struct vmc_freemap *map, uint64_t first, uint64_t count)
{
	uint64_t last = first + count - 1;

	assert(count > 0 && last < map->blocks);
	map->runs += free_neighbours(map, first, count);
	map->runs--;
	for (unsigned l = map->root + 1; l-- > 0;)
		for (uint64_t i = first >> SHIFT(l); i <= last >> SHIFT(l); i++)
			if (map->node[l][i] & WHOLE)
				unfold(map, l, i);
	fill(map->word, first, count, false);
	update(map, first, last);
}

void
vmc_freemap_release(struct vmc_freemap *map, uint64_t first, uint64_t count)
{
	assert(count > 0 && first + count <= map->blocks);
	map->runs -= free_neighbours(map, first, count);
	map->runs++;
	fill(map->word, first, count, true);
	update(map, first, first + count - 1);
}

uint64_t
vmc_freemap_longest(const struct vmc_freemap *map)
{
	return longest_of(map->node[map->root][0]);
}

/* The lowest run of so many free blocks in a chunk that has one. */
static uint64_t
find_in_words(const uint64_t *word, uint64_t base, uint64_t want)
{
	uint64_t run = 0;

	for (;; word++, base += 64) {
		uint64_t w = *word, at = base;

		if (w == ~UINT64_C(0)) {
			run += 64;
			if (run >= want)
				return base + 64 - run;
			continue;
		}
		while (w != 0) {
			unsigned zeros = (unsigned)__builtin_ctzll(w);
			w >>= zeros;
			unsigned ones = (unsigned)__builtin_ctzll(~w);
			w >>= ones;
			run = zeros > 0 ? ones : run + ones;
			at += zeros + ones;
			if (run >= want)
				return at - run;
		}
		if (at < base + 64)
			run = 0;
	}
}

bool
vmc_freemap_find(const struct vmc_freemap *map, uint64_t want, uint64_t *first)
{
	uint64_t index = 0, node = map->node[map->root][0];

	assert(want > 0 && want <= RUN_MAX);
	if (longest_of(node) < want)
		return false;
	*first = 0;
	if (start_of(node) >= want)
		return true;
	for (unsigned l = map->root; l-- > 0;) {
		uint64_t size = UINT64_C(1) << SHIFT(l), run = 0;
		for (index *= FAN;; index++) {
			node = map->node[l][index];
			if (run + start_of(node) >= want) {
				*first = index * size - run;
				return true;
			}
			if (longest_of(node) >= want)
				break;
			run = node & WHOLE ? run + size : end_of(node);
		}
	}
	*first = find_in_words(
		map->word + index * CHUNK_WORDS, index << CHUNK_BITS, want);
	return true;
}

/* Is a block free? *end: from there on it may be otherwise. */
static bool
look_at(const struct vmc_freemap *map, uint64_t block, uint64_t *end)
{
	for (unsigned l = map->root + 1; l-- > 0;) {
		uint64_t node = node_of(map, l, block);
		*end = ((block >> SHIFT(l)) + 1) << SHIFT(l);
		if (node & WHOLE)
			return true;
		if (longest_of(node) == 0)
			return false;
	}
	uint64_t word = map->word[block / 64] >> block % 64;
	bool is_free = word & 1;
	uint64_t other = is_free ? ~word : word;

	*end = block - block % 64 + 64;
	if (other != 0)
		*end = least(*end, block + (unsigned)__builtin_ctzll(other));
	return is_free;
}

bool
vmc_freemap_next(const struct vmc_freemap *map, uint64_t from, uint64_t *first,
	uint64_t *count)
{
	uint64_t end = from;

	while (from < map->blocks && !look_at(map, from, &end))
		from = end;
	*first = from;
	while (from < map->blocks && look_at(map, from, &end))
		from = end;
	*count = least(from, map->blocks) - least(*first, map->blocks);
	return *count > 0;
}

uint64_t
vmc_freemap_used_end(const struct vmc_freemap *map)
{
	uint64_t first, count, used = 0, end = 0;

	while (vmc_freemap_next(map, end, &first, &count)) {
		used = first;
		end = first + count;
	}
	return end == map->blocks ? used : map->blocks;
}

/* The nodes of a level that cover at least one block. */
static uint64_t
node_count(uint64_t blocks, unsigned level)
{
	return ((blocks - 1) >> SHIFT(level)) + 1;
}

/* The nodes of a level that exist: siblings share a cache line. */
static uint64_t
node_room(uint64_t blocks, unsigned level)
{
	return (node_count(blocks, level) + FAN - 1) & ~(uint64_t)(FAN - 1);
}

/*
 * Everything is free. Only the right edge of the tree needs writing: there a
 * node may cover fewer blocks than its range holds, and is then not whole.
 */
static void
set_all_free(struct vmc_freemap *map)
{
	uint64_t last = map->blocks - 1;
	uint64_t chunk = last >> CHUNK_BITS << CHUNK_BITS;

	memset(map->word + chunk / 64, 0, CHUNK_WORDS * sizeof(*map->word));
	fill(map->word, chunk, map->blocks - chunk, true);
	for (unsigned l = 0; l <= map->root; l++) {
		uint64_t *node = map->node[l];
		uint64_t edge = last >> SHIFT(l);
		for (uint64_t i = edge & ~(uint64_t)(FAN - 1); i < edge; i++)
			node[i] = whole_node(l);
		node[edge] =
			l == 0 ? sum_words(map->word + chunk / 64)
			       : sum_nodes(map->node[l - 1] + edge * FAN, l);
		for (uint64_t i = edge + 1; i % FAN != 0; i++)
			node[i] = 0;
	}
}

/* Memory for so many blocks, and where each level is in it. -ENOMEM. */
static int
lay_out(struct vmc_freemap *map, uint64_t blocks,
	const struct vmc_memory *memory)
{
	uint64_t words = node_count(blocks, 0) * CHUNK_WORDS, nodes = 0;
	unsigned root = 0;

	while (node_count(blocks, root) > 1)
		nodes += node_room(blocks, root++);
	nodes += FAN;
	*map = (struct vmc_freemap){.memory = *memory,
		.size = (words + nodes) * sizeof(uint64_t) + CACHE_LINE,
		.room = blocks,
		.blocks = blocks,
		.root = root};
	map->space = vmc_alloc(memory, map->size);
	if (map->space == NULL)
		return vmc_fail_const(ENOMEM, "no memory for the block map");

	uintptr_t space = (uintptr_t)map->space;
	map->word = (uint64_t *)((space + CACHE_LINE - 1) &
				 ~(uintptr_t)(CACHE_LINE - 1));
	map->node[0] = map->word + words;
	for (unsigned l = 1; l <= root; l++)
		map->node[l] = map->node[l - 1] + node_room(blocks, l - 1);
	return 0;
}

int
vmc_freemap_init(struct vmc_freemap *map, uint64_t blocks,
	const struct vmc_memory *memory)
{
	int result = lay_out(map, blocks, memory);

	if (result == 0) {
		map->runs = 1;
		set_all_free(map);
	}
	return result;
}

int
vmc_freemap_init_used(struct vmc_freemap *map, uint64_t blocks,
	const struct vmc_memory *memory)
{
	int result = lay_out(map, blocks, memory);

	if (result == 0)
		memset(map->space, 0, map->size);
	return result;
}

/* What is below a whole node is copied with the rest, though nobody reads it */
void
vmc_freemap_copy(struct vmc_freemap *to, const struct vmc_freemap *from)
{
	assert(to->room >= from->room && to->runs == 0);
	memcpy(to->word, from->word,
		node_count(from->room, 0) * CHUNK_WORDS * sizeof(*to->word));
	for (unsigned l = 0; l <= from->root; l++)
		memcpy(to->node[l], from->node[l],
			node_count(from->room, l) * sizeof(*to->node[l]));
	for (unsigned l = from->root + 1; l <= to->root; l++)
		to->node[l][0] = sum_nodes(to->node[l - 1], l);
	to->blocks = from->blocks;
	to->runs = from->runs;
}

void
vmc_freemap_set_blocks(struct vmc_freemap *map, uint64_t blocks)
{
	assert(blocks > 0 && blocks <= map->room);
	map->blocks = blocks;
}

void
vmc_freemap_fini(struct vmc_freemap *map)
{
	vmc_free(&map->memory, map->space, map->size);
}

/*
 * The check builds every summary a second time and in another way: from the
 * free pieces in address order, each added to the nodes of all levels that it
 * lies in.
 */
struct tally {
	const struct vmc_freemap *map;
	struct {
		uint64_t base, start, longest, run;
	} level[VMC_FREEMAP_LEVELS];
	uint64_t end; /* of the last free piece */
	uint64_t free_blocks;
	uint64_t free_runs;
};

static void
count_piece(struct tally *t, unsigned lowest, uint64_t first, uint64_t count)
{
	t->free_blocks += count;
	t->free_runs += t->free_runs == 0 || first != t->end;
	for (unsigned l = lowest; l <= t->map->root; l++) {
		uint64_t base = t->level[l].base;
		if (first != t->end || first == base)
			t->level[l].run = 0;
		t->level[l].run += count;
		t->level[l].longest =
			most(t->level[l].longest, t->level[l].run);
		if (first + count - t->level[l].run == base)
			t->level[l].start = t->level[l].run;
	}
	t->end = first + count;
}

static int
check_node(struct tally *t, unsigned level, uint64_t index)
{
	const struct vmc_freemap *map = t->map;
	uint64_t node = map->node[level][index];
	uint64_t size = UINT64_C(1) << SHIFT(level), base = index * size;
	int result = 0;

	t->level[level].base = base;
	t->level[level].start = t->level[level].longest = 0;
	t->level[level].run = 0;
	if (node & WHOLE) {
		if (base + size > map->blocks || node != whole_node(level))
			return vmc_fail(EINVAL, "node %u:%ju: not whole", level,
				(uintmax_t)index);
		count_piece(t, level, base, size);
		return 0;
	}
	if (level == 0) {
		for (uint64_t b = base; b < base + size; b++)
			if (bit(map, b))
				count_piece(t, 0, b, 1);
	} else {
		for (unsigned i = 0; i < FAN && result == 0; i++)
			if (base + i * (size / FAN) < map->blocks)
				result = check_node(
					t, level - 1, index * FAN + i);
			else if (map->node[level - 1][index * FAN + i] != 0)
				result = vmc_fail(EINVAL,
					"node %u:%ju: past the end, not used",
					level - 1,
					(uintmax_t)(index * FAN + i));
	}
	uint64_t end = t->end == base + size ? t->level[level].run : 0;
	uint64_t sum =
		pack(t->level[level].start, t->level[level].longest, end);
	if (result == 0 && node != sum)
		result = vmc_fail(EINVAL, "node %u:%ju: %#jx, should be %#jx",
			level, (uintmax_t)index, (uintmax_t)node,
			(uintmax_t)sum);
	return result;
}

int
vmc_freemap_check(const struct vmc_freemap *map, uint64_t *free_blocks)
{
	struct tally t = {.map = map};
	int result = check_node(&t, map->root, 0);

	if (result == 0 && t.end > map->blocks)
		result = vmc_fail(EINVAL, "blocks past the end are free");
	if (result == 0 && t.free_runs != map->runs)
		result = vmc_fail(EINVAL, "free runs miscounted");
	*free_blocks = t.free_blocks;
	return result;
}

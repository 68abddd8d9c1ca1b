/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hot.c -- a set of nodes that are used again and again, with a stamp for each
 *
 * The clock ticks with each use, so stamps differ, and the order of the set is
 * that of its stamps. It is needed only for evictions: then the slots are
 * sorted, and taken one by one, the oldest first. A slot that was used since
 * the sorting is skipped: its stamp is at or above `limit`, the clock at the
 * time of the sorting. Nodes added later were used later, too. So the first
 * slot that is not skipped is the oldest of the whole set: all slots sorted
 * behind it had later stamps then, and all others have a stamp of at least
 * limit. When no slot is left, the set is sorted again.
 *
 * The sort is a radix sort, one byte at a time, of the stamps less the lowest
 * one: some 5 ns per node and pass, 2 or 3 passes, for at most 32768 nodes. The
 * thread that stamps without the lock (the sole user, touch.c) is the one that
 * sorts. Right after another thread has become the sole user, the former one
 * may still write stamps for a moment, so that two passes see different stamps.
 * So each index is checked before it is written to. The order may then be
 * wrong, and a slot may be in it twice or not at all; each slot is checked
 * again when its turn comes.
 *
 * Rejected: bringing each node to the front of the rows each time (lru.c),
 * which costs more than the rest of a get that finds everything in the
 * processor's cache. A heap by stamps that are updated lazily: a put after a
 * million gets would have to look at a million nodes. The stamps in the
 * entries: they have no 4 bytes free, and each node sorted would cost a CPU
 * cache miss.
 */
#include "hot.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
	CAPACITY_MIN = 1024,
	AHEAD = 8, /* nodes are fetched before they are asked for */
	PAYS = 3,  /* uses for each node that leaves it, at least */
	DIGIT = 8
};

#define MEMORY(capacity)                                                       \
	((capacity) * (sizeof(struct vmc_policy_node *) + 2 * sizeof(uint16_t)))
#define STAMPS (VMC_POLICY_HOT_SLOTS * sizeof(uint32_t))

static _Atomic uint32_t *
stamp_of(const struct vmc_hot *hot, uint32_t slot)
{
	return &vmc_load_relaxed(&hot->policy->stamps)[slot];
}

static bool
is_node(const struct vmc_policy_node *node)
{
	return !((uintptr_t)node & 1);
}

void
vmc_hot_init(struct vmc_hot *hot, struct vmc_policy *policy,
	const struct vmc_memory *memory)
{
	*hot = (struct vmc_hot){.policy = policy, .memory = *memory};
}

/* One piece: the nodes, then order and buffer. */
static void
free_arrays(struct vmc_hot *hot)
{
	if (hot->capacity)
		vmc_free(&hot->memory, hot->node, MEMORY(hot->capacity));
	hot->capacity = 0;
}

void
vmc_hot_fini(struct vmc_hot *hot)
{
	_Atomic uint32_t *stamps = vmc_load_relaxed(&hot->policy->stamps);

	free_arrays(hot);
	if (stamps)
		vmc_free(&hot->memory, (void *)stamps, STAMPS);
}

static bool
make_arrays(struct vmc_hot *hot, uint64_t nodes)
{
	uint32_t capacity = CAPACITY_MIN;

	while (capacity < VMC_POLICY_HOT_SLOTS && capacity < 2 * nodes)
		capacity *= 2;
	if (!vmc_load_relaxed(&hot->policy->stamps)) {
		/* of all slots at once: who stamps does not ask how many */
		_Atomic uint32_t *stamps = vmc_alloc(&hot->memory, STAMPS);
		if (!stamps)
			return false;
		/* release: pairs with the load in vmc_policy_stamp() */
		vmc_store_release(&hot->policy->stamps, stamps);
	}
	if (capacity <= hot->capacity)
		return true;
	free_arrays(hot);
	hot->node = vmc_alloc(&hot->memory, MEMORY(capacity));
	if (!hot->node)
		return false;
	hot->order = (uint16_t *)(hot->node + capacity);
	hot->buffer = hot->order + capacity;
	memset(hot->order, 0, 2 * capacity * sizeof(*hot->order));
	hot->capacity = capacity;
	return true;
}

bool
vmc_hot_begin(struct vmc_hot *hot, uint64_t nodes)
{
	if (!make_arrays(hot, nodes))
		return false;
	hot->active = true;
	hot->used = hot->spare = 0;
	hot->next = hot->end = 0;
	hot->left = 0;
	hot->since = vmc_load_relaxed(&hot->policy->clock);
	return true;
}

bool
vmc_hot_add(struct vmc_hot *hot, struct vmc_policy_node *node, uint32_t tick)
{
	uint32_t slot = hot->spare - 1;

	if (hot->spare)
		hot->spare = (uint32_t)((uintptr_t)hot->node[slot] >> 1);
	else if (hot->used < hot->capacity)
		slot = hot->used++;
	else
		return false;
	hot->node[slot] = node;
	vmc_store_relaxed(stamp_of(hot, slot), tick);
	hot->count++;
	vmc_policy_add_bytes(hot->policy, VMC_HOT_SIZE);
	/* after its stamp, for whoever stamps it then */
	vmc_store_release(&node->at, VMC_POLICY_HOT + slot);
	return true;
}

bool
vmc_hot_has(const struct vmc_hot *hot, uint32_t at,
	const struct vmc_policy_node *node)
{
	uint32_t slot = at - VMC_POLICY_HOT;

	return at >= VMC_POLICY_HOT && hot->count > 0 && slot < hot->used &&
	       hot->node[slot] == node;
}

void
vmc_hot_remove(struct vmc_hot *hot, uint32_t at)
{
	uint32_t slot = at - VMC_POLICY_HOT;

	hot->node[slot] =
		(struct vmc_policy_node *)((uintptr_t)hot->spare << 1 | 1);
	hot->spare = slot + 1;
	hot->count--;
	hot->left++;
	vmc_policy_add_bytes(hot->policy, -VMC_HOT_SIZE);
}

/* --- the order --- */

/* By a byte of the stamps, of which low is the lowest, into the buffer. */
static void
sort_by(struct vmc_hot *hot, uint32_t n, uint32_t low, unsigned shift)
{
	uint32_t place[1 << DIGIT] = {0};
	uint32_t before = 0;
	uint16_t *sorted = hot->buffer;

#define DIGIT_OF(slot)                                                         \
	((vmc_load_relaxed(stamp_of(hot, (slot))) - low) >> shift &            \
		((1 << DIGIT) - 1))
	for (uint32_t i = 0; i < n; i++)
		place[DIGIT_OF(hot->order[i])]++;
	for (unsigned d = 0; d < 1 << DIGIT; d++) {
		uint32_t count = place[d];
		place[d] = before;
		before += count;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t to = place[DIGIT_OF(hot->order[i])]++;
		if (to < n)
			sorted[to] = hot->order[i];
	}
#undef DIGIT_OF
	hot->buffer = hot->order;
	hot->order = sorted;
}

/* All slots that were used before that tick, in order. */
static void
sort(struct vmc_hot *hot, uint32_t tick)
{
	uint32_t n = 0, low = UINT32_MAX, high = 0;

	for (uint32_t slot = 0; slot < hot->used; slot++) {
		uint32_t stamp = vmc_load_relaxed(stamp_of(hot, slot));
		if (!is_node(hot->node[slot]) || stamp >= tick)
			continue;
		hot->order[n++] = (uint16_t)slot;
		low = stamp < low ? stamp : low;
		high = stamp > high ? stamp : high;
	}
	for (unsigned shift = 0; n > 1 && shift < 32 && (high - low) >> shift;
		shift += DIGIT)
		sort_by(hot, n, low, shift);
	hot->next = 0;
	hot->end = n;
	hot->limit = tick;
}

struct vmc_policy_node *
vmc_hot_oldest(struct vmc_hot *hot, uint32_t tick)
{
	for (unsigned turn = 0; hot->count > 0 && turn < 2; turn++) {
		for (; hot->next < hot->end; hot->next++) {
			uint32_t slot = hot->order[hot->next];
			if (hot->next + AHEAD < hot->end)
				vmc_prefetch_write(
					hot->node[hot->order[hot->next +
							     AHEAD]]);
			if (is_node(hot->node[slot]) &&
				vmc_load_relaxed(stamp_of(hot, slot)) <
					hot->limit)
				return hot->node[slot];
		}
		if (turn == 0)
			sort(hot, tick);
	}
	return NULL;
}

bool
vmc_hot_is_idle(struct vmc_hot *hot)
{
	uint32_t clock = vmc_load_relaxed(&hot->policy->clock);
	uint32_t ticks = clock - hot->since;

	if (hot->left < hot->capacity / 8)
		return false;
	bool idle = ticks / PAYS < hot->left;
	hot->left = 0;
	hot->since = clock;
	return idle;
}

void
vmc_hot_renumber(struct vmc_hot *hot)
{
	uint32_t clock = 0;

	if (hot->count > 0) {
		sort(hot, UINT32_MAX);
		for (uint32_t i = 0; i < hot->end; i++)
			vmc_store_relaxed(
				stamp_of(hot, hot->order[i]), ++clock);
	}
	hot->next = hot->end = 0;
	hot->left = 0;
	hot->since = clock;
	vmc_store_relaxed(&hot->policy->clock, clock);
}

int
vmc_hot_check(const struct vmc_hot *hot)
{
	uint32_t count = 0, spare = 0;

	for (uint32_t slot = 0; hot->active && slot < hot->used; slot++) {
		struct vmc_policy_node *node = hot->node[slot];
		if (!is_node(node))
			continue;
		count++;
		if (vmc_load_relaxed(&node->at) != VMC_POLICY_HOT + slot)
			return vmc_fail_const(EINVAL, "hot: a node is astray");
	}
	for (uint32_t s = hot->active ? hot->spare : 0; s; spare++)
		s = (uint32_t)((uintptr_t)hot->node[s - 1] >> 1);
	if (count != hot->count || (hot->active && count + spare != hot->used))
		return vmc_fail_const(EINVAL, "hot: miscounted");
	return 0;
}

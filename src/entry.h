/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.h -- one object per item, and its one lifecycle
 *
 *   offset 0      4          8      16           21     22      24
 *          | node | key_size | runs | value_size | used | state | key
 *
 * key_size is stored in node.of_user, which the policy never reads: 31 bits,
 * and one above them that says that the entry is a space's. Then the number of
 * its era (space.h) is behind the key, in 4 bytes. value_size has 39 bits; the
 * bit above says that there is more behind that (extra.h).
 *
 * One allocation, of 32 bytes with a key of up to 8. The value's bytes are in
 * the pool, in the blocks that runs names.
 *
 * The state word: what the entry is, and who has pinned it.
 *
 *   15        6   5        4          3        2      1     0
 *   |   pins   | PARKED | REPLACED | unused | MOVING | state |
 *
 * Life of it; whoever makes a transition owns what comes with it:
 *
 *   from       to         by                     what it means
 *   -          LIVE       put, before the entry  built by one thread, unseen
 *                         is in the index
 *   LIVE       EVICTING   an evictor (compare    the evictor alone may remove
 *                         and swap); for room    it; gets still answer
 *                         only without pins
 *   EVICTING   LIVE       that evictor, under    given up: not enough could be
 *                         the policy's lock      evicted; no callback has run;
 *                                                in the policy again
 *   EVICTING   DEAD       that evictor, once     no pin can be added from here
 *                         it is out of the index on; gets must look again
 *   LIVE, no   DEAD       a touch that gives it  another entry has its blocks
 *   pins                  an expiry, under the   and takes its place in the
 *                         latch of the index     index (renew.c)
 *   DEAD, no   (freed)    whoever brought it to  the blocks are reused; the
 *   pins                  that: the evictor if   entry goes when no reader and
 *                         there were no pins,    no ring holds it
 *                         else the last unpin
 *   LIVE, no   MOVING     who moves the value,     the runs are about to be
 *   pins                  under the latch of the   others, of the same bytes;
 *                         index (resize.c)         claims and pins wait
 *   MOVING     LIVE       the same, a few
 *                         instructions later
 *   LIVE,      PARKED     an evictor that found  in no place of the policy; the
 *   pins                  it pinned              last unpin puts it back
 *   EVICTING   REPLACED   a store, under the     another entry is about to have
 *                         latch of the index     its place in the index
 *
 * An evictor is whoever claims the entry: to make room, by a call that removes
 * the key, as its time is over (expire.c), or to put another entry in its place
 * (store.c). Whether the time is over is no state: each call that meets the
 * entry finds out, and then it is not there for that call.
 *
 * A put may not touch its entry any more once it is in the index: others may
 * evict it, or pin it. What the put has still to do is to push its node into
 * the ring, within the epoch in which it published it, so that it is not freed.
 *
 * Where the node is meanwhile, and so who may write its at:
 *
 *   at           where                       written
 *   0            not in the policy yet,      by whoever drains it from a ring
 *                parked, or claimed
 *   a place      held by the policy, or      under the policy's lock
 *                reserved for one thread as
 *                a victim; LIVE all the same
 *
 * From where to where, and who wins when several want it: claim.c. How pins are
 * taken and dropped, and why blocks are freed once: pin.c.
 *
 * Guards: sizes and key are immutable while the entry is in the index. So are
 * the runs, but that the value may be moved, while it is neither claimed nor
 * pinned: who has not done either reads them by vmc_entry_runs().
 */
#ifndef VMC_ENTRY_H
#define VMC_ENTRY_H

#include "base/atomic.h"
#include "extent/extent.h"
#include "extra.h"
#include "policy/policy.h"

#include <assert.h>
#include <string.h>

enum vmc_entry_state {
	VMC_ENTRY_LIVE = 0,
	VMC_ENTRY_EVICTING = 2,
	VMC_ENTRY_DEAD = 3, /* EVICTING and one more bit */

	VMC_ENTRY_STATES = 3,        /* the bits that tell the state */
	VMC_ENTRY_MOVING = 1 << 2,   /* only of one that is LIVE */
	VMC_ENTRY_REPLACED = 1 << 4, /* EVICTING, and then DEAD */
	VMC_ENTRY_PARKED = 1 << 5,
	VMC_ENTRY_PIN = 1 << 6,
	/* of which the last one is taken by pin.c for those that are more */
	VMC_ENTRY_PINS_MAX = 1023
};

struct vmc_entry {
	struct vmc_policy_node node;
	vmc_runs runs;
	uint32_t value_size_low;
	uint8_t value_size_high;
	/*
	 * Where the policy counts uses, how many; by anyone. Else the
	 * generation (touch.c) of the last touch: under the policy's lock
	 */
	_Atomic uint8_t used;
	_Atomic uint16_t state;
	unsigned char key[];
};

static_assert(offsetof(struct vmc_entry, key) == 24, "no padding");

#define VMC_ENTRY_VALUE_MAX ((UINT64_C(1) << 39) - 1)
/* in value_size_high */
#define VMC_ENTRY_EXTRA 0x80u

/* In node.of_user: it is a space's. */
#define VMC_ENTRY_MARK (UINT32_C(1) << 31)
#define VMC_ENTRY_KEY_MAX ((size_t)VMC_ENTRY_MARK - 1)

struct vmemcache;
struct vmc_era;

/* A key as the caller gives it, with its hash, and whose it is. */
struct vmc_key {
	const void *data;
	size_t size;
	uint64_t hash;
	struct vmemcache *space; /* a space, or the cache itself */
	/* of a space, and to be known before the key is compared (space.h): */
	struct vmc_era *era;
	uint32_t mark; /* VMC_ENTRY_MARK; 0: of the cache itself */
	uint32_t era_id;
};

static inline size_t
vmc_entry_value_size(const struct vmc_entry *entry)
{
	size_t high = entry->value_size_high & ~VMC_ENTRY_EXTRA;

	return entry->value_size_low | high << 32;
}

/* Before others know it. */
static inline void
vmc_entry_set_value_size(struct vmc_entry *entry, size_t size)
{
	entry->value_size_low = (uint32_t)size;
	entry->value_size_high =
		(uint8_t)((entry->value_size_high & VMC_ENTRY_EXTRA) |
			  size >> 32);
}

static inline bool
vmc_entry_is_moving(uint16_t state)
{
	return __builtin_expect(
		(state & (VMC_ENTRY_STATES | VMC_ENTRY_MOVING)) ==
			VMC_ENTRY_MOVING,
		0);
}

/* The state, once nobody moves the value: that takes a few instructions. */
static inline uint16_t
vmc_entry_settled(const struct vmc_entry *entry)
{
	uint16_t state;

	while (vmc_entry_is_moving(state = vmc_load_acquire(&entry->state)))
		vmc_pause();
	return state;
}

/* DEAD or MOVING: no pin can be added, ever or at this moment. */
static inline bool
vmc_entry_takes_no_pin(uint16_t state)
{
	return (state & (VMC_ENTRY_STATES | VMC_ENTRY_MOVING)) >
	       VMC_ENTRY_EVICTING;
}

/*
 * The runs at one moment, of a value that may be moved meanwhile: the bytes are
 * there, and the array is kept, until the epoch ends. Acquire: pairs with the
 * release by who moves it.
 */
static inline vmc_runs
vmc_entry_runs(const struct vmc_entry *entry)
{
	return (vmc_runs){
		vmc_load_acquire((const _Atomic uint64_t *)&entry->runs.word)};
}

static inline void
vmc_entry_set_runs(struct vmc_entry *entry, vmc_runs runs)
{
	vmc_store_release((_Atomic uint64_t *)&entry->runs.word, runs.word);
}

static inline bool
vmc_entry_has_extra(const struct vmc_entry *entry)
{
	return (entry->value_size_high & VMC_ENTRY_EXTRA) != 0;
}

/* It counts as one block where entries are evicted for their blocks (put.c). */
static inline bool
vmc_entry_is_empty(const struct vmc_entry *entry)
{
	return vmc_entry_runs(entry).word == 0 &&
	       vmc_entry_value_size(entry) == 0;
}

static inline uint32_t
vmc_entry_key_size(const struct vmc_entry *entry)
{
	return entry->node.of_user & ~VMC_ENTRY_MARK;
}

static inline bool
vmc_entry_is_marked(const struct vmc_entry *entry)
{
	return (entry->node.of_user & VMC_ENTRY_MARK) != 0;
}

/* Of an entry that is marked: the number of its era. */
static inline uint32_t
vmc_entry_era_id(const struct vmc_entry *entry)
{
	uint32_t id;

	memcpy(&id, entry->key + vmc_entry_key_size(entry), sizeof(id));
	return id;
}

/* Bytes of a key of that size, and of the number behind it. */
static inline size_t
vmc_entry_tail(size_t key_size, uint32_t mark)
{
	return key_size + (mark ? sizeof(uint32_t) : 0);
}

/* Where what is behind such a tail begins. */
static inline uint16_t
vmc_entry_extra_mark(size_t tail)
{
	return vmc_extra_mark(sizeof(struct vmc_entry) + tail);
}

static inline size_t
vmc_entry_extra_offset(size_t tail)
{
	return vmc_extra_offset_of(sizeof(struct vmc_entry) + tail);
}

static inline size_t
vmc_entry_tail_of(const struct vmc_entry *entry)
{
	return vmc_entry_tail(vmc_entry_key_size(entry),
		entry->node.of_user & VMC_ENTRY_MARK);
}

/* Of an entry that has it. */
static inline struct vmc_extra *
vmc_entry_extra(const struct vmc_entry *entry)
{
	return (struct vmc_extra *)((uintptr_t)entry +
				    vmc_entry_extra_offset(
					    vmc_entry_tail_of(entry)));
}

static inline uint64_t
vmc_entry_version(const struct vmc_entry *entry)
{
	return vmc_entry_has_extra(entry)
		       ? vmc_extra_version(vmc_entry_extra(entry))
		       : VMC_VERSION_NONE;
}

static inline uint32_t
vmc_entry_tag(const struct vmc_entry *entry)
{
	return vmc_entry_has_extra(entry)
		       ? vmc_extra_tag(vmc_entry_extra(entry))
		       : 0;
}

static inline uint32_t
vmc_entry_cost(const struct vmc_entry *entry)
{
	return vmc_entry_has_extra(entry)
		       ? vmc_extra_cost(vmc_entry_extra(entry))
		       : 0;
}

static inline size_t
vmc_entry_size_with_tail(const struct vmc_entry *entry, size_t tail)
{
	if (__builtin_expect(!vmc_entry_has_extra(entry), 1))
		return sizeof(*entry) + tail;
	return vmc_entry_extra_offset(tail) +
	       vmc_extra_size(vmc_extra_fields(vmc_entry_extra(entry)));
}

static inline size_t
vmc_entry_size(const struct vmc_entry *entry)
{
	return vmc_entry_size_with_tail(entry, vmc_entry_tail_of(entry));
}

/* Of one that is no space's, which is known. */
static inline size_t
vmc_entry_size_unmarked(const struct vmc_entry *entry)
{
	return vmc_entry_size_with_tail(entry, entry->node.of_user);
}

/* Of its value; an empty one counts as one. */
static inline uint64_t
vmc_entry_blocks(const struct vmc_entry *entry)
{
	vmc_runs runs = vmc_entry_runs(entry);

	return vmc_runs_blocks(&runs) +
	       (runs.word == 0 && vmc_entry_value_size(entry) == 0);
}

static inline struct vmc_entry *
vmc_entry_of(struct vmc_policy_node *node)
{
	return (struct vmc_entry *)((char *)node -
				    offsetof(struct vmc_entry, node));
}

static inline const struct vmc_entry *
vmc_entry_of_const(const struct vmc_policy_node *node)
{
	return (const struct vmc_entry *)((const char *)node -
					  offsetof(struct vmc_entry, node));
}

/*
 * Entries that are DEAD and nobody's can be chained, without memory for that:
 * of an address of 48 bits, the lower four of which are 0, 32 are where the
 * place was, the rest above the state. By who has the policy's lock.
 */
#define VMC_ENTRY_ALIGNMENT 16

static inline void
vmc_entry_chain(struct vmc_entry *entry, const struct vmc_entry *next)
{
	uint64_t units = (uintptr_t)next / VMC_ENTRY_ALIGNMENT;

	vmc_store_relaxed(
		&entry->state, (uint16_t)(VMC_ENTRY_DEAD | units >> 32 << 2));
	vmc_store_relaxed(&entry->node.at, (uint32_t)units);
}

/* The next one; and the entry is in no chain any more. */
static inline struct vmc_entry *
vmc_entry_unchain(struct vmc_entry *entry)
{
	uint64_t high = vmc_load_relaxed(&entry->state) >> 2;
	uint64_t units = high << 32 | vmc_load_relaxed(&entry->node.at);

	vmc_store_relaxed(&entry->state, VMC_ENTRY_DEAD);
	vmc_store_relaxed(&entry->node.at, 0);
	return (struct vmc_entry *)(uintptr_t)(units * VMC_ENTRY_ALIGNMENT);
}

/* Short keys, the usual ones, without a call. No entry has longer ones than
 * there is room for the size of. */
static inline bool
vmc_key_equal(const unsigned char *a, const unsigned char *b, size_t size)
{
	uint64_t a_first, a_last, b_first, b_last;

	if (size < 8 || size > 16)
		return size == 0 ||
		       (size <= VMC_ENTRY_KEY_MAX && memcmp(a, b, size) == 0);
	memcpy(&a_first, a, 8);
	memcpy(&b_first, b, 8);
	memcpy(&a_last, a + size - 8, 8);
	memcpy(&b_last, b + size - 8, 8);
	return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
}

/* Is it of that key, and of the era of that number, if there is a mark? */
static inline bool
vmc_entry_is_of(const struct vmc_entry *entry, const struct vmc_key *key,
	uint32_t mark, uint32_t era_id)
{
	return entry->node.of_user == (key->size | mark) &&
	       vmc_key_equal(entry->key, key->data, key->size) &&
	       (mark == 0 || vmc_entry_era_id(entry) == era_id);
}

static inline bool
vmc_entry_match(const void *leaf, const void *key_arg)
{
	const struct vmc_key *key = key_arg;

	return vmc_entry_is_of(leaf, key, key->mark, key->era_id);
}

#endif

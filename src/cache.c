/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c -- opening, reading and writing a cache
 *
 * Reading. A get enters the epoch, finds the entry, copies the value out of
 * its blocks and only then looks whether the entry is still alive. No lock,
 * and no write to memory that another thread writes. Why the copy can be
 * trusted when the state is not DEAD after it:
 *
 *   evictor                          reader
 *   E1  state = DEAD (locked rmw)    R1  copy bytes out of the blocks
 *   E2  release fence                R2  acquire fence
 *   ... blocks go to a new owner     R3  load state (acquire)
 *   W   the owner writes bytes
 *
 * If R1 read any byte of W, then by the fences E2 and R2 (and by the locks or
 * releases over which the blocks went from the evictor to W's thread) E1 comes
 * before R3, which reads DEAD. So a state other than DEAD at R3 means that all
 * bytes of R1 are the value's. The bytes were visible from the start, since
 * the entry was found through the index (release in insert, acquire in find).
 * A reader that reads DEAD looks the key up again: the evictor took the entry
 * out of the index before E1, so it cannot find the same one twice. The
 * entry itself, its runs and the index's nodes are kept by the epoch.
 *
 * Writing. A put fills an entry and blocks that nobody else knows, then inserts
 * the entry into the index (the point where the value appears), records it in
 * the thread's ring for the policy, and makes it LIVE. As an INSERTING entry
 * it cannot be evicted, so the put may use it until that last store.
 *
 * The ring never loses an insertion (the put drains it where it is full), but
 * loses touches if the policy's lock is busy while it is full. One thread
 * alone never loses any: LRU is exact for it.
 *
 * What is evicted, and how: evict.c.
 */
#include "cache.h"

#include "base/copy.h"
#include "base/error.h"

#include <errno.h>

/* Touches waiting in a ring at which their owner tries to feed the policy. */
#define DRAIN_AT 32u

/* A get that is in its on_miss callback. */
struct vmc_handover {
	struct vmc_handover *outer;
	struct vmc_key key;
	char *buffer;
	size_t buffer_size;
	size_t offset;
	size_t *value_size;
	ssize_t result; /* -ENOENT until the key is put */
};

static uint64_t
blocks_for(const struct vmemcache *cache, size_t size)
{
	return size / cache->block_size + (size % cache->block_size != 0);
}

static char *
block_address(const struct vmemcache *cache, uint64_t block)
{
	return cache->pool.base + block * cache->block_size;
}

static void
write_value(struct vmemcache *cache, const struct vmc_entry *entry,
	const char *value)
{
	size_t left = entry->value_size;
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&entry->runs, &count);

	for (; left > 0; run++) {
		size_t n = vmc_run_count(*run) * cache->block_size;
		if (n > left)
			n = left;
		vmc_pool_write(&cache->pool,
			block_address(cache, vmc_run_first(*run)), value, n);
		value += n;
		left -= n;
	}
	vmc_pool_drain(&cache->pool);
}

/* The n bytes from offset on of a value in several runs. */
static void
read_runs(struct vmemcache *cache, const struct vmc_entry *entry, char *to,
	size_t n, size_t offset)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(&entry->runs, &count);
	size_t length = vmc_run_count(*run) * cache->block_size;

	while (offset >= length) {
		offset -= length;
		length = vmc_run_count(*++run) * cache->block_size;
	}
	for (;;) {
		size_t part = length - offset < n ? length - offset : n;
		vmc_copy_racing(to,
			block_address(cache, vmc_run_first(*run)) + offset,
			part);
		n -= part;
		if (n == 0)
			return;
		to += part;
		offset = 0;
		length = vmc_run_count(*++run) * cache->block_size;
	}
}

/* The n bytes from offset on, which the value has. May race: see above. */
static inline void
read_value(struct vmemcache *cache, const struct vmc_entry *entry, char *to,
	size_t n, size_t offset)
{
	uint64_t word = entry->runs.word;

	if (__builtin_expect((word & VMC_RUNS_ARRAY) != 0, 0))
		read_runs(cache, entry, to, n, offset);
	else if (word)
		vmc_copy_racing(to,
			block_address(cache, vmc_run_first(word)) + offset, n);
}

void
vmc_cache_drain(struct vmemcache *cache, struct vmc_ring *ring)
{
	struct vmc_policy_node *nodes[DRAIN_AT];
	unsigned taken;

	while ((taken = vmc_ring_take(ring, nodes, DRAIN_AT)) > 0) {
		unsigned kept = 0;
		for (unsigned i = 0; i < taken; i++) {
			struct vmc_policy_node *node = nodes[i];
			nodes[kept] = node;
			kept += vmc_load_acquire(&vmc_entry_of(node)->state) <=
				VMC_ENTRY_LIVE;
		}
		cache->policy->ops->touch(cache->policy, nodes, kept);
	}
}

static __attribute__((noinline)) void
feed_policy(struct vmemcache *cache, struct vmc_ring *ring, bool wait)
{
	if (wait)
		vmc_lock_acquire(&cache->policy_lock);
	else if (!vmc_lock_try(&cache->policy_lock))
		return;
	vmc_cache_drain(cache, ring);
	vmc_lock_release(&cache->policy_lock);
}

static size_t
bytes_wanted(size_t value_size, const void *buffer, size_t buffer_size,
	size_t offset)
{
	if (!buffer || offset >= value_size)
		return 0;
	return buffer_size < value_size - offset ? buffer_size
						 : value_size - offset;
}

/*
 * The note in the index: where the value begins, and the power of two of how
 * many lines of it are worth fetching before the entry has arrived.
 */
#define NOTE_LINES_LOG_MAX 4u

static uint64_t
note_of(const struct vmemcache *cache, const vmc_runs *runs)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(runs, &count);
	uint64_t log = 0;

	if (!count || vmc_run_first(*run) >> VMC_CRITNIB_NOTE_BITS)
		return 0;
	uint64_t bytes = vmc_run_count(*run) * cache->block_size;
	while (log < NOTE_LINES_LOG_MAX && UINT64_C(64) << log < bytes)
		log++;
	return vmc_run_first(*run) | log << VMC_CRITNIB_NOTE_BITS;
}

/* Always inline: gcc takes calls that only prefetch for superfluous. */
static inline __attribute__((always_inline)) void
prefetch_four(const char *from)
{
	__builtin_prefetch(from);
	__builtin_prefetch(from + 64);
	__builtin_prefetch(from + 128);
	__builtin_prefetch(from + 192);
}

/* A wrong note does no harm: prefetching reads nothing. */
static inline __attribute__((always_inline)) void
prefetch_value(const struct vmemcache *cache, uint64_t note, size_t offset)
{
	uint64_t log = note >> VMC_CRITNIB_NOTE_BITS;
	const char *value = block_address(cache, note & UINT32_MAX) + offset;

	prefetch_four(value);
	if (log > 2) {
		prefetch_four(value + 256);
		if (log > 3) {
			prefetch_four(value + 512);
			prefetch_four(value + 768);
		}
	}
}

/*
 * The copying get of the comment above. -ENOENT on a miss; -EAGAIN if the
 * entry was evicted while it was read.
 */
static inline __attribute__((always_inline)) ssize_t
read_once(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, void *buffer,
	size_t buffer_size, size_t offset, size_t *value_size)
{
	struct vmc_entry *e = NULL;
	uint32_t pending = 1;

	vmc_epoch_enter(thread);
	VMC_CRITNIB_FOR_EACH(c, cache->index, key->hash, true)
	{
		prefetch_value(cache, c.note, offset);
		if (vmc_entry_match(c.leaf, key)) {
			e = c.leaf;
			break;
		}
	}
	if (__builtin_expect(!e, 0)) {
		vmc_epoch_exit(thread);
		return -ENOENT;
	}
	size_t size = e->value_size;
	size_t n = bytes_wanted(size, buffer, buffer_size, offset);
	if (n > 0 && !cache->bench[VMEMCACHE_BENCH_NO_MEMCPY])
		read_value(cache, e, buffer, n, offset);
	vmc_fence_acquire();
	uint32_t state = vmc_load_acquire(&e->state);
	if (state <= VMC_ENTRY_LIVE && cache->wants_touches) {
		pending = vmc_ring_push(&stripe->ring, &e->node);
		stripe->touched = true;
	}
	vmc_epoch_exit(thread);
	if (__builtin_expect(state == VMC_ENTRY_DEAD, 0))
		return -EAGAIN;
	/* one comparison for "many" and "full", which is 0 */
	if (__builtin_expect(pending - 1 >= DRAIN_AT - 1, 0))
		feed_policy(cache, &stripe->ring, false);
	if (value_size)
		*value_size = size;
	return (ssize_t)n;
}

/* Until the key is found alive, or not found. */
static ssize_t
read_again(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_handover *request)
{
	ssize_t n;

	do
		n = read_once(cache, thread, stripe, &request->key,
			request->buffer, request->buffer_size, request->offset,
			request->value_size);
	while (n == -EAGAIN);
	return n;
}

/* Call on_miss; -ENOENT unless it put the key, see hand_over(). */
static ssize_t
ask_on_miss(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_handover *handover)
{
	handover->outer = stripe->handover;
	handover->result = -ENOENT;
	stripe->handover = handover;
	vmc_lock_assert_none_held();
	cache->on_miss(cache, handover->key.data, handover->key.size,
		cache->on_miss_arg);
	stripe->handover = handover->outer;
	return handover->result;
}

/* A put of that key: does the innermost get on this thread wait for it? */
static void
hand_over(struct vmc_handover *to, const struct vmc_key *key, const void *value,
	size_t value_size)
{
	if (!to || to->key.hash != key->hash || to->key.size != key->size ||
		(key->size && memcmp(to->key.data, key->data, key->size) != 0))
		return;
	size_t n = bytes_wanted(
		value_size, to->buffer, to->buffer_size, to->offset);
	if (n > 0)
		memcpy(to->buffer, (const char *)value + to->offset, n);
	if (to->value_size)
		*to->value_size = value_size;
	to->result = (ssize_t)n;
}

/* The rest of a get that did not succeed at once: look again, ask, look. */
static __attribute__((noinline)) ssize_t
get_on(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_handover *request,
	ssize_t so_far)
{
	ssize_t n = so_far;

	if (n == -EAGAIN)
		n = read_again(cache, thread, stripe, request);
	if (n >= 0) {
		vmc_count(stripe, VMC_COUNT_HIT, 1);
		return n;
	}
	vmc_count(stripe, VMC_COUNT_MISS, 1);
	if (cache->on_miss) {
		struct vmc_handover handover = *request;
		n = ask_on_miss(cache, stripe, &handover);
		if (n == -ENOENT && vmc_cache_is_foreign(cache))
			return vmc_cache_fail_foreign();
		if (n == -ENOENT) /* somebody else may have put it */
			n = read_again(cache, thread, stripe, request);
	}
	return n == -ENOENT ? vmc_fail_const(ENOENT, "no such key") : n;
}

static inline __attribute__((always_inline)) ssize_t
get(struct vmemcache *cache, const void *data, size_t key_size, void *buffer,
	size_t buffer_size, size_t offset, size_t *value_size)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	ssize_t n = read_once(cache, thread, stripe, &key, buffer, buffer_size,
		offset, value_size);
	if (__builtin_expect(n < 0, 0))
		return get_on(cache, thread, stripe,
			&(struct vmc_handover){.key = key,
				.buffer = buffer,
				.buffer_size = buffer_size,
				.offset = offset,
				.value_size = value_size},
			n);
	vmc_count(stripe, VMC_COUNT_HIT, 1);
	return n;
}

/* Twice the same, once for keys of a word: hashed and compared in place. */
ssize_t
vmc_cache_get(struct vmemcache *cache, const void *data, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, size_t *value_size)
{
	if (key_size == sizeof(uint64_t))
		return get(cache, data, sizeof(uint64_t), buffer, buffer_size,
			offset, value_size);
	return get(
		cache, data, key_size, buffer, buffer_size, offset, value_size);
}

/* 1 and the size if the key is there, else 0. */
static int
look(struct vmemcache *cache, struct vmc_thread *thread,
	const struct vmc_key *key, size_t *value_size)
{
	vmc_epoch_enter(thread);
	struct vmc_entry *e =
		vmc_critnib_find(cache->index, key->hash, vmc_entry_match, key);
	if (e && value_size)
		*value_size = e->value_size;
	vmc_epoch_exit(thread);
	return e != NULL;
}

int
vmc_cache_exists(struct vmemcache *cache, const void *data, size_t key_size,
	size_t *value_size)
{
	struct vmc_thread *thread = vmc_thread_self();

	if (!thread)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	return look(cache, thread, &key, value_size);
}

/* Blocks for a value into *runs, evicting as needed. */
static int
take_blocks(struct vmemcache *cache, struct vmc_stripe *stripe, uint64_t blocks,
	vmc_runs *runs)
{
	vmc_runs freed = VMC_RUNS_NONE;
	uint64_t missing;
	int rc;

	while ((rc = vmc_extent_exchange(cache->extent, &freed, blocks, runs,
			&missing)) == -ENOSPC) {
		rc = vmc_cache_make_room(cache, stripe, missing, &freed);
		if (rc == -ENOSPC)
			vmc_fail_const(
				ENOSPC, "not enough entries can be evicted");
		if (rc)
			return rc;
	}
	return rc;
}

static int
insert(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, const void *value, size_t value_size)
{
	bool allocate = !cache->bench[VMEMCACHE_BENCH_INDEX_ONLY] &&
			!cache->bench[VMEMCACHE_BENCH_NO_ALLOC];
	uint64_t blocks = allocate ? blocks_for(cache, value_size) : 0;
	uint64_t runs;
	int rc;

	if (blocks > cache->blocks)
		return vmc_fail_const(ENOSPC, "value larger than the cache");
	struct vmc_entry *e = NULL;
	if (key->size <= UINT32_MAX)
		e = vmc_alloc(&cache->memory, sizeof(*e) + key->size);
	if (!e)
		return -ENOMEM;
	vmc_store_relaxed(&e->state, VMC_ENTRY_INSERTING);
	e->node.prev = NULL;
	e->key_size = (uint32_t)key->size;
	e->value_size = value_size;
	e->runs = VMC_RUNS_NONE;
	if (key->size)
		memcpy(e->key, key->data, key->size);

	rc = take_blocks(cache, stripe, blocks, &e->runs);
	if (rc)
		goto free_entry;
	if (blocks && !cache->bench[VMEMCACHE_BENCH_NO_MEMCPY])
		write_value(cache, e, value);
	vmc_runs_view(&e->runs, &runs);
	rc = vmc_critnib_insert(cache->index, key->hash, e,
		note_of(cache, &e->runs), vmc_entry_match, key);
	if (rc)
		goto free_blocks;
	if (cache->wants_touches) {
		uint32_t pending;
		while (!(pending = vmc_ring_push(&stripe->ring, &e->node)))
			feed_policy(cache, &stripe->ring, true);
		/* leave room for the touches of the gets that follow */
		if (pending >= DRAIN_AT)
			feed_policy(cache, &stripe->ring, false);
	}
	vmc_store_release(&e->state, VMC_ENTRY_LIVE);
	vmc_count(stripe, VMC_COUNT_PUT, 1);
	vmc_count(stripe, VMC_COUNT_EXTENTS, runs);
	return 0;
free_blocks:
	vmc_extent_free(cache->extent, &e->runs);
free_entry:
	vmc_free(&cache->memory, e, vmc_entry_size(e));
	return rc;
}

int
vmc_cache_put(struct vmemcache *cache, const void *data, size_t key_size,
	const void *value, size_t value_size)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	int rc = -EEXIST;

	if (!stripe)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(cache, data, key_size);
	if (!look(cache, thread, &key, NULL))
		rc = insert(cache, stripe, &key, value, value_size);
	if (rc == -EBADF) /* on_evict has returned in a child */
		return rc;
	if (rc == -EEXIST) /* the get finds what is there */
		vmc_fail_const(EEXIST, "the key is in the cache already");
	else
		hand_over(stripe->handover, &key, value, value_size);
	vmc_cache_reclaim(cache, stripe);
	return rc;
}

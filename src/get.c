/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * get.c -- reading: get, get of many, fetch, exists
 *
 * A get enters the epoch, finds the entry, copies the value out of its blocks
 * and only then looks whether the entry is still alive. Up to there it takes no
 * lock, and writes to no memory that another thread writes. After that it
 * records its use in the thread's ring, and may try the policy's lock, but
 * never waits for it (touch.c). Why the copy can be trusted when the state is
 * not DEAD after it:
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
 * the entry was found through the index (release in vmc_index_publish(),
 * acquire in find). A reader that reads DEAD looks the key up again: the
 * evictor took the entry out of the index before E1, so it cannot find the
 * same one twice. The entry itself, its runs and the index's nodes are kept
 * by the epoch. A value that is moved meanwhile is read whole from where it was
 * or from where it is: resize.c says why both have its bytes.
 *
 * A get waits for two CPU cache misses, one after the other: that of the bag,
 * and those of entry and value together, since the note in the bag says where
 * the value begins (prefetch_value). If the instructions of a get are few, the
 * processor begins with the next get meanwhile; therefore the common case has
 * no call and no loop. A get of many keys prefetches for all of them, one
 * stage at a time, and then reads each.
 */
#include "cache.h"

#include "base/copy.h"
#include "base/error.h"
#include "base/prefetch.h"
#include "expire.h"
#include "space.h"
#include "version.h"

#include <errno.h>

/* The beginnings of this many further runs are prefetched while the first run
 * is copied. */
#define RUNS_AHEAD 8

/* The n bytes from offset on of a value in several runs. */
static void
read_runs(struct vmemcache *cache, const vmc_runs *runs, char *to, size_t n,
	size_t offset)
{
	uint64_t count;
	const vmc_run *run = vmc_runs_view(runs, &count);
	size_t length = vmc_run_count(*run) * cache->block_size;

	/* of the first, the index's note has told */
	for (uint64_t i = 1; i < count && i <= RUNS_AHEAD; i++)
		vmc_prefetch_value((uintptr_t)vmc_block_address(
					   cache, vmc_run_first(run[i])),
			vmc_run_count(run[i]) * cache->block_size);
	while (offset >= length) {
		offset -= length;
		length = vmc_run_count(*++run) * cache->block_size;
	}
	for (;;) {
		size_t part = length - offset < n ? length - offset : n;
		vmc_copy_racing(to,
			vmc_block_address(cache, vmc_run_first(*run)) + offset,
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
	const vmc_runs runs = vmc_entry_runs(entry);

	if (__builtin_expect((runs.word & VMC_RUNS_ARRAY) != 0, 0))
		read_runs(cache, &runs, to, n, offset);
	else if (__builtin_expect(runs.word != 0, 1))
		vmc_copy_racing(to,
			vmc_block_address(cache, vmc_run_first(runs.word)) +
				offset,
			n);
}

/* Where the note says (put.c); a wrong one does no harm: nothing is read. */
static inline __attribute__((always_inline)) void
prefetch_value(const struct vmemcache *cache,
	const struct vmc_index_candidate *c, size_t offset)
{
	vmc_prefetch_lines((uintptr_t)cache->pool.base +
				   c->note * cache->block_size + offset,
		c->note_top > 2, c->note_top > 3);
}

/* The part that a get reads is in one line of two, or in both. */
static inline __attribute__((always_inline)) void
prefetch_entry(const struct vmc_entry *e)
{
	__builtin_prefetch(&e->node);
	__builtin_prefetch(&e->state);
}

/*
 * The copying get of the comment above. -ENOENT on a miss; -EAGAIN if the
 * entry was evicted while it was read. info: NULL, and peek: false, of a get.
 *
 * of_space: the key's space is one; of a key of the cache nothing is done for
 * that. The era of the space is loaded once, within the epoch. While the epoch
 * lasts the era is not freed, and its number is no other's (space.c): an entry
 * with the same number is of this very era, and the policy of the era is there
 * for the touch. A clear that stores another era after the load comes after the
 * get: the get overlaps it, and so does the put of whatever it finds that is
 * stored later. After a clear that has returned, the load gives another era,
 * and the number tells its entries from those that are cleared.
 */
static inline __attribute__((always_inline)) ssize_t
read_once(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, bool of_space,
	void *buffer, size_t buffer_size, size_t offset, size_t *value_size,
	struct vmemcache_info *info, bool peek)
{
	const uint32_t mark = of_space ? VMC_ENTRY_MARK : 0;
	const struct vmc_era *era = NULL;
	struct vmc_entry *e = NULL;
	uint32_t pending = 1;

	vmc_epoch_enter(thread);
	if (of_space)
		era = vmc_space_era(key->space);
	VMC_INDEX_FOR_EACH(
		c, of_space ? key->space->index : cache->index, key->hash, true)
	{
		uint32_t id = of_space ? era->id : 0;
		prefetch_value(cache, &c, offset);
		if (__builtin_expect(
			    vmc_entry_is_of(c.leaf, key, mark, id), 1)) {
			e = c.leaf;
			break;
		}
	}
	if (__builtin_expect(!e, 0)) {
		vmc_epoch_exit(thread);
		return -ENOENT;
	}
	if (vmc_entry_is_over(e, &stripe->now)) {
		vmc_epoch_exit(thread);
		return -ENOENT;
	}
	size_t size = vmc_entry_value_size(e);
	size_t n = vmc_bytes_wanted(size, buffer, buffer_size, offset);
	if (__builtin_expect(
		    n > 0 && !cache->bench[VMEMCACHE_BENCH_NO_MEMCPY], 1))
		read_value(cache, e, buffer, n, offset);
	struct vmemcache_info seen;
	if (info)
		vmc_entry_tell(e, &seen, &stripe->now);
	vmc_fence_acquire();
	uint32_t state = vmc_load_acquire(&e->state) & VMC_ENTRY_STATES;
	if (__builtin_expect(
		    state == VMC_ENTRY_LIVE && cache->wants_touches && !peek,
		    1))
		pending = vmc_cache_touch(cache,
			of_space ? era->policy : cache->policy, stripe, e);
	vmc_epoch_exit(thread);
	if (__builtin_expect(state == VMC_ENTRY_DEAD, 0))
		return -EAGAIN;
	/* one comparison for "many" and "full", which is 0 */
	if (__builtin_expect(pending - 1 >= VMC_DRAIN_AT - 1, 0))
		vmc_cache_look_around(cache, stripe, pending);
	if (value_size)
		*value_size = size;
	if (info) {
		seen.struct_size = info->struct_size;
		*info = seen;
	}
	return (ssize_t)n;
}

/* Until the key is found alive, or not found. */
ssize_t
vmc_cache_read(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_handover *request)
{
	bool of_space = vmc_is_space(request->key.space);
	ssize_t n;

	do
		n = read_once(cache, thread, stripe, &request->key, of_space,
			request->buffer, request->buffer_size, request->offset,
			request->value_size, request->info, request->peek);
	while (n == -EAGAIN);
	return n;
}

/* A get that is in on_miss, in the stripe for as long as that runs. */
struct asking {
	struct vmc_stripe *stripe;
	struct vmc_handover *outer;
};

static void
end_of_on_miss(struct asking *asking)
{
	asking->stripe->handover = asking->outer;
}

__attribute__((noinline)) ssize_t
vmc_cache_ask_on_miss(struct vmemcache *cache, const struct vmc_thread *thread,
	struct vmc_stripe *stripe, struct vmc_handover *handover)
{
	vmc_stripe_in_callbacks(stripe, thread);
	vmc_cleanup(end_of_on_miss) struct asking asking = {
		stripe, stripe->handover};
	struct vmemcache *space = handover->key.space;

	handover->result = -ENOENT;
	stripe->handover = handover;
	vmc_lock_assert_none_held();
	space->on_miss(space, handover->key.data, handover->key.size,
		space->on_miss_arg);
	stripe->now = 0;
	if (vmc_cache_is_foreign(cache))
		return vmc_cache_fail_foreign();
	return handover->result;
}

/*
 * The rest of a get that did not succeed at once: look again, ask, look. The
 * key is hashed here, so that what succeeds at once need not keep the hash.
 */
static __attribute__((noinline)) ssize_t
get_on(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, struct vmc_handover *request, ssize_t so_far)
{
	ssize_t n = so_far;

	request->key = vmc_cache_key(
		request->key.space, request->key.data, request->key.size);
	if (n == -EAGAIN)
		n = vmc_cache_read(cache, thread, stripe, request);
	if (!request->peek)
		vmc_count_get(request->key.space, stripe, n >= 0);
	if (n >= 0)
		return n;
	if (request->key.space->on_miss && !request->no_callback) {
		n = vmc_cache_ask_on_miss(cache, thread, stripe, request);
		if (n == -ENOENT) /* somebody else may have put it */
			n = vmc_cache_read(cache, thread, stripe, request);
	}
	return n == -ENOENT ? vmc_fail_const(ENOENT, "no such key") : n;
}

static inline __attribute__((always_inline)) void
count_get(const struct vmc_key *key, bool of_space, struct vmc_stripe *stripe,
	bool hit)
{
	vmc_count(stripe, hit ? VMC_COUNT_HIT : VMC_COUNT_MISS, 1);
	if (of_space)
		vmc_space_count_get(key->space, stripe, hit);
}

static inline __attribute__((always_inline)) ssize_t
get_key(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key, bool of_space,
	void *buffer, size_t buffer_size, size_t offset, size_t *value_size)
{
	ssize_t n = read_once(cache, thread, stripe, key, of_space, buffer,
		buffer_size, offset, value_size, NULL, false);

	if (n == -ENOENT && !key->space->on_miss) {
		count_get(key, of_space, stripe, false);
		return vmc_fail_const(ENOENT, "no such key");
	}
	if (__builtin_expect(n < 0, 0))
		return get_on(cache, thread, stripe,
			&(struct vmc_handover){.key = {.data = key->data,
						       .size = key->size,
						       .space = key->space},
				.buffer = buffer,
				.buffer_size = buffer_size,
				.offset = offset,
				.value_size = value_size},
			n);
	count_get(key, of_space, stripe, true);
	return n;
}

/* Of a space: of_space; or of the cache, which is the same then. */
static inline __attribute__((always_inline)) ssize_t
get(struct vmemcache *cache, struct vmemcache *space, bool of_space,
	const void *data, size_t key_size, void *buffer, size_t buffer_size,
	size_t offset, size_t *value_size)
{
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (__builtin_expect(!stripe, 0))
		return vmc_cache_failed(-ENOMEM);
	struct vmc_key key = vmc_cache_key(space, data, key_size);
	stripe->now = 0;
	ssize_t n = get_key(cache, thread, stripe, &key, of_space, buffer,
		buffer_size, offset, value_size);
	return __builtin_expect(n >= 0, 1) ? n : vmc_cache_failed(n);
}

/*
 * Twice the same, once for keys of a word: hashed and compared in place. At the
 * beginning of a line, for what it costs where it happens to begin elsewhere:
 * 48 bytes into one, a get of 4 KiB took 630 ns in place of 540.
 */
VMC_NO_CANARY __attribute__((aligned(64))) ssize_t
vmc_cache_get(struct vmemcache *cache, const void *data, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, size_t *value_size)
{
	if (key_size == sizeof(uint64_t))
		return get(cache, cache, false, data, sizeof(uint64_t), buffer,
			buffer_size, offset, value_size);
	return get(cache, cache, false, data, key_size, buffer, buffer_size,
		offset, value_size);
}

VMC_NO_CANARY __attribute__((aligned(64))) ssize_t
vmc_cache_get_of_space(struct vmemcache *space, const void *data,
	size_t key_size, void *buffer, size_t buffer_size, size_t offset,
	size_t *value_size)
{
	if (key_size == sizeof(uint64_t))
		return get(space->root, space, true, data, sizeof(uint64_t),
			buffer, buffer_size, offset, value_size);
	return get(space->root, space, true, data, key_size, buffer,
		buffer_size, offset, value_size);
}

ssize_t
vmc_cache_fetch(struct vmemcache *space, const void *data, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, unsigned flags,
	struct vmemcache_info *info)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;

	if (!stripe)
		return vmc_cache_failed(-ENOMEM);
	stripe->now = 0;
	if (info)
		vmc_versions_ask(cache, stripe);
	struct vmc_handover request = {
		.key = {.data = data, .size = key_size, .space = space},
		.buffer = buffer,
		.buffer_size = buffer_size,
		.offset = offset,
		.info = info,
		.peek = flags & VMEMCACHE_PEEK,
		.no_callback = flags & VMEMCACHE_NO_CALLBACK};
	ssize_t n = get_on(cache, thread, stripe, &request, -EAGAIN);
	return n >= 0 ? n : vmc_cache_failed(n);
}

/*
 * A stage for all keys at a time, so that the misses of a stage are under way
 * together: the bags, and what the first candidates' notes and addresses lead
 * to.
 */
void
vmc_cache_fetch_ahead(struct vmemcache *cache, struct vmc_thread *thread,
	const struct vmc_key *keys, const size_t *offsets, size_t count)
{
	struct vmc_index_spot spots[VMC_MANY_AT_ONCE];

	vmc_epoch_enter(thread);
	for (size_t i = 0; i < count; i++)
		spots[i] =
			vmc_index_prefetch(keys[i].space->index, keys[i].hash);
	for (size_t i = 0; i < count; i++) {
		struct vmc_index_candidate c = vmc_index_first(
			keys[i].space->index, keys[i].hash, spots[i], true);
		if (!c.leaf)
			continue;
		prefetch_entry(c.leaf);
		prefetch_value(cache, &c, offsets ? offsets[i] : 0);
	}
	vmc_epoch_exit(thread);
}

ssize_t
vmc_cache_get_many(struct vmemcache *space, struct vmemcache_request *requests,
	size_t count)
{
	struct vmemcache *cache = space->root;
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_key keys[VMC_MANY_AT_ONCE];
	size_t offsets[VMC_MANY_AT_ONCE];
	ssize_t hits = 0;

	if (!stripe)
		return -ENOMEM;
	stripe->now = 0;
	for (size_t done = 0; done < count; done += VMC_MANY_AT_ONCE) {
		struct vmemcache_request *r = requests + done;
		size_t n = count - done;
		if (n > VMC_MANY_AT_ONCE)
			n = VMC_MANY_AT_ONCE;
		for (size_t i = 0; i < n; i++) {
			keys[i] = vmc_cache_key(space, r[i].key, r[i].key_size);
			offsets[i] = r[i].offset;
		}
		vmc_cache_fetch_ahead(cache, thread, keys, offsets, n);
		for (size_t i = 0; i < n; i++) {
			r[i].result = get_key(cache, thread, stripe, &keys[i],
				space != cache, r[i].vbuf, r[i].vbufsize,
				r[i].offset, &r[i].vsize);
			hits += r[i].result >= 0;
			if (r[i].result == -EBADF) /* as on_miss forked */
				return -EBADF;
		}
	}
	return hits;
}

int
vmc_cache_exists(struct vmemcache *space, const void *data, size_t key_size,
	size_t *value_size)
{
	struct vmc_thread *thread = vmc_thread_self();
	uint64_t now = 0;

	if (!thread)
		return -ENOMEM;
	struct vmc_key key = vmc_cache_key(space, data, key_size);
	vmc_epoch_enter(thread);
	vmc_key_look(&key);
	struct vmc_entry *e =
		vmc_index_find(space->index, key.hash, vmc_entry_match, &key);
	if (e && vmc_entry_is_over(e, &now))
		e = NULL;
	if (e && value_size)
		*value_size = vmc_entry_value_size(e);
	vmc_epoch_exit(thread);
	return e != NULL;
}

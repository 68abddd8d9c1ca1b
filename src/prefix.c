/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefix.c -- entries by a prefix of their keys: walking and removing
 *
 * There are two steps. First the next keys are found and copied. Then each is
 * looked up in the index as by a get, pinned, and shown or removed. So an entry
 * is in the index at the moment it is shown, and a key whose entry has gone
 * since it was copied is skipped. Keys come in ascending order, so none is
 * shown twice, whatever comes and goes meanwhile.
 *
 * Where the keys come from. A cache that is ordered has a trie of them
 * (order/order.c): a batch is copied in one epoch, and the next one begins
 * behind its last key. Any other cache is walked as a whole; the at_most least
 * matching keys of entries that have not expired are kept in a heap. If some of
 * these keys go before they are reached, it is walked again for keys behind the
 * last of them. The same is done for a space, since the trie has only the keys
 * of the cache itself.
 *
 * The trie has every key that is in the index, and a few more. A put sets its
 * entry in the trie before it publishes it in the index, both under the latch
 * of the key's partition of the index; so for one key the two have the same
 * entries in the same order. The thread that takes an entry out of the index
 * then takes it out of the trie, unless another entry has its place there; the
 * entry is retired after both. So:
 *
 *   - a key that is in the index all the time, with one value or several, is in
 *     the trie all the time, and is met;
 *   - the trie never leads to a freed entry: readers are in an epoch, and a
 *     retired entry is no longer in the trie;
 *   - a key that is in the trie but not in the index is being put or evicted.
 */
#include "item.h"

#include "base/error.h"
#include "expire.h"
#include "space.h"
#include "version.h"

#include <errno.h>

/* Keys copied in one epoch, and bytes for them, unless one alone has more. */
#define BATCH_KEYS 64u
#define BATCH_BYTES 4096u

typedef struct vmc_order_key key;

/* Keys, each behind its size. */
struct batch {
	unsigned char *bytes;
	size_t room, used, next;
	unsigned count;
};

struct search {
	struct vmemcache *cache, *space;
	struct vmc_key of; /* the era of this */
	bool ordered;
	struct vmc_thread *thread;
	struct vmc_stripe *stripe;
	key prefix, from;
	bool behind;    /* not from itself */
	bool all;       /* there are no more to be found */
	size_t at_most; /* keys wanted */
	/* ordered: one batch while the keys of the other are used */
	struct batch batches[2], *batch;
	size_t wanted; /* bytes for the next key */
	/* not ordered: the greatest first, then sorted */
	key *heap;
	size_t count, room, next;
	key last; /* of the heap before, for from */
	bool failed;
	/* pinned, if there is an entry in it */
	struct vmemcache_item item;
};

static int
compare(key a, key b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int order = n > 0 ? memcmp(a.data, b.data, n) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool
has_prefix(key k, key prefix)
{
	return k.size >= prefix.size &&
	       (prefix.size == 0 ||
		       memcmp(k.data, prefix.data, prefix.size) == 0);
}

static key
key_of(const struct vmc_entry *e)
{
	return (key){e->key, vmc_entry_key_size(e)};
}

/* --- in a cache that is ordered --- */

/* vmc_order_visit_fn */
static bool
copy_key(const void *leaf, void *arg)
{
	struct search *s = arg;
	struct batch *b = s->batch;
	key k = key_of(leaf);
	uint32_t size = (uint32_t)k.size;

	if (!has_prefix(k, s->prefix)) {
		s->all = true;
		return false;
	}
	if (b->room - b->used < sizeof(size) + k.size) {
		s->wanted = sizeof(size) + k.size;
		return false;
	}
	memcpy(b->bytes + b->used, &size, sizeof(size));
	b->used += sizeof(size);
	if (size > 0)
		memcpy(b->bytes + b->used, k.data, size);
	b->used += size;
	b->count++;
	return b->count < BATCH_KEYS && b->count < s->at_most;
}

static int
make_room(struct search *s, struct batch *b, size_t room)
{
	const struct vmc_memory *memory = &s->cache->uncounted;

	if (room <= b->room)
		return 0;
	unsigned char *bytes = vmc_alloc(memory, room);
	if (!bytes)
		return -ENOMEM;
	if (b->room > 0)
		vmc_free(memory, b->bytes, b->room);
	b->bytes = bytes;
	b->room = room;
	return 0;
}

/* The keys behind those of the last batch, which stay where they are. */
static int
next_batch(struct search *s)
{
	struct batch *b = &s->batches[s->batch == s->batches];

	s->batch = b;
	s->wanted = BATCH_BYTES;
	b->used = b->next = b->count = 0;
	while (b->count == 0 && !s->all) {
		if (make_room(s, b, s->wanted))
			return -ENOMEM;
		vmc_epoch_enter(s->thread);
		if (vmc_order_walk(
			    s->cache->order, s->from, s->behind, copy_key, s))
			s->all = true;
		vmc_epoch_exit(s->thread);
	}
	return 0;
}

static int
next_in_order(struct search *s, key *k)
{
	struct batch *b = s->batch;
	uint32_t size;

	if (b->next == b->used) {
		if (!s->all && next_batch(s))
			return -ENOMEM;
		b = s->batch;
		if (b->next == b->used)
			return -ENOENT;
	}
	memcpy(&size, b->bytes + b->next, sizeof(size));
	b->next += sizeof(size);
	*k = (key){b->bytes + b->next, size};
	b->next += size;
	s->from = *k;
	s->behind = true;
	return 0;
}

/* --- in any other --- */

static void
free_key(struct search *s, key k)
{
	if (k.size > 0)
		vmc_free(&s->cache->uncounted, (void *)k.data, k.size);
}

/* The key that the heap has at i, or k in its place, down to where it belongs.
 */
static void
sift_down(key *heap, size_t count, size_t i, key k)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < count &&
			compare(heap[child + 1], heap[child]) > 0)
			child++;
		if (child >= count || compare(heap[child], k) <= 0)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = k;
}

static void
sift_up(key *heap, size_t i, key k)
{
	for (; i > 0 && compare(heap[(i - 1) / 2], k) < 0; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = k;
}

static bool
make_heap_larger(struct search *s)
{
	const struct vmc_memory *memory = &s->cache->uncounted;
	size_t room = s->room ? 2 * s->room : BATCH_KEYS;
	key *heap = vmc_alloc(memory, room * sizeof(*heap));

	if (!heap)
		return false;
	if (s->room > 0) {
		memcpy(heap, s->heap, s->count * sizeof(*heap));
		vmc_free(memory, s->heap, s->room * sizeof(*heap));
	}
	s->heap = heap;
	s->room = room;
	return true;
}

/* vmc_index_visit_fn: under the latch of a stripe of the index */
static void
keep_key(void *leaf, void *arg)
{
	struct search *s = arg;
	key k = key_of(leaf);
	void *copy = NULL;

	if (s->failed || !vmc_key_is_of_same(&s->of, leaf) ||
		!has_prefix(k, s->prefix) ||
		compare(k, s->from) < (s->behind ? 1 : 0) ||
		vmc_entry_is_over(leaf, &s->stripe->now))
		return;
	bool full = s->count == s->at_most;
	if (full && compare(k, s->heap[0]) >= 0)
		return;
	if (k.size > 0)
		copy = vmc_alloc(&s->cache->uncounted, k.size);
	s->failed = (k.size > 0 && !copy) ||
		    (s->count == s->room && !full && !make_heap_larger(s));
	if (s->failed) {
		free_key(s, (key){copy, copy ? k.size : 0});
		return;
	}
	if (copy)
		memcpy(copy, k.data, k.size);
	k.data = copy;
	if (full) {
		free_key(s, s->heap[0]);
		sift_down(s->heap, s->count, 0, k);
	} else {
		sift_up(s->heap, s->count++, k);
	}
}

/* The search goes on behind the last key of the heap. */
static void
empty_heap(struct search *s)
{
	if (s->count == 0)
		return;
	free_key(s, s->last);
	s->last = s->from = s->heap[--s->count];
	s->behind = true;
	while (s->count > 0)
		free_key(s, s->heap[--s->count]);
	s->next = 0;
}

static int
find_all(struct search *s)
{
	uint64_t position = 0;

	empty_heap(s);
	do
		vmc_index_walk(s->space->index, &position, keep_key, s);
	while (position != 0 && !s->failed);
	if (s->failed)
		return -ENOMEM;
	for (size_t left = s->count; left-- > 1;) {
		key last = s->heap[left];
		s->heap[left] = s->heap[0];
		sift_down(s->heap, left, 0, last);
	}
	s->all = s->count < s->at_most;
	return 0;
}

static int
next_of_all(struct search *s, key *k)
{
	for (;;) {
		/* what went and came again may have been met twice */
		while (s->next > 0 && s->next < s->count &&
			compare(s->heap[s->next], s->heap[s->next - 1]) == 0)
			s->next++;
		if (s->next < s->count)
			break;
		if (s->all)
			return -ENOENT;
		int rc = find_all(s);
		if (rc)
			return rc;
	}
	*k = s->heap[s->next++];
	return 0;
}

/* --- both --- */

/* Also where a callback does not return, or returns in a child. */
static void
end_search(struct search *s)
{
	const struct vmc_memory *memory = &s->cache->uncounted;

	if (vmc_cache_is_foreign(s->cache))
		return;
	vmc_key_let_go(&s->of);
	if (s->item.entry)
		vmc_cache_unpin(s->cache, &s->item);
	for (unsigned i = 0; i < 2; i++)
		if (s->batches[i].room > 0)
			vmc_free(memory, s->batches[i].bytes,
				s->batches[i].room);
	free_key(s, s->last);
	for (size_t i = 0; i < s->count; i++)
		free_key(s, s->heap[i]);
	if (s->room > 0)
		vmc_free(memory, s->heap, s->room * sizeof(*s->heap));
}

/* -ENOMEM. */
static int
start(struct search *s, const key *after)
{
	s->thread = vmc_thread_self();
	s->stripe =
		s->thread ? vmc_stripe_of(&s->cache->stripes, s->thread) : NULL;
	s->batch = s->batches;
	s->behind = after && compare(*after, s->prefix) >= 0;
	s->from = s->behind ? *after : s->prefix;
	vmc_item_clear(&s->item);
	if (!s->stripe)
		return -ENOMEM;
	s->ordered = s->cache->order && !vmc_is_space(s->space);
	s->of = vmc_cache_key(s->space, NULL, 0);
	vmc_key_hold(s->thread, &s->of);
	s->stripe->now = 0;
	vmc_versions_ask(s->cache, s->stripe);
	return 0;
}

/* Pin the next one. -ENOENT: there is none; -ENOMEM. */
static int
next(struct search *s)
{
	key k;
	int rc;

	do {
		rc = s->ordered ? next_in_order(s, &k) : next_of_all(s, &k);
		if (rc)
			return rc;
		struct vmc_key hashed = vmc_cache_key(s->space, k.data, k.size);
		rc = vmc_cache_pin_unused(
			s->cache, s->stripe, &hashed, &s->item);
	} while (rc == -ENOENT);
	return rc;
}

ssize_t
vmc_cache_walk_prefix(struct vmemcache *space, struct vmc_order_key prefix,
	const struct vmc_order_key *after, size_t at_most,
	vmemcache_on_item *on_item, void *arg)
{
	vmc_cleanup(end_search) struct search s = {.cache = space->root,
		.space = space,
		.prefix = prefix,
		.at_most = at_most};
	enum vmemcache_step step = VMEMCACHE_WALK_ON;
	size_t shown = 0;
	int rc = start(&s, after);

	while (rc == 0 && shown < at_most && step != VMEMCACHE_WALK_STOP) {
		rc = next(&s);
		if (rc)
			break;
		rc = vmc_item_offer(
			space, s.stripe, &s.item, on_item, arg, &step);
		if (rc)
			break;
		shown++;
	}
	return rc == 0 || rc == -ENOENT ? (ssize_t)shown : rc;
}

ssize_t
vmc_cache_remove_prefix(struct vmemcache *space, struct vmc_order_key prefix)
{
	struct vmemcache *cache = space->root;
	vmc_cleanup(end_search) struct search s = {.cache = cache,
		.space = space,
		.prefix = prefix,
		.at_most = SIZE_MAX};
	ssize_t removed = 0;
	int rc = start(&s, NULL);

	while (rc == 0) {
		rc = next(&s);
		if (rc)
			break;
		rc = vmc_item_remove(cache, s.stripe, s.item.entry,
			VMEMCACHE_REASON_EVICTED, true);
		if (rc < 0)
			break;
		removed += rc;
		rc = 0;
		vmc_cache_unpin(cache, &s.item);
	}
	return rc == -ENOENT ? removed : rc;
}

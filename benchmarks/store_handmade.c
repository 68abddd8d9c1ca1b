/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_handmade.c -- the cache that people write when they need one
 *
 * Up to 64 shards, chosen by the hash of the key, each a mutex, a hash table
 * with chains, a list in the order of use, and a budget. An entry is one
 * malloc() for links, key and value. A get copies the value and moves the
 * entry to the front under the lock, without which the entry might be freed;
 * a put allocates and fills before it takes the lock, and frees what it
 * evicted after it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "peers.h"

enum { MAX_SHARDS = 64, LEAST_SHARD = 512 << 10 };

struct entry {
	struct entry *chain;
	struct entry *newer;
	struct entry *older;
	uint64_t hash;
	size_t key_size;
	size_t size;
	char bytes[]; /* the key, the value */
};

struct shard {
	alignas(64) pthread_mutex_t lock;
	struct entry **buckets;
	struct entry *newest;
	struct entry *oldest;
	size_t used;
};

struct handmade {
	struct bench_store head;
	size_t budget;  /* of a shard */
	uint64_t mask;  /* of its buckets */
	unsigned count; /* of shards, a power of two */
	struct shard *shards;
};

/* The shard by the high bits of the hash, the bucket by the low ones. */
static struct shard *
shard_of(const struct handmade *h, uint64_t hash)
{
	return &h->shards[hash >> 48 & (h->count - 1)];
}

static struct entry *
find(const struct handmade *h, const struct shard *shard, uint64_t hash,
	const struct bench_key *key)
{
	struct entry *e = shard->buckets[hash & h->mask];

	while (e != NULL &&
		(e->hash != hash || e->key_size != key->size ||
			memcmp(e->bytes, key->bytes, key->size) != 0))
		e = e->chain;
	return e;
}

static void
unlink_from_list(struct shard *shard, struct entry *e)
{
	*(e->newer ? &e->newer->older : &shard->newest) = e->older;
	*(e->older ? &e->older->newer : &shard->oldest) = e->newer;
}

static void
link_newest(struct shard *shard, struct entry *e)
{
	e->newer = NULL;
	e->older = shard->newest;
	*(e->older ? &e->older->newer : &shard->oldest) = e;
	shard->newest = e;
}

/* Out of the shard until it fits its budget: a list of what is to be freed. */
static struct entry *
evict(const struct handmade *h, struct shard *shard)
{
	struct entry *victims = NULL;

	while (shard->used > h->budget) {
		struct entry *e = shard->oldest;
		struct entry **link = &shard->buckets[e->hash & h->mask];

		while (*link != e)
			link = &(*link)->chain;
		*link = e->chain;
		unlink_from_list(shard, e);
		shard->used -= e->size;
		e->chain = victims;
		victims = e;
	}
	return victims;
}

static enum bench_result
handmade_put(struct bench_store *s, const struct bench_key *key,
	const void *value, size_t size)
{
	struct handmade *h = (struct handmade *)s;
	uint64_t hash = XXH3_64bits(key->bytes, key->size);
	struct shard *shard = shard_of(h, hash);
	struct entry *e = malloc(sizeof(*e) + key->size + size);

	if (e == NULL)
		return BENCH_FAILED;
	e->hash = hash;
	e->key_size = key->size;
	e->size = size;
	memcpy(e->bytes, key->bytes, key->size);
	memcpy(e->bytes + key->size, value, size);

	pthread_mutex_lock(&shard->lock);
	if (size > h->budget || find(h, shard, hash, key) != NULL) {
		pthread_mutex_unlock(&shard->lock);
		free(e);
		return BENCH_REFUSED;
	}
	e->chain = shard->buckets[hash & h->mask];
	shard->buckets[hash & h->mask] = e;
	link_newest(shard, e);
	shard->used += size;
	struct entry *victims = evict(h, shard);
	pthread_mutex_unlock(&shard->lock);

	while (victims != NULL) {
		e = victims;
		victims = e->chain;
		free(e);
	}
	return BENCH_DONE;
}

static enum bench_result
handmade_get(struct bench_store *s, const struct bench_key *key, void *buffer,
	size_t size)
{
	struct handmade *h = (struct handmade *)s;
	uint64_t hash = XXH3_64bits(key->bytes, key->size);
	struct shard *shard = shard_of(h, hash);

	pthread_mutex_lock(&shard->lock);
	struct entry *e = find(h, shard, hash, key);
	if (e != NULL) {
		memcpy(buffer, e->bytes + e->key_size,
			size < e->size ? size : e->size);
		unlink_from_list(shard, e);
		link_newest(shard, e);
	}
	pthread_mutex_unlock(&shard->lock);
	return e != NULL ? BENCH_DONE : BENCH_MISS;
}

static void
handmade_close(struct bench_store *s)
{
	struct handmade *h = (struct handmade *)s;

	for (unsigned i = 0; i < h->count; i++) {
		for (struct entry *e; (e = h->shards[i].newest) != NULL;) {
			h->shards[i].newest = e->older;
			free(e);
		}
		free(h->shards[i].buckets);
	}
	free(h->shards);
	free(h);
}

static const struct bench_store_type handmade_type = {
	.name = "handmade",
	.put = handmade_put,
	.get = handmade_get,
	.close = handmade_close,
};

struct bench_store *
bench_handmade_open(const struct bench_budget *budget)
{
	struct handmade *h = bench_realloc(NULL, sizeof(*h));
	uint64_t buckets = 1;

	h->head.type = &handmade_type;
	h->count = 1;
	while (h->count < MAX_SHARDS &&
		budget->bytes / h->count / 2 >= LEAST_SHARD)
		h->count *= 2;
	h->budget = budget->bytes / h->count;
	while (buckets < h->budget / budget->value)
		buckets *= 2;
	h->mask = buckets - 1;
	h->shards = aligned_alloc(64, h->count * sizeof(*h->shards));
	if (h->shards == NULL)
		bench_fail("out of memory");
	for (unsigned i = 0; i < h->count; i++) {
		h->shards[i] = (struct shard){.lock = PTHREAD_MUTEX_INITIALIZER,
			.buckets =
				bench_zeroed(buckets, sizeof(struct entry *))};
	}
	return &h->head;
}

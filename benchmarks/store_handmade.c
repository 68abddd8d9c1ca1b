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
#include <sys/queue.h>
#include <xxhash.h>

#include "peers.h"

enum { MAX_SHARDS = 64, LEAST_SHARD = 512 << 10 };

struct entry {
	LIST_ENTRY(entry) chain;
	TAILQ_ENTRY(entry) order;
	uint64_t hash;
	size_t key_size;
	size_t size;
	char bytes[]; /* the key, the value */
};

struct shard {
	alignas(64) pthread_mutex_t lock;
	LIST_HEAD(bucket, entry) * buckets;
	TAILQ_HEAD(order, entry) order; /* the newest first */
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
	struct entry *e;

	LIST_FOREACH(e, &shard->buckets[hash & h->mask], chain)
	{
		if (e->hash == hash && e->key_size == key->size &&
			memcmp(e->bytes, key->bytes, key->size) == 0)
			return e;
	}
	return NULL;
}

/* Out of the shard until it fits its budget, and onto a list to be freed. */
static void
evict(const struct handmade *h, struct shard *shard, struct bucket *victims)
{
	while (shard->used > h->budget) {
		struct entry *e = TAILQ_LAST(&shard->order, order);

		TAILQ_REMOVE(&shard->order, e, order);
		LIST_REMOVE(e, chain);
		LIST_INSERT_HEAD(victims, e, chain);
		shard->used -= e->size;
	}
}

static void
free_all(struct bucket *victims)
{
	for (struct entry *e; (e = LIST_FIRST(victims)) != NULL;) {
		LIST_REMOVE(e, chain);
		free(e);
	}
}

static enum bench_result
handmade_put(struct bench_store *s, const struct bench_key *key,
	const void *value, size_t size)
{
	struct handmade *h = (struct handmade *)s;
	uint64_t hash = XXH3_64bits(key->bytes, key->size);
	struct shard *shard = shard_of(h, hash);
	struct entry *e = malloc(sizeof(*e) + key->size + size);
	struct bucket victims = {NULL};

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
	LIST_INSERT_HEAD(&shard->buckets[hash & h->mask], e, chain);
	TAILQ_INSERT_HEAD(&shard->order, e, order);
	shard->used += size;
	evict(h, shard, &victims);
	pthread_mutex_unlock(&shard->lock);
	free_all(&victims);
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
		TAILQ_REMOVE(&shard->order, e, order);
		TAILQ_INSERT_HEAD(&shard->order, e, order);
	}
	pthread_mutex_unlock(&shard->lock);
	return e != NULL ? BENCH_DONE : BENCH_MISS;
}

static void
handmade_close(struct bench_store *s)
{
	struct handmade *h = (struct handmade *)s;

	for (unsigned i = 0; i < h->count; i++) {
		for (uint64_t k = 0; k <= h->mask; k++)
			free_all(&h->shards[i].buckets[k]);
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
			.buckets = bench_zeroed(buckets, sizeof(struct bucket)),
			.order = TAILQ_HEAD_INITIALIZER(h->shards[i].order)};
	}
	return &h->head;
}

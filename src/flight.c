/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flight.c -- keys whose value a single thread is making
 *
 * A flight is a load, or an exclusive reservation, that is in progress. The
 * flights of a cache are in a hash table by key, which is made for the first
 * one. A bucket is a list under a latch, and nothing is called while it is
 * held. So a thread waits for a flight only in vmc_flight_wait(), for that of
 * its key.
 *
 * A flight is held by the thread that will end it, and by the threads that wait
 * for it; the last of these removes it from the list and frees it. It ends by a
 * store to its word `result` (release). A waiting thread sleeps until that has
 * changed (acquire), so it finds in the index what was committed before. No
 * thread finds a flight that has ended: the next flight of the key may begin
 * while the old one is still in the list.
 *
 * Forks. A thread that changes the table, or loads, counts as busy with a
 * change (inherit.c): so a child that comes to own the cache finds every latch
 * free, and no load that no thread would end. The parent's waiting threads do
 * not exist in the child; what they hold is freed with the cache. The child can
 * commit or abort exclusive reservations, like all others.
 */
#include "flight.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>

#define BUCKETS 256u
/* in place of a result */
#define RUNNING UINT32_MAX
#define GONE (UINT32_MAX - 1)

struct vmc_flight {
	/* in its bucket, and under its latch: */
	struct vmc_flight *next;
	unsigned holders;
	/* immutable */
	const struct vmc_thread *loader; /* NULL: a reservation's flight */
	const struct vmemcache *space;
	uint64_t hash;
	size_t key_size;
	_Atomic uint32_t result;
	char key[];
};

struct vmc_flights {
	struct bucket {
		struct vmc_latch latch;
		struct vmc_flight *first;
	} buckets[BUCKETS];
};

static size_t
size_of(const struct vmc_flight *flight)
{
	return sizeof(*flight) + flight->key_size;
}

static int
prepare(struct vmemcache *cache)
{
	struct vmc_flights *expected = NULL, *made;

	/* acquire: pairs with the release by who made it */
	if (vmc_load_acquire(&cache->flights))
		return 0;
	made = vmc_alloc(&cache->uncounted, sizeof(*made));
	if (!made)
		return -ENOMEM;
	memset(made, 0, sizeof(*made));
	if (!vmc_cas_acq_rel(&cache->flights, &expected, made))
		vmc_free(&cache->uncounted, made, sizeof(*made));
	return 0;
}

static struct bucket *
latch(struct vmemcache *cache, struct vmc_stripe *stripe, uint64_t hash)
{
	struct vmc_flights *flights = vmc_load_acquire(&cache->flights);
	struct bucket *bucket = &flights->buckets[hash % BUCKETS];

	vmc_cache_begin_change(cache, stripe);
	vmc_latch_acquire(&bucket->latch, VMC_RANK_FLIGHTS);
	return bucket;
}

static void
unlatch(struct vmc_stripe *stripe, struct bucket *bucket)
{
	vmc_latch_release(&bucket->latch, VMC_RANK_FLIGHTS);
	vmc_cache_end_change(stripe);
}

/* Latched. */
static struct vmc_flight *
find(const struct bucket *bucket, const struct vmc_key *key)
{
	struct vmc_flight *f = bucket->first;

	while (f && (f->hash != key->hash || f->space != key->space ||
			    f->key_size != key->size ||
			    vmc_load_relaxed(&f->result) != RUNNING ||
			    (key->size > 0 &&
				    memcmp(f->key, key->data, key->size) != 0)))
		f = f->next;
	return f;
}

/* Latched, of a flight that is there. -EDEADLK: it is the caller's load. */
static int
hold(struct vmc_flight *flight)
{
	if (flight->loader && flight->loader == vmc_thread_self())
		return -EDEADLK;
	flight->holders++;
	return 0;
}

int
vmc_flight_join(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmc_flight **flight)
{
	if (!vmc_load_acquire(&cache->flights))
		return -ENOENT;
	struct bucket *bucket = latch(cache, stripe, key->hash);
	*flight = find(bucket, key);
	int rc = *flight ? hold(*flight) : -ENOENT;
	unlatch(stripe, bucket);
	return rc;
}

int
vmc_flight_begin(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, bool loads, struct vmc_flight **flight)
{
	struct vmc_flight *made = prepare(cache) == 0
					  ? vmc_alloc(&cache->uncounted,
						    sizeof(*made) + key->size)
					  : NULL;
	int rc = 0;

	if (!made)
		return -ENOMEM;
	made->holders = 1;
	made->loader = loads ? vmc_thread_self() : NULL;
	made->space = key->space;
	made->hash = key->hash;
	made->key_size = key->size;
	atomic_init(&made->result, RUNNING);
	if (key->size > 0)
		memcpy(made->key, key->data, key->size);
	struct bucket *bucket = latch(cache, stripe, key->hash);
	*flight = find(bucket, key);
	if (*flight) {
		rc = loads ? hold(*flight) : 0;
		rc = rc ? rc : -EINPROGRESS;
	} else {
		made->next = bucket->first;
		bucket->first = made;
		*flight = made;
	}
	unlatch(stripe, bucket);
	if (rc)
		vmc_free(&cache->uncounted, made, size_of(made));
	return rc;
}

void
vmc_flight_leave(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight)
{
	struct bucket *bucket = latch(cache, stripe, flight->hash);
	struct vmc_flight **at = &bucket->first;
	bool last = --flight->holders == 0;

	if (last) {
		while (*at != flight)
			at = &(*at)->next;
		*at = flight->next;
	}
	unlatch(stripe, bucket);
	if (last)
		vmc_free(&cache->uncounted, flight, size_of(flight));
}

void
vmc_flight_tell(struct vmc_flight *flight, int result)
{
	vmc_store_release(&flight->result,
		result == VMC_FLIGHT_GONE ? GONE : (uint32_t)result);
	vmc_os_wake_all(&flight->result);
}

void
vmc_flight_end(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight, int result)
{
	vmc_flight_tell(flight, result);
	vmc_flight_leave(cache, stripe, flight);
}

int
vmc_flight_wait(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight, uint64_t until_ns)
{
	bool in_time = true;
	uint32_t result;

	while ((result = vmc_load_acquire(&flight->result)) == RUNNING &&
		in_time)
		in_time =
			vmc_os_sleep_while(&flight->result, RUNNING, until_ns);
	vmc_flight_leave(cache, stripe, flight);
	if (result == RUNNING)
		return -ETIMEDOUT;
	return result == GONE ? VMC_FLIGHT_GONE : (int)result;
}

uint64_t
vmc_flight_until(uint64_t timeout_ms)
{
	const uint64_t ns = 1000000;
	uint64_t now = vmc_os_clock_ns();

	return timeout_ms > (UINT64_MAX - now) / ns ? VMC_FLIGHT_NEVER
						    : now + timeout_ms * ns;
}

void
vmc_flights_close(struct vmemcache *cache)
{
	struct vmc_flights *flights = vmc_load_relaxed(&cache->flights);

	vmc_store_relaxed(&cache->flights, NULL);
	for (unsigned i = 0; flights && i < BUCKETS; i++) {
		struct vmc_flight *f = flights->buckets[i].first;
		while (f) {
			struct vmc_flight *next = f->next;
			vmc_free(&cache->uncounted, f, size_of(f));
			f = next;
		}
	}
	if (flights)
		vmc_free(&cache->uncounted, flights, sizeof(*flights));
}

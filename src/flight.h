/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flight.h -- keys of which one thread alone is making the value
 *
 * A flight is that of one key: it begins with an exclusive reservation or a
 * load, and ends when its value is committed or there will be none.
 */
#ifndef VMC_FLIGHT_H
#define VMC_FLIGHT_H

#include "cache.h"

struct vmc_flight;

/* What came of a flight: 0, the errno of its loader, or there is no value. */
#define VMC_FLIGHT_GONE (-1)
/* As a time to wait until: without end. */
#define VMC_FLIGHT_NEVER UINT64_MAX

/*
 * The key's flight becomes *flight. 0: it is a new one, the caller's to end;
 * `loads` if that is what the caller will do within this call. -EINPROGRESS: it
 * was there, and if `loads`, the caller waits for it, by vmc_flight_wait().
 * -EDEADLK: `loads`, and it is there as the caller's load. -ENOMEM.
 */
int vmc_flight_begin(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, bool loads, struct vmc_flight **flight);
/* -ENOENT: there is none; -EDEADLK; 0: the caller waits for it. */
int vmc_flight_join(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, struct vmc_flight **flight);
/* What came of it, to those who wait; it is still to be ended. */
void vmc_flight_tell(struct vmc_flight *flight, int result);
/* With what came of it. By any thread. */
void vmc_flight_end(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight, int result);
/*
 * What came of it: VMC_FLIGHT_GONE, 0, or an errno, which is positive; or
 * -ETIMEDOUT, which is another number. Without waiting any more.
 */
int vmc_flight_wait(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight, uint64_t until_ns);
/* The caller does not wait after all. */
void vmc_flight_leave(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_flight *flight);

/* When so much time will have passed. */
uint64_t vmc_flight_until(uint64_t timeout_ms);

/* Free what is left. */
void vmc_flights_close(struct vmemcache *cache);

/* As vmemcache_wait(), negative errno. */
int vmc_cache_wait_for(struct vmemcache *space, const void *key,
	size_t key_size, uint64_t timeout_ms);
/* As vmemcache_load(); how is complete. */
int vmc_cache_load(struct vmemcache *space, const void *key, size_t key_size,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	uint64_t timeout_ms, struct vmemcache_item *item);
/* As vmemcache_loading_reserve(); how may be NULL. */
int vmc_loading_reserve(struct vmemcache_loading *loading, size_t value_size,
	const struct vmemcache_store *how, struct vmemcache_item *item);
/* The cache that is being loaded into. */
struct vmemcache *vmc_loading_cache(const struct vmemcache_loading *loading);

#endif

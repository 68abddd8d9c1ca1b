/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle.h -- what callers have: a cache, or a space of one
 */
#ifndef VMC_HANDLE_H
#define VMC_HANDLE_H

#include "libvmemcache.h"

#include "base/heritage.h"
#include "base/lock.h"
#include "base/process.h"
#include "entry.h"
#include "extent/extent.h"
#include "index.h"
#include "memkind/malloc.h"
#include "order/order.h"
#include "policy/policy.h"
#include "pool/pool.h"
#include "publish.h"
#include "stripe.h"

struct vmc_spaces;

/* What a space counts in any thread, by atomic operations. */
struct vmc_space_counts {
	_Atomic uint64_t stores[VMEMCACHE_MODES][VMEMCACHE_OUTCOMES];
	_Atomic uint64_t removals[VMEMCACHE_REASONS];
	/* also of what was cleared since; its eras keep the space (space.c) */
	_Atomic uint64_t pinned_items, pinned_bytes;
	/* gets of threads that had no memory to count them */
	_Atomic uint64_t hits, misses;
	/* of those before it that had the same number */
	uint64_t hits_before, misses_before;
};

/*
 * A cache; or a space of one, which is the head of this alone, up to where it
 * says so (space.c). The functions of the composer are given the cache, and
 * with a key the space that it is of: the cache itself is one of them.
 */
struct vmemcache {
	/* made by add, immutable until delete; what a get needs comes first */
	/* vmc_process_mark() of the process that may use it */
	_Atomic unsigned usable_in; /* a child changes it (inherit.c) */
	bool wants_touches;         /* of the policy, as is: */
	uint8_t counts;
	_Atomic bool versions_wanted; /* set once, see version.c */
	/* of what is stored without one; 0: none. At any time */
	_Atomic uint64_t ttl_ms;
	_Atomic uint64_t metadata_limit; /* 0: none. At any time */
	bool bench[VMEMCACHE_BENCH_PREFAULT + 1];
	bool without_blocks; /* by those: values take none */
	uint64_t seed;
	struct vmemcache *root;      /* the cache that it is a space of */
	struct vmc_era *_Atomic era; /* the space's; of the cache NULL */
	struct vmc_index *index;
	struct vmc_order *order; /* of keys; NULL: not asked for */
	size_t block_size;
	struct vmc_pool pool;
	void *allocated; /* what malloc() gave for this */
	/* at any time */
	vmemcache_on_remove *on_remove;
	void *on_remove_arg;
	vmemcache_on_evict *on_evict;
	void *on_evict_arg;
	vmemcache_on_miss *on_miss;
	void *on_miss_arg;
	char name[VMEMCACHE_NAME_MAX + 1];
	struct vmc_publisher publisher;
	/* of a space */
	uint32_t number;
	uint64_t quota;           /* blocks; UINT64_MAX: none */
	uint64_t reserved;        /* blocks */
	_Atomic unsigned calling; /* threads that are in callbacks of it */
	/* under the policy's lock: */
	unsigned eras;                              /* that have it as owner */
	struct vmemcache *next_space, **space_link; /* what leads to it */
	struct vmc_space_counts counted;

	/* --- what follows the cache alone has --- */
	_Atomic uint64_t blocks; /* of the pool, by who resizes it */
	struct vmc_extent *extent;
	struct vmc_policy *policy;
	memkind_t kind;
	struct vmc_memory memory;    /* metadata, counted, freed by epoch */
	struct vmc_memory uncounted; /* the same kind, at once */
	/* of what is there when it is empty; by who resizes it */
	_Atomic uint64_t dram_baseline;
	_Atomic bool resizing; /* one thread at a time (resize.c) */
	bool prefaulted;
	bool closing; /* nobody else uses it: retiring is freeing */
	/* over forks, see inherit.c */
	struct vmc_heritage heritage;
	struct vmemcache *_Atomic next;
	bool enrolled;

	/* configuration; immutable once the cache is added */
	size_t size; /* 0: not set */
	size_t most; /* that it may grow to; 0: not set */
	const struct vmc_policy_ops *policy_ops;
	enum vmemcache_metadata metadata;
	enum vmc_index_kind index_kind;
	bool ordered;
	unsigned prefault_threads; /* 0: no prefault */
	vmemcache_on_progress *on_progress;
	void *on_progress_arg;

	/* once there has been one (space.c) */
	struct vmc_spaces *_Atomic spaces;
	/* one of them has had a callback; at any time */
	_Atomic bool spaces_call_back;

	/* see version.c: how many stripes have taken some */
	_Atomic uint64_t versions;
	_Atomic bool versions_kept;
	/* the timers of entries, once there are any (expire.c) */
	struct vmc_expiry *_Atomic expiry;
	/* when one of them has something to do next, in milliseconds */
	_Atomic uint64_t soonest;
	/* once there are any (flight.c) */
	struct vmc_flights *_Atomic flights;

	/* of the policy (touch.c), from 1 on: written under its lock */
	_Atomic uint8_t generation;
	/* The stripe of the thread that is the only user; NULL: several are. */
	struct vmc_stripe *_Atomic sole;
	/*
	 * So many threads may put: the policy has memory for that. Written
	 * under its lock.
	 */
	_Atomic unsigned stocked_for;
	/*
	 * All rings were drained after every epoch below this one had passed.
	 * Written under the policy's lock, after (release).
	 */
	_Atomic uint64_t drained;
	/* a thread may be waiting for others' blocks (wait.c) */
	_Atomic bool waiting;

	/* guards the policy, the nodes it holds, and the taking from rings */
	alignas(64) struct vmc_lock policy_lock;
	/* under it; by every batch, so not beside what gets read */
	uint64_t inserted;            /* since this generation began */
	uint64_t generation_nodes;    /* where there are spaces (touch.c) */
	unsigned reserving;           /* stripes that reserve (evict.c) */
	struct vmc_stripe *looked_at; /* the last one */
	unsigned stock; /* rows that the policy has in stock (touch.c) */
	/* what threads that have gone have retired (visit.c) */
	struct vmc_limbo estate;
	struct vmc_limbo_chunk *ripe_estate;

	/* read by every operation: not in a line with the lock */
	alignas(64) struct vmc_stripes stripes;

	/* pins that an entry has no room for, and what they leave (pin.c) */
	alignas(64) struct vmc_latch crowds_latch;
	struct vmc_crowd *crowds; /* under it */
	/*
	 * Left by threads that have no stripe, for the next one that reclaims;
	 * under the policy's lock, read without: entries that are chained, to
	 * be let go; reservations that were aborted (reserve.c)
	 */
	struct vmc_entry *_Atomic orphans;
	struct vmc_reservation *_Atomic abandoned;
	/* counted up under the policy's lock (evict.c), down by unpins */
	_Atomic unsigned parked;

	/* written now and then: */
	/* what metadata has shrunk by, and what was left (reclaim.c) */
	alignas(64) _Atomic int64_t shrunk;
	_Atomic uint64_t left;
	/* entries of empty values, of which puts may be under way (put.c) */
	_Atomic int64_t empties;
	/* bytes of metadata that the stripes have told of, and whether that was
	 * over the limit then (limit.c) */
	_Atomic uint64_t told;
	_Atomic bool over;
};

#endif

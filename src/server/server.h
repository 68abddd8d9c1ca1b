/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h -- what all connections share
 */
#ifndef VMCD_SERVER_H
#define VMCD_SERVER_H

#include "options.h"
#include "spaces.h"

#include "libvmemcache.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* What memcached 1.6.18 is asked by clients that look at the version. */
#define VMCD_LIKE_MEMCACHED "1.6.18"

/* Counted by each worker for itself, and added up on request. */
#define VMCD_COUNTERS(COUNTER)                                                 \
	COUNTER(cmd_get)                                                       \
	COUNTER(cmd_set)                                                       \
	COUNTER(cmd_flush)                                                     \
	COUNTER(cmd_touch)                                                     \
	COUNTER(cmd_meta)                                                      \
	COUNTER(get_hits)                                                      \
	COUNTER(get_misses)                                                    \
	COUNTER(delete_misses)                                                 \
	COUNTER(delete_hits)                                                   \
	COUNTER(incr_misses)                                                   \
	COUNTER(incr_hits)                                                     \
	COUNTER(decr_misses)                                                   \
	COUNTER(decr_hits)                                                     \
	COUNTER(cas_misses)                                                    \
	COUNTER(cas_hits)                                                      \
	COUNTER(cas_badval)                                                    \
	COUNTER(touch_hits)                                                    \
	COUNTER(touch_misses)                                                  \
	COUNTER(store_too_large)                                               \
	COUNTER(store_no_memory)                                               \
	COUNTER(bytes_read)                                                    \
	COUNTER(bytes_written)

struct vmcd_counters {
#define VMCD_COUNTER(name) _Atomic uint64_t name;
	VMCD_COUNTERS(VMCD_COUNTER)
#undef VMCD_COUNTER
};

/* A counter has one writer. */
static inline void
vmcd_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
		atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static inline void
vmcd_count_get(struct vmcd_counters *counters, bool hit)
{
	vmcd_count(&counters->cmd_get, 1);
	vmcd_count(hit ? &counters->get_hits : &counters->get_misses, 1);
}

struct vmcd_server {
	struct vmcd_spaces spaces;
	const struct vmcd_options *options;
	time_t started;
	struct vmcd_counters *counters; /* of each worker */
	_Atomic uint64_t connections, connections_ever, connections_rejected;
	/* bytes of pinned values that wait for slow readers */
	_Atomic uint64_t stalled;
	/* bytes of values that are being received into the cache */
	_Atomic uint64_t reserved;
	/* when flush_all is to act, in ms of the monotonic clock; 0: never */
	_Atomic uint64_t flush_at;
};

/* What all workers have counted. */
void vmcd_counters_sum(
	const struct vmcd_server *server, struct vmcd_counters *sum);

uint64_t vmcd_now_ms(void);

/* Remove all items, at once or (seconds above 1) after so many. */
void vmcd_flush(struct vmcd_server *server, int64_t seconds);

#endif

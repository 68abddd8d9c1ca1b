/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loads.h -- loads that do what they are told. Linked with --wrap for
 * vmc_os_sleep_while: a test sees who is about to sleep.
 */
#ifndef VMC_TESTS_LOADS_H
#define VMC_TESTS_LOADS_H

#include "items.h"

#include "base/os.h"

#include <pthread.h>
#include <sched.h>

static _Atomic unsigned long sleeps;

bool __real_vmc_os_sleep_while(_Atomic uint32_t *, uint32_t, uint64_t);
bool __wrap_vmc_os_sleep_while(_Atomic uint32_t *, uint32_t, uint64_t);

bool
__wrap_vmc_os_sleep_while(
	_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	vmc_fetch_add_relaxed(&sleeps, 1);
	return __real_vmc_os_sleep_while(word, value, until_ns);
}

static inline void
await_sleeps(unsigned long count)
{
	while (vmc_load_relaxed(&sleeps) < count)
		sched_yield();
}

static inline int
reserve(VMEMcache *cache, uint64_t key, size_t size, enum vmemcache_mode mode,
	struct vmemcache_item *item)
{
	struct vmemcache_store how = items_flagged(mode, VMEMCACHE_EXCLUSIVE);

	return vmemcache_reserve(cache, &key, sizeof(key), size, &how, item);
}

static inline int
wait_for(VMEMcache *cache, uint64_t key, uint64_t timeout_ms)
{
	return vmemcache_wait(cache, &key, sizeof(key), timeout_ms);
}

/* What a loader is to do, and has done. */
struct job {
	size_t size;
	uint64_t version;
	int answer;
	unsigned long await; /* so many others sleep */
	const struct vmemcache_store *how;
	_Atomic unsigned long runs;
	int (*within)(VMEMcache *, uint64_t key, struct vmemcache_loading *);
};

static inline int
loader(VMEMcache *cache, const void *data, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct job *job = arg;
	struct vmemcache_item item;
	uint64_t key;

	testing_expect(key_size == sizeof(key));
	memcpy(&key, data, sizeof(key));
	vmc_fetch_add_relaxed(&job->runs, 1);
	if (job->await)
		await_sleeps(job->await);
	if (job->within)
		return job->within(cache, key, loading);
	if (vmemcache_loading_reserve(loading, job->size, job->how, &item) != 0)
		return errno;
	items_fill(&item, key, job->version);
	return job->answer;
}

static inline int
load(VMEMcache *cache, uint64_t key, struct job *job,
	const struct vmemcache_store *how, struct vmemcache_item *item)
{
	return vmemcache_load(cache, &key, sizeof(key), loader, job, how,
		VMEMCACHE_FOREVER, item);
}

/* A thread that loads. */
struct asker {
	pthread_t thread;
	VMEMcache *cache;
	struct job *job;
	const struct vmemcache_store *how;
	uint64_t key;
	int result, error;
	struct vmemcache_item item;
};

static inline void *
run_load(void *arg)
{
	struct asker *a = arg;

	a->result = load(a->cache, a->key, a->job, a->how, &a->item);
	a->error = errno;
	return NULL;
}

static inline void
start(struct asker *a, VMEMcache *cache, struct job *job,
	const struct vmemcache_store *how, uint64_t key)
{
	*a = (struct asker){.cache = cache, .job = job, .how = how, .key = key};
	assert_int_equal(pthread_create(&a->thread, NULL, run_load, a), 0);
}

#endif

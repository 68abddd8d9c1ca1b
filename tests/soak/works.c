/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * works.c -- everything a program may do with the library, all at once
 *
 *   three threads  put, get, look, evict on three caches, pin, reserve and
 *                  load (holds.c); callbacks go on from within, three deep;
 *                  and use the spaces of one more cache (tenants.c)
 *   lives          caches made, used by threads of their own, and deleted
 *   kinds          heaps of each sort made, filled, emptied, destroyed
 *   forks          children that delete their copies, and make their own
 *
 * Values tell what they are (fixture.h), so each get checks itself.
 */
#include "soak.h"

#include "memkind.h"
#include "process.h"

enum { DEPTH = 3, KEYS = 30000, BATCH = 2000 };

struct soak_counts soak_counts;

static _Thread_local uint64_t seed;
static _Thread_local unsigned depth;

struct work {
	struct soak *soak;
	void (*batch)(struct soak *soak);
	unsigned number;
};

static void
count(_Atomic uint64_t *counter)
{
	vmc_fetch_add_relaxed(counter, 1);
}

uint64_t
soak_below(uint64_t bound)
{
	return testing_below(&seed, bound);
}

size_t
soak_size_of(uint64_t key)
{
	uint64_t mixed = (key + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	return mixed % (key % 64 == 0 ? 200000 : 3000);
}

static void
put(VMEMcache *cache, uint64_t key)
{
	int err = fixture_put(cache, key, 1, soak_size_of(key)) ? errno : 0;

	testing_expect(err == 0 || err == EEXIST || err == ENOSPC);
	if (err == 0)
		count(&soak_counts.puts);
}

static void
get(VMEMcache *cache, uint64_t key)
{
	size_t size = soak_size_of(key),
	       offset = soak_below(4) ? 0 : soak_below(size + 1);
	size_t true_size = 0, left = size - offset;
	char *buffer = malloc(left + 1);

	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), buffer, left + 1, offset, &true_size);
	if (n >= 0) {
		testing_expect((size_t)n == left && true_size == size);
		testing_expect(value_is(buffer, left, offset, key, 1));
		count(&soak_counts.hits);
	} else {
		testing_expect(errno == ENOENT);
		count(&soak_counts.misses);
	}
	free(buffer);
}

static void
operate(VMEMcache *cache)
{
	uint64_t key = soak_below(soak_below(2) ? KEYS : KEYS / 20);

	switch (soak_below(18)) {
	case 16:
	case 17:
		soak_hold(cache, key, depth == 0);
		break;
	case 0:
		testing_expect(fixture_evict(cache, key) == 0 ||
			       errno == ENOENT || errno == EAGAIN);
		break;
	case 1:
		testing_expect(
			vmemcache_evict(cache, NULL, 0) == 0 || errno == ESRCH);
		break;
	case 2:
		testing_expect(fixture_exists(cache, key) >= 0);
		break;
	case 3:
	case 4:
	case 5:
		put(cache, key);
		break;
	default:
		get(cache, key);
	}
}

static void
on_evict(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	uint64_t key;

	(void)arg;
	testing_expect(key_size == sizeof(key));
	memcpy(&key, bytes, sizeof(key));
	count(&soak_counts.evicted);
	if (depth < DEPTH && soak_below(16) == 0) {
		depth++;
		count(&soak_counts.depth);
		testing_expect(fixture_exists(cache, key) == 1);
		testing_expect(fixture_evict(cache, key) == -1);
		operate(cache);
		depth--;
	}
}

/* A second level: ask it, and put here what it has, or make it up. */
static void
on_miss(VMEMcache *cache, const void *bytes, size_t key_size, void *arg)
{
	struct soak *soak = arg;
	uint64_t key;

	(void)key_size;
	memcpy(&key, bytes, sizeof(key));
	if (depth >= DEPTH)
		return;
	depth++;
	if (cache == soak->cache[0])
		get(soak->cache[1], key);
	if (soak_below(2))
		put(cache, key);
	depth--;
}

unsigned long
soak_failures(void)
{
	return vmc_load_relaxed(&testing_failures) + soak_hold_failures();
}

void
soak_prepare(struct soak *soak)
{
	testing_seed(); /* before there are threads */
	for (int i = 0; i < SOAK_CACHES; i++) {
		vmemcache_callback_on_evict(soak->cache[i], on_evict, soak);
		vmemcache_callback_on_miss(soak->cache[i], on_miss, soak);
	}
}

static void
operations(struct soak *soak)
{
	for (int i = 0; i < BATCH; i++)
		operate(soak->cache[soak_below(SOAK_CACHES)]);
	soak_tenants();
}

static void *
use_life(void *arg)
{
	VMEMcache *cache = arg;

	count(&soak_counts.threads);
	for (uint64_t key = 0; key < 500; key++) {
		testing_expect(fixture_put(cache, key, 1, 4000) == 0 ||
			       errno == EEXIST);
		testing_expect(fixture_exists(cache, key) >= 0);
	}
	return NULL;
}

static VMEMcache *
new_life(void)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_SIEVE,
		VMEMCACHE_REPLACEMENT_S3FIFO, VMEMCACHE_REPLACEMENT_ADAPTIVE};
	VMEMcache *cache = vmemcache_new();

	vmemcache_set_eviction_policy(cache, policies[soak_below(4)]);
	vmemcache_set_extent_size(cache, 256 + soak_below(4000));
	vmemcache_set_metadata(cache, soak_below(4) ? VMEMCACHE_METADATA_DRAM
						    : VMEMCACHE_METADATA_PMEM);
	testing_expect(vmemcache_add(cache, FIXTURE_DIR) == 0);
	return cache;
}

static void
lives(struct soak *soak)
{
	VMEMcache *cache = new_life();
	pthread_t threads[3];

	(void)soak;
	count(&soak_counts.lives);
	for (int i = 0; i < 3; i++)
		testing_expect(pthread_create(&threads[i], NULL, use_life,
				       cache) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	testing_expect(vmc_cache_check(cache) == 0);
	vmemcache_delete(cache);
}

static void
kinds(struct soak *soak)
{
	enum { OBJECTS = 2000, FIXED = 8 << 20 };
	static void *object[OBJECTS];
	static char fixed[FIXED];
	memkind_t kind;
	bool in_file = soak_below(2);
	size_t size;

	(void)soak;
	count(&soak_counts.kinds);
	if (in_file)
		testing_expect(
			memkind_create_pmem(FIXTURE_DIR, 32 << 20, &kind) == 0);
	else
		testing_expect(memkind_create_fixed(fixed, FIXED, &kind) == 0);
	for (int i = 0; i < OBJECTS; i++) {
		size = 8 + soak_below(2000);
		object[i] = memkind_malloc(kind, size);
		testing_expect(object[i] != NULL);
		if (object[i])
			memset(object[i], 0xa5, size);
	}
	for (int i = 0; i < OBJECTS; i += 2)
		memkind_free(kind, object[i]);
	for (int i = 1; i < OBJECTS; i += 2)
		memkind_free(NULL, object[i]);
	testing_expect(memkind_destroy_kind(kind) == 0);
}

static int
in_child(struct soak *soak)
{
	char byte;
	uint64_t key = 1;
	VMEMcache *own;

	if (vmemcache_get(soak->cache[0], &key, 8, &byte, 1, 0, NULL) != -1 ||
		errno != EBADF)
		return 1;
	for (int i = 0; i < SOAK_CACHES; i++)
		if (soak_below(2))
			vmemcache_delete(soak->cache[i]);
	own = new_life();
	use_life(own);
	if (vmc_cache_check(own) != 0)
		return 2;
	vmemcache_delete(own);
	return testing_failures ? 3 : 0;
}

static void
forks(struct soak *soak)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		alarm(240);
		_exit(in_child(soak));
	}
	count(&soak_counts.forks);
	testing_expect(waitpid(child, &status, 0) == child);
	testing_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	usleep(100000);
}

static void *
work(void *arg)
{
	struct work *w = arg;

	seed = testing_seed() + w->number * UINT64_C(0x9e3779b97f4a7c15);
	while (!vmc_load_relaxed(&w->soak->stop)) {
		pthread_rwlock_rdlock(&w->soak->gate);
		w->batch(w->soak);
		pthread_rwlock_unlock(&w->soak->gate);
	}
	return NULL;
}

void
soak_start(struct soak *soak, pthread_t threads[SOAK_WORKS])
{
	static void (*const batches[SOAK_WORKS])(struct soak *) = {
		operations, operations, operations, lives, kinds, forks};
	static struct work works[SOAK_WORKS];

	for (unsigned i = 0; i < SOAK_WORKS; i++) {
		works[i] = (struct work){
			.soak = soak, .batch = batches[i], .number = i};
		testing_expect(pthread_create(&threads[i], NULL, work,
				       &works[i]) == 0);
	}
}

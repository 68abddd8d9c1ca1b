/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro_prefix.c [KEYS] -- what order costs a put, and what a walk by prefix
 * takes beside so many other keys (a million)
 *
 * Two caches, one of them ordered, get the same keys of 16 bytes and values of
 * 256 and 1024 bytes, in turns of some thousands, so that both have the same
 * good and bad times: first while they are filled, then while each put evicts.
 * Then a walk shows the 100 items of one prefix, and a walk over all items does
 * the same. Times are the processor's for this thread.
 */
#include <libvmemcache.h>

#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURN = 5000, MATCHES = 100, WALKS = 100 };

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
check(int truth)
{
	if (truth)
		return;
	fprintf(stderr, "micro_prefix: %s\n", vmemcache_errormsg());
	exit(1);
}

static VMEMcache *
open_cache(int ordered, size_t size)
{
	VMEMcache *cache = vmemcache_new();

	check(cache && vmemcache_set_size(cache, size) == 0 &&
		vmemcache_set_ordered(cache, ordered) == 0 &&
		vmemcache_add(cache, "/dev/shm") == 0);
	return cache;
}

/* ns a put. */
static double
put_turn(VMEMcache *cache, unsigned long turn, size_t size)
{
	static const char value[1024];
	double begin = now();

	for (uint64_t i = turn * TURN; i < (turn + 1) * TURN; i++) {
		uint64_t random = i;
		uint64_t key[2] = {bench_random(&random), i};
		check(vmemcache_put(cache, key, sizeof(key), value, size) == 0);
	}
	return (now() - begin) / TURN;
}

static void
compare_puts(size_t size, unsigned long keys)
{
	VMEMcache *caches[2] = {
		open_cache(0, keys * size), open_cache(1, keys * size)};
	double sum[2][2] = {{0}};
	unsigned long turns = keys / TURN;

	for (unsigned long turn = 0; turn < 2 * turns; turn++) {
		for (int i = 0; i < 2; i++) {
			int which = (int)((turn + (unsigned long)i) % 2);
			sum[turn >= turns][which] +=
				put_turn(caches[which], turn, size);
		}
	}
	for (int evicts = 0; evicts < 2; evicts++)
		printf("put of %zu B%s: %.0f ns, ordered %.0f, %.2f times\n",
			size, evicts ? " that evicts" : "",
			sum[evicts][0] / (double)turns,
			sum[evicts][1] / (double)turns,
			sum[evicts][1] / sum[evicts][0]);
	vmemcache_delete(caches[0]);
	vmemcache_delete(caches[1]);
}

struct count {
	const char *prefix;
	unsigned matches;
};

static enum vmemcache_step
count(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct count *c = arg;

	(void)cache, (void)item;
	c->matches += key_size >= 4 && memcmp(key, c->prefix, 4) == 0;
	return VMEMCACHE_WALK_ON;
}

static unsigned long long
metadata(VMEMcache *cache)
{
	unsigned long long bytes = 0;

	check(vmemcache_get_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED, &bytes,
		      sizeof(bytes)) == 0);
	return bytes;
}

static void
compare_walks(unsigned long keys)
{
	VMEMcache *caches[2] = {
		open_cache(0, keys * 300), open_cache(1, keys * 300)};
	struct count c = {.prefix = "page"};
	uint64_t cursor = 0;
	char key[17];

	for (int k = 0; k < 2; k++) {
		uint64_t random = 1;
		for (unsigned long i = 0; i < keys; i++) {
			uint64_t other[2] = {
				bench_random(&random), bench_random(&random)};
			check(vmemcache_put(caches[k], other, sizeof(other),
				      "value", 5) == 0);
		}
		for (unsigned i = 0; i < MATCHES; i++) {
			snprintf(key, sizeof(key), "page%012u", i);
			check(vmemcache_put(caches[k], key, 16, "value", 5) ==
				0);
		}
	}
	printf("metadata: %.1f bytes a key more\n",
		(double)(metadata(caches[1]) - metadata(caches[0])) /
			(double)keys);
	double begin = now();
	for (int i = 0; i < WALKS; i++)
		check(vmemcache_walk_prefix(caches[1], "page", 4, NULL, 0,
			      SIZE_MAX, count, &c) == MATCHES);
	double prefix = (now() - begin) / WALKS;
	begin = now();
	check(vmemcache_walk(caches[1], &cursor, SIZE_MAX, count, &c) >= 0);
	double all = now() - begin;
	begin = now();
	check(vmemcache_walk_prefix(caches[0], "page", 4, NULL, 0, SIZE_MAX,
		      count, &c) == MATCHES);
	printf("%d of %lu by prefix: %.1f us; a walk over all %.0f us; "
	       "by prefix, not ordered, %.0f us\n",
		MATCHES, keys, prefix / 1e3, all / 1e3, (now() - begin) / 1e3);
	vmemcache_delete(caches[0]);
	vmemcache_delete(caches[1]);
}

int
main(int argc, char **argv)
{
	unsigned long keys = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;

	if (keys < TURN)
		return 2;
	setlinebuf(stdout);
	compare_puts(256, keys < 1000000 ? keys : 1000000);
	compare_puts(1024, keys < 1000000 ? keys : 1000000);
	compare_walks(keys);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * call_costs.c -- calls to count the instructions of: for utils/compare-cost
 *
 * Fills a small cache, then carries out one kind of call many times in a
 * function of its own, to which the counting is limited. Built a second time
 * with CALL_COSTS_SLOWED for the test of that script. Of operations whose names
 * begin with "space_", all calls are of a space of the cache.
 *
 * Usage: call_costs OPERATION CALLS [POLICY], where OPERATION is one of those
 * below, and POLICY a number as in the header: LRU, unless it is given
 */
#include <libvmemcache.h>

#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 4 << 20, LARGEST = 1024 };

static const struct operation {
	const char *name;
	size_t size;
	enum {
		GET,
		MISS,
		PUT,
		ORDERED, /* a put, with the keys in order */
		STORE,
		REPLACE,
		EXPIRE,
		MANY,
		PIN,
		RESERVE
	} call;
} operations[] = {
	{"get_256", 256, GET},
	{"get_1k", 1024, GET},
	{"miss", 256, MISS},
	{"put_256", 256, PUT},
	{"put_1k", 1024, PUT},
	{"ordered_256", 256, ORDERED},
	{"ordered_1k", 1024, ORDERED},
	{"store_1k", 1024, STORE},     /* of a new key */
	{"replace_1k", 1024, REPLACE}, /* of one that is there */
	{"expire_1k", 1024, EXPIRE},   /* of a new key, for 1 to 100 s */
	{"many_1k", 1024, MANY},       /* of new keys, 16 at once: each */
	{"pin_256", 256, PIN},         /* and its unpin */
	{"reserve_1k", 1024, RESERVE}, /* of a new key, and its commit */
	{"space_get_256", 256, GET},
	{"space_miss", 256, MISS},
	{"space_put_256", 256, PUT},
};

static uint64_t random_state = 1;
static uint64_t next_key;

static void
store(VMEMcache *cache, const struct operation *op, uint64_t held)
{
	static char value[LARGEST];
	static struct vmemcache_store_request requests[16];
	static uint64_t keys[16];
	struct vmemcache_store how = {.struct_size = sizeof(how)};
	uint64_t key = next_key;

	if (op->call == MANY) {
		uint64_t i = next_key++ % 16;
		keys[i] = key;
		requests[i] = (struct vmemcache_store_request){.key = &keys[i],
			.key_size = sizeof(key),
			.value = value,
			.value_size = op->size};
		if (i == 15 && vmemcache_store_many(cache, requests, 16) != 16)
			exit(1);
		return;
	}
	if (op->call == REPLACE)
		key -= 1 + bench_random_below(&random_state, held / 2);
	else
		next_key++;
	if (op->call == EXPIRE)
		how.ttl_ms = 1000 + bench_random_below(&random_state, 99000);
	if (vmemcache_store(
		    cache, &key, sizeof(key), value, op->size, &how, NULL))
		exit(1);
}

static void
hold(VMEMcache *cache, const struct operation *op, uint64_t held)
{
	struct vmemcache_item item;
	uint64_t key;

	if (op->call == PIN) {
		key = next_key - 1 - bench_random_below(&random_state, held);
		if (vmemcache_pin(cache, &key, sizeof(key), 0, &item))
			exit(1);
		vmemcache_unpin(cache, &item);
		return;
	}
	key = next_key++;
	if (vmemcache_reserve(
		    cache, &key, sizeof(key), op->size, NULL, &item) ||
		vmemcache_commit(cache, &item, op->size, NULL))
		exit(1);
}

static void
call(VMEMcache *cache, const struct operation *op, uint64_t held)
{
	static char value[LARGEST];
	uint64_t key;

#ifdef CALL_COSTS_SLOWED
	for (volatile int i = 0; i < 10; i++)
		;
#endif
	if (op->call >= PIN) {
		hold(cache, op, held);
		return;
	}
	if (op->call >= STORE) {
		store(cache, op, held);
		return;
	}
	if (op->call >= PUT) {
		key = next_key++;
		if (vmemcache_put(cache, &key, sizeof(key), value, op->size))
			exit(1);
		return;
	}
	key = op->call == GET
		      ? next_key - 1 - bench_random_below(&random_state, held)
		      : bench_random(&random_state) | UINT64_C(1) << 63;
	if ((vmemcache_get(cache, &key, sizeof(key), value, op->size, 0,
		     NULL) >= 0) != (op->call == GET))
		exit(1);
}

void measured(VMEMcache *cache, const struct operation *op, uint64_t held,
	unsigned long calls);

__attribute__((noinline)) void
measured(VMEMcache *cache, const struct operation *op, uint64_t held,
	unsigned long calls)
{
	for (unsigned long i = 0; i < calls; i++)
		call(cache, op, held);
}

int
main(int argc, char **argv)
{
	size_t n = sizeof(operations) / sizeof(*operations);
	const struct operation *op = NULL;

	for (size_t i = 0; argc >= 3 && i < n; i++) {
		if (strcmp(operations[i].name, argv[1]) == 0)
			op = &operations[i];
	}
	VMEMcache *cache = vmemcache_new();
	VMEMcache *space = cache;
	if (argc > 3 && vmemcache_set_eviction_policy(
				cache, (enum vmemcache_repl_p)atoi(argv[3])))
		op = NULL;
	if (op == NULL || cache == NULL || vmemcache_set_size(cache, POOL) ||
		vmemcache_set_ordered(cache, op->call == ORDERED) ||
		vmemcache_add(cache, "/dev/shm")) {
		fprintf(stderr, "call_costs: %s\n",
			op == NULL ? "no such operation"
				   : vmemcache_errormsg());
		return 2;
	}
	if (strncmp(op->name, "space_", 6) == 0)
		space = vmemcache_new_space(cache, NULL);
	if (!space) {
		fprintf(stderr, "call_costs: %s\n", vmemcache_errormsg());
		return 2;
	}
	uint64_t held = POOL / op->size;
	struct operation put = {.size = op->size, .call = PUT};
	while (next_key < held)
		call(space, &put, held);
	/* what the first calls of a kind allocate is not of the steady state */
	for (unsigned i = 0; i < 2000; i++)
		call(space, op, held);
	measured(space, op, held, strtoul(argv[2], NULL, 10));
	vmemcache_delete(cache);
	return 0;
}

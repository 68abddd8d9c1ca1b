/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.c -- fuzz target: the calls on items as a program in bytes
 *
 * Stores of all modes, many at once, removals, times to live, fetches, pins,
 * reservations, loads, walks and clears, in any order, on one cache, and what
 * the callbacks pin; the clock runs as the input says. The model in
 * items_model.h must agree at every step. A failed assertion ends the program.
 */
#include "items_model_calls.h"

uint64_t __wrap_vmc_os_random64(void);

/* The seed of the hash: an input does the same in every process. */
uint64_t
__wrap_vmc_os_random64(void)
{
	return UINT64_C(0x5eed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t extents[] = {256, 300, 4097};
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_NONE,
		VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
		VMEMCACHE_REPLACEMENT_ADAPTIVE};
	struct fuzz_input input = {data, data + size};
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	now_ms = 1000;
	m->input = &input;
	m->extent = fuzz_choose(&input, extents);
	m->policy = fuzz_choose(&input, policies);
	m->told = fuzz_byte(&input) % 2 ? BY_EVICT : BY_REMOVE;
	m->largest = VMEMCACHE_MIN_POOL / (10 + fuzz_below(&input, 150));
	model_open(m);
	for (uint64_t step = 0; fuzz_more(&input); step++)
		model_run(m, step);
	model_close(m);
	free(m);
	return 0;
}

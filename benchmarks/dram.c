/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dram.c -- how much memory entries take beside the pool
 *
 * What entries add to the resident anonymous memory of a process that does
 * nothing else, a child forked before the first cache is made. The pool is a
 * file, so it does not count. This sees everything: the allocator's losses,
 * tables, thread stripes. The library's own statistic stands beside it.
 */
#include "dram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store.h"

enum { SPARE_BLOCKS = 4096 };

static uint64_t
resident_anonymous(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "r");

	if (file == NULL)
		bench_fail("/proc/self/status cannot be read");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
			break;
	}
	fclose(file);
	return (uint64_t)kib << 10;
}

size_t
bench_dram_pool(uint64_t entries)
{
	return (entries + SPARE_BLOCKS) * bench.extent;
}

static struct bench_dram
fill_with_entries(uint64_t entries)
{
	uint64_t before = resident_anonymous();
	VMEMcache *cache = bench_cache_configure(bench_dram_pool(entries));

	bench_cache_add(cache);
	for (uint64_t key = 0; key < entries; key++) {
		if (vmemcache_put(cache, &key, BENCH_DRAM_KEY, "v", 1))
			bench_fail("put: %s", vmemcache_errormsg());
	}
	uint64_t resident = resident_anonymous() - before;
	uint64_t counted =
		bench_statistic(cache, VMEMCACHE_STAT_DRAM_SIZE_USED);
	bench_cache_delete(cache);
	double n = (double)entries;
	return (struct bench_dram){(double)resident / n - BENCH_DRAM_KEY,
		(double)counted / n - BENCH_DRAM_KEY};
}

struct bench_dram
bench_dram_measure(uint64_t entries)
{
	struct bench_dram d;
	int ends[2];
	int status;

	if (pipe(ends))
		bench_fail("pipe: %s", strerror(errno));
	pid_t child = fork();
	if (child < 0)
		bench_fail("fork: %s", strerror(errno));
	if (child == 0) {
		d = fill_with_entries(entries);
		_exit(write(ends[1], &d, sizeof(d)) == sizeof(d) ? 0 : 1);
	}
	close(ends[1]);
	ssize_t got = read(ends[0], &d, sizeof(d));
	close(ends[0]);
	if (waitpid(child, &status, 0) != child || status != 0 ||
		got != sizeof(d))
		/* It has said why, unless it was killed. */
		exit(1);
	return d;
}

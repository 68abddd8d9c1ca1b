/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * two_level.c DRAM-DIRECTORY PMEM-DIRECTORY -- a small fast cache over a large
 * slower one
 *
 * What DRAM evicts is demoted: its eviction callback puts the value into the
 * PMEM level before it is gone. What DRAM misses is promoted: its miss
 * callback fetches the value from the PMEM level and puts it into DRAM. So a
 * program that talks to the DRAM level alone sees one cache of both sizes.
 * Values never change in this program, so the copy that a promotion leaves
 * behind stays valid, and its next demotion finds it there (EEXIST).
 */
#include <libvmemcache.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1024 * 1024)
#define KEYS 2000u
#define VALUE_SIZE 8192u /* 16 MiB in all: four times the DRAM level */

struct levels {
	VMEMcache *dram;
	VMEMcache *pmem;
	unsigned demoted;
	unsigned promoted;
};

/* Copy the value of a key from one cache to another; 0 or -1. */
static int
move_value(VMEMcache *from, VMEMcache *to, const void *key, size_t key_size)
{
	size_t size;

	if (vmemcache_get(from, key, key_size, NULL, 0, 0, &size) != 0)
		return -1;
	char *value = malloc(size);
	int rc = -1;
	/* in a program of several threads it may be gone by now */
	if (value != NULL && vmemcache_get(from, key, key_size, value, size, 0,
				     NULL) == (ssize_t)size)
		rc = vmemcache_put(to, key, key_size, value, size);
	free(value);
	return rc;
}

static void
demote(VMEMcache *dram, const void *key, size_t key_size, void *arg)
{
	struct levels *levels = arg;

	if (move_value(dram, levels->pmem, key, key_size) == 0)
		levels->demoted++;
}

static void
promote(VMEMcache *dram, const void *key, size_t key_size, void *arg)
{
	struct levels *levels = arg;

	if (move_value(levels->pmem, dram, key, key_size) == 0)
		levels->promoted++;
}

static VMEMcache *
open_level(const char *directory, size_t size)
{
	VMEMcache *cache = vmemcache_new();

	if (cache == NULL || vmemcache_set_size(cache, size) != 0 ||
		vmemcache_add(cache, directory) != 0) {
		fprintf(stderr, "%s: %s\n", directory, vmemcache_errormsg());
		exit(1);
	}
	return cache;
}

static void
fill(char *value, unsigned key)
{
	memset(value, (int)('a' + key % 26), VALUE_SIZE);
}

int
main(int argc, char *argv[])
{
	static char value[VALUE_SIZE], expected[VALUE_SIZE];
	unsigned wrong = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: two_level DRAM-DIRECTORY "
				"PMEM-DIRECTORY\n");
		return 2;
	}
	struct levels levels = {.dram = open_level(argv[1], 4 * MIB),
		.pmem = open_level(argv[2], 32 * MIB)};
	vmemcache_callback_on_evict(levels.dram, demote, &levels);
	vmemcache_callback_on_miss(levels.dram, promote, &levels);

	for (unsigned key = 0; key < KEYS; key++) {
		fill(value, key);
		if (vmemcache_put(levels.dram, &key, sizeof(key), value,
			    sizeof(value)) != 0)
			wrong++;
	}
	for (unsigned key = 0; key < KEYS; key++) {
		fill(expected, key);
		if (vmemcache_get(levels.dram, &key, sizeof(key), value,
			    sizeof(value), 0, NULL) != VALUE_SIZE ||
			memcmp(value, expected, sizeof(value)) != 0)
			wrong++;
	}
	printf("%u keys, %u demotions, %u promotions, %u missing or wrong\n",
		KEYS, levels.demoted, levels.promoted, wrong);

	vmemcache_delete(levels.dram);
	vmemcache_delete(levels.pmem);
	return wrong != 0;
}

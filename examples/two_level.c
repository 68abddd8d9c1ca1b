/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * two_level.c DRAM-DIRECTORY PMEM-DIRECTORY -- a small fast cache over a large
 * slower one
 *
 * What DRAM evicts is demoted: its removal callback copies the value to where
 * it will be in the PMEM level, before it is gone. What DRAM misses is
 * promoted: its miss callback pins the value in the PMEM level and copies it to
 * where it will be in DRAM. No buffer is needed in between. So a program that
 * talks to the DRAM level alone sees one cache of both sizes. Values never
 * change in this program, so the copy that a promotion leaves behind stays
 * valid, and its next demotion finds it there.
 */
#include <libvmemcache.h>

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

/* From pieces to pieces, which need not be cut alike. */
static void
copy_pieces(const struct vmemcache_item *from, const struct vmemcache_item *to)
{
	size_t at = 0; /* within the piece of from */
	int i = 0;

	for (int k = 0; k < to->iov_count; k++) {
		char *piece = to->iov[k].iov_base;
		size_t left = to->iov[k].iov_len;
		while (left > 0) {
			size_t n = from->iov[i].iov_len - at;
			if (n > left)
				n = left;
			memcpy(piece, (char *)from->iov[i].iov_base + at, n);
			piece += n;
			left -= n;
			at += n;
			if (at == from->iov[i].iov_len) {
				at = 0;
				i++;
			}
		}
	}
}

/* Make a value in one cache from an item of the other; 0 or -1. */
static int
move_value(const struct vmemcache_item *from, VMEMcache *to, const void *key,
	size_t key_size)
{
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .mode = VMEMCACHE_ADD};
	size_t size = from->info.value_size;
	struct vmemcache_item room;

	if (vmemcache_reserve(to, key, key_size, size, &how, &room) != 0)
		return -1;
	copy_pieces(from, &room);
	return vmemcache_commit(to, &room, size, NULL);
}

static void
demote(VMEMcache *dram, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct levels *levels = arg;

	(void)dram;
	/* what is there already need not be written again */
	if (reason == VMEMCACHE_REASON_CAPACITY && item->iov_count >= 0 &&
		vmemcache_exists(levels->pmem, key, key_size, NULL) == 0 &&
		move_value(item, levels->pmem, key, key_size) == 0)
		levels->demoted++;
}

static void
promote(VMEMcache *dram, const void *key, size_t key_size, void *arg)
{
	struct levels *levels = arg;
	struct vmemcache_item item;

	if (vmemcache_pin(levels->pmem, key, key_size, 0, &item) != 0)
		return;
	if (move_value(&item, dram, key, key_size) == 0)
		levels->promoted++;
	vmemcache_unpin(levels->pmem, &item);
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
	vmemcache_callback_on_remove(levels.dram, demote, &levels);
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.c DIRECTORY -- write what a cache holds to a file, and fill another
 * cache from it
 *
 * A walk shows each item that stays exactly once, in steps, while other threads
 * go on. The item is pinned during the call, so its pieces go to the file as
 * they are. Reading reserves the room and reads into it. A program that has to
 * stop can keep its cache warm so.
 */
#include <libvmemcache.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 1000u
#define AT_ONCE 64u /* items in a step: between them others can be served */

/* Before each key and value. */
struct head {
	uint64_t key_size;
	uint64_t value_size;
	uint64_t ttl_ms;
	uint64_t tag;
};

static VMEMcache *
open_cache(const char *directory)
{
	VMEMcache *cache = vmemcache_new();

	if (cache == NULL || vmemcache_add(cache, directory) != 0) {
		fprintf(stderr, "%s: %s\n", directory, vmemcache_errormsg());
		exit(1);
	}
	return cache;
}

static enum vmemcache_step
write_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct head head = {key_size, item->info.value_size, item->info.ttl_ms,
		item->info.tag};
	FILE *file = arg;

	(void)cache;
	fwrite(&head, sizeof(head), 1, file);
	fwrite(key, 1, key_size, file);
	for (int i = 0; i < item->iov_count; i++)
		fwrite(item->iov[i].iov_base, 1, item->iov[i].iov_len, file);
	return ferror(file) ? VMEMCACHE_WALK_STOP : VMEMCACHE_WALK_ON;
}

/* How many items; -1: not all could be written. */
static long
export_all(VMEMcache *cache, FILE *file)
{
	uint64_t cursor = 0;
	long items = 0;

	do {
		ssize_t n = vmemcache_walk(
			cache, &cursor, AT_ONCE, write_item, file);
		if (n < 0 || ferror(file))
			return -1;
		items += n;
	} while (cursor != 0);
	return fflush(file) == 0 ? items : -1;
}

/* -1: the file ends within an item, or there is no room. */
static int
read_item(VMEMcache *cache, FILE *file, const struct head *head)
{
	struct vmemcache_store how = {.struct_size = sizeof(how),
		.ttl_ms = head->ttl_ms,
		.tag = (uint32_t)head->tag};
	struct vmemcache_item item;
	char key[256];
	size_t missing = 0;

	if (head->key_size > sizeof(key) ||
		fread(key, 1, head->key_size, file) != head->key_size ||
		vmemcache_reserve(cache, key, head->key_size, head->value_size,
			&how, &item) != 0)
		return -1;
	for (int i = 0; i < item.iov_count; i++)
		missing += item.iov[i].iov_len - fread(item.iov[i].iov_base, 1,
							 item.iov[i].iov_len,
							 file);
	if (missing > 0) {
		vmemcache_abort(cache, &item);
		return -1;
	}
	return vmemcache_commit(cache, &item, head->value_size, NULL);
}

int
main(int argc, char *argv[])
{
	static char value[4096];
	struct head head;
	long imported = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: export DIRECTORY\n");
		return 2;
	}
	VMEMcache *old = open_cache(argv[1]);
	for (unsigned key = 0; key < ITEMS; key++) {
		snprintf(value, sizeof(value), "value %u", key);
		if (vmemcache_put(old, &key, sizeof(key), value, 10 + key))
			return 1;
	}
	FILE *file = tmpfile();
	long exported = file ? export_all(old, file) : -1;
	vmemcache_delete(old);
	if (exported < 0)
		return 1;

	VMEMcache *new = open_cache(argv[1]);
	rewind(file);
	while (fread(&head, sizeof(head), 1, file) == 1 &&
		read_item(new, file, &head) == 0)
		imported++;
	fclose(file);
	unsigned key = 42;
	vmemcache_get(new, &key, sizeof(key), value, sizeof(value), 0, NULL);
	printf("%ld exported, %ld imported, one of them: %s\n", exported,
		imported, value);
	vmemcache_delete(new);
	return imported != exported;
}

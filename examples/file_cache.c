/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file_cache.c DIRECTORY -- a file cache forgets a folder in one call
 *
 * The keys are paths. When a folder changes, all that was cached of it and of
 * what is below it goes: these are the keys that begin with its path and a
 * slash. The cache keeps its keys in order, so this takes no longer with
 * millions of files elsewhere.
 */
#include <libvmemcache.h>

#include <stdio.h>
#include <string.h>

static enum vmemcache_step
list(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)arg;
	printf("%.*s: %zu bytes\n", (int)key_size, (const char *)key,
		item->info.value_size);
	return VMEMCACHE_WALK_ON;
}

static int
read_files(VMEMcache *cache)
{
	static const char *const files[] = {"/home/ann/notes",
		"/home/ann/old/1", "/home/ann/old/2", "/home/ann/older",
		"/home/bob/notes"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (vmemcache_put(cache, files[i], strlen(files[i]),
			    "its bytes", 9) != 0)
			return -1;
	return 0;
}

int
main(int argc, char *argv[])
{
	static const char changed[] = "/home/ann/old/";
	static const char shown[] = "/home/ann/";
	VMEMcache *cache = vmemcache_new();

	if (argc != 2 || cache == NULL)
		return 2;
	if (vmemcache_set_ordered(cache, 1) != 0 ||
		vmemcache_add(cache, argv[1]) != 0 || read_files(cache) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	printf("%zd forgotten\n",
		vmemcache_remove_prefix(cache, changed, sizeof(changed) - 1));
	/* ten at most; what would come next is behind the last of these */
	vmemcache_walk_prefix(
		cache, shown, sizeof(shown) - 1, NULL, 0, 10, list, NULL);
	vmemcache_delete(cache);
	return 0;
}

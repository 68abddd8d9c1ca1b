/* SPDX-License-Identifier: BSD-3-Clause */
/* consumer.c DIRECTORY -- put a value and get it back */
#include <libvmemcache.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();
	char value[8] = "";

	if (argc != 2 || cache == NULL || vmemcache_add(cache, argv[1]) != 0 ||
		vmemcache_put(cache, "key", 3, "value", 6) != 0 ||
		vmemcache_get(cache, "key", 3, value, 8, 0, NULL) != 6) {
		fprintf(stderr, "consumer: %s\n", vmemcache_errormsg());
		return 1;
	}
	vmemcache_delete(cache);
	return strcmp(value, "value") != 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin.c -- a plug-in that the static library is linked into
 */
#include <libvmemcache.h>

__attribute__((visibility("default"))) int plugin_use(void);

int
plugin_use(void)
{
	VMEMcache *cache = vmemcache_new();
	char value[6];
	int failed = !cache || vmemcache_add(cache, "/dev/shm") != 0 ||
		     vmemcache_put(cache, "key", 3, "value", 6) != 0 ||
		     vmemcache_get(cache, "key", 3, value, 6, 0, NULL) != 6;

	vmemcache_delete(cache);
	return failed;
}

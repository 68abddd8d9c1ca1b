/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dlopen.c LIBRARY DIRECTORY -- the library as a plug-in's dependency
 *
 * A language binding loads the library long after the process has started,
 * from a thread of its own, may unload it while that thread lives on, and may
 * load it again. Initial-exec thread-local storage would make the load fail,
 * a thread-exit handler left behind would crash the end of the thread.
 */
#include <dlfcn.h>
#include <libvmemcache.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *library;
static const char *directory;

static void
require(int condition, const char *what)
{
	if (condition)
		return;
	const char *reason = dlerror();
	fprintf(stderr, "%s: %s\n", what, reason ? reason : "");
	exit(1);
}

/* POSIX lets a function's address pass through a void *; ISO C does not. */
#define LOOKUP(handle, function)                                               \
	do {                                                                   \
		void *address = dlsym((handle), #function);                    \
		require(address != NULL, #function);                           \
		memcpy(&(function##_p), &address, sizeof(address));            \
	} while (0)

static void *
use(void *unused)
{
	VMEMcache *(*vmemcache_new_p)(void);
	int (*vmemcache_add_p)(VMEMcache *, const char *);
	int (*vmemcache_put_p)(
		VMEMcache *, const void *, size_t, const void *, size_t);
	ssize_t (*vmemcache_get_p)(VMEMcache *, const void *, size_t, void *,
		size_t, size_t, size_t *);
	void (*vmemcache_delete_p)(VMEMcache *);
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	char value[16];

	(void)unused;
	require(handle != NULL, "dlopen");
	LOOKUP(handle, vmemcache_new);
	LOOKUP(handle, vmemcache_add);
	LOOKUP(handle, vmemcache_put);
	LOOKUP(handle, vmemcache_get);
	LOOKUP(handle, vmemcache_delete);

	VMEMcache *cache = vmemcache_new_p();
	require(cache != NULL, "vmemcache_new");
	require(vmemcache_add_p(cache, directory) == 0, "vmemcache_add");
	require(vmemcache_put_p(cache, "key", 3, "value", 6) == 0,
		"vmemcache_put");
	require(vmemcache_get_p(
			cache, "key", 3, value, sizeof(value), 0, NULL) == 6 &&
			strcmp(value, "value") == 0,
		"vmemcache_get");
	vmemcache_delete_p(cache);
	require(dlclose(handle) == 0, "dlclose");
	return NULL;
}

int
main(int argc, char *argv[])
{
	require(argc == 3, "usage: dlopen LIBRARY DIRECTORY");
	library = argv[1];
	directory = argv[2];

	use(NULL);
	for (int i = 0; i < 3; i++) {
		pthread_t thread;
		require(pthread_create(&thread, NULL, use, NULL) == 0,
			"pthread_create");
		require(pthread_join(thread, NULL) == 0, "pthread_join");
	}
	return 0;
}

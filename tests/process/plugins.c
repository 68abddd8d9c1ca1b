/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugins.c PLUGIN -- the static library in a plug-in that is unloaded while a
 * thread lives on that has used it. The end of that thread called destructors
 * that were there no more.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS = 100 };

static pthread_barrier_t used, unloaded;

static void
require(int condition, const char *what)
{
	if (condition)
		return;
	const char *reason = dlerror();
	fprintf(stderr, "%s: %s\n", what, reason ? reason : "");
	exit(1);
}

static void *
use(void *plugin)
{
	void *address = dlsym(plugin, "plugin_use");
	int (*plugin_use)(void);

	require(address != NULL, "plugin_use");
	memcpy(&plugin_use, &address, sizeof(address));
	require(plugin_use() == 0, "use");
	pthread_barrier_wait(&used);
	pthread_barrier_wait(&unloaded);
	return NULL;
}

/* Keys of thread-specific data: a process has 1024. */
static unsigned
keys(void)
{
	static pthread_key_t key[2048];
	unsigned count = 0;

	while (count < 2048 && pthread_key_create(&key[count], NULL) == 0)
		count++;
	for (unsigned i = 0; i < count; i++)
		pthread_key_delete(key[i]);
	return count;
}

int
main(int argc, char *argv[])
{
	unsigned left = 0;

	require(argc == 2, "usage: plugins PLUGIN");
	pthread_barrier_init(&used, NULL, 2);
	pthread_barrier_init(&unloaded, NULL, 2);
	for (int i = 0; i < LOADS; i++) {
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		pthread_t thread;

		require(plugin != NULL, "dlopen");
		require(pthread_create(&thread, NULL, use, plugin) == 0,
			"pthread_create");
		pthread_barrier_wait(&used);
		require(dlclose(plugin) == 0, "dlclose");
		pthread_barrier_wait(&unloaded);
		require(pthread_join(thread, NULL) == 0, "pthread_join");
		if (i == 0)
			left = keys();
	}
	require(keys() == left, "keys were lost");
	return 0;
}

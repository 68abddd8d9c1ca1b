/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read_through.c DIRECTORY -- many threads miss one key, and one of them loads
 *
 * Loading is slow, so it should happen once. Each thread that misses takes the
 * lock of the key's loader and looks again: the first thread loads and puts,
 * the others find the value. Gets that hit take no lock.
 */
#include <libvmemcache.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define LOADERS 64 /* keys of different loaders are loaded at the same time */

static pthread_mutex_t loaders[LOADERS];
static int loaded;

static size_t
loader_of(const char *key, size_t size)
{
	size_t hash = 5381;

	for (size_t i = 0; i < size; i++)
		hash = hash * 33 + (unsigned char)key[i];
	return hash % LOADERS;
}

/* Here a database would be asked. */
static void
load(const char *key, size_t key_size, char *value, size_t size)
{
	loaded++;
	snprintf(value, size, "value of %.*s", (int)key_size, key);
}

/* The value of the key, from the cache or loaded. */
static void
read_through(VMEMcache *cache, const char *key, size_t key_size, char *value,
	size_t size)
{
	pthread_mutex_t *lock = &loaders[loader_of(key, key_size)];

	if (vmemcache_get(cache, key, key_size, value, size, 0, NULL) >= 0)
		return;
	pthread_mutex_lock(lock);
	if (vmemcache_get(cache, key, key_size, value, size, 0, NULL) < 0) {
		load(key, key_size, value, size);
		/* If it cannot be kept, it is loaded again the next time. */
		vmemcache_put(cache, key, key_size, value, size);
	}
	pthread_mutex_unlock(lock);
}

static void *
work(void *arg)
{
	char value[64];

	read_through(arg, "user:42", 7, value, sizeof(value));
	return strcmp(value, "value of user:42") == 0 ? arg : NULL;
}

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();
	pthread_t threads[THREADS];
	int answered = 0;
	void *result;

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: read_through DIRECTORY\n");
		return 2;
	}
	for (int i = 0; i < LOADERS; i++)
		pthread_mutex_init(&loaders[i], NULL);
	if (vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, cache) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		answered += result != NULL;
	}
	printf("%d threads answered, loaded %d time\n", answered, loaded);
	vmemcache_delete(cache);
	return 0;
}

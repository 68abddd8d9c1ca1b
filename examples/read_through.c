/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read_through.c DIRECTORY -- many threads miss one key, and one of them loads
 *
 * Loading is slow, so it should happen once. vmemcache_load() calls the loader
 * on one of the threads that miss; the others wait for the value, or for the
 * error. Loads of other keys go on at the same time.
 */
#include <libvmemcache.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define TIMEOUT_MS 10000

static int loaded;

/* Here a database would be asked. */
static int
load(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct vmemcache_item item;
	char value[64];
	size_t done = 0;

	(void)cache;
	(void)arg;
	loaded++;
	int size = snprintf(value, sizeof(value), "value of %.*s",
		(int)key_size, (const char *)key);
	if (vmemcache_loading_reserve(loading, (size_t)size, NULL, &item) != 0)
		return errno;
	for (int i = 0; i < item.iov_count; i++) {
		memcpy(item.iov[i].iov_base, value + done, item.iov[i].iov_len);
		done += item.iov[i].iov_len;
	}
	return 0;
}

static void *
work(void *arg)
{
	static const char expected[] = "value of user:42";
	VMEMcache *cache = arg;
	struct vmemcache_item item;
	size_t compared = 0;

	if (vmemcache_load(cache, "user:42", 7, load, NULL, NULL, TIMEOUT_MS,
		    &item) != 0)
		return NULL;
	for (int i = 0; i < item.iov_count; i++) {
		if (memcmp(item.iov[i].iov_base, expected + compared,
			    item.iov[i].iov_len) != 0)
			arg = NULL;
		compared += item.iov[i].iov_len;
	}
	vmemcache_unpin(cache, &item);
	return compared == strlen(expected) ? arg : NULL;
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counter.c DIRECTORY -- threads count together in a cache, by versions
 *
 * Each reads the number and its version, and stores the next number only if
 * that version is still there. Else another thread was faster, and it tries
 * again: no count is lost, and no lock is held.
 */
#include <libvmemcache.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define THREADS 4
#define COUNTS 1000

static const char key[] = "visitors";

/* 0, or -1 and errno. */
static int
count_one(VMEMcache *cache)
{
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	struct vmemcache_store how = {.struct_size = sizeof(how)};
	uint64_t number = 0;

	do {
		if (vmemcache_fetch(cache, key, sizeof(key), &number,
			    sizeof(number), 0, 0, &info) >= 0) {
			how.mode = VMEMCACHE_IF_VERSION;
			how.if_version = info.version;
		} else if (errno == ENOENT) { /* the first, or evicted */
			how.mode = VMEMCACHE_ADD;
			number = 0;
		} else {
			return -1;
		}
		number++;
		if (vmemcache_store(cache, key, sizeof(key), &number,
			    sizeof(number), &how, NULL) == 0)
			return 0;
	} while (errno == ESTALE || errno == ENOENT || errno == EEXIST);
	return -1;
}

static void *
work(void *cache)
{
	for (int i = 0; i < COUNTS; i++)
		if (count_one(cache) != 0)
			return cache;
	return NULL;
}

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();
	pthread_t threads[THREADS];
	uint64_t number = 0;

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: counter DIRECTORY\n");
		return 2;
	}
	if (vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, cache) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	vmemcache_get(
		cache, key, sizeof(key), &number, sizeof(number), 0, NULL);
	printf("%llu visitors\n", (unsigned long long)number);
	vmemcache_delete(cache);
	return 0;
}

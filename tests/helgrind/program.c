/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * program.c [race] -- a program with the shared library as it is installed, for
 * which the suppressions are; with a race of its own if it is told to
 */
#include <libvmemcache.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2, OPERATIONS = 1500, KEYS = 500, MOST = 4000 };

static VMEMcache *cache;
static int race;
static volatile unsigned long shared;

static void
put_it(VMEMcache *in, const void *key, size_t key_size, void *arg)
{
	char value[MOST];
	unsigned number;

	(void)arg;
	memcpy(&number, key, sizeof(number));
	memset(value, (int)number, sizeof(value));
	vmemcache_put(in, key, key_size, value, number * 8);
}

static void *
work(void *arg)
{
	unsigned random = *(unsigned *)arg;
	char value[2][MOST];

	for (unsigned i = 0; i < OPERATIONS; i++) {
		unsigned keys[2];
		unsigned long long entries;

		for (int k = 0; k < 2; k++) {
			random = random * 1103515245 + 12345;
			keys[k] = random / 65536 % KEYS;
		}
		vmemcache_get(cache, &keys[0], sizeof(keys[0]), value[0], MOST,
			0, NULL);
		struct vmemcache_request many[2] = {
			{.key = &keys[0],
				.key_size = sizeof(keys[0]),
				.vbuf = value[0],
				.vbufsize = MOST},
			{.key = &keys[1],
				.key_size = sizeof(keys[1]),
				.vbuf = value[1],
				.vbufsize = MOST},
		};
		vmemcache_get_many(cache, many, 2);
		if (i % 3 == 0)
			vmemcache_evict(cache, &keys[1], sizeof(keys[1]));
		if (i % 50 == 0)
			vmemcache_get_stat(cache, VMEMCACHE_STAT_ENTRIES,
				&entries, sizeof(entries));
		if (race)
			shared++;
	}
	return NULL;
}

int
main(int argc, char *argv[])
{
	pthread_t threads[THREADS];
	unsigned seeds[THREADS];

	race = argc > 1 && strcmp(argv[1], "race") == 0;
	cache = vmemcache_new();
	if (!cache || vmemcache_add(cache, "/dev/shm") != 0)
		return 1;
	vmemcache_callback_on_miss(cache, put_it, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		seeds[i] = i + 1;
		if (pthread_create(&threads[i], NULL, work, &seeds[i]) != 0)
			return 1;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	vmemcache_delete(cache);
	return 0;
}

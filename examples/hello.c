/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hello.c DIRECTORY -- the smallest useful program: a cache whose misses fill
 * themselves
 */
#include <libvmemcache.h>

#include <stdio.h>
#include <string.h>

/* Where the values come from, at a price: here only upper case. */
static void
produce(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	const char *word = key;
	char value[32];
	int *calls = arg;

	(*calls)++;
	for (size_t i = 0; i < key_size && i < sizeof(value); i++)
		value[i] = (char)(word[i] - 'a' + 'A');
	vmemcache_put(cache, key, key_size, value, key_size);
}

int
main(int argc, char *argv[])
{
	static const char *const words[] = {"hello", "cache", "hello"};
	VMEMcache *cache = vmemcache_new();
	int calls = 0;

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: hello DIRECTORY\n");
		return 2;
	}
	vmemcache_set_size(cache, 16 * 1024 * 1024);
	vmemcache_callback_on_miss(cache, produce, &calls);
	if (vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s: %s\n", argv[1], vmemcache_errormsg());
		return 1;
	}
	vmemcache_put(cache, "cache", 5, "put by hand", 11);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char value[32];
		ssize_t size = vmemcache_get(cache, words[i], strlen(words[i]),
			value, sizeof(value), 0, NULL);
		printf("%s: %.*s\n", words[i], (int)size, value);
	}
	printf("produced: %d\n", calls);
	vmemcache_delete(cache);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publisher.c -- publisher [-b] NAME...: publishes a cache of each name, some
 * items in each, says "ready", and ends when its standard input does
 *
 * -b: it is busy until then, for who wants to see vmemcache-top at work.
 */
#include <libvmemcache.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static VMEMcache *
make(void)
{
	VMEMcache *cache = vmemcache_new();

	if (!cache || vmemcache_add(cache, "/dev/shm")) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		exit(1);
	}
	return cache;
}

/* As a program that serves what few items of many are wanted most. */
static void
use(VMEMcache *cache, unsigned *random, int gets)
{
	char value[1000] = "";

	while (gets-- > 0) {
		*random = *random * 1103515245 + 12345;
		unsigned draw = *random >> 16, key = draw % 37 * (draw % 101);
		if (vmemcache_get(cache, &key, sizeof(key), value,
			    sizeof(value), 0, NULL) < 0)
			vmemcache_put(
				cache, &key, sizeof(key), value, sizeof(value));
	}
}

int
main(int argc, char **argv)
{
	int busy = argc > 1 && strcmp(argv[1], "-b") == 0;
	VMEMcache *caches[64];
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned random = 1;
	char c;
	int count = 0;

	for (int i = 1 + busy; i < argc && count < 64; i++) {
		caches[count] = make();
		use(caches[count], &random, 100);
		if (vmemcache_publish(caches[count++], argv[i])) {
			fprintf(stderr, "%s\n", vmemcache_errormsg());
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (poll(&input, 1, busy ? 1 : -1) == 0 ||
		read(STDIN_FILENO, &c, 1) > 0)
		for (int i = 0; i < count; i++)
			use(caches[i], &random, busy * (i + 1) * 10);
	for (int i = 0; i < count; i++)
		vmemcache_delete(caches[i]);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sessions.c DIRECTORY -- a store of sessions that expire
 *
 * A session lives for some time after its latest request: each request finds it
 * and renews its time to live in passing. What nobody asks for any more is gone
 * by itself, and its memory is used again first.
 */
#include <libvmemcache.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LIFE_MS 200

/* A request of that session; false: log in again. */
static int
request(VMEMcache *cache, const char *session)
{
	char user[64];

	if (vmemcache_get(cache, session, strlen(session), user, sizeof(user),
		    0, NULL) < 0)
		return 0;
	/* it may have expired just now, which is no harm */
	vmemcache_touch(cache, session, strlen(session), 0);
	return 1;
}

static void
log_in(VMEMcache *cache, const char *session, const char *user)
{
	/* a time to live of 0 is the cache's default */
	if (vmemcache_store(cache, session, strlen(session), user,
		    strlen(user) + 1, NULL, NULL) != 0)
		fprintf(stderr, "%s\n", vmemcache_errormsg());
}

static void
wait_ms(long ms)
{
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: sessions DIRECTORY\n");
		return 2;
	}
	vmemcache_set_ttl(cache, LIFE_MS);
	if (vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	log_in(cache, "a3f1", "ada");
	printf("a3f1: %s\n", request(cache, "a3f1") ? "welcome" : "log in");
	wait_ms(LIFE_MS + 50);
	printf("a3f1: %s\n", request(cache, "a3f1") ? "welcome" : "log in");
	log_in(cache, "b77c", "ada");
	printf("b77c: %s\n", request(cache, "b77c") ? "welcome" : "log in");
	vmemcache_delete(cache);
	return 0;
}

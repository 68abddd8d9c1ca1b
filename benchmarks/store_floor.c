/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_floor.c -- the least that moving a value can cost
 *
 * A plain shared mapping of the pool's size, of an unnamed file in the same
 * directory; a put copies the value into a place there, a get out of it. The
 * place is the key's number mixed and scaled: random for any sequence of
 * keys, as often the same as the key is. Places start at multiples of 256
 * bytes, as values in the pool do. There is no lookup, no eviction, no
 * synchronisation: two threads may overwrite each other.
 *
 * A /dev/dax device holds nothing beside the pool, so there the floor is
 * ordinary memory. The pages are touched first, as the pool's are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "random.h"
#include "room.h"
#include "store.h"

enum { GRANULE = 256 };

struct plain {
	struct bench_store head;
	char *base;
	size_t size;
};

/* NULL: larger than the whole. */
static inline char *
place_of(const struct plain *f, uint64_t id, size_t size)
{
	if (size > f->size)
		return NULL;
	uint64_t places = (f->size - size) / GRANULE + 1;
	uint64_t mixed = bench_mix(id * UINT64_C(0x9e3779b97f4a7c15));
	return f->base + bench_scale(mixed, places) * GRANULE;
}

static enum bench_result
floor_put(struct bench_store *s, const struct bench_key *key, const void *value,
	size_t size)
{
	char *place = place_of((struct plain *)s, key->id, size);

	if (place == NULL)
		return BENCH_REFUSED;
	memcpy(place, value, size);
	return BENCH_DONE;
}

static enum bench_result
floor_get(struct bench_store *s, const struct bench_key *key, void *buffer,
	size_t size)
{
	const char *place = place_of((struct plain *)s, key->id, size);

	if (place == NULL)
		return BENCH_MISS;
	memcpy(buffer, place, size);
	return BENCH_DONE;
}

static ssize_t
floor_get_many(
	struct bench_store *s, struct vmemcache_request *requests, size_t n)
{
	ssize_t hits = 0;

	for (size_t i = 0; i < n; i++) {
		struct vmemcache_request *r = &requests[i];
		struct bench_key key;

		memcpy(&key.id, r->key, sizeof(key.id));
		hits += floor_get(s, &key, r->vbuf, r->vbufsize) == BENCH_DONE;
	}
	return hits;
}

static void
floor_close(struct bench_store *s)
{
	struct plain *f = (struct plain *)s;

	munmap(f->base, f->size);
	free(f);
}

static const struct bench_store_type floor_type = {
	.name = "floor",
	.put = floor_put,
	.get = floor_get,
	.get_many = floor_get_many,
	.close = floor_close,
};

/* An unnamed file of that size with its space reserved. */
static int
unnamed_file(const char *directory, size_t size)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) {
		char name[4096];
		snprintf(name, sizeof(name), "%s/floor.XXXXXX", directory);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd < 0)
			bench_fail("floor: %s: %s", directory, strerror(errno));
		unlink(name);
	}
	int wrong = posix_fallocate(fd, 0, (off_t)size);
	if (wrong)
		bench_fail("floor of %zu bytes in %s: %s", size, directory,
			strerror(wrong));
	return fd;
}

struct bench_store *
bench_floor_open(size_t size)
{
	struct plain *f = bench_realloc(NULL, sizeof(*f));
	bool in_file = bench_is_directory(bench.path);
	int fd = in_file ? unnamed_file(bench.path, size) : -1;

	f->head.type = &floor_type;
	f->size = size;
	f->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
		in_file ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd, 0);
	if (f->base == MAP_FAILED)
		bench_fail("floor of %zu bytes: %s", size, strerror(errno));
	if (fd >= 0)
		close(fd);
	memset(f->base, 0x5a, size);
	return &f->head;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload_wide.c -- operations of a workload that concern more than one key:
 * clearing, removing by prefix, resizing, and spaces that come and go
 *
 * Clearing a space is one step for all of its keys, but a put that began before
 * it may still go by what was there before: what that finds is being removed,
 * key by key, and what it stores is gone at once. To those who look at keys the
 * clear is at most that many wipes, one after the other (LATE).
 *
 * The same for the cache itself, and removing by prefix, is one wipe for each
 * key: who meets the key removes it, and who does not has not found it there.
 */
#include "workload_internal.h"

enum { LATE = 3, MIB = 1 << 20 };

static void
wipe(struct worker *me, unsigned from, unsigned count, unsigned times,
	uint64_t call)
{
	uint64_t ret = workload_stamp();

	for (unsigned i = 0; i < count * times; i++)
		workload_record(me, WIPE, from + i % count, call, ret);
}

static void
clear(struct worker *me, unsigned key)
{
	unsigned keys = me->run->w->keys;
	uint64_t call = workload_stamp();
	int rc = vmemcache_clear(workload_place(me->run, key));

	workload_expect(rc == 0, "error of clear", key);
	wipe(me, key - key % keys, keys, key < keys ? 1 : LATE, call);
}

/* All keys of a place, or one: numbers are less than 256. */
static void
remove_prefix(struct worker *me, unsigned key)
{
	unsigned keys = me->run->w->keys;
	unsigned char number = (unsigned char)workload_number(me->run, key);
	bool one = testing_below(&me->random, 2);
	uint64_t call = workload_stamp();
	ssize_t n = vmemcache_remove_prefix(
		workload_place(me->run, key), &number, one);

	workload_expect(n >= 0, "error of remove_prefix", key);
	workload_expect(n <= (one ? 1 : (ssize_t)keys),
		"more than there are of remove_prefix", key);
	wipe(me, one ? key : key - key % keys, one ? 1 : keys, 1, call);
}

static void
resize(struct worker *me)
{
	size_t size = MIB + testing_below(&me->random, 13) * MIB / 4;
	unsigned from = me->count, evicted;
	int err = vmemcache_resize(me->run->cache, size) ? errno : 0;

	workload_close_evictions(me, from, workload_stamp(), &evicted);
	workload_expect(err == 0 || err == EBUSY || err == EALREADY,
		"error of resize", WORKLOAD_KEYS);
}

/* In a space of the thread's own it finds what it has put, and nothing else. */
static void
visit(struct worker *me, unsigned key)
{
	struct run *r = me->run;
	uint64_t number = workload_number(r, key), version;
	VMEMcache *space = vmemcache_new_space(r->cache, NULL);
	size_t size = r->w->sizes[1];
	char *buffer = me->buffers[me->depth];

	if (!space) {
		workload_expect(false, "no space", key);
		return;
	}
	version = workload_new_version(1);
	value_fill(buffer, size, 0, WORKLOAD_KEYS, version);
	for (int i = 0; i < 2; i++) {
		workload_expect(
			!vmemcache_exists(space, &number, sizeof(number), NULL),
			"a key of an empty space", key);
		int rc = vmemcache_put(
			space, &number, sizeof(number), buffer, size);
		workload_expect(rc == 0 || errno == ENOSPC,
			"error of put into an empty space", key);
		char found[16];
		ssize_t n = vmemcache_get(space, &number, sizeof(number), found,
			sizeof(found), 0, NULL);
		workload_expect(n < 0 ? !r->w->no_pressure && errno == ENOENT
				      : rc == 0 && n == (ssize_t)size &&
						value_is(found, size, 0,
							WORKLOAD_KEYS, version),
			"value of a space", key);
		if (i == 0)
			workload_expect(vmemcache_clear(space) == 0,
				"error of clear", key);
	}
	vmemcache_delete(space);
}

bool
workload_wide(struct worker *me, unsigned key)
{
	const struct workload *w = me->run->w;

	if (w->resizes && testing_below(&me->random, w->wipes ? 3 : 1) == 0)
		resize(me);
	else if (!w->wipes)
		return false;
	else if (testing_below(&me->random, 3) == 0)
		remove_prefix(me, key);
	else if (testing_below(&me->random, 4) == 0)
		visit(me, key);
	else
		clear(me, key);
	return true;
}

static void
new_space(struct run *r, unsigned i)
{
	r->place[i] = vmemcache_new_space(r->cache, NULL);
	if (!r->place[i])
		fail_msg("%s", vmemcache_errormsg());
}

void
workload_new_spaces(struct run *r)
{
	r->place[0] = r->cache;
	for (unsigned i = 1; i <= r->w->spaces; i++)
		new_space(r, i);
}

void
workload_renew_space(struct worker *me)
{
	struct run *r = me->run;
	uint64_t call = workload_stamp();

	if (r->w->spaces == 0 || testing_below(&me->random, 4) > 0)
		return;
	unsigned i = 1 + (unsigned)testing_below(&me->random, r->w->spaces);
	vmemcache_delete(r->place[i]);
	new_space(r, i);
	wipe(me, i * r->w->keys, r->w->keys, 1, call);
}

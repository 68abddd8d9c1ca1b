/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces.c -- spaces that are made, filled, cleared and deleted while any call
 * to the system or for memory fails
 *
 * What fails says so with an errno that is documented, and changes nothing: a
 * space that could not be cleared has all that it had, or, where its items are
 * to be told of, nothing. What the others have is whole all the while.
 */
#include "each.h"
#include "items.h"

/* Enough for more than one group of eras (space.h). */
#define SPACES 70u
/* Of these, what the first few have. */
#define FILLED 3u
#define KEYS 50u

struct scene {
	VMEMcache *cache;
	VMEMcache *space[SPACES]; /* NULL: could not be made */
	bool there[FILLED][KEYS];
	unsigned told;
};

static size_t
size_of(uint64_t key)
{
	return 1 + key * 997 % 2000;
}

/* Without memory of its own. */
static bool
put(struct scene *s, unsigned i, uint64_t key)
{
	char value[2048];

	value_fill(value, size_of(key), 0, key, i + 1);
	if (vmemcache_put(
		    s->space[i], &key, sizeof(key), value, size_of(key)) == 0)
		return true;
	each_expect(each_excuse(errno) && errno == ENOMEM);
	return false;
}

/* A get may need memory for its thread. */
static bool
get(struct scene *s, unsigned i, uint64_t key)
{
	char value[2048];
	ssize_t n = vmemcache_get(
		s->space[i], &key, sizeof(key), value, sizeof(value), 0, NULL);

	if (n < 0)
		each_expect(errno == ENOENT || each_excuse(errno));
	else
		each_expect(n == (ssize_t)size_of(key) &&
			    value_is(value, size_of(key), 0, key, i + 1));
	return n >= 0;
}

static void
make_space(struct scene *s, unsigned i)
{
	vmc_fail_const(1, "");
	s->space[i] = vmemcache_new_space(s->cache, NULL);
	if (!s->space[i]) {
		each_expect(each_excuse(errno) && errno == ENOMEM);
		each_expect(*vmemcache_errormsg());
	}
}

static void
fill(struct scene *s, unsigned i)
{
	for (uint64_t key = 0; s->space[i] && key < KEYS; key++)
		if (!s->there[i][key])
			s->there[i][key] = put(s, i, key);
}

static void
check(struct scene *s, unsigned i)
{
	if (!s->space[i])
		return;
	for (uint64_t key = 0; key < KEYS; key++)
		each_expect(get(s, i, key) == s->there[i][key] ||
			    (each_excuse(ENOMEM) && errno == ENOMEM));
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct scene *s = arg;

	(void)key, (void)key_size, (void)item;
	each_expect(cache == s->space[1]);
	each_expect(reason == VMEMCACHE_REASON_CLEARED);
	s->told++;
}

static unsigned
count(const struct scene *s, unsigned i)
{
	unsigned n = 0;

	for (unsigned key = 0; key < KEYS; key++)
		n += s->there[i][key];
	return n;
}

static uint64_t
items_of(VMEMcache *cache)
{
	struct vmemcache_statistics stat = {.struct_size = sizeof(stat)};

	each_expect(
		vmemcache_statistics(cache, &stat) == 0 || each_excuse(errno));
	return stat.items;
}

static void
clear(struct scene *s, unsigned i)
{
	unsigned before = count(s, i);

	if (!s->space[i])
		return;
	s->told = 0;
	vmc_fail_const(1, "");
	bool done = vmemcache_clear(s->space[i]) == 0;
	if (!done) {
		each_expect(each_excuse(errno) && errno == ENOMEM);
		each_expect(*vmemcache_errormsg());
	}
	if (i == 1)
		each_expect(done ? s->told == before : s->told <= before);
	else
		each_expect(s->told == 0);
	uint64_t left = items_of(s->space[i]);
	each_expect(left == 0 || (!done && left == before));
	if (left == 0)
		memset(s->there[i], 0, sizeof(s->there[i]));
	for (unsigned k = 0; k < FILLED; k++)
		check(s, k);
}

static void
renew_space(struct scene *s, unsigned i)
{
	vmemcache_delete(s->space[i]);
	memset(s->there[i], 0, sizeof(s->there[i]));
	make_space(s, i);
	check(s, i);
}

static void
play(struct scene *s)
{
	for (unsigned i = 0; i < FILLED; i++) {
		make_space(s, i);
		fill(s, i);
	}
	if (s->space[1])
		vmemcache_callback_on_remove(s->space[1], on_remove, s);
	for (unsigned i = 0; i < FILLED; i++)
		clear(s, i);
	for (unsigned i = 0; i < FILLED; i++)
		fill(s, i);
	renew_space(s, 2);
	clear(s, 0);
	fill(s, 2);
	for (unsigned i = FILLED; i < SPACES; i++)
		make_space(s, i);
}

static void
use_cache(void)
{
	static struct scene s;
	uint64_t all = 0;

	s = (struct scene){.cache = vmemcache_new()};
	if (!s.cache) {
		each_expect(each_excuse(errno));
		return;
	}
	if (vmemcache_add(s.cache, FIXTURE_DIR) != 0) {
		each_expect(each_excuse(errno));
		vmemcache_delete(s.cache);
		return;
	}
	play(&s);
	each_recover();
	for (unsigned i = 0; i < FILLED; i++) {
		check(&s, i);
		each_expect(
			!s.space[i] || items_of(s.space[i]) == count(&s, i));
		all += count(&s, i);
	}
	each_expect(items_of(s.cache) == all);
	each_expect(vmc_cache_check(s.cache) == 0);
	for (unsigned i = 0; i < SPACES; i += 2)
		vmemcache_delete(s.space[i]);
	vmemcache_delete(s.cache);
}

static void
spaces(void **state)
{
	(void)state;
	each_call(&(struct each){"spaces", use_cache, NULL});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

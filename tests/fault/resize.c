/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resize.c -- a pool that is resized while any call to the system or for memory
 * fails
 *
 * What fails says so with an errno that is documented, and the pool is as large
 * as it was; what is told to have gone is gone, and all else is there, whole.
 */
#include "each.h"
#include "items.h"

#define KEYS 700u
#define MIB ((size_t)1 << 20)

struct scene {
	VMEMcache *cache;
	bool there[KEYS];
};

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct scene *s = arg;
	uint64_t number;

	(void)cache;
	(void)item;
	(void)reason;
	each_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	each_expect(s->there[number]);
	s->there[number] = false;
}

static size_t
size_of(uint64_t key)
{
	return key % 16 == 0 ? 20000 + key : 1 + key * 997 % 3000;
}

/* Without memory of its own. */
static int
put(VMEMcache *cache, uint64_t key)
{
	char value[32768];

	value_fill(value, size_of(key), 0, key, 1);
	return vmemcache_put(cache, &key, sizeof(key), value, size_of(key));
}

/* True: it is there, whole. */
static bool
get(VMEMcache *cache, uint64_t key)
{
	char value[32768];
	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), value, sizeof(value), 0, NULL);

	return n == (ssize_t)size_of(key) &&
	       value_is(value, size_of(key), 0, key, 1);
}

static void
put_all(struct scene *s)
{
	for (uint64_t key = 0; key < KEYS; key++) {
		if (s->there[key])
			continue;
		s->there[key] = true;
		if (put(s->cache, key) != 0) {
			each_expect(each_excuse(errno) && errno == ENOMEM);
			s->there[key] = false;
		}
	}
}

/* Every key is there that should be; a get may need memory for its thread. */
static void
check_all(struct scene *s)
{
	for (uint64_t key = 0; key < KEYS; key++) {
		bool has = get(s->cache, key);
		each_expect(has == s->there[key] ||
			    (each_excuse(ENOMEM) && errno == ENOMEM));
	}
}

static void
resize(struct scene *s, size_t size)
{
	size_t before = s->cache->pool.size;

	vmc_fail_const(1, "");
	if (vmemcache_resize(s->cache, size) == 0) {
		each_expect(s->cache->pool.size == size);
	} else {
		each_expect(each_excuse(errno));
		each_expect(*vmemcache_errormsg());
		each_expect(s->cache->pool.size == before);
	}
	each_expect(
		vmc_extent_blocks(s->cache->extent) * VMEMCACHE_MIN_EXTENT <=
		s->cache->pool.size);
	check_all(s);
}

static void
use_cache(void)
{
	static struct scene s;

	s = (struct scene){.cache = vmemcache_new()};
	if (!s.cache) {
		each_expect(each_excuse(errno));
		return;
	}
	vmemcache_callback_on_remove(s.cache, on_remove, &s);
	if (vmemcache_add(s.cache, FIXTURE_DIR) != 0) {
		each_expect(each_excuse(errno));
		vmemcache_delete(s.cache);
		return;
	}
	put_all(&s);
	resize(&s, 3 * MIB);
	put_all(&s);
	resize(&s, 2 * MIB);
	resize(&s, MIB);
	resize(&s, 4 * MIB);
	put_all(&s);
	each_recover();
	check_all(&s);
	each_expect(vmc_cache_check(s.cache) == 0);
	vmemcache_callback_on_remove(s.cache, NULL, NULL);
	each_expect(vmemcache_clear(s.cache) == 0 || each_excuse(errno));
	vmemcache_delete(s.cache);
}

static void
resizing(void **state)
{
	(void)state;
	each_call(&(struct each){"resizing", use_cache, NULL});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resizing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixture.h -- a cache under test: opened, asked, checked; and values that
 * tell at any place what they are
 */
#ifndef VMC_TESTS_FIXTURE_H
#define VMC_TESTS_FIXTURE_H

#include "testing.h"

#include "base/error.h"
#include "cache.h"

#include <errno.h>

#define FIXTURE_DIR "/dev/shm"

/* The call fails like that, and leaves a message of its own. */
#define assert_fails(call, expected)                                           \
	do {                                                                   \
		vmc_fail_const(1, "of no call");                               \
		errno = 0;                                                     \
		long long failing_ = (long long)(call);                        \
		int errno_ = errno;                                            \
		assert_int_equal(failing_, -1);                                \
		assert_int_equal(errno_, expected);                            \
		assert_string_not_equal(vmemcache_errormsg(), "of no call");   \
		assert_string_not_equal(vmemcache_errormsg(), "");             \
	} while (0)

static inline VMEMcache *
fixture_new(size_t size, size_t extent, enum vmemcache_repl_p policy)
{
	VMEMcache *cache = vmemcache_new();

	assert_non_null(cache);
	if (size)
		assert_int_equal(vmemcache_set_size(cache, size), 0);
	if (extent)
		assert_int_equal(vmemcache_set_extent_size(cache, extent), 0);
	assert_int_equal(vmemcache_set_eviction_policy(cache, policy), 0);
	return cache;
}

/* size and extent 0: the defaults. */
static inline VMEMcache *
fixture_open(size_t size, size_t extent, enum vmemcache_repl_p policy)
{
	VMEMcache *cache = fixture_new(size, extent, policy);

	if (vmemcache_add(cache, FIXTURE_DIR) != 0)
		fail_msg("%s", vmemcache_errormsg());
	return cache;
}

static inline unsigned long long
fixture_stat(VMEMcache *cache, enum vmemcache_statistic stat)
{
	unsigned long long value = 0;

	assert_int_equal(
		vmemcache_get_stat(cache, stat, &value, sizeof(value)), 0);
	return value;
}

/* Above the numbers of all statistics, of which many are not used. */
#define FIXTURE_STATS 128

/* 0 where there is no such statistic. */
static inline unsigned long long
fixture_stat_if_any(VMEMcache *cache, int stat)
{
	unsigned long long value = 0;

	(void)vmemcache_get_stat(
		cache, (enum vmemcache_statistic)stat, &value, sizeof(value));
	return value;
}

static inline void
fixture_check(VMEMcache *cache)
{
	if (vmc_cache_check(cache) != 0)
		fail_msg("%s", vmemcache_errormsg());
}

/* Nothing is in the cache, and nothing kept for what was. */
static inline void
fixture_check_empty(VMEMcache *cache)
{
	fixture_check(cache);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_PMEM_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_KMEM_SIZE_USED), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_EXTENTS), 0);
	assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES), 1);
}

/* The cache itself is cleared, and all that was cleared has gone. */
static inline void
fixture_clear(VMEMcache *cache)
{
	unsigned calls = 0;

	do
		assert_int_equal(vmemcache_clear(cache), 0);
	while (++calls < 10000 &&
		fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED) > 0);
	fixture_check_empty(cache);
}

/* Keys of eight bytes, for those who do not care. */
static inline int
fixture_exists(VMEMcache *cache, uint64_t key)
{
	return vmemcache_exists(cache, &key, sizeof(key), NULL);
}

static inline int
fixture_evict(VMEMcache *cache, uint64_t key)
{
	return vmemcache_evict(cache, &key, sizeof(key));
}

/*
 * Word number `at` of version `version` of the value of `key`. One word is
 * enough to know all three: no two values of a cache have bytes in common
 * that a test could take for each other's.
 */
#define VALUE_ODD UINT64_C(0x9e3779b97f4a7c15)
#define VALUE_INVERSE UINT64_C(0xf1de83e19937733d)

static inline uint64_t
value_word(uint64_t key, uint64_t version, uint64_t at)
{
	return (version << 36 | (key & 0xffff) << 20 | (at & 0xfffff)) *
	       VALUE_ODD;
}

/* The n bytes of that value from offset on. */
static inline void
value_fill(void *to, size_t n, size_t offset, uint64_t key, uint64_t version)
{
	char *out = to;

	while (n > 0) {
		uint64_t word = value_word(key, version, offset / 8);
		size_t skip = offset % 8;
		size_t part = 8 - skip < n ? 8 - skip : n;
		if (part == 8) /* without a call: most of what tests do */
			memcpy(out, &word, 8);
		else
			memcpy(out, (char *)&word + skip, part);
		out += part;
		offset += part;
		n -= part;
	}
}

/* Are they the n bytes of that value from offset on, every one of them? */
static inline bool
value_is(const void *bytes, size_t n, size_t offset, uint64_t key,
	uint64_t version)
{
	const char *in = bytes;
	char expected[256];

	while (n > 0) {
		size_t part = n < sizeof(expected) ? n : sizeof(expected);
		value_fill(expected, part, offset, key, version);
		if (memcmp(in, expected, part) != 0)
			return false;
		in += part;
		offset += part;
		n -= part;
	}
	return true;
}

/*
 * Are they the n bytes from offset on of some version of the value of key, and
 * of that one alone? Then *version is it, or 0 if they are too few to tell.
 */
static inline bool
value_decode(const void *bytes, size_t n, size_t offset, uint64_t key,
	uint64_t *version)
{
	size_t skip = (8 - offset % 8) % 8;
	uint64_t word;

	*version = 0;
	if (n < skip + 8)
		return true;
	memcpy(&word, (const char *)bytes + skip, 8);
	*version = word * VALUE_INVERSE >> 36;
	return value_is(bytes, n, offset, key, *version);
}

/* Put version `version` of the value of `key`, size bytes of it. */
static inline int
fixture_put(VMEMcache *cache, uint64_t key, uint64_t version, size_t size)
{
	char *value = malloc(size + 1);

	value_fill(value, size, 0, key, version);
	int rc = vmemcache_put(cache, &key, sizeof(key), value, size);
	int err = errno;
	free(value);
	errno = err;
	return rc;
}

/* The key has that version of its value, size bytes of it. A get. */
static inline bool
fixture_has(VMEMcache *cache, uint64_t key, uint64_t version, size_t size)
{
	size_t true_size = SIZE_MAX;
	char *buffer = malloc(size + 1);
	ssize_t n = vmemcache_get(
		cache, &key, sizeof(key), buffer, size + 1, 0, &true_size);
	bool is = n == (ssize_t)size && true_size == size &&
		  value_is(buffer, size, 0, key, version);

	free(buffer);
	return is;
}

#endif

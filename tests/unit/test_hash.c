/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hash.c -- what the cache relies on in the hash of a key
 */
#include "testing.h"

#include "base/hash.h"
#include "base/os.h"

#include <sys/mman.h>

enum { LONGEST = 2000 };

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
assert_all_different(uint64_t *hashes, size_t count)
{
	qsort(hashes, count, sizeof(*hashes), compare);
	for (size_t i = 1; i < count; i++)
		assert_int_not_equal(hashes[i], hashes[i - 1]);
}

/* A key that ends where the readable memory ends, and begins where it does. */
static void
test_reads_the_key_alone(void **state)
{
	size_t page = vmc_os_page_size();
	unsigned char *map = mmap(
		NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char copy[LONGEST];

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	mprotect(map + page, page, PROT_READ | PROT_WRITE);
	uint64_t random = testing_seed();
	for (size_t i = 0; i < page; i++)
		map[page + i] = (unsigned char)testing_random(&random);
	for (size_t n = 0; n <= LONGEST; n++) {
		unsigned char *end = map + 2 * page - n, *start = map + page;
		uint64_t seed = testing_random(&random);

		memcpy(copy, end, n);
		assert_int_equal(
			vmc_hash(end, n, seed), vmc_hash(copy, n, seed));
		memcpy(copy, start, n);
		assert_int_equal(
			vmc_hash(start, n, seed), vmc_hash(copy, n, seed));
	}
	munmap(map, 3 * page);
}

/* Zeros of any length, none a prefix-problem of another; and every seed. */
static void
test_length_and_seed_count(void **state)
{
	static const unsigned char zeros[LONGEST];
	static uint64_t hashes[LONGEST];
	uint64_t random = testing_seed();

	(void)state;
	for (size_t n = 0; n < LONGEST; n++)
		hashes[n] = vmc_hash(zeros, n, random);
	assert_all_different(hashes, LONGEST);
	for (size_t n = 0; n < LONGEST; n++)
		hashes[n] = vmc_hash(zeros, 8, testing_random(&random));
	assert_all_different(hashes, LONGEST);
	assert_int_equal(vmc_hash(NULL, 0, 1), vmc_hash("", 0, 1));
}

/* Counting numbers are the usual keys: all hashes differ, all stripes fill. */
static void
test_numbers_spread(void **state)
{
	enum { NUMBERS = 1 << 17, PARTS = 256 };
	static uint64_t hashes[NUMBERS];
	unsigned top[PARTS] = {0}, second[PARTS] = {0};
	uint64_t random = testing_seed();
	uint64_t seed = testing_random(&random);
	const unsigned mean = NUMBERS / PARTS;

	(void)state;
	for (uint64_t i = 0; i < NUMBERS; i++) {
		hashes[i] = vmc_hash(&i, sizeof(i), seed);
		top[hashes[i] >> 56]++;
		second[hashes[i] >> 48 & (PARTS - 1)]++;
	}
	/* ten standard deviations of some 23 */
	for (unsigned i = 0; i < PARTS; i++) {
		assert_in_range(top[i], mean - 230, mean + 230);
		assert_in_range(second[i], mean - 230, mean + 230);
	}
	assert_all_different(hashes, NUMBERS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_the_key_alone),
		cmocka_unit_test(test_length_and_seed_count),
		cmocka_unit_test(test_numbers_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

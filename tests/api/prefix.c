/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefix.c -- items in the order of their keys, by prefix; with and without
 * vmemcache_set_ordered()
 */
#include "items.h"

#include <pthread.h>

/* Keys with zeros, one the beginning of another, none, and long ones. */
#define LONG 65536

struct text {
	char bytes[24];
	size_t size;
};

#define TEXT(literal)                                                          \
	{                                                                      \
		literal, sizeof(literal) - 1                                   \
	}

static const struct text texts[] = {TEXT(""), TEXT("\0"), TEXT("\0\0"),
	TEXT("\0a"), TEXT("a"), TEXT("a\0"), TEXT("a\0b"), TEXT("a/"),
	TEXT("a/1"), TEXT("a/10"), TEXT("a/2"), TEXT("a0"), TEXT("ab"),
	TEXT("ab\x01"), TEXT("b/1"), TEXT("\xfe"), TEXT("\xff"),
	TEXT("\xff\xff")};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static VMEMcache *
open_cache(int ordered, enum vmemcache_repl_p policy, size_t size)
{
	VMEMcache *cache = fixture_new(size, 0, policy);

	assert_int_equal(vmemcache_set_ordered(cache, ordered), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	return cache;
}

static void
put_text(VMEMcache *cache, unsigned i)
{
	assert_int_equal(vmemcache_put(cache, texts[i].bytes, texts[i].size,
				 texts[i].bytes, sizeof(texts[i].bytes)),
		0);
}

static bool
begins_with(const struct text *text, const struct text *prefix)
{
	return text->size >= prefix->size &&
	       memcmp(text->bytes, prefix->bytes, prefix->size) == 0;
}

static int
compare(const struct text *a, const struct text *b)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int order = memcmp(a->bytes, b->bytes, n);

	return order ? order : (a->size > b->size) - (a->size < b->size);
}

struct shown {
	struct text keys[TEXTS + 1];
	size_t count, stop_after;
	enum vmemcache_step step;
};

static enum vmemcache_step
show(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct shown *shown = arg;
	struct text *text = &shown->keys[shown->count++];

	(void)cache;
	assert_true(shown->count <= TEXTS && key_size < sizeof(text->bytes));
	*text = (struct text){.size = key_size};
	memcpy(text->bytes, key, key_size);
	assert_int_equal(item->info.value_size, sizeof(text->bytes));
	assert_memory_equal(item->iov[0].iov_base, text, sizeof(text->bytes));
	return shown->stop_after && shown->count >= shown->stop_after
		       ? VMEMCACHE_WALK_STOP
		       : shown->step;
}

/* What the walk in pieces shows is what the sorted array has. */
static void
compare_walk(VMEMcache *cache, const bool *there, const struct text *prefix,
	const struct text *after, size_t piece)
{
	struct shown shown = {.step = VMEMCACHE_WALK_ON};
	const struct text *last = after;
	size_t k = 0;
	ssize_t n;

	do {
		n = vmemcache_walk_prefix(cache, prefix->bytes, prefix->size,
			last ? last->bytes : NULL, last ? last->size : 0, piece,
			show, &shown);
		assert_true(n >= 0 && (size_t)n <= piece);
		last = shown.count ? &shown.keys[shown.count - 1] : last;
	} while ((size_t)n == piece);
	for (unsigned i = 0; i < TEXTS; i++) {
		if (!there[i] || !begins_with(&texts[i], prefix) ||
			(after && compare(&texts[i], after) <= 0))
			continue;
		assert_true(k < shown.count);
		assert_int_equal(compare(&texts[i], &shown.keys[k++]), 0);
	}
	assert_int_equal(k, shown.count);
}

/* Every prefix, from behind every key, in pieces, of any part of the keys. */
static void
test_all_prefixes(void **state)
{
	uint64_t random = testing_seed();

	(void)state;
	for (int round = 0; round < 6; round++) {
		VMEMcache *cache = open_cache(
			round % 2, VMEMCACHE_REPLACEMENT_LRU, 1 << 20);
		bool there[TEXTS];
		for (unsigned i = 0; i < TEXTS; i++) {
			there[i] = round < 2 || testing_below(&random, 2);
			if (there[i])
				put_text(cache, i);
		}
		for (unsigned p = 0; p < TEXTS; p++) {
			compare_walk(cache, there, &texts[p], NULL, SIZE_MAX);
			for (unsigned a = 0; a < TEXTS; a++)
				compare_walk(cache, there, &texts[p], &texts[a],
					1 + testing_below(&random, 4));
		}
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

static void
test_steps(void **state)
{
	(void)state;
	for (int ordered = 0; ordered < 2; ordered++) {
		VMEMcache *cache =
			open_cache(ordered, VMEMCACHE_REPLACEMENT_LRU, 1 << 20);
		struct shown shown = {
			.step = VMEMCACHE_WALK_ON, .stop_after = 2};
		for (unsigned i = 0; i < TEXTS; i++)
			put_text(cache, i);
		assert_int_equal(vmemcache_walk_prefix(cache, "a", 1, NULL, 0,
					 SIZE_MAX, show, &shown),
			2);
		shown = (struct shown){.step = VMEMCACHE_WALK_REMOVE};
		assert_int_equal(vmemcache_walk_prefix(cache, "a/", 2, NULL, 0,
					 3, show, &shown),
			3);
		assert_int_equal(vmemcache_remove_prefix(cache, "a/", 2), 1);
		assert_int_equal(vmemcache_exists(cache, "a/10", 4, NULL), 0);
		assert_int_equal(vmemcache_exists(cache, "a0", 2, NULL), 1);
		assert_int_equal(vmemcache_remove_prefix(cache, "a/", 2), 0);
		assert_int_equal(
			vmemcache_remove_prefix(cache, NULL, 0), TEXTS - 4);
		assert_int_equal(fixture_stat(cache, VMEMCACHE_STAT_GET), 0);
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

static void
test_long_keys(void **state)
{
	static char key[LONG];

	(void)state;
	for (int ordered = 0; ordered < 2; ordered++) {
		VMEMcache *cache =
			open_cache(ordered, VMEMCACHE_REPLACEMENT_LRU, 4 << 20);
		memset(key, 0, sizeof(key));
		for (unsigned i = 0; i < 100; i++) {
			key[LONG - 3] = (char)i;
			assert_int_equal(vmemcache_put(cache, key,
						 LONG - 2 + i % 3, "v", 1),
				0);
		}
		assert_int_equal(
			vmemcache_remove_prefix(cache, key, LONG - 2), 1);
		assert_int_equal(
			vmemcache_remove_prefix(cache, key, LONG - 3), 99);
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

static void
test_errors(void **state)
{
	VMEMcache *cache = fixture_new(1 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct shown s = {0};

	(void)state;
	assert_fails(vmemcache_set_ordered(NULL, 1), EINVAL);
	assert_int_equal(vmemcache_set_ordered(cache, 1), 0);
	assert_fails(vmemcache_remove_prefix(cache, "a", 1), EINVAL);
	assert_fails(vmemcache_walk_prefix(cache, "a", 1, NULL, 0, 1, show, &s),
		EINVAL);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_fails(vmemcache_set_ordered(cache, 0), EALREADY);
	assert_fails(vmemcache_walk_prefix(NULL, "a", 1, NULL, 0, 1, show, &s),
		EINVAL);
	assert_fails(
		vmemcache_walk_prefix(cache, NULL, 1, NULL, 0, 1, show, &s),
		EINVAL);
	assert_fails(vmemcache_walk_prefix(cache, "a", 1, NULL, 1, 1, show, &s),
		EINVAL);
	assert_fails(vmemcache_walk_prefix(cache, "a", 1, NULL, 0, 0, show, &s),
		EINVAL);
	assert_fails(vmemcache_walk_prefix(cache, "a", 1, NULL, 0, 1, NULL, &s),
		EINVAL);
	assert_fails(vmemcache_remove_prefix(NULL, "a", 1), EINVAL);
	assert_fails(vmemcache_remove_prefix(cache, NULL, 1), EINVAL);
	vmemcache_delete(cache);
}

/* --- what goes says so --- */

struct told {
	unsigned evicted, removed[VMEMCACHE_REASONS];
	bool nested;
};

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct told *told = arg;

	told->evicted++;
	/* what this call is about goes from the index at once */
	if (told->nested) {
		told->nested = false;
		assert_int_equal(key_size, 2);
		assert_int_equal(
			vmemcache_remove_prefix(cache, key, key_size), 3);
		assert_int_equal(
			vmemcache_exists(cache, key, key_size, NULL), 0);
	}
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct told *told = arg;

	(void)cache, (void)key, (void)key_size, (void)item;
	told->removed[reason]++;
}

static void
test_callbacks(void **state)
{
	(void)state;
	for (int ordered = 0; ordered < 2; ordered++) {
		VMEMcache *cache =
			open_cache(ordered, VMEMCACHE_REPLACEMENT_LRU, 1 << 20);
		struct told told = {.nested = true};
		struct vmemcache_item item;
		vmemcache_callback_on_evict(cache, on_evict, &told);
		vmemcache_callback_on_remove(cache, on_remove, &told);
		for (unsigned i = 0; i < TEXTS; i++)
			put_text(cache, i);
		/* pinned, it goes all the same, and its value stays */
		assert_int_equal(vmemcache_pin(cache, "a/1", 3, 0, &item), 0);
		assert_int_equal(vmemcache_remove_prefix(cache, "a/", 2), 1);
		assert_int_equal(told.evicted, 4);
		assert_int_equal(told.removed[VMEMCACHE_REASON_EVICTED], 4);
		assert_int_equal(vmemcache_exists(cache, "a/1", 3, NULL), 0);
		assert_memory_equal(item.iov[0].iov_base, "a/1", 4);
		vmemcache_unpin(cache, &item);
		assert_int_equal(
			vmemcache_remove_prefix(cache, "", 0), TEXTS - 4);
		fixture_check_empty(cache);
		vmemcache_delete(cache);
	}
}

static enum vmemcache_step
leave(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item;
	pthread_exit(arg);
}

static void *
walk_and_leave(void *cache)
{
	vmemcache_walk_prefix(cache, "a", 1, NULL, 0, SIZE_MAX, leave, NULL);
	return NULL;
}

/* Nothing stays pinned, and nothing allocated. */
static void
test_callback_does_not_return(void **state)
{
	(void)state;
	for (int ordered = 0; ordered < 2; ordered++) {
		VMEMcache *cache =
			open_cache(ordered, VMEMCACHE_REPLACEMENT_LRU, 1 << 20);
		pthread_t thread;
		for (unsigned i = 0; i < TEXTS; i++)
			put_text(cache, i);
		assert_int_equal(
			pthread_create(&thread, NULL, walk_and_leave, cache),
			0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(vmc_cache_pinned_items(cache), 0);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

/* --- every policy, with victims, replacements and expiry --- */

static size_t
number_key(char *key, unsigned number)
{
	return (size_t)sprintf(key, "%u/%u", number % 10, number);
}

static enum vmemcache_step
count_one(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	char *last = arg;
	char copy[32] = {0};

	(void)cache;
	assert_true(key_size < sizeof(copy));
	memcpy(copy, key, key_size);
	assert_true(strcmp(last, copy) < 0);
	memcpy(last, copy, sizeof(copy));
	assert_true(item->info.value_size <= 3000);
	return VMEMCACHE_WALK_ON;
}

static void
churn(VMEMcache *cache, uint64_t *random)
{
	static const char value[3000];
	char key[32];

	for (int i = 0; i < 3000; i++) {
		size_t size =
			number_key(key, (unsigned)testing_below(random, 2000));
		struct vmemcache_store how = {.struct_size = sizeof(how),
			.ttl_ms = testing_below(random, 3) ? 0 : 1};
		int rc = vmemcache_store(cache, key, size, value,
			testing_below(random, sizeof(value)), &how, NULL);
		if (rc) /* with policy NONE */
			assert_int_equal(errno, ENOSPC);
		if (i % 7 == 0)
			(void)vmemcache_touch(cache, key, size, 100000);
		if (i % 5 == 0)
			(void)vmemcache_evict(cache, key, size);
	}
}

static void
test_all_policies(void **state)
{
	uint64_t random = testing_seed();

	(void)state;
	for (int p = 0; p < 32; p++) {
		VMEMcache *cache = vmemcache_new();
		char prefix[2] = "0/";
		assert_non_null(cache);
		if (vmemcache_set_eviction_policy(
			    cache, (enum vmemcache_repl_p)p) != 0) {
			vmemcache_delete(cache);
			continue;
		}
		vmemcache_delete(cache);
		cache = open_cache(1, (enum vmemcache_repl_p)p, 1 << 20);
		for (int round = 0; round < 5; round++) {
			churn(cache, &random);
			fixture_check(cache);
			char last[32] = "";
			unsigned long long items =
				fixture_stat(cache, VMEMCACHE_STAT_ENTRIES);
			ssize_t n = vmemcache_walk_prefix(cache, "", 0, NULL, 0,
				SIZE_MAX, count_one, last);
			assert_true(n >= 0 && (unsigned long long)n <= items);
			ssize_t gone = 0, all = 0;
			for (prefix[0] = '0'; prefix[0] < '5'; prefix[0]++) {
				gone = vmemcache_remove_prefix(
					cache, prefix, sizeof(prefix));
				assert_true(gone >= 0);
				all += gone;
			}
			assert_true(all <= n);
			last[0] = 0;
			assert_int_equal(
				vmemcache_walk_prefix(cache, "3/", 2, NULL, 0,
					SIZE_MAX, count_one, last),
				0);
			fixture_check(cache);
			fixture_clear(cache);
		}
		vmemcache_delete(cache);
	}
}

/* A cache is closed and added again, ordered as before. */
static void
test_fits_what_is_there(void **state)
{
	(void)state;
	for (int ordered = 0; ordered < 2; ordered++) {
		VMEMcache *cache =
			open_cache(ordered, VMEMCACHE_REPLACEMENT_LRU, 1 << 20);
		char key[32];
		for (unsigned i = 0; i < 3000; i++)
			assert_int_equal(vmemcache_put(cache, key,
						 number_key(key, i), key, 10),
				0);
		for (unsigned piece = 1; piece < 400; piece += 97) {
			char last[32] = "7/";
			unsigned total = 0;
			ssize_t n;
			do {
				n = vmemcache_walk_prefix(cache, "7/", 2, last,
					strlen(last), piece, count_one, last);
				assert_true(n >= 0);
				total += (unsigned)n;
			} while ((size_t)n == piece);
			assert_int_equal(total, 300);
		}
		assert_int_equal(vmemcache_remove_prefix(cache, "7/", 2), 300);
		assert_int_equal(vmemcache_remove_prefix(cache, "7", 1), 0);
		assert_int_equal(
			fixture_stat(cache, VMEMCACHE_STAT_ENTRIES), 2700);
		fixture_check(cache);
		vmemcache_delete(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_prefixes),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_callbacks),
		cmocka_unit_test(test_callback_does_not_return),
		cmocka_unit_test(test_all_policies),
		cmocka_unit_test(test_fits_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

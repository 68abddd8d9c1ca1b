/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * expiry_many.c -- as many items as $VMC_TEST_OPERATIONS says, each with a
 * random time to live of 1 to 100 s, in a pool that has room for a third of
 * them, under a clock that goes on by 100 s meanwhile
 *
 * A plain model knows which items are there and which of them are over. None is
 * returned late, none goes early, and nothing good is evicted while there is
 * one that is over.
 */
#include "items.h"

#include "base/os.h"

#include <inttypes.h>

enum { BLOCK = 256, SECONDS = 100, MS = SECONDS * 1000 };

static uint64_t now_ms = 1;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return now_ms;
}

struct model {
	uint64_t count; /* keys are below */
	struct {
		uint32_t deadline; /* ms */
		bool there;
	} * item;
	uint32_t due[2 * MS + 2]; /* items that are there, by deadline */
	uint64_t over;            /* that are there, and their time is over */
	uint64_t removed[VMEMCACHE_REASONS];
};

static void
pass_a_ms(struct model *m)
{
	m->over += m->due[++now_ms];
}

static void
note_removal(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct model *m = arg;
	uint64_t number;

	(void)cache, (void)item;
	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	bool over = m->item[number].deadline <= now_ms;
	assert_true(m->item[number].there);
	if (reason == VMEMCACHE_REASON_CAPACITY) {
		assert_false(over);
		assert_int_equal(m->over, 0);
	} else {
		assert_int_equal(reason, VMEMCACHE_REASON_EXPIRED);
		assert_true(over);
	}
	m->item[number].there = false;
	if (over)
		m->over--;
	else
		m->due[m->item[number].deadline]--;
	m->removed[reason]++;
}

static void
store_one(VMEMcache *cache, struct model *m, uint64_t key, uint64_t *random)
{
	struct vmemcache_store how = items_mode(VMEMCACHE_SET);

	how.ttl_ms = 1000 + testing_below(random, MS - 1000 + 1);
	assert_int_equal(items_store(cache, key, 1, BLOCK, &how, NULL), 0);
	m->item[key].deadline = (uint32_t)(now_ms + how.ttl_ms);
	m->item[key].there = true;
	m->due[m->item[key].deadline]++;
}

static void
get_one(VMEMcache *cache, const struct model *m, uint64_t key)
{
	bool there = m->item[key].there && m->item[key].deadline > now_ms;

	assert_int_equal(fixture_has(cache, key, 1, BLOCK), there);
}

static void
test_many(void **state)
{
	uint64_t random = testing_seed();
	uint64_t count = testing_operations(200000);
	struct model *m = calloc(1, sizeof(*m));
	VMEMcache *cache = fixture_new(
		count / 3 * BLOCK, BLOCK, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_non_null(m);
	m->item = calloc(count, sizeof(*m->item));
	assert_non_null(m->item);
	vmemcache_callback_on_remove(cache, note_removal, m);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t key = 0; key < count; key++) {
		while (now_ms <= key * MS / count)
			pass_a_ms(m);
		store_one(cache, m, key, &random);
		get_one(cache, m, testing_below(&random, key + 1));
	}
	fixture_check(cache);
	assert_true(m->removed[VMEMCACHE_REASON_CAPACITY] > 0);
	assert_true(m->removed[VMEMCACHE_REASON_EXPIRED] > 0);
	printf("%" PRIu64 " items: %" PRIu64 " expired, %" PRIu64
	       " evicted for room\n",
		count, m->removed[VMEMCACHE_REASON_EXPIRED],
		m->removed[VMEMCACHE_REASON_CAPACITY]);
	vmemcache_callback_on_remove(cache, NULL, NULL);
	vmemcache_delete(cache);
	free(m->item);
	free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

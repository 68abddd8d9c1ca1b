/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.c -- all calls on items at once, from three threads, in a pool that is
 * far too small, with a clock that runs fast and callbacks that call in turn
 * and may not return
 *
 * Each value tells whose it is, and is whole wherever it is met: by a get, a
 * fetch, a pin, a walk, a callback. A version tells of one value alone. In the
 * end everything can be given back, and nothing is left.
 */
#include "items.h"

#include "base/os.h"

#include <pthread.h>

enum { THREADS = 3, ROUNDS = 4, KEYS = 60, SLOTS = 16, LARGEST = 60000 };
enum { VERSIONS = 1 << 22, MANY = 6 };

/* Pinned or reserved; by the thread that has taken it. */
struct slot {
	_Atomic bool taken;
	bool reserved;
	uint64_t key, number;
	size_t size;
	struct vmemcache_item item;
};

struct scene {
	VMEMcache *cache;
	uint64_t seed, operations;
	_Atomic uint64_t numbers;
	_Atomic unsigned next;
	struct slot slot[SLOTS];
	_Atomic uint64_t *value_of; /* a version: number and key */
};

static _Atomic uint64_t now_ms = 1000;

/* Of the calling thread. */
static _Thread_local uint64_t random_state;
static _Thread_local unsigned depth;
static _Thread_local bool may_leave;
static _Thread_local char buffers[2][MANY][LARGEST];

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return vmc_load_relaxed(&now_ms);
}

static uint64_t
chance(uint64_t bound)
{
	return testing_below(&random_state, bound);
}

static void
note_version(struct scene *s, uint64_t key, uint64_t number, uint64_t version)
{
	uint64_t expected = 0, value = number << 8 | key;

	testing_expect(version > 1 && version < VERSIONS);
	if (number > 0 && version < VERSIONS &&
		!vmc_cas_acq_rel(&s->value_of[version], &expected, value))
		testing_expect(expected == value);
}

/* One value of the key, in all of its pieces; its number, or 0. */
static uint64_t
check_item(struct scene *s, uint64_t key, const struct vmemcache_item *item)
{
	uint64_t number = 0;
	size_t at = 0;

	if (item->iov_count > 0)
		testing_expect(value_decode(item->iov[0].iov_base,
			item->iov[0].iov_len, 0, key, &number));
	for (int i = 0; i < item->iov_count; i++) {
		testing_expect(number == 0 ||
			       value_is(item->iov[i].iov_base,
				       item->iov[i].iov_len, at, key, number));
		at += item->iov[i].iov_len;
	}
	testing_expect(at == item->info.value_size);
	note_version(s, key, number, item->info.version);
	return number;
}

static size_t
random_size(void)
{
	return 8 + chance(chance(4) ? 3000 : LARGEST - 8);
}

static struct vmemcache_store
random_how(void)
{
	return (struct vmemcache_store){
		.struct_size = sizeof(struct vmemcache_store),
		.mode = (enum vmemcache_mode)chance(3),
		.flags = chance(4) ? 0 : VMEMCACHE_KEEP_TTL,
		.ttl_ms = chance(2) ? 0 : 1 + chance(300),
		.tag = (uint32_t)chance(2)};
}

/* Is that how such a call fails? */
static void
expect_done(int rc)
{
	testing_expect(rc == 0 || errno == ENOENT || errno == EEXIST ||
		       errno == EAGAIN || errno == ENOSPC || errno == ESRCH ||
		       errno == ESTALE);
}

static int
store(struct scene *s, uint64_t key)
{
	uint64_t number = 1 + vmc_fetch_add_relaxed(&s->numbers, 1);
	struct vmemcache_store how = random_how();
	size_t size = depth > 0 ? 100 : random_size();
	char *value = buffers[depth > 0][0];
	uint64_t version = 0;
	bool leave = may_leave;

	value_fill(value, size, 0, key, number);
	if (chance(4) == 0)
		return vmemcache_put(s->cache, &key, sizeof(key), value, size);
	may_leave = leave && chance(2);
	int rc = vmemcache_store(
		s->cache, &key, sizeof(key), value, size, &how, &version);
	may_leave = leave;
	testing_expect((rc == 0) == (version > 0));
	if (rc == 0)
		note_version(s, key, number, version);
	return rc;
}

static int
fetch(struct scene *s, uint64_t key)
{
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	char *buffer = buffers[depth > 0][1];
	size_t offset = chance(2) ? 0 : chance(200);
	uint64_t number;
	ssize_t n = vmemcache_fetch(s->cache, &key, sizeof(key), buffer,
		LARGEST, offset, depth > 0 ? 3 : (unsigned)chance(4), &info);

	if (n < 0)
		return -1;
	testing_expect(
		(size_t)n ==
		(offset < info.value_size ? info.value_size - offset : 0));
	testing_expect(value_decode(buffer, (size_t)n, offset, key, &number));
	if (info.version > 0)
		note_version(s, key, number, info.version);
	return 0;
}

static int
store_many(struct scene *s)
{
	struct vmemcache_store_request requests[MANY];
	struct vmemcache_store hows[MANY];
	uint64_t keys[MANY], numbers[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		size_t size = random_size();
		keys[i] = chance(KEYS);
		hows[i] = random_how();
		numbers[i] = 1 + vmc_fetch_add_relaxed(&s->numbers, 1);
		value_fill(buffers[0][i], size, 0, keys[i], numbers[i]);
		requests[i] = (struct vmemcache_store_request){&keys[i],
			sizeof(keys[i]), buffers[0][i], size, &hows[i], 0, 0};
	}
	ssize_t n = vmemcache_store_many(s->cache, requests, MANY);
	for (unsigned i = 0; i < MANY; i++)
		if (requests[i].result == 0 && n-- > 0)
			note_version(
				s, keys[i], numbers[i], requests[i].version);
	testing_expect(n == 0);
	return 0;
}

/* Unpin, commit or abort what is there; or pin, or reserve. */
static int
use_slot(struct scene *s, uint64_t key)
{
	struct slot *slot = &s->slot[chance(SLOTS)];
	uint64_t version = 0;
	int rc = 0;

	if (vmc_exchange_acq_rel(&slot->taken, true))
		return 0;
	may_leave = false;
	if (slot->item.iov_count >= 0 && !slot->reserved) {
		testing_expect(
			check_item(s, slot->key, &slot->item) == slot->number);
		vmemcache_unpin(s->cache, &slot->item);
	} else if (slot->item.iov_count >= 0 && chance(4) == 0) {
		vmemcache_abort(s->cache, &slot->item);
	} else if (slot->item.iov_count >= 0) {
		size_t size = 8 + chance(slot->size - 7);
		rc = vmemcache_commit(s->cache, &slot->item,
			chance(2) ? slot->size : size, &version);
		if (rc == 0)
			note_version(s, slot->key, slot->number, version);
	} else if (chance(2)) {
		slot->reserved = false;
		slot->key = key;
		rc = vmemcache_pin(s->cache, &key, sizeof(key),
			(unsigned)chance(4), &slot->item);
		if (rc == 0)
			slot->number = check_item(s, key, &slot->item);
	} else {
		struct vmemcache_store how = random_how();
		size_t at = 0;
		slot->reserved = true;
		slot->key = key;
		slot->size = random_size();
		slot->number = 1 + vmc_fetch_add_relaxed(&s->numbers, 1);
		rc = vmemcache_reserve(s->cache, &key, sizeof(key), slot->size,
			&how, &slot->item);
		for (int i = 0; rc == 0 && i < slot->item.iov_count; i++) {
			const struct iovec *piece = &slot->item.iov[i];
			value_fill(piece->iov_base, piece->iov_len, at, key,
				slot->number);
			at += piece->iov_len;
		}
	}
	int err = errno;
	may_leave = true;
	vmc_store_release(&slot->taken, false);
	errno = err;
	return rc;
}

static int
pin_many(struct scene *s)
{
	struct vmemcache_item items[MANY];
	struct vmemcache_key of[MANY];
	uint64_t keys[MANY];
	ssize_t pins = 0;

	for (unsigned i = 0; i < MANY; i++) {
		keys[i] = chance(KEYS);
		of[i] = (struct vmemcache_key){&keys[i], sizeof(keys[i])};
	}
	may_leave = false; /* it would leave pins */
	ssize_t n = vmemcache_pin_many(
		s->cache, of, MANY, (unsigned)chance(8), items);
	for (unsigned i = 0; i < MANY; i++)
		if (items[i].iov_count >= 0) {
			pins++;
			(void)check_item(s, keys[i], &items[i]);
			vmemcache_unpin(s->cache, &items[i]);
		}
	may_leave = true;
	testing_expect(n == pins);
	return 0;
}

static uint64_t
number_of(const void *key, size_t key_size)
{
	uint64_t number = KEYS;

	testing_expect(key_size == sizeof(number));
	memcpy(&number, key, sizeof(number));
	testing_expect(number < KEYS);
	return number;
}

/* Within a callback: another call, or it does not return. */
static void
disturb(struct scene *s, uint64_t key)
{
	if (depth > 0)
		return;
	depth = 1;
	switch (chance(40)) {
	case 0:
		(void)fetch(s, key);
		break;
	case 1:
		(void)store(s, chance(2) ? key : chance(KEYS));
		break;
	case 2:
		(void)items_remove(s->cache, chance(2) ? key : chance(KEYS), 0);
		break;
	case 3:
		(void)vmemcache_touch(s->cache, &key, sizeof(key), 100);
		break;
	case 4:
		if (may_leave && chance(100) == 0)
			pthread_exit(NULL);
		break;
	case 5:
		if (chance(50) == 0)
			testing_expect(vmemcache_clear(s->cache) == 0);
		break;
	default:
		break;
	}
	depth = 0;
}

static enum vmemcache_step
on_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache;
	(void)check_item(arg, number_of(key, key_size), item);
	disturb(arg, number_of(key, key_size));
	return chance(10) ? VMEMCACHE_WALK_ON : VMEMCACHE_WALK_REMOVE;
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)cache;
	testing_expect((unsigned)reason < VMEMCACHE_REASONS);
	(void)check_item(arg, number_of(key, key_size), item);
	disturb(arg, number_of(key, key_size));
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache;
	disturb(arg, number_of(key, key_size));
}

static void
on_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	uint64_t number = number_of(key, key_size);

	(void)cache;
	if (depth > 0 || chance(4))
		return;
	depth = 1;
	(void)store(arg, number);
	depth = 0;
}

/* None is below 0; what comes while they are summed may be counted too often.
 */
static void
check_statistics(VMEMcache *cache)
{
	struct vmemcache_statistics statistics;

	vmc_cache_own_statistics(cache, &statistics);
	testing_expect(statistics.items < UINT32_MAX);
	testing_expect(statistics.pinned_items < UINT32_MAX);
	testing_expect(statistics.value_bytes < UINT32_MAX);
	testing_expect(statistics.pinned_bytes < UINT32_MAX);
	testing_expect(statistics.block_bytes <= VMEMCACHE_MIN_POOL);
}

static int
call(struct scene *s)
{
	uint64_t key = chance(KEYS), cursor = 0;

	switch (chance(24)) {
	case 0:
		return items_remove(s->cache, key, chance(2));
	case 1:
		return fixture_evict(s->cache, key);
	case 2:
		return vmemcache_evict(s->cache, NULL, 0);
	case 3:
		return vmemcache_touch(s->cache, &key, sizeof(key),
			chance(2) ? 0 : 1 + chance(500));
	case 4:
		vmc_fetch_add_relaxed(&now_ms, chance(4));
		check_statistics(s->cache);
		return vmemcache_set_ttl(s->cache, chance(2) ? 0 : chance(400));
	case 5:
		testing_expect(vmemcache_walk(s->cache, &cursor,
				       1 + chance(2 * KEYS), on_item, s) >= 0);
		return chance(30) ? 0 : vmemcache_clear(s->cache);
	case 6:
		return pin_many(s);
	case 7:
		return store_many(s);
	case 8:
	case 9:
	case 10:
	case 11:
	case 12:
		return fetch(s, key);
	case 13:
	case 14:
	case 15:
	case 16:
	case 17:
		return store(s, key);
	default:
		return use_slot(s, key);
	}
}

static void *
play(void *arg)
{
	struct scene *s = arg;

	random_state = s->seed + vmc_fetch_add_relaxed(&s->next, 1);
	depth = 0;
	may_leave = true;
	for (uint64_t i = 0; i < s->operations; i++)
		expect_done(call(s));
	return NULL;
}

static void
give_everything_back(struct scene *s)
{
	assert_int_equal(testing_failures, 0);
	vmemcache_callback_on_remove(s->cache, NULL, NULL);
	vmemcache_callback_on_evict(s->cache, NULL, NULL);
	vmemcache_callback_on_miss(s->cache, NULL, NULL);
	fixture_check(s->cache);
	for (struct slot *slot = s->slot; slot < s->slot + SLOTS; slot++) {
		if (slot->item.iov_count >= 0 && slot->reserved)
			vmemcache_abort(s->cache, &slot->item);
		else
			vmemcache_unpin(s->cache, &slot->item);
	}
	fixture_check(s->cache);
	assert_int_equal(vmc_cache_pinned_items(s->cache), 0);
	fixture_clear(s->cache);
}

static void
run(enum vmemcache_repl_p policy, bool callbacks)
{
	struct scene *s = calloc(1, sizeof(*s));
	uint64_t version, key = 0;
	pthread_t threads[THREADS];

	assert_non_null(s);
	s->value_of = calloc(VERSIONS, sizeof(*s->value_of));
	assert_non_null(s->value_of);
	s->cache = fixture_open(0, 0, policy);
	s->seed = testing_seed();
	s->operations = testing_operations(4000);
	for (unsigned i = 0; i < SLOTS; i++)
		s->slot[i].item.iov_count = -1;
	/* so that all that comes has a version */
	assert_int_equal(vmemcache_store(s->cache, &key, sizeof(key), "", 0,
				 NULL, &version),
		0);
	if (callbacks) {
		vmemcache_callback_on_remove(s->cache, on_remove, s);
		vmemcache_callback_on_evict(s->cache, on_evict, s);
		vmemcache_callback_on_miss(s->cache, on_miss, s);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, play, s), 0);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		fixture_check(s->cache);
	}
	give_everything_back(s);
	vmemcache_delete(s->cache);
	free(s->value_of);
	free(s);
}

static void
test_lru(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_LRU, true);
	run(VMEMCACHE_REPLACEMENT_LRU, false);
}

static void
test_adaptive(void **state)
{
	(void)state;
	run(VMEMCACHE_REPLACEMENT_ADAPTIVE, true);
	run(VMEMCACHE_REPLACEMENT_ADAPTIVE, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_adaptive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

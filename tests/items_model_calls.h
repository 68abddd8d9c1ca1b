/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items_model_calls.h -- all calls on items, each with what the model says of
 * its result; what is drawn by chance() chooses them
 */
#ifndef VMC_TESTS_ITEMS_MODEL_CALLS_H
#define VMC_TESTS_ITEMS_MODEL_CALLS_H

#include "items_model_made.h"

static void
do_store(struct model *m)
{
	unsigned key = (unsigned)chance(m, KEYS);
	struct vmemcache_store how = random_how(m, key);
	size_t size = random_size(m);
	uint64_t number = ++m->numbers, version = 0;
	bool ask = chance(m, 2), put = chance(m, 4) == 0;
	char *value = malloc(size + 1);

	if (put)
		how = (struct vmemcache_store){
			.struct_size = sizeof(how), .mode = VMEMCACHE_ADD};
	value_fill(value, size, 0, key, number);
	begin(m, VMEMCACHE_REASON_CAPACITY, blocks_for(m, size), find(m, key));
	uint64_t before = m->last_version[key];
	int rc = put ? vmemcache_put(m->cache, &key, sizeof(key), value, size)
		     : vmemcache_store(m->cache, &key, sizeof(key), value, size,
			       &how, ask ? &version : NULL);
	if (rc)
		rc = -errno;
	free(value);
	judge_outcome(m, key, number, size, &how, rc);
	assert_true(rc == 0 || version == 0);
	if (version) {
		assert_true(version > before);
		m->at[key]->version = m->last_version[key] = version;
	}
}

static void
do_store_many(struct model *m)
{
	struct vmemcache_store_request requests[MANY];
	struct vmemcache_store hows[MANY];
	unsigned keys[MANY];
	ssize_t succeeded = 0;

	begin(m, VMEMCACHE_REASON_CAPACITY, 0, NULL);
	m->many_count = chance(m, MANY + 1);
	for (size_t i = 0; i < m->many_count; i++) {
		keys[i] = (unsigned)chance(m, KEYS);
		hows[i] = random_how(m, keys[i]);
		size_t size = random_size(m);
		void *value = malloc(size + 1);
		m->many_numbers[i] = ++m->numbers;
		value_fill(value, size, 0, keys[i], m->many_numbers[i]);
		requests[i] = (struct vmemcache_store_request){
			&keys[i], sizeof(keys[i]), value, size, &hows[i], 0, 1};
	}
	m->many = requests;
	m->many_done = 0;
	ssize_t n = vmemcache_store_many(m->cache, requests, m->many_count);
	catch_up(m);
	assert_int_equal(m->many_done, m->many_count);
	m->many = NULL;
	for (size_t i = 0; i < m->many_count; i++) {
		succeeded += requests[i].result == 0;
		free((void *)requests[i].value);
	}
	assert_int_equal(n, succeeded);
}

/* --- reading --- */

static void
do_read(struct model *m)
{
	unsigned key = (unsigned)chance(m, KEYS);
	struct value *v = find(m, key);
	size_t size = v ? v->size : 1000, told = 77, room = chance(m, size + 9);
	size_t offset = chance(m, 2) ? 0 : chance(m, size + 2);
	size_t left = v && offset < v->size ? v->size - offset : 0;
	ssize_t expected = (ssize_t)(left < room ? left : room);
	unsigned flags = (unsigned)chance(m, 4), which = (unsigned)chance(m, 3);
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	char *buffer = malloc(room + 1);
	struct vmemcache_request request = {
		&key, sizeof(key), buffer, room, offset, 0, 0};
	ssize_t n;

	begin(m, VMEMCACHE_REASON_CLEARED, 0, NULL);
	if (which == 0) {
		n = vmemcache_get(m->cache, &key, sizeof(key), buffer, room,
			offset, &told);
	} else if (which == 1) {
		assert_int_equal(
			vmemcache_get_many(m->cache, &request, 1), !!v);
		n = request.result >= 0 ? request.result : -1;
	} else {
		n = vmemcache_fetch(m->cache, &key, sizeof(key), buffer, room,
			offset, flags, &info);
		if (v)
			check_info(m, v, &info);
	}
	assert_int_equal(n, v ? expected : -1);
	assert_true(!v || value_is(buffer, (size_t)n, offset, key, v->number));
	assert_int_equal(
		vmemcache_exists(m->cache, &key, sizeof(key), &told), !!v);
	assert_int_equal(told, v ? v->size : 77);
	free(buffer);
	if (which < 2 || !(flags & VMEMCACHE_PEEK))
		count_get(m, v);
}

static void
do_pin(struct model *m)
{
	struct pinned *p = free_pin(m);
	unsigned key = (unsigned)chance(m, KEYS),
		 flags = (unsigned)chance(m, 4);
	struct value *v = find(m, key);

	if (!p)
		return;
	int rc = vmemcache_pin(m->cache, &key, sizeof(key), flags, &p->item);
	assert_int_equal(rc, v ? 0 : -1);
	if (!(flags & VMEMCACHE_PEEK))
		count_get(m, v);
	if (v)
		pinned(m, p, v);
}

static void
unpin(struct model *m, struct pinned *p)
{
	struct value *v = p->value;

	assert_true(has_bytes(v, &p->item));
	vmemcache_unpin(m->cache, &p->item);
	assert_int_equal(p->item.iov_count, -1);
	vmemcache_unpin(m->cache, &p->item);
	p->value = NULL;
	v->vague = true;
	if (--v->pins == 0) {
		m->s.pinned_items--;
		m->s.pinned_bytes -= v->size;
		now_ms++; /* as its timer may have been put off by so much */
	}
	free_value(m, v);
}

static void
do_unpin(struct model *m)
{
	struct pinned *p = &m->pins[chance(m, PINS)];

	if (p->value)
		unpin(m, p);
}

static void
do_pin_many(struct model *m)
{
	struct vmemcache_item items[8];
	struct vmemcache_key of[8] = {{NULL, 0}};
	unsigned keys[8], flags = (unsigned)chance(m, 8);
	size_t count = chance(m, 9);
	ssize_t pins = 0;
	bool missed = false;

	for (size_t i = 0; i < count; i++) {
		keys[i] = (unsigned)chance(m, KEYS);
		of[i] = (struct vmemcache_key){&keys[i], sizeof(keys[i])};
	}
	ssize_t n = vmemcache_pin_many(m->cache, of, count, flags, items);
	for (size_t i = 0; i < count; i++) {
		struct value *v = find(m, keys[i]);
		if (!(flags & VMEMCACHE_PEEK) && !missed)
			count_get(m, v);
		missed |= !v && flags & VMEMCACHE_LEADING;
		if (!v || missed) {
			assert_int_equal(items[i].iov_count, -1);
			continue;
		}
		pins++;
		assert_true(has_bytes(v, &items[i]));
		check_info(m, v, &items[i].info);
		vmemcache_unpin(m->cache, &items[i]);
	}
	assert_int_equal(n, pins);
}

/* --- the rest --- */

static void
do_remove(struct model *m)
{
	unsigned key = (unsigned)chance(m, KEYS);
	uint64_t version = 0;

	if (chance(m, 4) == 0)
		version = chance(m, 1000);
	else if (chance(m, 2))
		learn_version(m, key), version = m->last_version[key];
	struct value *v = find(m, key);
	if (version)
		learn_version(m, key);
	bool other = v && version && version != v->version;
	begin(m, VMEMCACHE_REASON_EVICTED, 0, NULL);
	int rc =
		version || chance(m, 2)
			? vmemcache_remove(m->cache, &key, sizeof(key), version)
			: vmemcache_evict(m->cache, &key, sizeof(key));
	int err = errno;
	assert_int_equal(rc, v && !other ? 0 : -1);
	if (rc)
		assert_int_equal(err, v ? ESTALE : ENOENT);
}

static void
do_touch(struct model *m)
{
	unsigned key = (unsigned)chance(m, KEYS);
	uint64_t ttl = random_ttl(m);
	struct value *v = find(m, key);
	int rc = vmemcache_touch(m->cache, &key, sizeof(key), ttl);

	if (rc && errno == EAGAIN) {
		assert_true(v && v->pins > 0 && v->deadline == UINT64_MAX);
		return;
	}
	assert_int_equal(rc, v ? 0 : -1);
	if (!v)
		return;
	v->deadline = deadline_of(m, ttl);
	use(m, v);
}

static void
do_set_ttl(struct model *m)
{
	m->ttl = chance(m, 2) ? 0 : random_ttl(m);
	assert_int_equal(vmemcache_set_ttl(m->cache, m->ttl), 0);
}

static enum vmemcache_step
on_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct model *m = arg;
	unsigned number = key_of(key, key_size);
	struct value *v = find(m, number);

	assert_ptr_equal(cache, m->cache);
	assert_non_null(v);
	assert_true(has_bytes(v, item));
	check_info(m, v, &item->info);
	m->shown[number]++;
	m->showed++;
	return chance(m, 20)  ? VMEMCACHE_WALK_ON
	       : chance(m, 4) ? VMEMCACHE_WALK_STOP
			      : VMEMCACHE_WALK_REMOVE;
}

static void
do_walk(struct model *m)
{
	if (m->cursor == 0)
		for (unsigned key = 0; key < KEYS; key++) {
			m->stayed[key] = find(m, key) != NULL;
			m->shown[key] = 0;
		}
	begin(m, VMEMCACHE_REASON_EVICTED, 0, NULL);
	m->showed = 0;
	size_t at_most = chance(m, 2) ? 1 + chance(m, 30) : SIZE_MAX;
	ssize_t n = vmemcache_walk(m->cache, &m->cursor, at_most, on_item, m);
	assert_int_equal(n, m->showed);
	for (unsigned key = 0; key < KEYS; key++) {
		assert_true(m->shown[key] <= 1);
		if (m->cursor == 0 && m->stayed[key] && find(m, key))
			assert_int_equal(m->shown[key], 1);
	}
}

static void
do_clear(struct model *m)
{
	begin(m, VMEMCACHE_REASON_CLEARED, 0, NULL);
	assert_int_equal(vmemcache_clear(m->cache), 0);

	for (unsigned key = 0; key < KEYS; key++)
		if (m->at[key])
			remove_value(m, m->at[key], VMEMCACHE_REASON_CLEARED);
}

/* --- all of it --- */

static void
check(struct model *m)
{
	struct vmemcache_statistics s;

	vmc_cache_own_statistics(m->cache, &s);
	assert_int_equal(s.gets, m->s.gets);
	assert_int_equal(s.hits, m->s.hits);
	assert_int_equal(s.misses, m->s.misses);
	assert_memory_equal(s.stores, m->s.stores, sizeof(s.stores));
	assert_memory_equal(s.removals, m->s.removals, sizeof(s.removals));
	assert_int_equal(s.loads, m->s.loads);
	assert_int_equal(s.loads_failed, m->s.loads_failed);
	assert_int_equal(s.touches_lost, 0);
	assert_int_equal(s.items, m->s.items);
	assert_int_equal(s.value_bytes, m->s.value_bytes);
	uint64_t empty = 0;
	for (const struct value *v = m->values; v < m->values + VALUES; v++)
		empty += v->used_slot && !v->has_blocks;
	for (const struct reservation *r = m->reservations;
		r < m->reservations + RESERVATIONS; r++)
		empty += r->taken && r->size == 0;
	assert_int_equal(s.block_bytes, (m->used_blocks - empty) * m->extent);
	assert_int_equal(s.pinned_items, m->s.pinned_items);
	assert_int_equal(s.pinned_bytes, m->s.pinned_bytes);
	assert_int_equal(s.reservations, m->s.reservations);
	assert_int_equal(s.reserved_bytes, m->s.reserved_bytes);
}

static void
do_anything(struct model *m)
{
	static void (*const all[])(struct model *) = {do_store, do_store,
		do_store, do_store, do_store, do_read, do_read, do_read,
		do_read, do_reserve, do_commit, do_commit, do_pin, do_pin_many,
		do_unpin, do_unpin, do_unpin, do_remove, do_touch, do_touch,
		do_load, do_load};

	switch (chance(m, 400)) {
	case 0:
		if (chance(m, 5) == 0)
			do_clear(m);
		break;
	case 1:
	case 2:
		do_set_ttl(m);
		break;
	case 3:
	case 4:
		do_store_many(m);
		break;
	case 5:
	case 6:
		do_abort(m);
		break;
	default:
		if (chance(m, 30) == 0)
			do_walk(m);
		else
			all[chance(m, sizeof(all) / sizeof(all[0]))](m);
	}
	if (chance(m, 4) == 0)
		now_ms += chance(m, chance(m, 20) ? 20 : 10000);
}

/* A cache of that kind: the model's policy, extent and way of telling. */
static void
model_open(struct model *m)
{
	m->blocks = VMEMCACHE_MIN_POOL / m->extent;
	m->cache = fixture_open(VMEMCACHE_MIN_POOL, m->extent, m->policy);
	vmemcache_callback_on_evict(m->cache, on_evict, m);
	if (m->told == BY_REMOVE)
		vmemcache_callback_on_remove(m->cache, on_remove, m);
	for (struct reservation *r = m->reservations;
		r < m->reservations + RESERVATIONS; r++)
		r->item.iov_count = -1;
}

static void
model_run(struct model *m, uint64_t step)
{
	do_anything(m);
	check(m);
	if (step % 64 == 0)
		fixture_check(m->cache);
}

static void
model_close(struct model *m)
{
	do_clear(m);
	for (struct pinned *p = m->pins; p < m->pins + PINS; p++)
		if (p->value)
			unpin(m, p);
	for (struct reservation *r = m->reservations;
		r < m->reservations + RESERVATIONS; r++)
		vmemcache_abort(m->cache, &r->item);
	fixture_check_empty(m->cache);
	vmemcache_delete(m->cache);
}

#endif

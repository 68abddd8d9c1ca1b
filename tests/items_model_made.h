/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items_model_made.h -- of the calls in items_model_calls.h those that make a
 * value in place: reservations and loads
 */
#ifndef VMC_TESTS_ITEMS_MODEL_MADE_H
#define VMC_TESTS_ITEMS_MODEL_MADE_H

#include "items_model.h"

static void
do_reserve(struct model *m)
{
	struct reservation *r = &m->reservations[chance(m, RESERVATIONS)];
	unsigned key = (unsigned)chance(m, KEYS);
	struct vmemcache_store how = random_how(m, key);
	size_t size = random_size(m);

	if (r->taken)
		return;
	begin(m, VMEMCACHE_REASON_CAPACITY, blocks_for(m, size), find(m, key));
	int rc = vmemcache_reserve(
		m->cache, &key, sizeof(key), size, &how, &r->item);
	if (rc) {
		assert_int_equal(errno, ENOSPC);
		assert_int_equal(r->item.iov_count, -1);
		if (!m->disturbed) {
			assert_int_equal(m->gone, 0);
			assert_false(fits(m, m->need));
		}
		return;
	}
	r->taken = true;
	r->key = key;
	r->size = size;
	r->blocks = m->need;
	r->how = how;
	r->deadline = deadline_of(m, how.ttl_ms);
	r->number = ++m->numbers;
	m->used_blocks += r->blocks;
	m->s.reservations++;
	m->s.reserved_bytes += size;
	size_t at = 0;
	for (int i = 0; i < r->item.iov_count; i++) {
		value_fill(r->item.iov[i].iov_base, r->item.iov[i].iov_len, at,
			key, r->number);
		at += r->item.iov[i].iov_len;
	}
	assert_int_equal(at, size);
}

static void
end_reservation(struct model *m, struct reservation *r)
{
	r->taken = false;
	m->used_blocks -= r->blocks;
	m->s.reservations--;
	m->s.reserved_bytes -= r->size;
}

static void
do_commit(struct model *m)
{
	struct reservation *r = &m->reservations[chance(m, RESERVATIONS)];
	bool shorter = chance(m, 2);
	uint64_t version = 0;

	if (!r->taken) {
		assert_fails(vmemcache_commit(m->cache,
				     &(struct vmemcache_item){.iov_count = -1},
				     0, NULL),
			EINVAL);
		return;
	}
	assert_fails(vmemcache_commit(m->cache, &r->item, r->size + 1, NULL),
		EINVAL);
	size_t size = shorter ? chance(m, r->size + 1) : r->size;
	/* the list of several runs is one object, and stays */
	bool all = r->item.iov_count > 1;
	uint64_t blocks = all ? r->blocks : blocks_for(m, size);
	struct value *old = find(m, r->key);
	int expected = outcome_of(old, &r->how);
	if (r->how.mode == VMEMCACHE_IF_VERSION && old && old->version == 0)
		learn_version(m, r->key), expected = outcome_of(old, &r->how);
	begin(m, VMEMCACHE_REASON_REPLACED, 0, NULL);
	int rc = vmemcache_commit(m->cache, &r->item, size, &version);
	assert_int_equal(rc ? -errno : 0, expected);
	assert_int_equal(r->item.iov_count, -1);
	m->s.stores[r->how.mode][outcome_counted(expected, old)]++;
	end_reservation(m, r);
	if (rc == 0) {
		struct value *v = stored(
			m, r->key, r->number, size, &r->how, r->deadline);
		m->used_blocks += blocks - v->blocks;
		v->blocks = blocks;
		v->has_blocks |= all;
		assert_true(version > 0);
		v->version = version;
		if (version > m->last_version[r->key])
			m->last_version[r->key] = version;
	}
	vmemcache_abort(m->cache, &r->item); /* of none: ignored */
}

static void
do_abort(struct model *m)
{
	struct reservation *r = &m->reservations[chance(m, RESERVATIONS)];

	vmemcache_abort(m->cache, &r->item);
	assert_int_equal(r->item.iov_count, -1);
	if (r->taken)
		end_reservation(m, r);
}

/* --- loads --- */

/* What the loader is to do, and what it did. */
struct loading_of {
	struct model *m;
	struct vmemcache_store how;
	unsigned key;
	size_t size;
	uint64_t number, deadline, blocks;
	int answer; /* below 0: a value */
	bool called;
};

static int
loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct loading_of *l = arg;
	struct model *m = l->m;
	struct vmemcache_item item;

	assert_ptr_equal(cache, m->cache);
	assert_int_equal(key_of(key, key_size), l->key);
	assert_false(l->called);
	l->called = true;
	if (l->answer >= 0)
		return l->answer;
	begin(m, VMEMCACHE_REASON_CAPACITY, l->blocks, NULL);
	if (vmemcache_loading_reserve(loading, l->size, NULL, &item) != 0) {
		assert_int_equal(errno, ENOSPC);
		if (!m->disturbed) {
			assert_int_equal(m->gone, 0);
			assert_false(fits(m, m->need));
		}
		return errno;
	}
	l->deadline = deadline_of(m, l->how.ttl_ms);
	items_fill(&item, l->key, l->number);
	begin(m, VMEMCACHE_REASON_REPLACED, 0, NULL);
	l->answer = 0;
	return 0;
}

static void
do_load(struct model *m)
{
	struct pinned *p = free_pin(m);
	unsigned key = (unsigned)chance(m, KEYS);
	struct loading_of l = {.m = m, .key = key, .size = random_size(m)};

	if (!p)
		return;
	l.how = random_how(m, key);
	l.blocks = blocks_for(m, l.size);
	l.answer = chance(m, 4) ? -1 : chance(m, 2) ? ENODATA : 0;
	l.number = ++m->numbers;
	bool stores = l.answer < 0;
	struct value *v = find(m, key);
	count_get(m, v);
	p->value = m->values; /* taken, whatever callbacks pin */
	int rc = vmemcache_load(
		m->cache, &key, sizeof(key), loader, &l, &l.how, 0, &p->item);
	int err = rc ? errno : 0;
	p->value = NULL;
	assert_int_equal(l.called, !v);
	m->s.loads += !v;
	if (!v && stores && l.answer == 0) {
		int expected = outcome_of(NULL, &l.how);
		m->s.stores[l.how.mode][outcome_counted(expected, false)]++;
		assert_int_equal(err, -expected);
		if (rc == 0)
			v = stored(
				m, key, l.number, l.size, &l.how, l.deadline);
	} else if (!v) {
		assert_int_equal(err, stores          ? ENOSPC
				      : l.answer == 0 ? ENOENT
						      : ENODATA);
	}
	m->s.loads_failed += l.called && rc;
	assert_int_equal(rc, v ? 0 : -1);
	if (v)
		pinned(m, p, v);
}

#endif

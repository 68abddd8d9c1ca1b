/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items_model.h -- a model in plain C of a cache and its items
 *
 * items_model_calls.h makes the calls, at random (api/items_model.c) or as an
 * input says (fuzz/items.c).
 *
 * The callbacks tell the model what goes, and it judges whether that may go:
 * what is pinned or spared is no victim, nothing is evicted in vain, what is
 * over goes before what is good, and the order of LRU is kept. A value that was
 * pinned may have got another place in that order; its place is not judged
 * until it is used again.
 */
#ifndef VMC_TESTS_ITEMS_MODEL_H
#define VMC_TESTS_ITEMS_MODEL_H

#include "fuzz/fuzz.h"
#include "items.h"

#include "base/os.h"

enum { KEYS = 60, VALUES = 256, PINS = 24, RESERVATIONS = 3, MANY = 20 };

/* How a cache tells what goes. */
enum told { BY_REMOVE, BY_EVICT };

struct value {
	bool used_slot, there, vague, has_blocks;
	unsigned key, pins;
	uint64_t number, version, deadline, used;
	size_t size;
	uint64_t blocks;
	uint32_t tag;
};

struct pinned {
	struct value *value; /* NULL: not pinned */
	struct vmemcache_item item;
};

struct reservation {
	bool taken;
	unsigned key;
	size_t size;
	uint64_t blocks, number, deadline;
	struct vmemcache_store how;
	struct vmemcache_item item;
};

struct model {
	VMEMcache *cache;
	enum told told;
	enum vmemcache_repl_p policy;
	size_t extent, largest;
	struct fuzz_input *input; /* what chance() reads; NULL: random */
	uint64_t blocks, used_blocks, random, clock, ttl, numbers;
	struct value values[VALUES];
	struct value *at[KEYS];
	uint64_t last_version[KEYS];
	struct pinned pins[PINS];
	struct reservation reservations[RESERVATIONS];
	struct vmemcache_statistics s;
	/* the call under way */
	uint64_t need;
	const struct value *spared;
	enum vmemcache_reason reason; /* of what a call takes out */
	unsigned gone;                /* evicted for room */
	bool disturbed;               /* by a pin within a callback */
	struct vmemcache_store_request *many;
	size_t many_count, many_done;
	uint64_t many_numbers[MANY];
	/* a walk over several calls */
	uint64_t cursor;
	bool stayed[KEYS];
	unsigned shown[KEYS], showed;
};

static _Atomic uint64_t now_ms = 1000;

uint64_t __wrap_vmc_os_boot_ms(void);

uint64_t
__wrap_vmc_os_boot_ms(void)
{
	return vmc_load_relaxed(&now_ms);
}

static uint64_t
chance(struct model *m, uint64_t bound)
{
	return m->input ? fuzz_below(m->input, bound)
			: testing_below(&m->random, bound);
}

/* An empty value has no block, but counts as one. */
static uint64_t
blocks_for(const struct model *m, size_t size)
{
	return size == 0 ? 1 : (size + m->extent - 1) / m->extent;
}

static bool
is_over(const struct value *v)
{
	return v->deadline <= now_ms;
}

/* What a call finds. */
static struct value *
find(struct model *m, unsigned key)
{
	return m->at[key] && !is_over(m->at[key]) ? m->at[key] : NULL;
}

static uint64_t
deadline_of(const struct model *m, uint64_t ttl)
{
	if (ttl == 0)
		ttl = m->ttl;
	return ttl == 0 || ttl == VMEMCACHE_FOREVER ? UINT64_MAX : now_ms + ttl;
}

static void
use(struct model *m, struct value *v)
{
	v->used = ++m->clock;
	v->vague = false;
}

static void
free_value(struct model *m, struct value *v)
{
	if (v->there || v->pins > 0)
		return;
	m->used_blocks -= v->blocks;
	v->used_slot = false;
}

static void
remove_value(struct model *m, struct value *v, enum vmemcache_reason reason)
{
	assert_true(v->there);
	v->there = false;
	m->at[v->key] = NULL;
	if (reason != VMEMCACHE_REASON_REPLACED)
		m->stayed[v->key] = false;
	m->s.removals[reason]++;
	m->s.items--;
	m->s.value_bytes -= v->size;
	free_value(m, v);
}

static struct value *
add_value(struct model *m, unsigned key, uint64_t number, size_t size)
{
	struct value *v = m->values;

	while (v->used_slot)
		v++;
	assert_true(v < m->values + VALUES);
	*v = (struct value){.used_slot = true,
		.there = true,
		.key = key,
		.number = number,
		.deadline = UINT64_MAX,
		.size = size,
		.has_blocks = size > 0,
		.blocks = blocks_for(m, size)};
	if (m->at[key])
		remove_value(m, m->at[key], VMEMCACHE_REASON_REPLACED);
	m->used_blocks += v->blocks;
	m->at[key] = v;
	m->s.items++;
	m->s.value_bytes += size;
	use(m, v);
	return v;
}

static bool
has_bytes(const struct value *v, const struct vmemcache_item *item)
{
	size_t at = 0;

	for (int i = 0; i < item->iov_count; i++) {
		if (!value_is(item->iov[i].iov_base, item->iov[i].iov_len, at,
			    v->key, v->number))
			return false;
		at += item->iov[i].iov_len;
	}
	return at == v->size;
}

/* A version never tells of two values of a key. */
static void
check_info(struct model *m, struct value *v, const struct vmemcache_info *info)
{
	assert_int_equal(info->value_size, v->size);
	assert_int_equal(info->tag, v->tag);
	if (v->version == 0) {
		assert_true(info->version > m->last_version[v->key]);
		v->version = m->last_version[v->key] = info->version;
	}
	assert_int_equal(info->version, v->version);
	if (v->deadline == UINT64_MAX)
		assert_true(info->ttl_ms == VMEMCACHE_FOREVER);
	else
		assert_int_equal(
			info->ttl_ms, is_over(v) ? 0 : v->deadline - now_ms);
}

/* --- what goes --- */

static void judge_outcome(struct model *m, unsigned key, uint64_t number,
	size_t size, const struct vmemcache_store *how, int rc);

/* The stores of a call of many that were made before this callback. */
static void
catch_up(struct model *m)
{
	while (m->many && m->many_done < m->many_count &&
		m->many[m->many_done].result != 1) {
		struct vmemcache_store_request *r = &m->many[m->many_done];
		unsigned key = *(const unsigned *)r->key;
		uint64_t before = m->last_version[key];
		judge_outcome(m, key, m->many_numbers[m->many_done++],
			r->value_size, r->how, r->result);
		if (r->result == 0) {
			assert_true(r->version > before);
			m->at[key]->version = r->version;
			m->last_version[key] = r->version;
		}
		m->gone = 0;
	}
	if (m->many && m->many_done < m->many_count) {
		struct vmemcache_store_request *r = &m->many[m->many_done];
		m->need = blocks_for(m, r->value_size);
		m->spared = find(m, *(const unsigned *)r->key);
	}
}

static void
judge_victim(struct model *m, const struct value *v)
{
	assert_int_equal(v->pins, 0);
	assert_ptr_not_equal(v, m->spared);
	if (m->reason == VMEMCACHE_REASON_CAPACITY && !m->disturbed)
		assert_true(m->need + m->used_blocks > m->blocks);
	m->gone++;
	for (const struct value *u = m->values; u < m->values + VALUES; u++) {
		if (!u->used_slot || !u->there || u->pins || u == m->spared)
			continue;
		assert_false(is_over(u));
		if (m->policy == VMEMCACHE_REPLACEMENT_LRU && !u->vague &&
			!v->vague)
			assert_true(u->used >= v->used);
	}
}

static void
judge(struct model *m, const struct value *v, enum vmemcache_reason reason)
{
	if (reason == VMEMCACHE_REASON_CAPACITY)
		judge_victim(m, v);
	else if (reason == VMEMCACHE_REASON_EXPIRED)
		assert_true(is_over(v));
	else if (reason != VMEMCACHE_REASON_REPLACED)
		assert_int_equal(reason, m->reason);
}

static unsigned
key_of(const void *key, size_t key_size)
{
	unsigned number;

	assert_int_equal(key_size, sizeof(number));
	memcpy(&number, key, sizeof(number));
	assert_true(number < KEYS);
	return number;
}

static struct pinned *
free_pin(struct model *m)
{
	for (struct pinned *p = m->pins; p < m->pins + PINS; p++)
		if (!p->value)
			return p;
	return NULL;
}

static void
pinned(struct model *m, struct pinned *p, struct value *v)
{
	p->value = v;
	if (v->pins++ == 0) {
		m->s.pinned_items++;
		m->s.pinned_bytes += v->size;
	}
	check_info(m, v, &p->item.info);
	assert_true(has_bytes(v, &p->item));
}

/* What goes still answers: so it can be pinned, and its blocks stay. */
static void
pin_what_goes(struct model *m, unsigned key)
{
	struct pinned *p = free_pin(m);
	struct value *v = find(m, key);

	if (!v || !p || chance(m, 8) > 0)
		return;
	assert_int_equal(
		vmemcache_pin(m->cache, &key, sizeof(key),
			VMEMCACHE_PEEK | VMEMCACHE_NO_CALLBACK, &p->item),
		0);
	pinned(m, p, v);
	m->disturbed = true;
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	struct model *m = arg;
	unsigned number = key_of(key, key_size);
	struct value *v;

	assert_ptr_equal(cache, m->cache);
	catch_up(m);
	v = m->at[number];
	assert_non_null(v);
	assert_true(has_bytes(v, item));
	check_info(m, v, &item->info);
	judge(m, v, reason);
	if (reason == VMEMCACHE_REASON_REPLACED)
		return; /* counted where the store is judged */
	pin_what_goes(m, number);
	remove_value(m, v, reason);
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct model *m = arg;
	unsigned number = key_of(key, key_size);

	assert_ptr_equal(cache, m->cache);
	catch_up(m);
	struct value *v = m->at[number];
	assert_non_null(v);
	if (m->told != BY_EVICT)
		return;
	enum vmemcache_reason reason =
		is_over(v) ? VMEMCACHE_REASON_EXPIRED : m->reason;
	judge(m, v, reason);
	remove_value(m, v, reason);
}

static void
begin(struct model *m, enum vmemcache_reason reason, uint64_t need,
	const struct value *spared)
{
	m->reason = reason;
	m->need = need;
	m->spared = spared;
	m->gone = 0;
	m->disturbed = false;
}

/* --- storing --- */

/*
 * Would there be room, if all that may go went? Empty values may take a block
 * more than there are (room.c).
 */
static bool
fits(const struct model *m, uint64_t need)
{
	uint64_t room = m->blocks;

	for (const struct value *v = m->values; v < m->values + VALUES; v++)
		if (v->used_slot && v->there && v->pins == 0 &&
			v != m->spared &&
			(is_over(v) || m->policy != VMEMCACHE_REPLACEMENT_NONE))
			room += v->blocks;
	return need + m->used_blocks <= room;
}

static int
outcome_of(const struct value *old, const struct vmemcache_store *how)
{
	switch (how->mode) {
	case VMEMCACHE_ADD:
		return old ? -EEXIST : 0;
	case VMEMCACHE_REPLACE:
		return old ? 0 : -ENOENT;
	case VMEMCACHE_IF_VERSION:
		return !old                              ? -ENOENT
		       : old->version == how->if_version ? 0
							 : -ESTALE;
	default:
		return 0;
	}
}

static enum vmemcache_outcome
outcome_counted(int rc, bool replaced)
{
	switch (rc) {
	case 0:
		return replaced ? VMEMCACHE_OUTCOME_REPLACED
				: VMEMCACHE_OUTCOME_INSERTED;
	case -EEXIST:
		return VMEMCACHE_OUTCOME_EXISTS;
	case -ENOENT:
		return VMEMCACHE_OUTCOME_ABSENT;
	case -ESTALE:
		return VMEMCACHE_OUTCOME_STALE;
	default:
		assert_int_equal(rc, -ENOSPC);
		return VMEMCACHE_OUTCOME_NO_SPACE;
	}
}

/* What was stored is there now. */
static struct value *
stored(struct model *m, unsigned key, uint64_t number, size_t size,
	const struct vmemcache_store *how, uint64_t deadline)
{
	struct value *old = find(m, key);
	uint64_t kept = old ? old->deadline : 0;

	/* what is over and has not been told of yet does not exist */
	if (!old && m->at[key])
		fail_msg("%s", "an item that is over was replaced unseen");
	struct value *v = add_value(m, key, number, size);
	v->tag = how->tag;
	v->deadline = old && how->flags & VMEMCACHE_KEEP_TTL ? kept : deadline;
	return v;
}

static void
judge_outcome(struct model *m, unsigned key, uint64_t number, size_t size,
	const struct vmemcache_store *how, int rc)
{
	struct value *old = find(m, key);
	int expected = outcome_of(old, how);

	m->s.stores[how->mode][outcome_counted(rc, old)]++;
	if (expected == 0 && rc == -ENOSPC) {
		m->spared = old;
		if (!m->disturbed) {
			assert_false(fits(m, blocks_for(m, size)));
			assert_int_equal(m->gone, 0);
		}
		return;
	}
	assert_int_equal(rc, expected);
	if (rc == 0)
		stored(m, key, number, size, how, deadline_of(m, how->ttl_ms));
}

/* --- what the calls begin with --- */

static size_t
random_size(struct model *m)
{
	size_t pool = (size_t)m->blocks * m->extent;

	switch (chance(m, 16)) {
	case 0:
		return 0;
	case 1:
		return m->extent * (1 + chance(m, 3));
	case 2:
		return chance(m, 20) ? chance(m, pool / 4)
				     : pool - chance(m, 3 * m->extent);
	default:
		return chance(m, m->largest);
	}
}

static uint64_t
random_ttl(struct model *m)
{
	static const uint64_t lives[] = {
		0, 0, 0, VMEMCACHE_FOREVER, 3, 64, 500, 5000, 100000, 1000000};

	return lives[chance(m, sizeof(lives) / sizeof(lives[0]))];
}

static void
learn_version(struct model *m, unsigned key)
{
	struct value *v = find(m, key);

	if (v) {
		struct vmemcache_info info = {.struct_size = sizeof(info)};
		assert_int_equal(vmemcache_fetch(m->cache, &key, sizeof(key),
					 NULL, 0, 0, VMEMCACHE_PEEK, &info),
			0);
		check_info(m, v, &info);
	}
}

static struct vmemcache_store
random_how(struct model *m, unsigned key)
{
	struct vmemcache_store how = {.struct_size = sizeof(how),
		.mode = (enum vmemcache_mode)chance(m, 4),
		.flags = chance(m, 4) ? 0 : VMEMCACHE_KEEP_TTL,
		.ttl_ms = random_ttl(m),
		.tag = chance(m, 2) ? 0 : (uint32_t)chance(m, 1000)};

	if (how.mode == VMEMCACHE_IF_VERSION) {
		learn_version(m, key);
		how.if_version =
			chance(m, 4) ? m->last_version[key] : chance(m, 100);
	}
	return how;
}

static void
count_get(struct model *m, struct value *v)
{
	m->s.gets++;
	if (v)
		m->s.hits++, use(m, v);
	else
		m->s.misses++;
}

#endif

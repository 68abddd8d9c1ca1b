/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy_model.h -- SIEVE and S3-FIFO as plainly as can be: lists in arrays
 *
 * Items are numbers below MODEL_ITEMS. Of the ghosts the model asks the same
 * code as the library, which has a test of its own (unit/test_ghost.c), with
 * the same hashes.
 */
#ifndef TEST_POLICY_MODEL_H
#define TEST_POLICY_MODEL_H

#include "testing.h"

#include "policy/ghost.h"

#define MODEL_ITEMS 8192u
#define MODEL_NONE UINT32_MAX

struct model_list {
	unsigned item[MODEL_ITEMS];
	unsigned count;
};

struct model {
	bool is_sieve;
	uint64_t capacity; /* blocks */
	uint64_t blocks[MODEL_ITEMS];
	uint64_t hash[MODEL_ITEMS];
	uint8_t uses[MODEL_ITEMS];
	struct model_list back; /* victims that came back */
	/* SIEVE: one list, the oldest first; what the hand points to */
	struct model_list all;
	unsigned hand; /* MODEL_NONE: past the newest */
	/* S3-FIFO */
	struct model_list small, main;
	struct vmc_ghost ghost;
};

static inline void
model_insert(struct model_list *l, unsigned at, unsigned item)
{
	memmove(&l->item[at + 1], &l->item[at],
		(l->count - at) * sizeof(*l->item));
	l->item[at] = item;
	l->count++;
}

static inline unsigned
model_take(struct model_list *l, unsigned at)
{
	unsigned item = l->item[at];

	l->count--;
	memmove(&l->item[at], &l->item[at + 1],
		(l->count - at) * sizeof(*l->item));
	return item;
}

static inline unsigned
model_find(const struct model_list *l, unsigned item)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->item[i] == item)
			return i;
	return MODEL_NONE;
}

static inline unsigned
model_count(const struct model *m)
{
	return m->back.count + m->all.count + m->small.count + m->main.count;
}

static inline uint64_t
model_blocks(const struct model *m, const struct model_list *l)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < l->count; i++)
		blocks += m->blocks[l->item[i]];
	return blocks;
}

static inline unsigned
model_most(const struct model *m)
{
	return m->is_sieve ? 1 : 3;
}

static inline void
model_use(struct model *m, unsigned item)
{
	if (m->uses[item] < model_most(m))
		m->uses[item]++;
}

/* One that is new. */
static inline void
model_add(struct model *m, unsigned item)
{
	if (m->is_sieve) {
		if (m->hand == MODEL_NONE)
			m->hand = 0;
		model_insert(&m->all, m->all.count, item);
	} else if (vmc_ghost_take(&m->ghost, m->hash[item])) {
		model_insert(&m->main, m->main.count, item);
	} else {
		model_insert(&m->small, m->small.count, item);
	}
}

/* One that was chosen, and used then, stays. */
static inline void
model_survives(struct model *m, unsigned item)
{
	m->uses[item] = 0;
	if (!m->is_sieve)
		model_insert(&m->main, m->main.count, item);
	else if (m->hand == MODEL_NONE)
		model_insert(&m->all, m->all.count, item);
	else
		model_insert(&m->all, m->hand++, item);
}

static inline unsigned
model_sieve(struct model *m)
{
	if (m->all.count == 0)
		return MODEL_NONE;
	if (m->hand == MODEL_NONE)
		m->hand = 0;
	while (m->uses[m->all.item[m->hand]] > 0) {
		m->uses[m->all.item[m->hand]] = 0;
		m->hand = (m->hand + 1) % m->all.count;
	}
	unsigned item = model_take(&m->all, m->hand);
	if (m->hand == m->all.count)
		m->hand = MODEL_NONE;
	return item;
}

static inline unsigned
model_s3fifo(struct model *m)
{
	uint64_t share = m->capacity - m->capacity / 10;

	if (model_blocks(m, &m->main) <= share)
		while (m->small.count > 0) {
			unsigned item = model_take(&m->small, 0);
			if (m->uses[item] < 2) {
				m->uses[item] = 0;
				vmc_ghost_fit(&m->ghost, model_count(m));
				vmc_ghost_add(&m->ghost, m->hash[item]);
				return item;
			}
			model_survives(m, item);
		}
	while (m->main.count > 0) {
		unsigned item = model_take(&m->main, 0);
		if (m->uses[item] == 0)
			return item;
		m->uses[item]--;
		model_insert(&m->main, m->main.count, item);
	}
	return MODEL_NONE;
}

static inline void
model_gone(struct model *m)
{
	if (model_count(m) == 0)
		vmc_ghost_fit(&m->ghost, 0);
}

/* The next victim, taken out. */
static inline unsigned
model_victim(struct model *m)
{
	unsigned item = MODEL_NONE;

	while (item == MODEL_NONE && m->back.count > 0) {
		item = model_take(&m->back, 0);
		if (m->uses[item] == 0)
			break;
		model_survives(m, item);
		item = MODEL_NONE;
	}
	if (item == MODEL_NONE)
		item = m->is_sieve ? model_sieve(m) : model_s3fifo(m);
	model_gone(m);
	return item;
}

/* The latest victim comes back. */
static inline void
model_restore(struct model *m, unsigned item)
{
	model_insert(&m->back, 0, item);
}

/* False: it is not there. */
static inline bool
model_remove(struct model *m, unsigned item)
{
	struct model_list *lists[] = {&m->back, &m->all, &m->small, &m->main};

	for (unsigned i = 0; i < 4; i++) {
		unsigned at = model_find(lists[i], item);
		if (at == MODEL_NONE)
			continue;
		model_take(lists[i], at);
		if (lists[i] == &m->all && m->hand != MODEL_NONE) {
			m->hand -= at < m->hand;
			if (m->hand == m->all.count)
				m->hand = MODEL_NONE;
		}
		model_gone(m);
		return true;
	}
	return false;
}

static inline void
model_start(struct model *m, bool is_sieve, uint64_t capacity,
	const struct vmc_memory *memory)
{
	memset(m, 0, sizeof(*m));
	m->is_sieve = is_sieve;
	m->capacity = capacity;
	m->hand = MODEL_NONE;
	vmc_ghost_init(&m->ghost, memory);
}

static inline void
model_end(struct model *m)
{
	vmc_ghost_fini(&m->ghost);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy_model.h -- SIEVE, S3-FIFO and ADAPTIVE as plainly as can be: lists in
 * arrays
 *
 * Items are numbers below MODEL_ITEMS. Of the ghosts the model asks the same
 * code as the library, which has a test of its own (unit/test_ghost.c), with
 * the same hashes. ADAPTIVE goes by ages, which the library knows by rows: so
 * the model has such rows for it.
 */
#ifndef TEST_POLICY_MODEL_H
#define TEST_POLICY_MODEL_H

#include "testing.h"

#include "policy/ghost.h"

#include <math.h>

#define MODEL_ITEMS 8192u
#define MODEL_NONE UINT32_MAX

struct model_list {
	unsigned item[MODEL_ITEMS];
	unsigned count;
};

/* 32 items that have come one after the other, or what is left of them. */
struct model_row {
	uint64_t time; /* when the first of them came */
	unsigned filled;
	unsigned item[32]; /* MODEL_NONE: gone */
};

/* The oldest first; the last one is being filled. */
struct model_rows {
	struct model_row row[MODEL_ITEMS / 8];
	unsigned count;
};

enum model_kind { MODEL_SIEVE, MODEL_S3FIFO, MODEL_ADAPTIVE };

struct model {
	enum model_kind kind;
	uint64_t capacity;            /* blocks */
	uint64_t blocks[MODEL_ITEMS]; /* at least 1 */
	uint32_t cost[MODEL_ITEMS];
	uint64_t hash[MODEL_ITEMS];
	uint8_t uses[MODEL_ITEMS];
	struct model_list back; /* victims that came back */
	/* SIEVE: one list, the oldest first; what the hand points to */
	struct model_list all;
	unsigned hand; /* MODEL_NONE: past the newest */
	/* S3-FIFO */
	struct model_list small, main;
	/* ADAPTIVE: the new and the main queue */
	struct model_rows queue[2];
	uint64_t came;       /* blocks */
	uint64_t evicted[2]; /* of each queue, of late */
	uint64_t ratio_log;
	bool knows_worth;
	int64_t worth_log; /* of a block that was evicted of late */
	uint64_t random;
	/* S3-FIFO and ADAPTIVE */
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

/* --- rows --- */

static inline unsigned
model_in_row(const struct model_row *r)
{
	unsigned count = 0;

	for (unsigned i = 0; i < r->filled; i++)
		count += r->item[i] != MODEL_NONE;
	return count;
}

static inline unsigned
model_in_rows(const struct model_rows *q)
{
	unsigned count = 0;

	for (unsigned i = 0; i < q->count; i++)
		count += model_in_row(&q->row[i]);
	return count;
}

static inline void
model_drop_row(struct model_rows *q, unsigned i)
{
	q->count--;
	memmove(&q->row[i], &q->row[i + 1], (q->count - i) * sizeof(*q->row));
}

static inline void
model_push(struct model_rows *q, unsigned item, uint64_t now)
{
	if (q->count > 0 && q->row[q->count - 1].filled == 32 &&
		model_in_row(&q->row[q->count - 1]) == 0)
		q->count--;
	if (q->count == 0 || q->row[q->count - 1].filled == 32)
		q->row[q->count++] = (struct model_row){.time = now};
	struct model_row *last = &q->row[q->count - 1];
	last->item[last->filled++] = item;
}

/* In which place of the first row its oldest is. */
static inline unsigned
model_first(const struct model_rows *q)
{
	unsigned i = 0;

	while (q->row[0].item[i] == MODEL_NONE)
		i++;
	return i;
}

static inline unsigned
model_pop(struct model_rows *q)
{
	unsigned *first = &q->row[0].item[model_first(q)], item = *first;

	*first = MODEL_NONE;
	if (q->count > 1 && model_in_row(&q->row[0]) == 0)
		model_drop_row(q, 0);
	return item;
}

/* When the oldest came, if all of its row came at equal distances. */
static inline uint64_t
model_age(const struct model_rows *q, uint64_t now)
{
	const struct model_row *r = &q->row[0];
	uint64_t next = q->count > 1 ? r[1].time : now;

	return now - r->time - (next - r->time) * model_first(q) / r->filled;
}

/* Row i and the next one, if they have few: one, as old as the older. */
static inline bool
model_merge(struct model_rows *q, unsigned i)
{
	struct model_row *r = &q->row[i], merged = {.time = r->time};

	if (i + 2 >= q->count || model_in_row(r) + model_in_row(r + 1) > 24)
		return false;
	memset(merged.item, 0xff, sizeof(merged.item));
	for (unsigned k = 0; k < 64; k++)
		if (r[k / 32].item[k % 32] != MODEL_NONE)
			merged.item[merged.filled++] = r[k / 32].item[k % 32];
	merged.filled = 32;
	*r = merged;
	model_drop_row(q, i + 1);
	return true;
}

static inline bool
model_remove_from_rows(struct model_rows *q, unsigned item)
{
	for (unsigned i = 0; i < q->count; i++)
		for (unsigned k = 0; k < q->row[i].filled; k++) {
			if (q->row[i].item[k] != item)
				continue;
			q->row[i].item[k] = MODEL_NONE;
			unsigned left = model_in_row(&q->row[i]);
			if (i + 1 == q->count)
				return true;
			if (left == 0)
				model_drop_row(q, i);
			else if (left <= 12 && !model_merge(q, i) && i > 0)
				model_merge(q, i - 1);
			return true;
		}
	return false;
}

/* --- all of them --- */

static inline unsigned
model_count(const struct model *m)
{
	return m->back.count + m->all.count + m->small.count + m->main.count +
	       model_in_rows(&m->queue[0]) + model_in_rows(&m->queue[1]);
}

/* Which items it has. */
static inline void
model_mark(const struct model *m, bool in[MODEL_ITEMS])
{
	const struct model_list *lists[] = {
		&m->back, &m->all, &m->small, &m->main};

	for (unsigned l = 0; l < 4; l++)
		for (unsigned i = 0; i < lists[l]->count; i++)
			in[lists[l]->item[i]] = true;
	for (unsigned q = 0; q < 2; q++)
		for (unsigned i = 0; i < 32 * m->queue[q].count; i++) {
			const struct model_row *r = &m->queue[q].row[i / 32];
			if (i % 32 < r->filled && r->item[i % 32] != MODEL_NONE)
				in[r->item[i % 32]] = true;
		}
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
	return m->kind == MODEL_SIEVE ? 1 : 3;
}

static inline void
model_use(struct model *m, unsigned item)
{
	if (m->uses[item] < model_most(m))
		m->uses[item]++;
}

/* ADAPTIVE: a ghost of that queue comes back. */
static inline void
model_regret(struct model *m, int queue)
{
	uint64_t nodes = model_count(m);
	uint64_t step = 32 * 65536 * (m->evicted[0] + m->evicted[1]) /
			(m->evicted[queue] * (nodes ? nodes : 1));

	if (step > 65536)
		step = 65536;
	if (queue == 0)
		m->ratio_log -= step < m->ratio_log ? step : m->ratio_log;
	else
		m->ratio_log += step;
	if (m->ratio_log > 5 * 65536)
		m->ratio_log = 5 * 65536;
}

/* In 65536ths; between powers of two as if it was a straight line. */
static inline int64_t
model_log(uint64_t n)
{
	int64_t whole = 0;

	while (n >> whole > 1)
		whole++;
	return whole * 65536 +
	       (int64_t)floor(ldexp((double)n, 16 - (int)whole)) - 65536;
}

/* ADAPTIVE: what was not used stays for its cost. */
static inline bool
model_is_dear(struct model *m, unsigned item)
{
	if (m->cost[item] == 0)
		return false;
	int64_t worth = model_log(m->cost[item]) - model_log(m->blocks[item]);
	if (!m->knows_worth)
		m->worth_log = worth;
	m->knows_worth = true;
	int64_t more = worth - m->worth_log;
	int64_t most = more < 5 * 65536 ? more : 5 * 65536;
	if (more > 0) {
		int64_t times = (65536 + most % 65536) << most / 65536;
		m->random = m->random * 6364136223846793005u + 1;
		/* all but one of so many times */
		if ((double)(m->random >> 48) * (double)times / 65536 >= 65536)
			return true;
	}
	m->worth_log += more / 64;
	return false;
}

/* One that is new. */
static inline void
model_add(struct model *m, unsigned item)
{
	if (m->kind == MODEL_ADAPTIVE) {
		int queue = vmc_ghost_take(&m->ghost, m->hash[item]);
		if (queue >= 0)
			model_regret(m, queue);
		m->came += m->blocks[item];
		model_push(&m->queue[queue >= 0], item, m->came);
	} else if (m->kind == MODEL_SIEVE) {
		if (m->hand == MODEL_NONE)
			m->hand = 0;
		model_insert(&m->all, m->all.count, item);
	} else if (vmc_ghost_take(&m->ghost, m->hash[item]) >= 0) {
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
	if (m->kind == MODEL_ADAPTIVE)
		model_push(&m->queue[1], item, m->came);
	else if (m->kind == MODEL_S3FIFO)
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
				vmc_ghost_add(&m->ghost, m->hash[item], 0);
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

static inline unsigned
model_adaptive(struct model *m)
{
	double ratio = (double)((65536 + m->ratio_log % 65536)
				<< m->ratio_log / 65536) /
		       65536;

	unsigned spared = 0;

	while (model_in_rows(&m->queue[0]) + model_in_rows(&m->queue[1]) > 0) {
		unsigned from = model_in_rows(&m->queue[0]) == 0;
		if (model_in_rows(&m->queue[0]) > 0 &&
			model_in_rows(&m->queue[1]) > 0)
			from = floor((double)model_age(&m->queue[0], m->came) *
				       ratio) <=
			       (double)model_age(&m->queue[1], m->came);
		unsigned item = model_pop(&m->queue[from]);
		if (m->uses[item] > 0) {
			m->uses[item] = from == 0 ? 0 : m->uses[item] - 1;
			model_push(&m->queue[1], item, m->came);
			continue;
		}
		if (spared < 64 && model_is_dear(m, item)) {
			spared++;
			model_push(&m->queue[from], item, m->came);
			continue;
		}
		unsigned nodes = model_count(m);
		vmc_ghost_fit(&m->ghost, nodes);
		vmc_ghost_add(&m->ghost, m->hash[item], from);
		m->evicted[from]++;
		if (m->evicted[0] + m->evicted[1] > nodes + 16)
			for (unsigned q = 0; q < 2; q++)
				m->evicted[q] = (m->evicted[q] + 1) / 2;
		return item;
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
		item = m->kind == MODEL_SIEVE    ? model_sieve(m)
		       : m->kind == MODEL_S3FIFO ? model_s3fifo(m)
						 : model_adaptive(m);
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
	if (!model_remove_from_rows(&m->queue[0], item) &&
		!model_remove_from_rows(&m->queue[1], item))
		return false;
	model_gone(m);
	return true;
}

static inline void
model_start(struct model *m, enum model_kind kind, uint64_t capacity,
	const struct vmc_memory *memory)
{
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->evicted[0] = m->evicted[1] = 1;
	m->ratio_log = 65536;
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

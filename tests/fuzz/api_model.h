/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api_model.h -- what a cache should hold, for the fuzz target api
 *
 * Keys are numbered. A value is a window into a table of noise, which key and
 * version choose.
 */
#ifndef VMC_TESTS_FUZZ_API_MODEL_H
#define VMC_TESTS_FUZZ_API_MODEL_H

#include "testing.h"

#include "fuzz.h"
#include "libvmemcache.h"

#include <sys/types.h>

#define MODEL_KEYS 64u
#define MODEL_LARGEST ((size_t)2 << 20)
#define MODEL_WINDOWS 65536u

enum item_state {
	ABSENT,
	PRESENT,
	GOING, /* its on_evict callback runs */
};

struct item {
	enum item_state state;
	size_t size;
	uint64_t version;
	uint64_t stamp; /* of its last use */
};

/* A get that missed, and is in its callback. */
struct wait {
	struct wait *outer;
	unsigned key;
	bool handed; /* the key was put meanwhile: this */
	uint64_t version;
	size_t size;
};

struct model {
	VMEMcache *cache;
	bool added;
	enum vmemcache_repl_p policy;
	bool rough; /* benchmark switches were used: sizes are right, no more */
	size_t size, block;
	uint64_t blocks;
	uint64_t clock, version;
	uint64_t puts, hits, misses, evicts;
	struct wait *waiting;
	struct item items[MODEL_KEYS];
};

/* A call under way. */
struct frame {
	struct frame *outer;
	struct model *model;
	int victim;      /* whose callback ran last, or -1 */
	int only_victim; /* the one that may be evicted; -1: any */
	unsigned depth;
	bool nested; /* other calls were made within it */
};

struct key {
	size_t size;
	unsigned char bytes[80];
};

/* Of 0 to 63 bytes, the number among them; none but 0 is empty. */
static inline struct key
model_key(unsigned number)
{
	struct key key = {.size = number};

	memset(key.bytes, 'k', sizeof(key.bytes));
	if (number)
		key.bytes[number / 2] = (unsigned char)number;
	return key;
}

static inline unsigned
model_key_number(const void *bytes, size_t size)
{
	fuzz_expect(size < MODEL_KEYS);
	struct key key = model_key((unsigned)size);
	fuzz_expect(size == 0 || memcmp(bytes, key.bytes, size) == 0);
	return (unsigned)size;
}

static inline const char *
model_value(unsigned key, uint64_t version)
{
	static uint64_t noise[(MODEL_LARGEST + MODEL_WINDOWS) / 8];
	uint64_t random = 1;

	for (size_t i = 0; i < sizeof(noise) / 8 && !noise[i]; i++)
		noise[i] = testing_random(&random) | 1;
	return (const char *)noise +
	       (version * 4099 + key * 257) % MODEL_WINDOWS;
}

/* An empty value has none, but counts as one. */
static inline uint64_t
model_blocks(const struct model *m, size_t size)
{
	if (m->rough) /* perhaps none */
		return 0;
	return size == 0 ? 1 : (size + m->block - 1) / m->block;
}

static inline uint64_t
model_free(const struct model *m)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		if (m->items[i].state != ABSENT)
			used += model_blocks(m, m->items[i].size);
	}
	fuzz_expect(used <= m->blocks);
	return m->blocks - used;
}

static inline uint64_t
model_empties(const struct model *m)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < MODEL_KEYS; i++)
		count += m->items[i].state != ABSENT && m->items[i].size == 0;
	return count;
}

/* What LRU evicts next; -1: nothing is there. */
static inline int
model_oldest(const struct model *m)
{
	int oldest = -1;

	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		if (m->items[i].state == PRESENT &&
			(oldest < 0 ||
				m->items[i].stamp < m->items[oldest].stamp))
			oldest = (int)i;
	}
	return oldest;
}

static inline void
model_insert(struct model *m, unsigned number, uint64_t version, size_t size)
{
	struct item *item = &m->items[number];

	fuzz_expect(item->state == ABSENT);
	*item = (struct item){.state = PRESENT,
		.size = size,
		.version = version,
		.stamp = ++m->clock};
	m->puts++;
}

/* The last victim's callback has returned, and so it is out by now. */
static inline void
frame_victim_gone(struct frame *f)
{
	struct model *m = f->model;

	if (f->victim < 0)
		return;
	fuzz_expect(m->items[f->victim].state == GOING);
	m->items[f->victim].state = ABSENT;
	m->evicts++;
	f->victim = -1;
}

/* That is what a get of that value should bring. */
static inline void
model_expect_bytes(const struct model *m, const char *buffer, ssize_t n,
	unsigned key, uint64_t version, size_t size, size_t offset, size_t room,
	size_t told)
{
	size_t left = offset < size ? size - offset : 0;
	size_t due = left < room ? left : room;

	fuzz_expect(told == size);
	fuzz_expect(n == (ssize_t)due);
	if (due && !m->rough)
		fuzz_expect(memcmp(buffer, model_value(key, version) + offset,
				    due) == 0);
}

/* The item is there, whole: without a touch, as it does not matter any more. */
static inline void
model_expect_item(struct model *m, unsigned number)
{
	struct item *item = &m->items[number];
	struct key key = model_key(number);
	char *buffer = malloc(item->size + 1);
	size_t told = 0;
	ssize_t n = vmemcache_get(m->cache, key.bytes, key.size, buffer,
		item->size + 1, 0, &told);

	fuzz_expect(n >= 0);
	model_expect_bytes(m, buffer, n, number, item->version, item->size, 0,
		item->size + 1, told);
	free(buffer);
	m->hits++;
}

static inline void
model_expect_statistic(
	const struct model *m, unsigned stat, unsigned long long value)
{
	uint64_t sum = 0;

	switch (m->added ? stat : VMEMCACHE_STATS_NUM) {
	case VMEMCACHE_STAT_PUT:
		sum = m->puts;
		break;
	case VMEMCACHE_STAT_GET:
		sum = m->hits + m->misses;
		break;
	case VMEMCACHE_STAT_HIT:
		sum = m->hits;
		break;
	case VMEMCACHE_STAT_MISS:
		sum = m->misses;
		break;
	case VMEMCACHE_STAT_EVICT:
		sum = m->evicts;
		break;
	case VMEMCACHE_STAT_ENTRIES:
		sum = m->puts - m->evicts;
		break;
	case VMEMCACHE_STAT_POOL_SIZE_USED:
		if (m->rough)
			return;
		sum = m->blocks - model_free(m) - model_empties(m);
		sum *= m->block;
		break;
	case VMEMCACHE_STATS_NUM: /* there is nothing yet */
		break;
	default:
		return;
	}
	fuzz_expect(value == sum);
}

/* Those there are, without a gap; behind them two that there are not. */
#define MODEL_STATS 16u

static inline unsigned
model_stat(unsigned i)
{
	if (i == MODEL_STATS)
		return VMEMCACHE_STATS_NUM;
	if (i < VMEMCACHE_STATS_NUM)
		return i;
	return VMEMCACHE_STAT_EXTENTS + (i - VMEMCACHE_STATS_NUM);
}

/* At the end: everything that should be there is, and nothing else. */
static inline void
model_expect_all(struct model *m)
{
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		struct key key = model_key(i);
		if (m->items[i].state == PRESENT)
			model_expect_item(m, i);
		fuzz_expect(vmemcache_exists(m->cache, key.bytes, key.size,
				    NULL) == (m->items[i].state == PRESENT));
	}
	for (unsigned i = 0; i < MODEL_STATS; i++) {
		unsigned stat = model_stat(i);
		unsigned long long value;
		fuzz_expect(vmemcache_get_stat(m->cache,
				    (enum vmemcache_statistic)stat, &value,
				    sizeof(value)) == 0);
		model_expect_statistic(m, stat, value);
	}
}

#endif

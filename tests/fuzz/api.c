/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api.c -- fuzz target: the public calls as a program in bytes, on two caches
 *
 * Every call is made in any order, configured or not, and by callbacks, to a
 * few levels, on either cache. A model knows what each cache holds, byte by
 * byte, and which errno is due. Of LRU it knows the next victim as long as
 * nothing is nested.
 */
#include "api_model.h"

#include "cache.h"

#include <errno.h>

#define MOST_DEPTH 4

uint64_t __wrap_vmc_os_random64(void);

/* The seed of the hash: an input does the same in every process. */
uint64_t
__wrap_vmc_os_random64(void)
{
	return UINT64_C(0x5eed);
}

static struct model models[2];
static struct fuzz_input input;
/* The operations under way, the innermost first. */
static struct frame *frames;

static void step(void);

static void
nested(unsigned most)
{
	if (frames->depth >= MOST_DEPTH)
		return;
	for (unsigned n = fuzz_byte(&input); n < most; n++)
		step();
}

static void
on_evict(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct model *m = arg;
	unsigned number = model_key_number(key, key_size);
	struct item *item = &m->items[number];

	fuzz_expect(frames && frames->model == m && m->cache == cache);
	frame_victim_gone(frames);
	fuzz_expect(item->state == PRESENT);
	fuzz_expect(
		frames->only_victim < 0 || frames->only_victim == (int)number);
	if (m->policy == VMEMCACHE_REPLACEMENT_LRU && frames->only_victim < 0 &&
		frames->depth == 0 && !frames->nested)
		fuzz_expect(model_oldest(m) == (int)number);
	item->state = GOING;
	frames->victim = (int)number;
	model_expect_item(m, number);
	nested(3);
}

static void
on_miss(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct model *m = arg;

	fuzz_expect(m->waiting && m->cache == cache);
	fuzz_expect(model_key_number(key, key_size) == m->waiting->key);
	nested(4);
}

static unsigned
choose_key(void)
{
	return fuzz_byte(&input) % MODEL_KEYS;
}

static size_t
choose_size(void)
{
	static const size_t sizes[] = {0, 1, 8, 255, 256, 257, 1000, 4095, 4096,
		4097, 10000, 65536, 100000, 262144, 500000, 1 << 20,
		(1 << 20) + 1, 2000000};
	unsigned byte = fuzz_byte(&input);

	return byte < 128 ? sizes[byte % 18] : (size_t)(byte - 127) * 700;
}

static void
put(struct frame *f, struct model *m)
{
	unsigned number = choose_key();
	struct item *item = &m->items[number];
	enum item_state before = item->state;
	size_t size = choose_size();
	uint64_t version = ++m->version, evicts = m->evicts;
	struct key key = model_key(number);
	bool first = m->waiting && m->waiting->key == number;

	int rc = vmemcache_put(m->cache, key.bytes, key.size,
		model_value(number, version), size);
	int err = rc ? errno : 0;
	frame_victim_gone(f);
	if (!m->added)
		fuzz_expect(err == EINVAL);
	else if (before != ABSENT)
		fuzz_expect(err == EEXIST);
	else if (model_blocks(m, size) > m->blocks)
		fuzz_expect(err == ENOSPC && m->evicts == evicts);
	else if (err == EEXIST)
		fuzz_expect(f->nested && item->state != ABSENT);
	else if (m->policy == VMEMCACHE_REPLACEMENT_NONE && !m->rough)
		fuzz_expect(
			err ==
			(model_free(m) < model_blocks(m, size) ? ENOSPC : 0));
	else
		fuzz_expect(err == 0 ||
			    (err == ENOSPC && (f->depth > 0 || m->rough)));
	if (err == 0)
		model_insert(m, number, version, size);
	/* the get that waits is given the value, kept or not */
	if (first && (err == 0 || err == ENOSPC)) {
		m->waiting->handed = true;
		m->waiting->version = version;
		m->waiting->size = size;
	}
}

static void
get(struct frame *f, struct model *m)
{
	unsigned number = choose_key();
	struct item *item = &m->items[number];
	bool hit = item->state != ABSENT;
	size_t room = choose_size(), told = 12345;
	size_t offset = fuzz_byte(&input) < 200 ? 0 : choose_size();
	char *buffer = room ? malloc(room) : NULL;
	struct key key = model_key(number);
	struct wait wait = {.outer = m->waiting, .key = number};

	if (!hit)
		m->waiting = &wait;
	ssize_t n = vmemcache_get(
		m->cache, key.bytes, key.size, buffer, room, offset, &told);
	int err = n < 0 ? errno : 0;
	m->waiting = wait.outer;
	(void)f;
	if (!m->added) {
		fuzz_expect(err == EINVAL && told == 12345);
		free(buffer);
		return;
	}
	m->hits += hit;
	m->misses += !hit;
	if (wait.handed) {
		fuzz_expect(!hit && err == 0);
		model_expect_bytes(m, buffer, n, number, wait.version,
			wait.size, offset, room, told);
	} else if (item->state != ABSENT) {
		fuzz_expect(err == 0);
		model_expect_bytes(m, buffer, n, number, item->version,
			item->size, offset, room, told);
		item->stamp = ++m->clock;
	} else {
		fuzz_expect(err == ENOENT && told == 12345);
	}
	free(buffer);
}

static void
evict(struct frame *f, struct model *m)
{
	unsigned number = choose_key();
	struct item *item = &m->items[number];
	enum item_state before = item->state;
	struct key key = model_key(number);

	f->only_victim = (int)number;
	/* a key of no bytes may be NULL elsewhere, here it is "any" */
	int rc = vmemcache_evict(m->cache, key.bytes, key.size);
	int err = rc ? errno : 0;
	bool called = f->victim >= 0;
	frame_victim_gone(f);
	if (!m->added)
		fuzz_expect(err == EINVAL);
	else if (before == ABSENT)
		fuzz_expect(err == ENOENT);
	else if (before == GOING)
		fuzz_expect(err == EAGAIN);
	else
		fuzz_expect(err == 0 || (err == EAGAIN && f->depth > 0));
	fuzz_expect(called == (err == 0));
}

static void
evict_any(struct frame *f, struct model *m)
{
	int present = model_oldest(m);
	int rc = vmemcache_evict(m->cache, NULL, 0);
	int err = rc ? errno : 0;
	bool called = f->victim >= 0;

	frame_victim_gone(f);
	fuzz_expect(called == (err == 0));
	if (!m->added)
		fuzz_expect(err == EINVAL);
	else if (m->policy == VMEMCACHE_REPLACEMENT_NONE || present < 0)
		fuzz_expect(err == ESRCH);
	else
		fuzz_expect(err == 0 || (err == ESRCH && f->depth > 0));
}

static void
exists(struct frame *f, struct model *m)
{
	unsigned number = choose_key();
	struct item *item = &m->items[number];
	struct key key = model_key(number);
	size_t told = 12345;
	int rc = vmemcache_exists(m->cache, key.bytes, key.size, &told);

	(void)f;
	if (!m->added) {
		fuzz_expect(rc == -1 && errno == EINVAL);
		return;
	}
	fuzz_expect(rc == (item->state != ABSENT));
	fuzz_expect(told == (rc ? item->size : 12345));
}

static void
statistics(struct frame *f, struct model *m)
{
	unsigned i = fuzz_byte(&input) % (MODEL_STATS + 2);
	unsigned stat = model_stat(i);
	unsigned long long value = 1;
	size_t size = fuzz_byte(&input) < 250 ? sizeof(value) : 4;
	int rc = vmemcache_get_stat(
		m->cache, (enum vmemcache_statistic)stat, &value, size);

	fuzz_expect(rc == (i < MODEL_STATS && size == sizeof(value) ? 0 : -1));
	fuzz_expect(rc == 0 || errno == EINVAL);
	if (rc == 0 && f->depth == 0)
		model_expect_statistic(m, stat, value);
}

static void
configure(struct frame *f, struct model *m)
{
	static const size_t sizes[] = {0, (1 << 20) - 1, 1 << 20, (1 << 20) + 1,
		2 << 20, 3000000, (size_t)1 << 56, SIZE_MAX};
	static const size_t extents[] = {
		0, 255, 256, 257, 1000, 4096, 1 << 20, 2 << 20, SIZE_MAX};
	unsigned what = fuzz_byte(&input);
	size_t size = fuzz_choose(&input, sizes);
	size_t extent = fuzz_choose(&input, extents);
	int policy = (int)(fuzz_byte(&input) % 4) - 1;
	bool valid;
	int rc;

	(void)f;
	if (what < 80) {
		valid = size >= 1 << 20 && size < (size_t)1 << 56;
		rc = vmemcache_set_size(m->cache, size);
		if (valid && !m->added)
			m->size = size;
	} else if (what < 160) {
		valid = extent >= 256;
		rc = vmemcache_set_extent_size(m->cache, extent);
		if (valid && !m->added)
			m->block = extent;
	} else if (what < 240) {
		if (policy == VMEMCACHE_REPLACEMENT_NUM)
			policy = (int)(fuzz_byte(&input) % 5) +
				 VMEMCACHE_REPLACEMENT_SIEVE - 1;
		valid = (policy >= 0 && policy < VMEMCACHE_REPLACEMENT_NUM) ||
			(policy >= VMEMCACHE_REPLACEMENT_SIEVE &&
				policy <= VMEMCACHE_REPLACEMENT_ADAPTIVE);
		rc = vmemcache_set_eviction_policy(
			m->cache, (enum vmemcache_repl_p)policy);
		if (valid && !m->added)
			m->policy = (enum vmemcache_repl_p)policy;
	} else if (what >= 252) {
		valid = true;
		rc = vmemcache_set_prefault(
			m->cache, (unsigned)policy + 1, NULL, NULL);
	} else {
		/* KMEM: whether it can be added depends on the machine */
		if (policy == VMEMCACHE_METADATA_KMEM)
			policy = VMEMCACHE_METADATA_KMEM + 1;
		valid = policy >= 0 && policy <= VMEMCACHE_METADATA_PMEM;
		rc = vmemcache_set_metadata(
			m->cache, (enum vmemcache_metadata)policy);
	}
	fuzz_expect(rc == (valid && !m->added ? 0 : -1));
	fuzz_expect(rc == 0 || errno == (m->added ? EALREADY : EINVAL));
}

static void
add(struct frame *f, struct model *m)
{
	static const char *const paths[] = {
		"/dev/shm", "/dev/shm", "/dev/null", "/nonexistent", NULL, ""};
	static const int errors[] = {0, 0, ENOTDIR, ENOENT, EINVAL, ENOENT};
	unsigned which = fuzz_byte(&input) % 6;
	size_t size = m->size ? m->size : 1 << 20;
	int due = m->block > size ? EINVAL : errors[which];
	int rc = vmemcache_add(m->cache, paths[which]);

	(void)f;
	if (m->added) {
		fuzz_expect(rc == -1 && errno == EBUSY);
		return;
	}
	/* which of two mistakes is named first is nobody's business */
	fuzz_expect(rc == (due ? -1 : 0));
	fuzz_expect(!due || errno == due ||
		    (errors[which] && errno == errors[which]));
	m->added = rc == 0;
	m->size = m->added ? (size + 4095) & ~(size_t)4095 : m->size;
	m->blocks = m->size / m->block;
}

static void
switches(struct frame *f, struct model *m)
{
	unsigned which = fuzz_byte(&input) % 6;

	(void)f;
	/* with these the contents are gone, and it is told rarely */
	if (which < VMEMCACHE_BENCH_PREFAULT && fuzz_byte(&input) < 250)
		return;
	vmemcache_bench_set(m->cache, (enum vmemcache_bench_cfg)which,
		fuzz_byte(&input) & 1);
	if (which < VMEMCACHE_BENCH_PREFAULT)
		m->rough = true;
}

static void
step(void)
{
	unsigned op = fuzz_byte(&input);
	struct model *m = &models[op & 1];
	struct frame f = {.outer = frames,
		.model = m,
		.victim = -1,
		.only_victim = -1,
		.depth = frames ? frames->depth + 1 : 0};
	bool setting = op >= 232 && (op < 248 || !frames);

	for (struct frame *o = frames; o; o = o->outer)
		o->nested = true;
	frames = &f;
	if (op < 90)
		put(&f, m);
	else if (op < 150)
		get(&f, m);
	else if (op < 180)
		evict(&f, m);
	else if (op < 196)
		evict_any(&f, m);
	else if (op < 212)
		exists(&f, m);
	else if (op < 232)
		statistics(&f, m);
	else if (setting && op < 240)
		configure(&f, m);
	else if (setting && op < 248)
		add(&f, m);
	else if (setting && op < 252)
		switches(&f, m);
	else if (m->added && f.depth == 0)
		fuzz_expect(vmc_cache_check(m->cache) == 0);
	frames = f.outer;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, data + size};
	frames = NULL;
	for (int i = 0; i < 2; i++) {
		struct model *m = &models[i];
		*m = (struct model){.block = VMEMCACHE_MIN_EXTENT,
			.policy = VMEMCACHE_REPLACEMENT_LRU};
		m->cache = vmemcache_new();
		vmemcache_callback_on_evict(m->cache, on_evict, m);
		vmemcache_callback_on_miss(m->cache, on_miss, m);
	}
	while (fuzz_more(&input))
		step();
	for (int i = 0; i < 2; i++) {
		struct model *m = &models[i];
		if (m->added) {
			fuzz_expect(vmc_cache_check(m->cache) == 0);
			model_expect_all(m);
		}
		vmemcache_delete(m->cache);
	}
	return 0;
}

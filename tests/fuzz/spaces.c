/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces.c -- fuzz target: spaces, keys by prefix and resizing as a program in
 * bytes, on one cache
 *
 * Spaces are made, with a quota or without, cleared and deleted; the same keys
 * are put, read and removed in all of them, one by one and by prefix, and
 * walked in order, while the pool grows and shrinks. A key may have no bytes,
 * zero bytes, and another key for its prefix. All that is good fits into the
 * pool at any time. So what was stored is there until a call says otherwise,
 * whatever waits to be reused; only where there is a quota it may go for that.
 * Reservations stay open meanwhile, and are committed after any of that: no
 * space ever has more than its quota, and what fits beside them is stored.
 */
#include "fuzz.h"
#include "items.h"

#define BLOCK VMEMCACHE_MIN_EXTENT
#define QUOTA_MOST 40u

enum { PLACES = 5, KEYS = 40, LONGEST = 3, LARGEST = 8 * BLOCK, OPEN = 4 };

struct place {
	VMEMcache *handle;      /* of the first: the cache */
	uint64_t quota;         /* blocks; 0: none */
	uint64_t version[KEYS]; /* 0: not there */
	size_t size[KEYS];
};

struct reservation {
	struct place *place; /* NULL: it is none */
	unsigned key;
	size_t size;
	uint64_t version;
	bool is_old; /* the place was cleared since */
	struct vmemcache_item item;
};

struct key {
	size_t size;
	unsigned char bytes[LONGEST];
};

static struct fuzz_input input;
static struct place places[PLACES];
static struct reservation reservations[OPEN];
static struct key keys[KEYS]; /* in order */
static uint64_t versions;
static enum vmemcache_repl_p policy;

uint64_t __wrap_vmc_os_random64(void);

/* Of the hashes: so each key has the same one in all spaces. */
uint64_t
__wrap_vmc_os_random64(void)
{
	return UINT64_C(0x5eed);
}

/* Up to three bytes, each of them 0, 'a' or 255. */
static void
make_keys(void)
{
	static const unsigned char bytes[] = {0, 'a', 255};
	unsigned count = 0;

	keys[count++] = (struct key){.size = 0};
	for (unsigned a = 0; a < 3; a++) {
		keys[count++] = (struct key){1, {bytes[a]}};
		for (unsigned b = 0; b < 3; b++) {
			keys[count++] = (struct key){2, {bytes[a], bytes[b]}};
			for (unsigned c = 0; c < 3; c++)
				keys[count++] = (struct key){
					3, {bytes[a], bytes[b], bytes[c]}};
		}
	}
	fuzz_expect(count == KEYS);
}

static bool
has_prefix(unsigned key, const struct key *prefix)
{
	return keys[key].size >= prefix->size &&
	       memcmp(keys[key].bytes, prefix->bytes, prefix->size) == 0;
}

/* What no two items have in common. */
static uint64_t
number_of(const struct place *p, unsigned key)
{
	return (uint64_t)(p - places) * KEYS + key;
}

static uint64_t
blocks_for(size_t size)
{
	return size == 0 ? 1 : (size + BLOCK - 1) / BLOCK;
}

/* Blocks of reservations that count for the quota. */
static uint64_t
reserved_in(const struct place *p)
{
	uint64_t blocks = 0;

	for (unsigned i = 0; i < OPEN; i++)
		if (reservations[i].place == p && !reservations[i].is_old)
			blocks += blocks_for(reservations[i].size);
	return blocks;
}

static bool
fits_in(const struct place *p, size_t size)
{
	return p->quota == 0 || blocks_for(size) + reserved_in(p) <= p->quota;
}

/* Of a call that stores that much: only for the quota it may fail. */
static bool
is_stored(const struct place *p, size_t size, int err)
{
	if (!fits_in(p, size) ||
		(p->quota > 0 && policy == VMEMCACHE_REPLACEMENT_NONE &&
			err == ENOSPC)) {
		fuzz_expect(err == ENOSPC);
		return false;
	}
	fuzz_expect(err == 0);
	return true;
}

static void
put(struct place *p)
{
	unsigned key = (unsigned)fuzz_below(&input, KEYS);
	size_t size = fuzz_below(&input, LARGEST + 1);
	char *value = malloc(size + 1);

	value_fill(value, size, 0, number_of(p, key), ++versions);
	int rc = vmemcache_put(
		p->handle, keys[key].bytes, keys[key].size, value, size);
	int err = rc ? errno : 0;
	free(value);
	if (err == EEXIST) {
		fuzz_expect(p->version[key] != 0);
		return;
	}
	fuzz_expect(p->version[key] == 0 || p->quota > 0);
	p->version[key] = 0;
	if (!is_stored(p, size, err))
		return;
	p->version[key] = versions;
	p->size[key] = size;
}

static void
commit(struct reservation *r)
{
	struct place *p = r->place;
	int rc = vmemcache_commit(p->handle, &r->item, r->size, NULL);
	int err = rc ? errno : 0;

	r->place = NULL;
	if (!r->is_old)
		fuzz_expect(err == 0);
	else if (!is_stored(p, r->size, err))
		return;
	p->version[r->key] = r->version;
	p->size[r->key] = r->size;
}

static void
abort_all(const struct place *p)
{
	for (unsigned i = 0; i < OPEN; i++)
		if (reservations[i].place == p) {
			vmemcache_abort(p->handle, &reservations[i].item);
			reservations[i].place = NULL;
		}
}

/* If there is none, make it; else it ends. */
static void
reserve(struct place *p)
{
	struct reservation *r = &fuzz_choose(&input, reservations);

	if (r->place && fuzz_byte(&input) % 4 == 0)
		abort_all(r->place);
	if (r->place) {
		commit(r);
		return;
	}
	r->key = (unsigned)fuzz_below(&input, KEYS);
	r->size = fuzz_below(&input, LARGEST + 1);
	r->version = ++versions;
	r->is_old = false;
	int rc = vmemcache_reserve(p->handle, keys[r->key].bytes,
		keys[r->key].size, r->size, NULL, &r->item);
	if (!is_stored(p, r->size, rc ? errno : 0))
		return;
	r->place = p;
	items_fill(&r->item, number_of(p, r->key), r->version);
}

/* It is as it should be, or has gone for the quota. */
static bool
look(struct place *p, unsigned key)
{
	char value[LARGEST + 1];
	size_t size = 0;
	ssize_t n = vmemcache_get(p->handle, keys[key].bytes, keys[key].size,
		value, sizeof(value), 0, &size);

	if (n < 0) {
		fuzz_expect(errno == ENOENT);
		fuzz_expect(p->version[key] == 0 || p->quota > 0);
		p->version[key] = 0;
		return false;
	}
	fuzz_expect(p->version[key] != 0 && size == p->size[key]);
	fuzz_expect(
		n == (ssize_t)size &&
		value_is(value, size, 0, number_of(p, key), p->version[key]));
	return true;
}

static void
evict(struct place *p)
{
	unsigned key = (unsigned)fuzz_below(&input, KEYS);
	int rc = vmemcache_evict(p->handle, keys[key].bytes, keys[key].size);

	if (rc == 0)
		fuzz_expect(p->version[key] != 0);
	else
		fuzz_expect(errno == ENOENT &&
			    (p->version[key] == 0 || p->quota > 0));
	p->version[key] = 0;
}

static void
forget(struct place *p)
{
	memset(p->version, 0, sizeof(p->version));
	for (unsigned i = 0; i < OPEN; i++)
		reservations[i].is_old |= reservations[i].place == p;
}

static void
clear(struct place *p)
{
	fuzz_expect(vmemcache_clear(p->handle) == 0);
	forget(p);
}

static void
remove_prefix(struct place *p)
{
	const struct key *prefix = &fuzz_choose(&input, keys);
	ssize_t due = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		if (!has_prefix(key, prefix))
			continue;
		due += p->version[key] != 0;
		p->version[key] = 0;
	}
	ssize_t n =
		vmemcache_remove_prefix(p->handle, prefix->bytes, prefix->size);
	fuzz_expect(n == due || (p->quota > 0 && n >= 0 && n < due));
}

struct walk {
	struct place *place;
	const struct key *prefix;
	unsigned next; /* from this key on */
	size_t shown;
};

/* The next key that is to be shown; KEYS: there is none. */
static unsigned
next_due(const struct walk *w)
{
	unsigned key = w->next;

	while (key < KEYS &&
		(!has_prefix(key, w->prefix) || w->place->version[key] == 0))
		key++;
	return key;
}

static enum vmemcache_step
on_item(VMEMcache *cache, const void *key, size_t size,
	const struct vmemcache_item *item, void *arg)
{
	struct walk *w = arg;
	unsigned due;

	fuzz_expect(cache == w->place->handle);
	for (;;) {
		due = next_due(w);
		fuzz_expect(due < KEYS);
		w->next = due + 1;
		if (size == keys[due].size &&
			memcmp(key, keys[due].bytes, size) == 0)
			break;
		fuzz_expect(w->place->quota > 0);
	}
	fuzz_expect(item->info.value_size == w->place->size[due]);
	w->shown++;
	if (fuzz_byte(&input) >= 32)
		return VMEMCACHE_WALK_ON;
	w->place->version[due] = 0;
	return VMEMCACHE_WALK_REMOVE;
}

static void
walk(struct place *p)
{
	struct walk w = {.place = p, .prefix = &fuzz_choose(&input, keys)};
	bool is_after = fuzz_byte(&input) % 2;
	unsigned after = (unsigned)fuzz_below(&input, KEYS);
	size_t at_most = 1 + fuzz_below(&input, KEYS);

	w.next = is_after ? after + 1 : 0;
	ssize_t n = vmemcache_walk_prefix(p->handle, w.prefix->bytes,
		w.prefix->size, is_after ? keys[after].bytes : NULL,
		is_after ? keys[after].size : 0, at_most, on_item, &w);
	fuzz_expect(n == (ssize_t)w.shown && w.shown <= at_most);
	if (p->quota == 0 && w.shown < at_most)
		fuzz_expect(next_due(&w) == KEYS);
}

static void
renew(struct place *p)
{
	struct vmemcache_space how = {.struct_size = sizeof(how)};

	if (p == places)
		return;
	abort_all(p);
	vmemcache_delete(p->handle);
	p->quota =
		fuzz_byte(&input) % 2 ? 1 + fuzz_below(&input, QUOTA_MOST) : 0;
	how.quota = p->quota * BLOCK;
	p->handle = vmemcache_new_space(places[0].handle, &how);
	fuzz_expect(p->handle != NULL);
	forget(p);
}

static void
resize(struct place *p)
{
	size_t size = VMEMCACHE_MIN_POOL + fuzz_below(&input, 49) * 65536;

	(void)p;
	if (vmemcache_resize(places[0].handle, size) == 0)
		return;
	fuzz_expect(errno == EBUSY);
	for (unsigned i = 0; i < OPEN; i++)
		if (reservations[i].place)
			return;
	fuzz_expect(false); /* nothing is in its way */
}

/* Everything that should be there is, and is what is counted. */
static void
check(struct place *p)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	uint64_t items = 0, blocks = 0, all = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		if (!look(p, key))
			continue;
		items++;
		blocks += blocks_for(p->size[key]);
	}
	blocks += reserved_in(p);
	fuzz_expect(p->quota == 0 || blocks <= p->quota);
	for (unsigned i = 0; i < PLACES; i++)
		for (unsigned key = 0; key < KEYS && i > 0; key++)
			all += look(&places[i], key);
	fuzz_expect(vmemcache_statistics(p->handle, &s) == 0);
	fuzz_expect(p == places ? s.items >= items + all : s.items == items);
	fuzz_expect(p == places || s.block_bytes == blocks * BLOCK);
	fuzz_expect(vmc_cache_check(places[0].handle) == 0);
}

static void
step(void)
{
	static void (*const calls[])(struct place *) = {[0 ... 12] = put,
		reserve,
		reserve,
		reserve,
		evict,
		evict,
		remove_prefix,
		remove_prefix,
		walk,
		walk,
		walk,
		clear,
		clear,
		renew,
		resize,
		check};
	struct place *p = &fuzz_choose(&input, places);

	fuzz_choose(&input, calls)(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum vmemcache_repl_p policies[] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_NONE,
		VMEMCACHE_REPLACEMENT_SIEVE, VMEMCACHE_REPLACEMENT_S3FIFO,
		VMEMCACHE_REPLACEMENT_ADAPTIVE};

	input = (struct fuzz_input){data, data + size};
	make_keys();
	policy = fuzz_choose(&input, policies);
	VMEMcache *cache = fixture_new(VMEMCACHE_MIN_POOL, BLOCK, policy);
	fuzz_expect(vmemcache_set_ordered(cache, fuzz_byte(&input) % 2) == 0);
	fuzz_expect(vmemcache_add(cache, FIXTURE_DIR) == 0);
	memset(places, 0, sizeof(places));
	memset(reservations, 0, sizeof(reservations));
	places[0].handle = cache;
	for (unsigned i = 1; i < PLACES; i++)
		renew(&places[i]);
	while (fuzz_more(&input))
		step();
	for (unsigned i = 0; i < PLACES; i++)
		check(&places[i]);
	for (unsigned i = PLACES; i-- > 0;) {
		abort_all(&places[i]);
		clear(&places[i]);
		if (i > 0)
			vmemcache_delete(places[i].handle);
	}
	fuzz_expect(vmc_cache_check(cache) == 0);
	vmemcache_delete(cache);
	return 0;
}

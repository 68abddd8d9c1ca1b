/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tenants.c -- one more cache, with spaces and its keys in order, for the same
 * threads: items are put, read, removed and walked by prefix, spaces cleared,
 * deleted and made again, and the pool is resized, all at the same time
 */
#include "soak.h"

enum { TENANTS = 4, KEYS = 3000, BATCH = 200 };

/* The first one is the cache itself. */
static struct tenant {
	pthread_rwlock_t lock; /* shared: uses the space; alone: deletes it */
	VMEMcache *handle;
} tenants[TENANTS];

/* What no two values have in common; keys have two bytes that differ. */
static uint64_t
number_of(const struct tenant *t, uint64_t key)
{
	return (uint64_t)(t - tenants) * KEYS + key;
}

static void
make(struct tenant *t)
{
	struct vmemcache_space how = {.struct_size = sizeof(how),
		.quota = t == &tenants[1] ? 1 << 20 : 0};

	t->handle = vmemcache_new_space(tenants[0].handle, &how);
	if (!t->handle) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		exit(1);
	}
}

void
soak_tenants_open(void)
{
	VMEMcache *cache = fixture_new(16 << 20, 0, VMEMCACHE_REPLACEMENT_LRU);

	vmemcache_set_ordered(cache, 1);
	if (vmemcache_add(cache, FIXTURE_DIR) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		exit(1);
	}
	tenants[0].handle = cache;
	for (struct tenant *t = tenants; t < tenants + TENANTS; t++) {
		pthread_rwlock_init(&t->lock, NULL);
		if (t > tenants)
			make(t);
	}
}

static void
put_or_get(struct tenant *t, uint64_t key)
{
	size_t size = soak_size_of(key), told = 0;
	char *buffer = malloc(size + 1);
	bool puts = soak_below(3) == 0;

	value_fill(buffer, puts ? size : 0, 0, number_of(t, key), 1);
	if (puts) {
		int rc = vmemcache_put(
			t->handle, &key, sizeof(key), buffer, size);
		testing_expect(rc == 0 || errno == EEXIST || errno == ENOSPC);
	} else {
		ssize_t n = vmemcache_get(t->handle, &key, sizeof(key), buffer,
			size + 1, 0, &told);
		testing_expect(n < 0 ? errno == ENOENT
				     : (size_t)n == size && told == size &&
					       value_is(buffer, size, 0,
						       number_of(t, key), 1));
	}
	free(buffer);
}

/* vmemcache_on_item */
static enum vmemcache_step
see(VMEMcache *cache, const void *bytes, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	const struct tenant *t = arg;
	uint64_t key = 0;
	size_t at = 0;

	testing_expect(cache == t->handle && key_size == sizeof(key));
	memcpy(&key, bytes, sizeof(key));
	for (int i = 0; i < item->iov_count; i++) {
		testing_expect(value_is(item->iov[i].iov_base,
			item->iov[i].iov_len, at, number_of(t, key), 1));
		at += item->iov[i].iov_len;
	}
	testing_expect(at == soak_size_of(key));
	return VMEMCACHE_WALK_ON;
}

static void
resize(void)
{
	size_t size = (4 + soak_below(29)) << 20;

	if (vmemcache_resize(tenants[0].handle, size) == 0)
		vmc_fetch_add_relaxed(&soak_counts.resizes, 1);
	else
		testing_expect(
			errno == EBUSY || errno == EALREADY || errno == ENOSPC);
}

static void
operate(struct tenant *t)
{
	uint64_t key = soak_below(KEYS);

	switch (soak_below(1000)) {
	case 0:
		testing_expect(vmemcache_clear(t->handle) == 0);
		vmc_fetch_add_relaxed(&soak_counts.clears, 1);
		break;
	case 1:
		resize();
		break;
	case 2:
	case 3:
		testing_expect(
			vmemcache_remove_prefix(t->handle, &key, 1) >= 0);
		break;
	case 4:
	case 5:
		testing_expect(vmemcache_walk_prefix(t->handle, &key, 1, NULL,
				       0, KEYS, see, t) >= 0);
		break;
	default:
		put_or_get(t, key);
	}
}

void
soak_tenants(void)
{
	struct tenant *t = &tenants[soak_below(TENANTS)];

	if (t > tenants && soak_below(20) == 0 &&
		pthread_rwlock_trywrlock(&t->lock) == 0) {
		vmemcache_delete(t->handle);
		make(t);
		pthread_rwlock_unlock(&t->lock);
	}
	pthread_rwlock_rdlock(&t->lock);
	for (int i = 0; i < BATCH; i++)
		operate(t);
	pthread_rwlock_unlock(&t->lock);
}

bool
soak_tenants_are_whole(void)
{
	return vmc_cache_check(tenants[0].handle) == 0;
}

void
soak_tenants_close(void)
{
	vmemcache_delete(tenants[0].handle); /* and its spaces */
	for (struct tenant *t = tenants; t < tenants + TENANTS; t++)
		pthread_rwlock_destroy(&t->lock);
}

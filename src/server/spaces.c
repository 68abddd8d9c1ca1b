/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces.c -- finding the space of a key by the key's prefix
 *
 * A hash table of fixed size, at most half full, from prefixes to numbers, and
 * an array from numbers to spaces. Both are only added to: by one thread at a
 * time, under the lock, while any thread reads without it. The slot is stored
 * last, with release, and loaded with acquire: a thread that finds a number
 * finds its space complete. The count is stored likewise, for threads that
 * iterate by number. The memory of both is the system's zero pages until it is
 * used.
 *
 * A space is never deleted: a prefix that has one keeps it. When there are
 * VMCD_SPACES_MAX, or the library has no more, none is made from then on, so
 * a key never moves from the cache to a space.
 *
 * Clients choose the prefixes. The hash is a polynomial over the field of the
 * integers modulo 2^61 - 1 at a random place, so that clients cannot choose
 * prefixes that meet in one slot: two prefixes do with a probability of 2^-52
 * at most.
 */
#include "spaces.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define PRIME ((UINT64_C(1) << 61) - 1)
#define SLOTS (1u << 17)

struct vmcd_space_table {
	uint64_t base; /* of the hash; immutable, as what follows */
	size_t quota;  /* of spaces that no option names */
	_Atomic unsigned count;
	/* under the lock, for writers */
	pthread_mutex_t lock;
	bool full;
	_Atomic uint32_t slot[SLOTS]; /* number + 1; 0: free */
	struct vmcd_space *space[VMCD_SPACES_MAX];
};

/* false: the key is of no space. */
static bool
prefix_of(const struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmcd_span *prefix)
{
	size_t most =
		key.size <= VMCD_PREFIX_MAX ? key.size : VMCD_PREFIX_MAX + 1;
	const char *end = most ? memchr(key.at, spaces->separator, most) : NULL;

	if (!end || end == key.at)
		return false;
	*prefix = (struct vmcd_span){key.at, (size_t)(end - key.at)};
	return true;
}

static uint64_t
hash(const struct vmcd_space_table *table, struct vmcd_span prefix)
{
	uint64_t h = 1;

	for (size_t i = 0; i < prefix.size; i++) {
		unsigned __int128 product = (unsigned __int128)h * table->base;
		h = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61) +
		    (unsigned char)prefix.at[i];
		h = (h & PRIME) + (h >> 61);
	}
	return h >= PRIME ? h - PRIME : h;
}

/* The slot that has it, or where it belongs. */
static unsigned
find(const struct vmcd_space_table *table, struct vmcd_span prefix,
	uint32_t *number)
{
	unsigned i = (unsigned)hash(table, prefix) % SLOTS;

	for (;; i = (i + 1) % SLOTS) {
		uint32_t n = atomic_load_explicit(
			&table->slot[i], memory_order_acquire);
		const struct vmcd_space *space = n ? table->space[n - 1] : NULL;
		*number = n;
		if (!space || (space->size == prefix.size &&
				      memcmp(space->prefix, prefix.at,
					      prefix.size) == 0))
			return i;
	}
}

VMEMcache *
vmcd_space_find(const struct vmcd_spaces *spaces, struct vmcd_span key)
{
	struct vmcd_span prefix;
	uint32_t number;

	if (!prefix_of(spaces, key, &prefix))
		return spaces->cache;
	find(spaces->table, prefix, &number);
	return number ? spaces->table->space[number - 1]->cache : spaces->cache;
}

/* The library takes printable names of up to VMEMCACHE_NAME_MAX bytes. */
static bool
make_name(struct vmcd_span prefix, char name[VMEMCACHE_NAME_MAX + 1])
{
	if (prefix.size > VMEMCACHE_NAME_MAX)
		return false;
	for (size_t i = 0; i < prefix.size; i++) {
		if (prefix.at[i] < ' ' || prefix.at[i] > '~')
			return false;
	}
	memcpy(name, prefix.at, prefix.size);
	name[prefix.size] = '\0';
	return true;
}

/* Under the lock. -ENOSPC: there can be no more. */
static int
add(struct vmcd_spaces *spaces, struct vmcd_span prefix, size_t quota,
	size_t reserved)
{
	struct vmcd_space_table *table = spaces->table;
	char name[VMEMCACHE_NAME_MAX + 1];
	struct vmemcache_space how = {
		.struct_size = sizeof(how),
		.name = make_name(prefix, name) ? name : NULL,
		.quota = quota,
		.reserved = reserved,
	};
	unsigned count =
		atomic_load_explicit(&table->count, memory_order_relaxed);
	struct vmcd_space *space =
		count == VMCD_SPACES_MAX ? NULL
					 : malloc(sizeof(*space) + prefix.size);
	uint32_t number;
	unsigned i = find(table, prefix, &number);

	if (!space)
		return count == VMCD_SPACES_MAX ? -ENOSPC : -ENOMEM;
	space->cache = vmemcache_new_space(spaces->cache, &how);
	if (!space->cache) {
		int error = errno;
		free(space);
		return -error;
	}
	space->size = prefix.size;
	memcpy(space->prefix, prefix.at, prefix.size);
	table->space[count] = space;
	atomic_store_explicit(&table->slot[i], count + 1, memory_order_release);
	atomic_store_explicit(&table->count, count + 1, memory_order_release);
	return 0;
}

VMEMcache *
vmcd_space_make(struct vmcd_spaces *spaces, struct vmcd_span key)
{
	struct vmcd_space_table *table = spaces->table;
	struct vmcd_span prefix;
	uint32_t number;
	int rc = 0;

	if (!prefix_of(spaces, key, &prefix))
		return spaces->cache;
	find(table, prefix, &number);
	if (number)
		return table->space[number - 1]->cache;
	pthread_mutex_lock(&table->lock);
	find(table, prefix, &number);
	if (!number && !table->full) {
		rc = add(spaces, prefix, table->quota, 0);
		table->full = rc == -ENOSPC;
		find(table, prefix, &number);
	}
	pthread_mutex_unlock(&table->lock);
	if (rc < 0 && rc != -ENOSPC)
		return NULL;
	return number ? table->space[number - 1]->cache : spaces->cache;
}

const struct vmcd_space *
vmcd_space_at(const struct vmcd_spaces *spaces, unsigned number)
{
	const struct vmcd_space_table *table = spaces->table;

	return table && number < atomic_load_explicit(
					 &table->count, memory_order_acquire)
		       ? table->space[number]
		       : NULL;
}

const struct vmcd_space *
vmcd_space_named(const struct vmcd_spaces *spaces, struct vmcd_span prefix,
	unsigned *number)
{
	uint32_t found;

	if (!spaces->table)
		return NULL;
	find(spaces->table, prefix, &found);
	*number = found - 1;
	return found ? spaces->table->space[found - 1] : NULL;
}

int
vmcd_spaces_clear(struct vmcd_spaces *spaces)
{
	const struct vmcd_space *space;
	int rc = vmemcache_clear(spaces->cache) < 0 ? -errno : 0;

	for (unsigned i = 0; (space = vmcd_space_at(spaces, i)) != NULL; i++) {
		if (vmemcache_clear(space->cache) < 0)
			rc = -errno;
	}
	return rc;
}

int
vmcd_spaces_begin(struct vmcd_spaces *spaces, VMEMcache *cache,
	const struct vmcd_options *options, const struct vmcd_named **wrong)
{
	struct vmcd_space_table *table;
	int rc = 0;

	*spaces = (struct vmcd_spaces){.cache = cache};
	if (!options->separator)
		return 0;
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	spaces->table = table;
	if (getentropy(&table->base, sizeof(table->base)) < 0)
		return -errno;
	table->base = table->base % (PRIME - 256) + 256;
	table->quota = options->space_quota;
	pthread_mutex_init(&table->lock, NULL);
	spaces->separator = options->separator;
	for (unsigned i = 0; i < options->spaces && rc == 0; i++) {
		const struct vmcd_named *named = &options->space[i];
		rc = add(spaces, named->name, named->quota, named->reserved);
		if (rc < 0)
			*wrong = named;
	}
	return rc;
}

void
vmcd_spaces_end(struct vmcd_spaces *spaces)
{
	const struct vmcd_space *space;

	for (unsigned i = 0; (space = vmcd_space_at(spaces, i)) != NULL; i++)
		free((void *)(uintptr_t)space);
	free(spaces->table);
	*spaces = (struct vmcd_spaces){0};
}

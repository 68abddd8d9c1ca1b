/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spaces.h -- which space of the cache a key is of, by its prefix
 *
 * The prefix is what comes before the first separator. Keys without one, with
 * an empty prefix, or with one above VMCD_PREFIX_MAX are the cache's own. So is
 * what comes when there are as many spaces as there can be.
 *
 * The key in a space is the whole one, so replies and walks have nothing to
 * add.
 */
#ifndef VMCD_SPACES_H
#define VMCD_SPACES_H

#include "number.h"
#include "options.h"

#include "libvmemcache.h"

#include <stdatomic.h>

#define VMCD_PREFIX_MAX 250
#define VMCD_SPACES_MAX 65535u

struct vmcd_space {
	VMEMcache *cache; /* the handle */
	size_t size;
	char prefix[];
};

struct vmcd_spaces {
	VMEMcache *cache; /* whose spaces they are */
	char separator;   /* zero: there are none, and nothing below */
	struct vmcd_space_table *table;
};

/*
 * Of the cache, which has its medium, as the options say; those that they name
 * are made. 0 or a negative errno, with the message of vmemcache_errormsg();
 * *wrong is then the one that could not be made, if it was one.
 */
int vmcd_spaces_begin(struct vmcd_spaces *spaces, VMEMcache *cache,
	const struct vmcd_options *options, const struct vmcd_named **wrong);
/* Frees what it has. The handles go with the cache. */
void vmcd_spaces_end(struct vmcd_spaces *spaces);

/* For vmcd_space_of(). */
VMEMcache *vmcd_space_find(
	const struct vmcd_spaces *spaces, struct vmcd_span key);
VMEMcache *vmcd_space_make(struct vmcd_spaces *spaces, struct vmcd_span key);

/* Where the key is, if it is anywhere. */
static inline VMEMcache *
vmcd_space_of(const struct vmcd_spaces *spaces, struct vmcd_span key)
{
	return __builtin_expect(!spaces->separator, 1)
		       ? spaces->cache
		       : vmcd_space_find(spaces, key);
}

/*
 * Where to store it; a prefix that is new gets a space. For one key it is the
 * same each time. NULL: there is no memory.
 */
static inline VMEMcache *
vmcd_space_for(struct vmcd_spaces *spaces, struct vmcd_span key)
{
	return __builtin_expect(!spaces->separator, 1)
		       ? spaces->cache
		       : vmcd_space_make(spaces, key);
}

/* By number, from 0 on; NULL: there are no more. From any thread. */
const struct vmcd_space *vmcd_space_at(
	const struct vmcd_spaces *spaces, unsigned number);
/* That of a prefix, its number in *number if there is one; else NULL. */
const struct vmcd_space *vmcd_space_named(const struct vmcd_spaces *spaces,
	struct vmcd_span prefix, unsigned *number);

/* The cache and all spaces are empty. 0 or a negative errno. */
int vmcd_spaces_clear(struct vmcd_spaces *spaces);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.c -- one interface to both indexes, linear hashing and critnib
 */
#include "index.h"

#include "critnib/critnib.h"
#include "hash/linear.h"

#include <errno.h>

int
vmc_index_new(struct vmc_index **index, enum vmc_index_kind kind,
	uint64_t most_leaves, vmc_index_hash_fn *hash_of, const void *arg,
	const struct vmc_memory *memory)
{
	if (kind == VMC_INDEX_CRITNIB)
		return vmc_critnib_new(index, hash_of, arg, memory);
	return vmc_linear_new(index, most_leaves, hash_of, arg, memory);
}

void
vmc_index_delete(struct vmc_index *index, vmc_index_visit_fn *drop, void *arg)
{
	index->ops->destroy(index, drop, arg);
}

void
vmc_index_prefetch_latch(struct vmc_index *index, uint64_t hash)
{
	index->ops->prefetch_latch(index, hash);
}

int
vmc_index_begin(struct vmc_index *index, uint64_t hash,
	struct vmc_index_spot spot, vmc_index_match_fn *match, const void *key,
	struct vmc_index_place *where)
{
	return index->ops->begin(index, hash, spot, match, key, where);
}

void
vmc_index_publish(struct vmc_index *index, uint64_t hash, void *leaf,
	uint64_t note, const struct vmc_index_place *where)
{
	assert(leaf != NULL && note <= VMC_INDEX_NOTE_MAX);
	assert(vmc_bag_address((uintptr_t)leaf) == leaf);
	index->ops->publish(index, hash, leaf, note, where);
}

int
vmc_index_insert(struct vmc_index *index, uint64_t hash, void *leaf,
	uint64_t note, vmc_index_match_fn *match, const void *key)
{
	const struct vmc_index_spot unknown = {0};
	struct vmc_index_place where;
	int err = vmc_index_begin(index, hash, unknown, match, key, &where);

	if (!err)
		vmc_index_publish(index, hash, leaf, note, &where);
	return err;
}

void *
vmc_index_begin_exchange(struct vmc_index *index, uint64_t hash,
	vmc_index_match_fn *match, const void *key,
	struct vmc_index_place *where)
{
	return index->ops->begin_exchange(index, hash, match, key, where);
}

void
vmc_index_cancel_exchange(struct vmc_index *index, uint64_t hash)
{
	index->ops->cancel_exchange(index, hash);
}

/* vmc_index_match_fn */
static bool
is_this(const void *leaf, const void *key)
{
	return leaf == key;
}

int
vmc_index_exchange(struct vmc_index *index, uint64_t hash, const void *leaf,
	void *by, uint64_t note)
{
	struct vmc_index_place where;
	if (!vmc_index_begin_exchange(index, hash, is_this, leaf, &where))
		return -ENOENT;
	vmc_index_publish(index, hash, by, note, &where);
	return 0;
}

int
vmc_index_remove(struct vmc_index *index, uint64_t hash, const void *leaf)
{
	return index->ops->remove(index, hash, leaf);
}

int
vmc_index_alike(struct vmc_index *index, struct vmc_index **out)
{
	return index->ops->alike(index, out);
}

void
vmc_index_move(struct vmc_index *index, struct vmc_index *to)
{
	index->ops->move(index, to);
}

uint64_t
vmc_index_position(const struct vmc_index *index, uint64_t hash)
{
	return index->ops->position(hash);
}

size_t
vmc_index_walk(struct vmc_index *index, uint64_t *position,
	vmc_index_visit_fn *visit, void *arg)
{
	return index->ops->walk(index, position, visit, arg);
}

uint64_t
vmc_index_count(struct vmc_index *index)
{
	return index->ops->count(index);
}

int
vmc_index_check(struct vmc_index *index)
{
	return index->ops->check(index);
}

void
vmc_index_renew_latches(struct vmc_index *index)
{
	index->ops->renew_latches(index);
}

struct vmc_index_candidate
vmc_index_go_on(struct vmc_index *index, uint64_t hash,
	const struct vmc_bag *bag, unsigned more, uint64_t seen)
{
	return index->ops->go_on(index, hash, bag, more, seen);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.c -- fuzz target: either index against an array of leaves
 *
 * The input chooses the hashes. It says where in the word a byte of its own
 * goes, and what is around it: so two hashes may be equal, part at any nibble,
 * or share a stripe. Inserting many at once makes directories grow. Allocations
 * may fail.
 */
#include "testing.h"

#include "base/epoch.h"
#include "index.h"
#include "fuzz.h"

#include <errno.h>
#include <stdalign.h>

#define LEAVES 2048u

struct leaf {
	alignas(16) uint64_t hash;
	uint64_t key;
	bool in;
	bool dropped;
};

static struct leaf leaves[LEAVES];
static uint64_t leaf_count, in_count;

static uint64_t
hash_of(const void *leaf, const void *arg)
{
	(void)arg;
	return ((const struct leaf *)leaf)->hash;
}

static bool
match(const void *leaf, const void *key)
{
	return ((const struct leaf *)leaf)->key == *(const uint64_t *)key;
}

static uint64_t
choose_hash(struct fuzz_input *in)
{
	static const uint64_t around[] = {0, UINT64_MAX,
		UINT64_C(0x123456789abcdef0), UINT64_C(0xab00000000000000)};
	unsigned how = fuzz_byte(in);
	uint64_t byte = fuzz_byte(in);

	/* 15 places, a nibble apart, and 4 surroundings, or those of a leaf */
	if (how < 60)
		return fuzz_choose(in, around) ^ byte << how / 4 * 4;
	if (how < 120 && leaf_count > 0)
		return leaves[fuzz_below(in, leaf_count)].hash ^
		       byte << (how - 60) / 4 * 4;
	if (how < 128 && leaf_count > 0)
		return leaves[byte % leaf_count].hash;
	return fuzz_number(in, how % 8 + 1);
}

static struct leaf *
find(struct vmc_index *index, uint64_t hash, uint64_t key)
{
	struct vmc_thread *self = vmc_thread_self();
	struct leaf *found;

	vmc_epoch_enter(self);
	found = vmc_index_find(index, hash, match, &key);
	vmc_epoch_exit(self);
	return found;
}

static void
insert(struct vmc_index *index, struct testing_memory *counts,
	struct leaf *leaf)
{
	bool may_fail = counts->fail_at >= 0;
	int rc = vmc_index_insert(
		index, leaf->hash, leaf, leaf->key, match, &leaf->key);

	if (leaf->in) {
		fuzz_expect(rc == -EEXIST);
		return;
	}
	fuzz_expect(rc == 0 || (rc == -ENOMEM && may_fail));
	leaf->in = rc == 0;
	in_count += rc == 0;
}

static void
insert_new(
	struct vmc_index *index, struct testing_memory *counts, uint64_t hash)
{
	struct leaf *leaf = &leaves[leaf_count];

	if (leaf_count == LEAVES)
		return;
	*leaf = (struct leaf){.hash = hash, .key = leaf_count};
	leaf_count++;
	insert(index, counts, leaf);
}

static void
step(struct fuzz_input *in, struct vmc_index *index,
	struct testing_memory *counts)
{
	unsigned op = fuzz_byte(in);
	struct leaf *leaf =
		leaf_count ? &leaves[fuzz_below(in, leaf_count)] : NULL;

	if (!leaf || op < 100) {
		insert_new(index, counts, choose_hash(in));
	} else if (op < 110) {
		/* neighbours at some distance */
		uint64_t hash = leaf->hash;
		unsigned shift = fuzz_byte(in) % 64;
		for (uint64_t i = fuzz_byte(in); i-- > 0;)
			insert_new(index, counts, hash + (i << shift));
	} else if (op < 120) {
		insert(index, counts, leaf);
	} else if (op < 190) {
		int rc = vmc_index_remove(index, leaf->hash, leaf);
		fuzz_expect(rc == (leaf->in ? 0 : -ENOENT));
		in_count -= leaf->in;
		leaf->in = false;
	} else if (op < 230) {
		struct leaf *found = find(index, leaf->hash, leaf->key);
		fuzz_expect(found == (leaf->in ? leaf : NULL));
	} else if (op < 240) {
		fuzz_expect(!find(index, choose_hash(in), UINT64_MAX));
	} else if (op < 248) {
		counts->fail_at = (long)fuzz_byte(in) % 8;
	} else {
		fuzz_expect(vmc_index_check(index) == 0);
	}
}

static void
drop(void *arg_leaf, void *arg)
{
	struct leaf *leaf = arg_leaf;

	(void)arg;
	fuzz_expect(leaf->in && !leaf->dropped);
	leaf->dropped = true;
}

static void
run(enum vmc_index_kind kind, const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct testing_memory counts;
	struct vmc_memory memory = testing_memory_of(&counts);
	struct vmc_index *index;

	leaf_count = in_count = 0;
	fuzz_expect(
		vmc_index_new(&index, kind, size, hash_of, NULL, &memory) == 0);
	while (fuzz_more(&in))
		step(&in, index, &counts);
	counts.fail_at = -1;
	fuzz_expect(vmc_index_check(index) == 0);
	fuzz_expect(vmc_index_count(index) == in_count);
	for (uint64_t i = 0; i < leaf_count; i++) {
		struct leaf *leaf = &leaves[i];
		fuzz_expect(find(index, leaf->hash, leaf->key) ==
			    (leaf->in ? leaf : NULL));
	}
	vmc_index_delete(index, drop, NULL);
	for (uint64_t i = 0; i < leaf_count; i++)
		fuzz_expect(leaves[i].dropped == leaves[i].in);
	fuzz_expect(counts.bytes == 0 && counts.objects == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(VMC_INDEX_LINEAR, data, size);
	run(VMC_INDEX_CRITNIB, data, size);
	return 0;
}

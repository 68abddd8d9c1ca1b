/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holds.c -- what works hold from one batch to another: pins and reservations,
 * which any of them ends; and loads
 *
 * They lie in one table. While nothing is under way it has all there are of
 * them, so that is what the caches must say. A load is within no callback:
 * loaders that load each other's keys would wait for ever.
 */
#include "soak.h"

enum { SLOTS = 32 };

static struct slot {
	_Atomic bool taken; /* by the thread that is busy with it */
	VMEMcache *cache;   /* NULL: nothing is held */
	bool reserved;
	uint64_t key;
	struct vmemcache_item item;
} slots[SLOTS];

static void
end(struct slot *slot)
{
	VMEMcache *cache = slot->cache;

	/* also in a reservation: it is filled at once */
	testing_expect(items_holds(&slot->item, slot->key, 1));
	if (!slot->reserved || soak_below(4) == 0)
		vmemcache_unpin(cache, &slot->item); /* or an abort */
	else if (vmemcache_commit(cache, &slot->item, soak_size_of(slot->key),
			 NULL) != 0)
		testing_expect(errno == EEXIST || errno == ENOSPC);
	testing_expect(slot->item.iov_count == -1);
	slot->cache = NULL;
}

static void
begin(struct slot *slot, VMEMcache *cache, uint64_t key)
{
	struct vmemcache_store how =
		items_mode(soak_below(2) ? VMEMCACHE_SET : VMEMCACHE_ADD);
	int rc;

	slot->reserved = soak_below(3) == 0;
	how.flags = soak_below(2) ? VMEMCACHE_EXCLUSIVE : 0;
	if (slot->reserved)
		rc = vmemcache_reserve(cache, &key, sizeof(key),
			soak_size_of(key), &how, &slot->item);
	else
		rc = vmemcache_pin(cache, &key, sizeof(key), 0, &slot->item);
	if (rc != 0) {
		testing_expect(errno == (slot->reserved ? ENOSPC : ENOENT) ||
			       errno == EINPROGRESS);
		return;
	}
	if (slot->reserved)
		items_fill(&slot->item, key, 1);
	vmc_fetch_add_relaxed(
		slot->reserved ? &soak_counts.reservations : &soak_counts.pins,
		1);
	slot->key = key;
	slot->cache = cache;
}

static int
loader(VMEMcache *cache, const void *bytes, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct vmemcache_item item;
	uint64_t key;

	(void)cache, (void)key_size, (void)arg;
	memcpy(&key, bytes, sizeof(key));
	vmc_fetch_add_relaxed(&soak_counts.loads, 1);
	if (soak_below(8) == 0)
		return ENODATA;
	if (vmemcache_loading_reserve(
		    loading, soak_size_of(key), NULL, &item) != 0)
		return errno;
	items_fill(&item, key, 1);
	return 0;
}

/* An exclusive reservation may be in the way for long, so this does not wait */
static void
load(VMEMcache *cache, uint64_t key)
{
	struct vmemcache_item item;

	if (vmemcache_load(cache, &key, sizeof(key), loader, NULL, NULL, 1,
		    &item) == 0) {
		testing_expect(items_holds(&item, key, 1));
		vmemcache_unpin(cache, &item);
	} else {
		testing_expect(errno == ENODATA || errno == ENOSPC ||
			       errno == ENOENT || errno == ETIMEDOUT);
	}
}

void
soak_hold(VMEMcache *cache, uint64_t key, bool loads)
{
	struct slot *slot = &slots[soak_below(SLOTS)];

	if (loads && soak_below(3) == 0) {
		load(cache, key);
		return;
	}
	if (vmc_exchange_acq_rel(&slot->taken, true))
		return; /* a callback of this thread's may have it */
	if (slot->cache)
		end(slot);
	else
		begin(slot, cache, key);
	vmc_store_release(&slot->taken, false);
}

unsigned long
soak_hold_failures(void)
{
	return vmc_load_relaxed(&testing_failures);
}

bool
soak_holds_agree(struct soak *soak)
{
	bool agree = true;

	for (int i = 0; i < SOAK_CACHES; i++) {
		struct vmemcache_statistics s = {.struct_size = sizeof(s)};
		struct vmemcache_item pinned[SLOTS];
		unsigned pins = 0, reserved = 0;
		for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
			if (slot->cache != soak->cache[i])
				continue;
			agree = agree && items_holds(&slot->item, slot->key, 1);
			if (slot->reserved)
				reserved++;
			else
				pinned[pins++] = slot->item;
		}
		agree = agree &&
			items_are_all_pins(soak->cache[i], pinned, pins) &&
			vmemcache_statistics(soak->cache[i], &s) == 0 &&
			s.reservations == reserved;
	}
	return agree;
}

void
soak_let_go(void)
{
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
		if (slot->cache)
			end(slot);
}

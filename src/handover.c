/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handover.c -- what a put within on_miss gives to the get that waits for it
 *
 * While on_miss runs, the per-thread state (stripe) records which get is
 * waiting, with its key and space (get.c). Only that thread uses the record.
 */
#include "put.h"

static bool
overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
	return (uintptr_t)a < (uintptr_t)b + b_size &&
	       (uintptr_t)b < (uintptr_t)a + a_size;
}

/*
 * A put with that offer: does the innermost get on this thread wait for the
 * key? It gets a value in any case: what is there, if another thread has put
 * the key, and else what this put has, kept or not. A get has missed the key
 * before it asks on_miss; so it may return what on_miss would put there, or
 * what it finds after that.
 *
 * Looking for what is there writes to the get's buffer, also where in the end
 * nothing is found: so not where the value to put is in it.
 */
__attribute__((noinline)) void
vmc_put_hand_over(struct vmemcache *cache, struct vmc_thread *thread,
	struct vmc_stripe *stripe, const struct vmc_key *key,
	const struct vmc_offer *offer)
{
	vmc_stripe_in_callbacks(stripe, thread);
	struct vmc_handover *to = stripe->handover;

	if (!to || to->key.space != key->space || to->key.hash != key->hash ||
		to->key.size != key->size ||
		(key->size && memcmp(to->key.data, key->data, key->size) != 0))
		return;
	if ((offer->exists || (offer->stored && to->info)) &&
		!overlap(to->buffer, to->buffer_size, offer->value,
			offer->value_size)) {
		to->result = vmc_cache_read(cache, thread, stripe, to);
		if (to->result >= 0)
			return;
	}
	size_t n = vmc_bytes_wanted(
		offer->value_size, to->buffer, to->buffer_size, to->offset);
	if (n > 0)
		memmove(to->buffer, (const char *)offer->value + to->offset, n);
	if (to->value_size)
		*to->value_size = offer->value_size;
	if (to->info) {
		to->info->value_size = offer->value_size;
		to->info->version = 0;
		to->info->ttl_ms = VMEMCACHE_FOREVER;
		to->info->tag = 0;
	}
	to->result = (ssize_t)n;
}

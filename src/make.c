/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make.c -- making entries, with optional fields behind the key, and freeing
 * them
 *
 * Only the caller knows the entries that are passed here.
 */
#include "make.h"

#include "version.h"

#include <errno.h>

struct vmc_entry *
vmc_put_make_entry(struct vmemcache *cache, struct vmc_stripe *stripe,
	const struct vmc_key *key, size_t value_size,
	const struct vmc_extras *extras)
{
	size_t tail = vmc_entry_tail(key->size, key->mark);
	size_t size = sizeof(struct vmc_entry) + tail;

	if (extras)
		size = vmc_entry_extra_offset(tail) +
		       vmc_extra_size(vmc_extras_fields(extras));
	struct vmc_entry *e = vmc_make_entry(
		cache, stripe, key, key->mark != 0, value_size, size);
	if (e && extras) {
		e->value_size_high |= VMC_ENTRY_EXTRA;
		vmc_extra_fill(
			vmc_entry_extra(e), extras, vmc_entry_extra_mark(tail));
	}
	return e;
}

void
vmc_put_free_entry(struct vmemcache *cache, struct vmc_entry *e)
{
	vmc_cache_forget(cache, e);
	vmc_free(&cache->memory, e, vmc_entry_size(e));
}

int
vmc_make_version(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry **e)
{
	struct vmc_key key = {
		.data = (*e)->key, .size = vmc_entry_key_size(*e)};

	if (vmc_entry_is_marked(*e)) {
		key.era = vmc_era_of(cache, *e);
		key.mark = VMC_ENTRY_MARK;
		key.era_id = key.era->id;
	}
	struct vmc_entry *with = vmc_put_make_entry(cache, stripe, &key,
		vmc_entry_value_size(*e),
		&(struct vmc_extras){
			.version = vmc_version_draw(cache, stripe)});

	if (!with)
		return -ENOMEM;
	with->runs = (*e)->runs;
	vmc_put_free_entry(cache, *e);
	*e = with;
	return 0;
}

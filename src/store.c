/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c -- putting with conditions, and replacing values
 *
 * A store of a new key is a put (put.c). A replacement is one step of the
 * index: the new entry N is built unseen, with blocks of its own, and then it
 * takes the place of the old one, O, in O's word. A reader meets O or N, and
 * never a miss in between; O's bytes stay as they are until O is DEAD, like
 * those of a victim. So the pool holds both for a moment, and making room for N
 * does not evict O (`spared`).
 *
 * All decisions about O are made while O's partition of the index is latched:
 * whether it is there, which version it has, and which thread finishes it. An
 * entry leaves the index only under that latch, so O is in it from the decision
 * to the exchange, which is the moment at which the store takes place. O is
 * then
 *
 *   LIVE        claimed (LIVE -> EVICTING, compare and swap), so that nobody
 *               else evicts it; exchanged; then finished by the store: DEAD,
 *               its blocks are free, or its pins'
 *   EVICTING    an evictor's, whose callback may be running, and may be what
 *               calls this: exchanged all the same. That evictor finds O gone
 *               from the index, and finishes it; if it had to give O back, it
 *               finds the same under the latch (unclaim() in claim.c)
 *   DEAD        never: who makes it that has taken it out of the index before
 *
 * So exactly one thread finishes O, whichever exchanges it: blocks are freed
 * once (tests/model/replace.pml). An evict of O's key that finds O exchanged
 * (REPLACED, set under the latch under which the evictor looks for O later) has
 * evicted nothing that a get could still find: it looks the key up again, or
 * reports that (evict_key()).
 *
 * O is taken out of the policy later, together with others: taking the policy's
 * lock for each would cost more than the storing if several threads store.
 * Meanwhile O is DEAD and in the thread's list `replaced`. The policy, and rows
 * that it has given to threads, may still lead to O, so it is not retired until
 * they do not. A thread that tries to claim it as a victim finds it not LIVE,
 * and leaves it. If O is pinned, the last unpin retires it: so then it is taken
 * out of the policy before it is DEAD.
 *
 * Rejected: evicting O and putting N, as readers would miss in between;
 * overwriting the value in place, as readers would see parts of both.
 */
#include "store.h"

#include "base/error.h"
#include "expire.h"
#include "space.h"
#include "item.h"
#include "claim.h"
#include "room.h"
#include "version.h"

#include <errno.h>

/* May it be stored where that entry is, or none (NULL, or one that is over)? */
static int
judge(const struct vmemcache_store *how, const struct vmc_entry *old,
	uint64_t *now)
{
	if (old && vmc_entry_is_over(old, now))
		old = NULL;
	switch (how->mode) {
	case VMEMCACHE_ADD:
		return old ? -EEXIST : 0;
	case VMEMCACHE_REPLACE:
		return old ? 0 : -ENOENT;
	case VMEMCACHE_IF_VERSION:
		if (!old)
			return -ENOENT;
		return vmc_entry_version(old) == how->if_version ? 0 : -ESTALE;
	default:
		return 0;
	}
}

void
vmc_cache_let_go_of_replaced(
	struct vmemcache *cache, struct vmc_stripe *own, struct vmc_stripe *s)
{
	while (s->replaced_count > 0) {
		struct vmc_entry *e = s->replaced[--s->replaced_count];
		size_t size = vmc_entry_size(e);
		vmc_cache_let_go_of_node(cache, e);
		vmc_cache_forget(cache, e);
		if (vmc_limbo_add(&own->limbo, &cache->uncounted, e, size))
			continue;
		/* no reader has it any more, and no ring must */
		vmc_cache_drain_all(cache);
		vmc_free(&cache->uncounted, e, size);
	}
}

/* There is room for the next one. */
static void
let_go_of_many(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	if (stripe->replaced_count < VMC_STRIPE_REPLACED)
		return;
	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_let_go_of_replaced(cache, stripe, stripe);
	vmc_cache_release_policy(cache);
}

void
vmc_cache_keep_replaced(
	struct vmemcache *cache, struct vmc_stripe *stripe, struct vmc_entry *e)
{
	stripe->replaced[stripe->replaced_count++] = e;
	let_go_of_many(cache, stripe);
}

void
vmc_cache_finish_replaced(struct vmemcache *cache, struct vmc_stripe *stripe,
	struct vmc_entry *e, bool locked)
{
	uint16_t state = VMC_ENTRY_EVICTING;

	enum vmemcache_reason reason = VMEMCACHE_REASON_REPLACED;

	vmc_expiry_stop(cache, e);
	if (__builtin_expect(vmc_entry_is_marked(e), 0))
		reason = vmc_space_went(cache, e, reason);
	vmc_count(stripe, vmc_count_of_removal(reason), 1);
	vmc_count(stripe, VMC_COUNT_VALUES_GONE, vmc_entry_value_size(e));
	if (__builtin_expect(
		    !vmc_cas_acq_rel(&e->state, &state, VMC_ENTRY_DEAD), 0)) {
		/* once it is DEAD it is the pins' to retire it */
		if (!locked)
			vmc_lock_acquire(&cache->policy_lock);
		vmc_cache_let_go_of_node(cache, e);
		if (!locked)
			vmc_cache_release_policy(cache);
		state = vmc_fetch_add_acq_rel(
			&e->state, VMC_ENTRY_DEAD - VMC_ENTRY_EVICTING);
		if (state >= VMC_ENTRY_PIN)
			return;
	}
	vmc_runs runs = e->runs;
	uint64_t count;
	vmc_fence_release();
	vmc_runs_view(&runs, &count);
	vmc_count(stripe, VMC_COUNT_EXTENTS_GONE, count);
	vmc_cache_uncount_empty(cache, e);
	vmc_count(stripe, VMC_COUNT_METADATA_GONE, vmc_entry_size(e));
	stripe->replaced[stripe->replaced_count++] = e;
	vmc_extent_free(cache->extent, &runs);
}

/*
 * The new entry, of which nobody knows, gets the deadline of the old one, which
 * is latched in the index: so the old one's does not change any more before it
 * is replaced. -ERESTART: it has no timer for that.
 */
static int
keep_expiry(struct vmc_storing *s, const struct vmc_entry *old)
{
	struct vmc_timer *timer = vmc_entry_timer(s->e);
	const struct vmc_timer *of_old = vmc_entry_timer(old);
	uint64_t deadline =
		of_old ? vmc_timer_deadline(of_old) : VMC_WHEEL_NEVER;

	if (timer)
		vmc_timer_init(timer, deadline, vmc_timer_mark(timer));
	return timer || deadline == VMC_WHEEL_NEVER ? 0 : -ERESTART;
}

/* What was over when it was exchanged, and is claimed: as if it was reclaimed
 */
static int
remove_expired(struct vmc_storing *s, struct vmc_entry *old)
{
	struct vmemcache *cache = s->cache;
	vmc_runs freed;

	vmc_lock_acquire(&cache->policy_lock);
	vmc_cache_let_go_of_node(cache, old);
	vmc_cache_release_policy(cache);
	int rc = vmc_cache_remove(
		cache, s->stripe, old, VMEMCACHE_REASON_EXPIRED, &freed);
	if (rc < 0)
		return rc;
	vmc_extent_free(cache->extent, &freed);
	return 0;
}

/* What was replaced, claimed, while on_remove tells of it. */
struct replaced {
	struct vmemcache *cache;
	struct vmc_stripe *stripe;
	struct vmc_entry *old;
	struct vmemcache *space; /* whose on_remove; NULL: nobody's */
	bool returned;
};

/* Whether it returns or not, the store has taken place. */
static void
end_of_on_remove(struct replaced *replaced)
{
	struct vmemcache *cache = replaced->cache;

	replaced->stripe->nested--;
	vmc_space_called(replaced->space);
	if (vmc_cache_is_foreign(cache))
		return;
	if (replaced->returned)
		vmc_cache_work_begins(replaced->stripe);
	vmc_cache_finish_replaced(
		cache, replaced->stripe, replaced->old, false);
	let_go_of_many(cache, replaced->stripe);
	if (!replaced->returned)
		vmc_cache_end_change(replaced->stripe);
}

/* -EBADF: on_remove has returned in a child. */
static int
tell_of_replaced(struct vmc_storing *s, struct vmc_entry *old)
{
	vmc_stripe_in_callbacks(s->stripe, s->thread);
	{
		vmc_cleanup(end_of_on_remove) struct replaced replaced = {
			s->cache, s->stripe, old,
			vmc_space_to_call(s->cache, old), false};
		s->stripe->nested++;
		vmc_cache_work_ends(s->stripe);
		vmc_lock_assert_none_held();
		if (replaced.space && replaced.space->on_remove)
			vmc_cache_call_on_remove(s->cache, replaced.space,
				s->stripe, old, VMEMCACHE_REASON_REPLACED);
		replaced.returned = true;
		s->stripe->now = 0;
	}
	return vmc_cache_is_foreign(s->cache) ? vmc_cache_fail_foreign() : 0;
}

/* In the place of what is there. -EAGAIN: there is nothing any more. */
static int
exchange(struct vmc_storing *s)
{
	struct vmemcache *cache = s->cache;
	struct vmc_index_place where;
	uint16_t state;
	struct vmc_entry *old = vmc_index_begin_exchange(s->key->space->index,
		s->key->hash, vmc_entry_match, s->key, &where);

	if (!old)
		return -EAGAIN;
	bool over = vmc_entry_is_over(old, &s->stripe->now);
	int rc = judge(s->how, old, &s->stripe->now);
	if (rc == 0 && s->how->flags & VMEMCACHE_KEEP_TTL && !over)
		rc = keep_expiry(s, old);
	if (rc) {
		vmc_index_cancel_exchange(s->key->space->index, s->key->hash);
		return rc;
	}
	bool claimed = vmc_claim_entry(cache, old, &state);
	/* what is stored over was used, as often and once more */
	if (cache->counts > 0 && !over) {
		vmc_store_relaxed(&s->e->used, vmc_load_relaxed(&old->used));
		vmc_policy_use(&s->e->used, cache->counts);
	}
	if (s->value_size <= VMC_PUT_WRITE_LATCHED)
		vmc_put_write(cache, s->e, s->value);
	/* once: this is the only exchange of it, and cannot fail from here */
	if (!claimed)
		vmc_fetch_add_acq_rel(&old->state, VMC_ENTRY_REPLACED);
	vmc_put_publish(cache, s->thread, s->stripe, s->key, s->e, &where,
		vmc_count_of_store(
			s->how->mode, over ? VMEMCACHE_OUTCOME_INSERTED
					   : VMEMCACHE_OUTCOME_REPLACED));
	if (!claimed)
		return 0; /* its evictor's */
	if (over)
		return remove_expired(s, old);
	if (s->key->space->on_remove)
		return tell_of_replaced(s, old);
	vmc_cache_finish_replaced(cache, s->stripe, old, false);
	let_go_of_many(cache, s->stripe);
	return 0;
}

/* Where nothing is. -EAGAIN: something is. */
static int
insert(struct vmc_storing *s)
{
	struct vmc_index_place where;
	int rc = judge(s->how, NULL, &s->stripe->now);

	if (rc)
		return rc;
	rc = vmc_index_begin(s->key->space->index, s->key->hash,
		(struct vmc_index_spot){0}, vmc_entry_match, s->key, &where);
	if (rc)
		return rc == -EEXIST ? -EAGAIN : rc;
	if (s->value_size <= VMC_PUT_WRITE_LATCHED)
		vmc_put_write(s->cache, s->e, s->value);
	vmc_put_publish(s->cache, s->thread, s->stripe, s->key, s->e, &where,
		vmc_count_of_store(s->how->mode, VMEMCACHE_OUTCOME_INSERTED));
	return 0;
}

int
vmc_store_place(struct vmc_storing *s)
{
	int rc;

	if (s->value_size > VMC_PUT_WRITE_LATCHED)
		vmc_put_write(s->cache, s->e, s->value);
	do {
		rc = exchange(s);
		if (rc == -EAGAIN)
			rc = insert(s);
	} while (rc == -EAGAIN);
	if (rc == -EBADF)
		return rc;
	if (rc)
		vmc_put_give_back(s->cache, s->stripe, s->e);
	else
		vmc_cache_work_ends(s->stripe);
	return rc;
}

int
vmc_store_take_room(
	struct vmc_storing *s, const struct vmc_entry *old, uint64_t blocks)
{
	vmc_cleanup(vmc_sparing_end) struct vmc_sparing sparing =
		vmc_spare(s->thread, s->stripe, old, blocks);

	return vmc_put_take_room(
		s->cache, s->thread, s->stripe, s->value_size, &s->e);
}

int
vmc_store_admit(struct vmc_storing *s)
{
	struct vmemcache *cache = s->cache;
	struct vmc_stripe *stripe = s->stripe;

	vmc_epoch_enter(s->thread);
	const struct vmc_entry *old = vmc_index_find(
		s->key->space->index, s->key->hash, vmc_entry_match, s->key);
	int rc = judge(s->how, old, &stripe->now);
	if (old && vmc_entry_is_over(old, &stripe->now))
		old = NULL;
	uint64_t credit = old ? vmc_entry_blocks(old) : 0;
	vmc_epoch_exit(s->thread);
	vmc_cleanup(vmc_sparing_end) struct vmc_sparing sparing =
		vmc_spare(s->thread, stripe, old, credit);
	if (rc == 0)
		rc = vmc_share_admit(cache, stripe, s->key->era,
			vmc_entry_blocks(s->e), credit);
	if (rc == 0)
		vmc_space_renew_entry(cache, s->e, s->key->era);
	return rc;
}

struct vmc_entry *
vmc_store_make_entry(struct vmc_storing *s)
{
	struct vmemcache *cache = s->cache;
	struct vmc_extras extras = {
		.deadline = VMC_WHEEL_NEVER, .tag = s->how->tag};
	uint64_t ttl_ms = s->how->ttl_ms;

	if (ttl_ms == 0)
		ttl_ms = vmc_load_relaxed(&s->key->space->ttl_ms);
	if (ttl_ms != 0 && ttl_ms != VMEMCACHE_FOREVER) {
		extras.deadline = vmc_deadline_of(ttl_ms, &s->stripe->now);
		if (vmc_expiry_prepare(cache) != 0)
			return NULL;
	}
	extras.expires = extras.deadline != VMC_WHEEL_NEVER ||
			 (s->how->flags & VMEMCACHE_KEEP_TTL &&
				 vmc_load_relaxed(&cache->expiry));
	if (cache->policy_ops->weighs_costs)
		extras.cost = s->how->cost;
	if (!extras.tag && !extras.cost && !extras.expires &&
		!vmc_versions_wanted(cache))
		return vmc_put_make_entry(
			cache, s->stripe, s->key, s->value_size, NULL);
	extras.version = vmc_version_draw(cache, s->stripe);
	return vmc_put_make_entry(
		cache, s->stripe, s->key, s->value_size, &extras);
}

struct vmc_found
vmc_store_look(const struct vmemcache_store *how, const struct vmc_entry *old,
	uint64_t *now)
{
	bool over = vmc_entry_is_over(old, now);

	return (struct vmc_found){
		/* what is over need not be spared */
		.spared = over ? NULL : old,
		.blocks = over ? 0 : vmc_entry_blocks(old),
		.judged = judge(how, old, now),
	};
}

int
vmc_store_over(struct vmc_storing *s, const struct vmc_found *found)
{
	int rc = vmc_store_take_room(s, found->spared, found->blocks);

	return rc ? rc : vmc_store_place(s);
}

int
vmc_store_failed(int rc)
{
	switch (rc) {
	case -EEXIST:
		return vmc_fail_const(
			EEXIST, "the key is in the cache already");
	case -ENOENT:
		return vmc_fail_const(ENOENT, "no such key");
	case -ESTALE:
		return vmc_fail_const(ESTALE, "the value has another version");
	default:
		return rc;
	}
}

/* As many as a get of many looks ahead (get.c). */
#define MANY_AT_ONCE 16

/*
 * Fetch what storing these keys will need of the index, a stage for all of them
 * at a time: the bags and latches, then what may be there already.
 */
static void
fetch_all(struct vmc_thread *thread, const struct vmc_key *keys, size_t count)
{
	struct vmc_index_spot spots[MANY_AT_ONCE];

	vmc_epoch_enter(thread);
	for (size_t i = 0; i < count; i++) {
		struct vmc_index *index = keys[i].space->index;
		spots[i] = vmc_index_prefetch(index, keys[i].hash);
		vmc_index_prefetch_latch(index, keys[i].hash);
	}
	for (size_t i = 0; i < count; i++) {
		struct vmc_index_candidate c = vmc_index_first(
			keys[i].space->index, keys[i].hash, spots[i], false);
		if (!c.leaf)
			continue;
		const struct vmc_entry *e = c.leaf;
		vmc_prefetch_write(&e->node);
		vmc_prefetch_write(&e->state);
	}
	vmc_epoch_exit(thread);
}

ssize_t
vmc_cache_store_many(struct vmemcache *space,
	struct vmemcache_store_request *requests, size_t count)
{
	struct vmemcache *cache = space->root;
	static const struct vmemcache_store defaults = {.mode = VMEMCACHE_SET};
	struct vmc_thread *thread = vmc_thread_self();
	struct vmc_stripe *stripe =
		thread ? vmc_stripe_of(&cache->stripes, thread) : NULL;
	struct vmc_key keys[MANY_AT_ONCE];
	ssize_t stored = 0;

	if (!stripe)
		return -ENOMEM;
	stripe->now = 0;
	vmc_versions_ask(cache, stripe);
	for (size_t done = 0; done < count; done += MANY_AT_ONCE) {
		struct vmemcache_store_request *r = requests + done;
		size_t n = count - done;
		if (n > MANY_AT_ONCE)
			n = MANY_AT_ONCE;
		for (size_t i = 0; i < n; i++)
			keys[i] = vmc_cache_key(space, r[i].key, r[i].key_size);
		fetch_all(thread, keys, n);
		for (size_t i = 0; i < n; i++) {
			vmc_cleanup(vmc_key_let_go) struct vmc_key key =
				keys[i];
			struct vmc_storing s = {cache, thread, stripe, &key,
				r[i].value, r[i].value_size,
				r[i].how ? r[i].how : &defaults, NULL};
			vmc_key_hold(thread, &key);
			r[i].result = vmc_put_store(&s, &r[i].version);
			stored += r[i].result == 0;
			if (r[i].result == -EBADF)
				return -EBADF;
		}
	}
	return stored;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * expire.c -- entries that have expired
 *
 * Expiry has two parts. Each call that meets an entry compares its deadline
 * with the clock: from that millisecond on no call finds the entry. And a
 * thread that needs room removes expired entries before it evicts any other.
 * For that each entry with a deadline is a timer in a wheel (expiry/wheel.h),
 * which takes 24 bytes of the entry.
 *
 * There are 16 wheels, with a latch each, so that threads that store seldom
 * wait for each other; the entry's address chooses the wheel. The time of the
 * next work of every wheel is in two cache lines, which is all that is read if
 * nothing has expired. A put advances the wheel that it has latched by a few
 * timers. These are more than new timers need, as each timer is moved four
 * times at most for years of time to live. So hardly any are left to move when
 * room is needed. Then up to 256 timers of a wheel are moved; if that is not
 * enough to find all expired entries, an entry that has not expired is evicted.
 *
 * Which thread may use an entry. The put starts the timer in the epoch in which
 * it has published the entry, so the entry is not freed. By then another thread
 * may have claimed it. The thread that has claimed an entry, and taken it out
 * of the index, stops the timer before it retires the entry; a timer that was
 * stopped cannot be started again. So under the latch the entry of every timer
 * exists. A thread that finds a due timer claims the entry like any evictor
 * (LIVE -> EVICTING) under the latch, and postpones the timer by a millisecond
 * in any case: the thread that has claimed the entry will stop it, or give the
 * entry back. The claimed entry is taken out of the policy under its lock, as
 * by an evict of its key, and is then evicted like a victim, with its callback.
 * Until then it is in the index, but no call finds it.
 *
 * A new deadline is set under the latch of the index, so that the entry stays
 * in the index meanwhile, and under that of the wheel. An expired entry stays
 * expired: this is checked under both latches.
 *
 * The clock goes on while the machine is suspended (CLOCK_BOOTTIME). A call
 * reads it once, when it first meets an entry with a deadline, and again after
 * a callback.
 */
#include "expire.h"

#include "claim.h"

#include "base/error.h"
#include "expiry/wheel.h"

#include <errno.h>

#define WHEELS 16u

/* Timers that a put moves, and who needs room of each wheel. */
#define MOVES_OF_PUT 4
#define MOVES_FOR_ROOM 256

/* So many entries are taken out at once. */
#define AT_ONCE 16

struct vmc_expiry {
	/* when there is something to do, by wheel: under its latch, or a hint
	 */
	alignas(64) _Atomic uint64_t next[WHEELS];
	struct guarded {
		alignas(64) struct vmc_latch latch;
		struct vmc_wheel wheel;
	} wheels[WHEELS];
	void *allocated;
};

static unsigned
number_of(const struct vmc_timer *timer)
{
	uint64_t mixed = (uintptr_t)timer * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned)(mixed >> 32) % WHEELS;
}

static struct vmc_entry *
entry_of(struct vmc_timer *timer)
{
	return (struct vmc_entry *)((char *)timer -
				    offsetof(struct vmc_extra, timer) -
				    vmc_extra_offset(vmc_timer_mark(timer)));
}

bool
vmc_extra_is_over(const struct vmc_entry *e, uint64_t *now)
{
	const struct vmc_timer *timer = vmc_entry_timer(e);

	if (!timer)
		return false;
	uint64_t deadline = vmc_timer_deadline(timer);
	return deadline != VMC_WHEEL_NEVER && deadline <= vmc_now(now);
}

uint64_t
vmc_deadline_of(uint64_t ttl_ms, uint64_t *now)
{
	if (ttl_ms >= VMC_WHEEL_NEVER - vmc_now(now))
		return VMC_WHEEL_NEVER;
	return vmc_now(now) + ttl_ms;
}

uint64_t
vmc_entry_ttl(const struct vmc_entry *e, uint64_t *now)
{
	const struct vmc_timer *timer = vmc_entry_timer(e);
	uint64_t deadline = timer ? vmc_timer_deadline(timer) : VMC_WHEEL_NEVER;

	if (deadline == VMC_WHEEL_NEVER)
		return VMEMCACHE_FOREVER;
	return deadline > vmc_now(now) ? deadline - vmc_now(now) : 0;
}

int
vmc_expiry_prepare(struct vmemcache *cache)
{
	struct vmc_expiry *expected = NULL;
	const size_t size = sizeof(*expected) + alignof(struct vmc_expiry) - 1;

	/* acquire: pairs with the release by who made it */
	if (vmc_load_acquire(&cache->expiry))
		return 0;
	void *allocated = vmc_alloc(&cache->uncounted, size);
	if (!allocated)
		return -ENOMEM;
	struct vmc_expiry *made =
		(void *)(((uintptr_t)allocated + alignof(struct vmc_expiry) -
				 1) &
			 -alignof(struct vmc_expiry));
	made->allocated = allocated;
	uint64_t now = vmc_os_boot_ms();
	for (unsigned i = 0; i < WHEELS; i++) {
		atomic_init(&made->next[i], VMC_WHEEL_NEVER);
		atomic_init(&made->wheels[i].latch.held, false);
		vmc_wheel_init(&made->wheels[i].wheel, now);
	}
	if (!vmc_cas_acq_rel(&cache->expiry, &expected, made))
		vmc_free(&cache->uncounted, allocated, size);
	return 0;
}

void
vmc_expiry_close(struct vmemcache *cache)
{
	struct vmc_expiry *expiry = vmc_load_relaxed(&cache->expiry);

	if (expiry)
		vmc_free(&cache->uncounted, expiry->allocated,
			sizeof(*expiry) + alignof(struct vmc_expiry) - 1);
	vmc_store_relaxed(&cache->expiry, NULL);
}

static struct vmc_wheel *
latch(struct vmc_expiry *expiry, unsigned i)
{
	vmc_latch_acquire(&expiry->wheels[i].latch, VMC_RANK_EXPIRY);
	return &expiry->wheels[i].wheel;
}

static void
unlatch(struct vmc_expiry *expiry, unsigned i)
{
	uint64_t next = vmc_wheel_next(&expiry->wheels[i].wheel);

	if (next != vmc_load_relaxed(&expiry->next[i]))
		vmc_store_relaxed(&expiry->next[i], next);
	vmc_latch_release(&expiry->wheels[i].latch, VMC_RANK_EXPIRY);
}

/* Its entry has gone, perhaps before the timer was started. */
static bool
is_stopped(const struct vmc_timer *timer)
{
	return !timer->link.next && timer->link.prev;
}

void
vmc_expiry_start(struct vmemcache *cache, struct vmc_entry *e, uint64_t *now)
{
	struct vmc_timer *timer = vmc_entry_timer(e);

	if (!timer || vmc_timer_deadline(timer) == VMC_WHEEL_NEVER)
		return;
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	unsigned i = number_of(timer);
	struct vmc_wheel *wheel = latch(expiry, i);
	if (!vmc_timer_is_added(timer) && !is_stopped(timer))
		vmc_wheel_add(wheel, timer);
	if (vmc_wheel_advance(wheel, vmc_now(now), MOVES_OF_PUT))
		vmc_wheel_look_ahead(wheel, MOVES_OF_PUT);
	unlatch(expiry, i);
}

void
vmc_expiry_stop_timer(struct vmemcache *cache, struct vmc_timer *timer)
{
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	unsigned i = number_of(timer);

	if (!expiry) /* then no timer has ever started */
		return;
	vmc_wheel_remove(latch(expiry, i), timer);
	timer->link.prev = &timer->link;
	unlatch(expiry, i);
}

bool
vmc_expiry_change(struct vmemcache *cache, struct vmc_entry *e,
	uint64_t deadline, uint64_t *now)
{
	struct vmc_timer *timer = vmc_entry_timer(e);
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	unsigned i = number_of(timer);
	struct vmc_wheel *wheel = latch(expiry, i);
	bool over = vmc_extra_is_over(e, now);

	if (!over) {
		vmc_wheel_remove(wheel, timer);
		vmc_timer_init(timer, deadline, vmc_timer_mark(timer));
		vmc_wheel_add(wheel, timer);
	}
	unlatch(expiry, i);
	return !over;
}

/*
 * Of one wheel, claim what is due. Each timer is looked at once: it is put off,
 * whether its entry was claimed or not.
 */
static void
claim_due(struct vmemcache *cache, struct vmc_expiry *expiry, unsigned i,
	uint64_t now, struct vmc_claim *claim)
{
	struct vmc_wheel *wheel = latch(expiry, i);
	struct vmc_timer *timer;
	uint16_t state;

	if (!vmc_wheel_due(wheel))
		vmc_wheel_advance(wheel, now, MOVES_FOR_ROOM);
	for (unsigned tries = 2 * VMC_CLAIM_FIRST;
		tries > 0 && claim->end < VMC_CLAIM_FIRST &&
		(timer = vmc_wheel_due(wheel)) != NULL;
		tries--) {
		struct vmc_entry *e = entry_of(timer);
		vmc_wheel_put_off(wheel, timer);
		if (vmc_claim_entry(cache, e, &state))
			claim->some[claim->end++] = e;
	}
	unlatch(expiry, i);
}

int
vmc_expiry_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	struct vmc_claim claim;
	vmc_runs freed;
	unsigned due = 0; /* a bit for each wheel */

	if (!expiry)
		return -ENOENT;
	uint64_t now = vmc_now(&stripe->now);
	for (unsigned i = 0; i < WHEELS; i++)
		due |= (unsigned)(vmc_load_relaxed(&expiry->next[i]) <= now)
		       << i;
	if (due == 0)
		return -ENOENT;
	vmc_claim_begin(&claim, 0, 0, NULL);
	for (; due && claim.end < VMC_CLAIM_FIRST; due &= due - 1)
		claim_due(cache, expiry, (unsigned)__builtin_ctz(due), now,
			&claim);
	if (claim.end == 0)
		return -ENOENT;
	vmc_lock_acquire(&cache->policy_lock);
	for (unsigned i = 0; i < claim.end; i++)
		vmc_cache_let_go_of_node(cache, claim.some[i]);
	vmc_cache_release_policy(cache);
	int rc = vmc_claim_remove(
		cache, stripe, &claim, VMEMCACHE_REASON_EXPIRED, &freed);
	if (rc == 0)
		vmc_extent_free(cache->extent, &freed);
	return rc;
}

int
vmc_expiry_check(struct vmemcache *cache)
{
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	int rc = 0;

	for (unsigned i = 0; expiry && rc == 0 && i < WHEELS; i++) {
		rc = vmc_wheel_check(latch(expiry, i));
		unlatch(expiry, i);
	}
	return rc;
}

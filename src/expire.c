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
 * next work of every wheel is in two cache lines, and the earliest of these
 * times in a word of the cache, which is all that is read if nothing has
 * expired. A put advances the wheel that it has latched by a few timers. These
 * are more than new timers need, as each timer is moved four times at most for
 * years of time to live. So hardly any are left to move when room is needed.
 * Then up to 256 timers of a wheel are moved; if that is not enough to find all
 * expired entries, an entry that has not expired is evicted.
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
 * The word of the cache, cache->soonest, is never later than the next work of
 * any wheel, once the call that has added this work has returned. 0 means that
 * it is not known. A thread that brings the next work of a wheel forward, under
 * the latch of the wheel, also sees to the word. Only a thread that has found
 * no wheel with work to do raises it, and only one thread at a time:
 *
 *	raises				brings work forward
 *	1. soonest := LOOKING		a. next[i] := early
 *	   fence			   fence
 *	2. reads every next		b. reads soonest
 *	3. soonest := the least of	c. if that is later than early, or
 *	   these, if it is LOOKING	   LOOKING: soonest := 0
 *
 * If 2 does not read what a wrote, the fences make b read what 1 wrote or what
 * was written after it. If b reads LOOKING, c makes 3 fail or comes after it.
 * If b reads 0, another thread's c did the same. Otherwise b reads a time that
 * 3 or a later look wrote, and c compares with it. No other thread writes
 * LOOKING meanwhile, so 3 cannot mistake another thread's LOOKING for its own.
 * LOOKING stays if a wheel has work to do, and then means the same as 0: every
 * put reads the times of all wheels until none has. tests/model/soonest.pml
 * checks this.
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

/* The soonest while a thread looks for it: earlier than any time. */
#define LOOKING 1

struct guarded {
	alignas(64) struct vmc_latch latch;
	/* immutable: for unlatch() */
	struct vmemcache *cache;
	_Atomic uint64_t *next;
	struct vmc_wheel wheel; /* under the latch */
};

struct vmc_expiry {
	/* when there is something to do, by wheel; written under its latch */
	alignas(64) _Atomic uint64_t next[WHEELS];
	/* immutable */
	struct guarded *guarded[WHEELS];
	void *allocated;
	struct vmc_latch looking; /* for the soonest; only ever tried */
	struct guarded wheels[WHEELS];
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

static __attribute__((noinline)) bool
is_over_by_clock(uint64_t deadline, uint64_t *now)
{
	return deadline <= vmc_now(now);
}

bool
vmc_extra_is_over(const struct vmc_entry *e, uint64_t *now)
{
	const struct vmc_timer *timer = vmc_entry_timer(e);

	if (!timer)
		return false;
	uint64_t deadline = vmc_timer_deadline(timer);
	if (deadline == VMC_WHEEL_NEVER)
		return false;
	return *now ? deadline <= *now : is_over_by_clock(deadline, now);
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
vmc_expiry_make(struct vmemcache *cache)
{
	struct vmc_expiry *expected = NULL;
	const size_t size = sizeof(*expected) + alignof(struct vmc_expiry) - 1;

	void *allocated = vmc_alloc(&cache->uncounted, size);
	if (!allocated)
		return -ENOMEM;
	struct vmc_expiry *made =
		(void *)(((uintptr_t)allocated + alignof(struct vmc_expiry) -
				 1) &
			 -alignof(struct vmc_expiry));
	made->allocated = allocated;
	made->looking = (struct vmc_latch){false};
	uint64_t now = vmc_os_boot_ms();
	for (unsigned i = 0; i < WHEELS; i++) {
		atomic_init(&made->next[i], VMC_WHEEL_NEVER);
		struct guarded *g = made->guarded[i] = &made->wheels[i];
		atomic_init(&g->latch.held, false);
		g->cache = cache;
		g->next = &made->next[i];
		vmc_wheel_init(&g->wheel, now);
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
	vmc_store_relaxed(&cache->soonest, 0);
}

static inline struct guarded *
latch(struct vmc_expiry *expiry, unsigned i)
{
	vmc_latch_acquire(&expiry->guarded[i]->latch, VMC_RANK_EXPIRY);
	return expiry->guarded[i];
}

/* The wheel has something to do at another time than was told. */
static __attribute__((noinline)) void
tell(struct guarded *g)
{
	struct vmemcache *cache = g->cache;
	uint64_t next = vmc_wheel_next(&g->wheel);
	bool earlier = next < vmc_load_relaxed(g->next);

	vmc_store_relaxed(g->next, next);
	if (earlier) {
		vmc_fence_seq_cst();
		uint64_t soonest = vmc_load_acquire(&cache->soonest);
		/* release: who reads it finds the next of that wheel */
		if (soonest > next || soonest == LOOKING)
			vmc_store_release(&cache->soonest, 0);
	}
	vmc_latch_release(&g->latch, VMC_RANK_EXPIRY);
}

/* Here and below what is rare is called last: nothing is saved for it before.
 */
static inline void
unlatch(struct guarded *g)
{
	if (vmc_wheel_next(&g->wheel) != vmc_load_relaxed(g->next)) {
		tell(g);
		return;
	}
	vmc_latch_release(&g->latch, VMC_RANK_EXPIRY);
}

static __attribute__((noinline)) void
advance_and_unlatch(struct guarded *g, uint64_t *now)
{
	if (vmc_wheel_advance(&g->wheel, vmc_now(now), MOVES_OF_PUT))
		vmc_wheel_look_ahead(&g->wheel, MOVES_OF_PUT);
	unlatch(g);
}

static inline __attribute__((always_inline)) void
start(struct guarded *g, struct vmc_timer *timer, uint64_t deadline,
	uint64_t *now)
{
	struct vmc_wheel *wheel = &g->wheel;
	bool earlier = false;

	/* neither was it started, nor has its entry gone before: stop() */
	if (__builtin_expect(((uintptr_t)timer->link.next |
				     (uintptr_t)timer->link.prev) == 0,
		    1))
		earlier = vmc_wheel_add(wheel, timer, deadline);
	if (__builtin_expect(earlier || vmc_wheel_is_behind(wheel, *now), 0)) {
		advance_and_unlatch(g, now);
		return;
	}
	vmc_latch_release(&g->latch, VMC_RANK_EXPIRY);
}

static __attribute__((noinline)) void
wait_and_start(struct guarded *g, struct vmc_timer *timer, uint64_t *now)
{
	vmc_latch_acquire(&g->latch, VMC_RANK_EXPIRY);
	start(g, timer, vmc_timer_deadline(timer), now);
}

void
vmc_expiry_start(struct vmemcache *cache, struct vmc_entry *e, uint64_t *now)
{
	struct vmc_timer *timer = vmc_entry_timer(e);

	if (!timer)
		return;
	uint64_t deadline = vmc_timer_deadline(timer);
	if (deadline == VMC_WHEEL_NEVER)
		return;
	struct guarded *g =
		vmc_load_acquire(&cache->expiry)->guarded[number_of(timer)];
	if (vmc_latch_try(&g->latch, VMC_RANK_EXPIRY))
		start(g, timer, deadline, now);
	else
		wait_and_start(g, timer, now);
}

static inline __attribute__((always_inline)) void
stop(struct guarded *g, struct vmc_timer *timer)
{
	vmc_wheel_remove(&g->wheel, timer);
	timer->link.prev = &timer->link;
	/* that is nothing to do any earlier */
	vmc_latch_release(&g->latch, VMC_RANK_EXPIRY);
}

static __attribute__((noinline)) void
wait_and_stop(struct guarded *g, struct vmc_timer *timer)
{
	vmc_latch_acquire(&g->latch, VMC_RANK_EXPIRY);
	stop(g, timer);
}

void
vmc_expiry_stop_timer(struct vmemcache *cache, struct vmc_timer *timer)
{
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);

	if (!expiry) /* then no timer has ever started */
		return;
	struct guarded *g = expiry->guarded[number_of(timer)];
	if (vmc_latch_try(&g->latch, VMC_RANK_EXPIRY))
		stop(g, timer);
	else
		wait_and_stop(g, timer);
}

bool
vmc_expiry_change(struct vmemcache *cache, struct vmc_entry *e,
	uint64_t deadline, uint64_t *now)
{
	struct vmc_timer *timer = vmc_entry_timer(e);
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	unsigned i = number_of(timer);
	struct guarded *g = latch(expiry, i);
	bool over = vmc_extra_is_over(e, now);

	if (!over) {
		vmc_wheel_remove(&g->wheel, timer);
		vmc_timer_init(timer, deadline, vmc_timer_mark(timer));
		if (deadline != VMC_WHEEL_NEVER)
			vmc_wheel_add(&g->wheel, timer, deadline);
	}
	unlatch(g);
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
	struct guarded *g = latch(expiry, i);
	struct vmc_wheel *wheel = &g->wheel;
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
	unlatch(g);
}

/* A bit for each wheel that has something to do; none: that is known then. */
static unsigned
look_for_due(struct vmemcache *cache, struct vmc_expiry *expiry, uint64_t now)
{
	uint64_t soonest = VMC_WHEEL_NEVER, expected = LOOKING;
	bool alone = vmc_latch_try(&expiry->looking, VMC_RANK_EXPIRY);
	unsigned due = 0;

	if (alone) {
		vmc_exchange_acq_rel(&cache->soonest, LOOKING);
		vmc_fence_seq_cst();
	}
	for (unsigned i = 0; i < WHEELS; i++) {
		uint64_t next = vmc_load_relaxed(&expiry->next[i]);
		if (next < soonest)
			soonest = next;
		due |= (unsigned)(next <= now) << i;
	}
	if (!alone)
		return due;
	if (due == 0)
		vmc_cas_acq_rel(&cache->soonest, &expected, soonest);
	vmc_latch_release(&expiry->looking, VMC_RANK_EXPIRY);
	return due;
}

int
vmc_expiry_reclaim(struct vmemcache *cache, struct vmc_stripe *stripe)
{
	struct vmc_claim claim;
	vmc_runs freed;

	if (!vmc_expiry_may_be_due(cache, stripe))
		return -ENOENT;
	struct vmc_expiry *expiry = vmc_load_acquire(&cache->expiry);
	uint64_t now = vmc_now(&stripe->now);
	unsigned due = look_for_due(cache, expiry, now);
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
		struct guarded *g = latch(expiry, i);
		rc = vmc_wheel_check(&g->wheel);
		unlatch(g);
	}
	return rc;
}

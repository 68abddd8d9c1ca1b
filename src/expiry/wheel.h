/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wheel.h -- timers in a hierarchical timing wheel
 *
 * The user embeds a timer in each of its objects. It calls everything under one
 * lock of its own, but for reading a deadline. A timer is in the wheel from
 * vmc_wheel_add() to vmc_wheel_remove(), and due from its deadline on, once the
 * wheel was advanced to that.
 *
 * Adding and removing take constant time. So does what a timer costs in all:
 * it is moved once a level at most. No call does more than the caller allows.
 */
#ifndef VMC_EXPIRY_WHEEL_H
#define VMC_EXPIRY_WHEEL_H

#include "base/atomic.h"

#include <stddef.h>

#define VMC_WHEEL_LEVELS 8u
/* A slot is as long as so many (a power of two) of the level below. */
#define VMC_WHEEL_SLOT_BITS 5u
/* Of a level; the words of bits are for 64. */
#define VMC_WHEEL_SLOTS 64u
/* So far ahead of the wheel's time timers are told apart: 34 years. */
#define VMC_WHEEL_SPAN (UINT64_C(1) << VMC_WHEEL_LEVELS * VMC_WHEEL_SLOT_BITS)

/* Deadlines have so many bits, which is 8,900 years of milliseconds. */
#define VMC_TIMER_BITS 48
/* Never due, and never in a wheel. */
#define VMC_WHEEL_NEVER ((UINT64_C(1) << VMC_TIMER_BITS) - 1)

struct vmc_timer_list {
	struct vmc_timer_list *next, *prev;
};

struct vmc_timer {
	/* the deadline: written under the lock; above it a mark of the user's
	 */
	_Atomic uint64_t word;
	struct vmc_timer_list link; /* next NULL: in no wheel */
};

/* In no wheel. */
static inline void
vmc_timer_init(struct vmc_timer *timer, uint64_t deadline, uint16_t mark)
{
	vmc_store_relaxed(
		&timer->word, deadline | (uint64_t)mark << VMC_TIMER_BITS);
	timer->link.next = timer->link.prev = NULL;
}

static inline uint64_t
vmc_timer_deadline(const struct vmc_timer *timer)
{
	return vmc_load_relaxed(&timer->word) & VMC_WHEEL_NEVER;
}

static inline uint16_t
vmc_timer_mark(const struct vmc_timer *timer)
{
	return (uint16_t)(vmc_load_relaxed(&timer->word) >> VMC_TIMER_BITS);
}

struct vmc_wheel {
	uint64_t time; /* what was due by then is in `due` */
	uint64_t next; /* no slot but empty ones begins before that */
	uint64_t seen; /* slot of level 1 in which all was looked ahead at */
	uint64_t count;
	struct vmc_timer_list due;
	/* slots that are not empty, and perhaps some that are */
	uint64_t occupied[VMC_WHEEL_LEVELS];
	struct vmc_timer_list slot[VMC_WHEEL_LEVELS][VMC_WHEEL_SLOTS];
};

/* Empty, at that time. */
void vmc_wheel_init(struct vmc_wheel *wheel, uint64_t now);

/* A timer that is in no wheel; one of NEVER stays so. */
void vmc_wheel_add(struct vmc_wheel *wheel, struct vmc_timer *timer);
/* Of that wheel, or of none. */
void vmc_wheel_remove(struct vmc_wheel *wheel, struct vmc_timer *timer);
/* One that is due is asked for again a millisecond after the wheel's time. */
void vmc_wheel_put_off(struct vmc_wheel *wheel, struct vmc_timer *timer);

/*
 * The time is now, or it was later before; moves so many timers, and looks at
 * so many slots, at most. False: what is due is not all known to be yet.
 */
bool vmc_wheel_advance(struct vmc_wheel *wheel, uint64_t now, unsigned at_most);

/*
 * Once the wheel is advanced: move so many timers at most before it is their
 * time, so that few are left to be moved then.
 */
void vmc_wheel_look_ahead(struct vmc_wheel *wheel, unsigned at_most);

/* One of those that are due, the oldest slots first; NULL: none is known. */
struct vmc_timer *vmc_wheel_due(struct vmc_wheel *wheel);

/*
 * When to call vmc_wheel_advance() next, or vmc_wheel_due() (0); NEVER: the
 * wheel is empty. It may be too early, never too late.
 */
uint64_t vmc_wheel_next(const struct vmc_wheel *wheel);

static inline bool
vmc_timer_is_added(const struct vmc_timer *timer)
{
	return timer->link.next != NULL;
}

/* Walk everything: 0, or -EINVAL with a message. For tests. */
int vmc_wheel_check(struct vmc_wheel *wheel);

#endif

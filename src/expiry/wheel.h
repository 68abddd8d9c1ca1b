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

/* Enough for all deadlines. */
#define VMC_WHEEL_LEVELS 10u
/* A slot is as long as so many (a power of two) of the level below. */
#define VMC_WHEEL_SLOT_BITS 5u
/* Of a level; the words of bits are for 64. */
#define VMC_WHEEL_SLOTS 64u
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
	uint64_t seen; /* all was looked ahead at, until then */
	uint64_t count;
	struct vmc_timer_list due;
	/* slots that are not empty, and perhaps some that are */
	uint64_t occupied[VMC_WHEEL_LEVELS];
	/* those of a level after those of the one below */
	struct vmc_timer_list slot[VMC_WHEEL_LEVELS * VMC_WHEEL_SLOTS];
};

/* Empty, at that time. */
void vmc_wheel_init(struct vmc_wheel *wheel, uint64_t now);

/* One that is due is asked for again a millisecond after the wheel's time. */
void vmc_wheel_put_off(struct vmc_wheel *wheel, struct vmc_timer *timer);

/* What the inline functions below leave to do. */
bool vmc_wheel_move(struct vmc_wheel *wheel, uint64_t now, unsigned at_most);
void vmc_wheel_move_ahead(struct vmc_wheel *wheel, unsigned at_most);

static inline bool
vmc_timer_is_added(const struct vmc_timer *timer)
{
	return timer->link.next != NULL;
}

static inline void
vmc_timer_list_append(struct vmc_timer_list *list, struct vmc_timer_list *link)
{
	link->next = list;
	link->prev = list->prev;
	list->prev->next = link;
	list->prev = link;
}

static inline void
vmc_timer_list_remove(struct vmc_timer_list *link)
{
	link->next->prev = link->prev;
	link->prev->next = link->next;
	link->next = link->prev = NULL;
}

static inline unsigned
vmc_wheel_bits_below(unsigned level)
{
	return level * VMC_WHEEL_SLOT_BITS;
}

/*
 * The lowest level on which the slot of when, which is after time, is less than
 * VMC_WHEEL_SLOTS ahead: by the bits of the length, or the next one.
 */
static inline unsigned
vmc_wheel_level(uint64_t time, uint64_t when)
{
	unsigned last = 63u - (unsigned)__builtin_clzll((when - time) | 2);
	/* (last - 1) / VMC_WHEEL_SLOT_BITS */
	unsigned level = (last - 1) * 52 >> 8;
	unsigned below = vmc_wheel_bits_below(level);

	return level + ((when >> below) - (time >> below) >= VMC_WHEEL_SLOTS);
}

/* Into the slot of that time, or among the due; as below. */
static inline __attribute__((always_inline)) bool
vmc_wheel_place(struct vmc_wheel *wheel, struct vmc_timer *timer, uint64_t when)
{
	uint64_t time = wheel->time;

	if (__builtin_expect(when <= time, 0)) {
		vmc_timer_list_append(&wheel->due, &timer->link);
		return true;
	}
	unsigned level = vmc_wheel_level(time, when);
	unsigned below = vmc_wheel_bits_below(level);
	uint64_t at = when >> below;
	unsigned i = at % VMC_WHEEL_SLOTS;
	vmc_timer_list_append(
		&wheel->slot[level * VMC_WHEEL_SLOTS + i], &timer->link);
	wheel->occupied[level] |= UINT64_C(1) << i;
	at <<= below;
	if (__builtin_expect(at >= wheel->next, 1))
		return false;
	wheel->next = at;
	return true;
}

/*
 * A timer that is in no wheel, whose deadline is that, and not NEVER. True:
 * there is something to do earlier than before (vmc_wheel_next()).
 */
static inline bool
vmc_wheel_add(
	struct vmc_wheel *wheel, struct vmc_timer *timer, uint64_t deadline)
{
	wheel->count++;
	return vmc_wheel_place(wheel, timer, deadline);
}

/* Of that wheel, or of none. */
static inline void
vmc_wheel_remove(struct vmc_wheel *wheel, struct vmc_timer *timer)
{
	if (!vmc_timer_is_added(timer))
		return;
	vmc_timer_list_remove(&timer->link);
	wheel->count--;
}

/*
 * The time is now, or it was later before; moves so many timers, and looks at
 * so many slots, at most. False: what is due is not all known to be yet.
 */
static inline bool
vmc_wheel_advance(struct vmc_wheel *wheel, uint64_t now, unsigned at_most)
{
	if (wheel->next <= now)
		return vmc_wheel_move(wheel, now, at_most);
	if (now > wheel->time)
		wheel->time = now;
	return true;
}

/*
 * Once the wheel is advanced: move so many timers at most before it is their
 * time, so that few are left to be moved then.
 */
static inline void
vmc_wheel_look_ahead(struct vmc_wheel *wheel, unsigned at_most)
{
	/* what is added goes below next slots: these stay empty */
	if (wheel->time >= wheel->seen)
		vmc_wheel_move_ahead(wheel, at_most);
}

/* Does either of these have anything to do? */
static inline bool
vmc_wheel_is_behind(const struct vmc_wheel *wheel, uint64_t now)
{
	return wheel->next <= now || wheel->seen <= now;
}

/* One of those that are due, the oldest slots first; NULL: none is known. */
struct vmc_timer *vmc_wheel_due(struct vmc_wheel *wheel);

/*
 * When to call vmc_wheel_advance() next, or vmc_wheel_due() (0); NEVER: the
 * wheel is empty. It may be too early, never too late.
 */
static inline uint64_t
vmc_wheel_next(const struct vmc_wheel *wheel)
{
	return wheel->due.next == &wheel->due ? wheel->next : 0;
}

/* Walk everything: 0, or -EINVAL with a message. For tests. */
int vmc_wheel_check(struct vmc_wheel *wheel);

#endif

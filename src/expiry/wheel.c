/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wheel.c -- a hierarchical timing wheel (Varghese and Lauck 1987), lazily
 *
 * Level l has 64 slots of 32^l milliseconds each. A timer is in the lowest
 * level on which its slot is less than 64 slots ahead of the wheel's time: at
 * level 0 a slot is one deadline, above it a range, and slot number (deadline /
 * 32^l) mod 64 is unambiguous. Timers in the current slot of a level above 0,
 * or in the next one, fit into the level below. So the timers of the next slot
 * can be moved there at any time while the one before it passes: a few by each
 * call (vmc_wheel_look_ahead()), however many there are. If all are moved by
 * then, nothing is left to be done when a range begins.
 *
 * To advance, the next slot that is not empty is found by the bits of each
 * level, so time without timers costs nothing. A slot whose range has passed is
 * due as a whole: its list is appended to that of the due timers in one step.
 * Otherwise, when its range begins, its remaining timers are moved to their
 * slots below, one by one, as many as the caller allows; the wheel's time
 * stands still until all have been moved. So a timer is moved at most once for
 * each level, and not at all if no call advances the wheel before it is due.
 *
 * When the last timer of a slot is removed, its bit stays set until the slot is
 * next looked at.
 *
 * Rejected: a heap, where every change moves some timers, each a CPU cache
 * miss; a wheel of one level, which has either many slots to pass or many
 * timers that are in a slot but not due.
 */
#include "expiry/wheel.h"

#include "base/error.h"

#include <errno.h>

static void
list_init(struct vmc_timer_list *list)
{
	list->next = list->prev = list;
}

static bool
list_is_empty(const struct vmc_timer_list *list)
{
	return list->next == list;
}

/* All of `from`, which is empty then. */
static void
list_join(struct vmc_timer_list *list, struct vmc_timer_list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = list->prev;
	list->prev->next = from->next;
	from->prev->next = list;
	list->prev = from->prev;
	list_init(from);
}

static struct vmc_timer *
timer_of(struct vmc_timer_list *link)
{
	return (struct vmc_timer *)((char *)link -
				    offsetof(struct vmc_timer, link));
}

static struct vmc_timer_list *
slot_of(struct vmc_wheel *wheel, unsigned level, unsigned i)
{
	return &wheel->slot[level * VMC_WHEEL_SLOTS + i];
}

void
vmc_wheel_init(struct vmc_wheel *wheel, uint64_t now)
{
	wheel->time = now;
	wheel->next = VMC_WHEEL_NEVER;
	wheel->seen = now;
	wheel->count = 0;
	list_init(&wheel->due);
	for (unsigned level = 0; level < VMC_WHEEL_LEVELS; level++)
		wheel->occupied[level] = 0;
	for (unsigned i = 0; i < VMC_WHEEL_LEVELS * VMC_WHEEL_SLOTS; i++)
		list_init(&wheel->slot[i]);
}

void
vmc_wheel_put_off(struct vmc_wheel *wheel, struct vmc_timer *timer)
{
	vmc_timer_list_remove(&timer->link);
	vmc_wheel_place(wheel, timer, wheel->time + 1);
}

/* The first slot that may have timers, and when its range begins. */
struct event {
	uint64_t time;
	unsigned level;
	unsigned slot;
};

static bool
next_event(struct vmc_wheel *wheel, struct event *event)
{
	*event = (struct event){.time = VMC_WHEEL_NEVER};
	/* of two at the same time, that of the higher level first */
	for (unsigned level = VMC_WHEEL_LEVELS; level-- > 0;) {
		uint64_t at = wheel->time >> vmc_wheel_bits_below(level);
		unsigned i = at & (VMC_WHEEL_SLOTS - 1);
		uint64_t bits = wheel->occupied[level];
		if (bits == 0)
			continue;
		bits = bits >> i | bits << (-i & (VMC_WHEEL_SLOTS - 1));
		unsigned ahead = (unsigned)__builtin_ctzll(bits);
		uint64_t time = (at + ahead) << vmc_wheel_bits_below(level);
		if (time >= event->time)
			continue;
		*event = (struct event){
			time, level, (i + ahead) & (VMC_WHEEL_SLOTS - 1)};
	}
	wheel->next = event->time;
	return event->time != VMC_WHEEL_NEVER;
}

/* Timers of that slot to where they belong; false: not all of them. */
static bool
move_down(struct vmc_wheel *wheel, struct vmc_timer_list *slot, uint64_t now,
	unsigned *at_most)
{
	while (!list_is_empty(slot)) {
		if (*at_most == 0)
			return false;
		--*at_most;
		struct vmc_timer *timer = timer_of(slot->next);
		uint64_t deadline = vmc_timer_deadline(timer);
		vmc_timer_list_remove(&timer->link);
		vmc_wheel_place(
			wheel, timer, deadline <= now ? wheel->time : deadline);
	}
	return true;
}

bool
vmc_wheel_move(struct vmc_wheel *wheel, uint64_t now, unsigned at_most)
{
	struct event event;

	while (wheel->next <= now && next_event(wheel, &event) &&
		event.time <= now) {
		struct vmc_timer_list *slot =
			slot_of(wheel, event.level, event.slot);
		uint64_t last =
			event.time +
			(UINT64_C(1) << vmc_wheel_bits_below(event.level)) - 1;
		if (event.time > wheel->time)
			wheel->time = event.time;
		if (last <= now)
			list_join(&wheel->due, slot);
		else if (!move_down(wheel, slot, now, &at_most))
			return false;
		wheel->occupied[event.level] &= ~(UINT64_C(1) << event.slot);
		if (at_most == 0)
			return false;
		at_most--;
	}
	if (now > wheel->time)
		wheel->time = now;
	return true;
}

void
vmc_wheel_move_ahead(struct vmc_wheel *wheel, unsigned at_most)
{
	for (unsigned level = 1; level < VMC_WHEEL_LEVELS; level++) {
		uint64_t next =
			(wheel->time >> vmc_wheel_bits_below(level)) + 1;
		unsigned i = next & (VMC_WHEEL_SLOTS - 1);
		if (!(wheel->occupied[level] >> i & 1))
			continue;
		if (!move_down(wheel, slot_of(wheel, level, i), wheel->time,
			    &at_most))
			return;
		wheel->occupied[level] &= ~(UINT64_C(1) << i);
	}
	wheel->seen = ((wheel->time >> VMC_WHEEL_SLOT_BITS) + 1)
		      << VMC_WHEEL_SLOT_BITS;
}

struct vmc_timer *
vmc_wheel_due(struct vmc_wheel *wheel)
{
	return list_is_empty(&wheel->due) ? NULL : timer_of(wheel->due.next);
}

static int
fail(const char *what)
{
	return vmc_fail(EINVAL, "wheel: %s", what);
}

/* The timers of a list, whose deadlines are from first to last. */
static int
check_list(const struct vmc_timer_list *list, uint64_t first, uint64_t last,
	uint64_t *count)
{
	const struct vmc_timer_list *link;

	for (link = list->next; link != list; link = link->next) {
		uint64_t deadline = vmc_timer_deadline(
			timer_of((struct vmc_timer_list *)link));
		if (link->next->prev != link || link->prev->next != link)
			return fail("broken links");
		if (deadline < first || deadline > last)
			return fail("a timer in another slot");
		++*count;
	}
	return 0;
}

int
vmc_wheel_check(struct vmc_wheel *wheel)
{
	uint64_t count = 0;
	int rc = check_list(&wheel->due, 0, VMC_WHEEL_NEVER - 1, &count);

	for (unsigned level = 0; level < VMC_WHEEL_LEVELS; level++) {
		uint64_t at = wheel->time >> vmc_wheel_bits_below(level);
		for (unsigned i = 0; rc == 0 && i < VMC_WHEEL_SLOTS; i++) {
			unsigned slot = (at + i) & (VMC_WHEEL_SLOTS - 1);
			uint64_t first = (at + i)
					 << vmc_wheel_bits_below(level);
			uint64_t last =
				first +
				(UINT64_C(1) << vmc_wheel_bits_below(level)) -
				1;
			bool occupied = wheel->occupied[level] >> slot & 1;
			if (level == 0) /* put off */
				first = 0;
			rc = check_list(slot_of(wheel, level, slot), first,
				last, &count);
			if (!occupied &&
				!list_is_empty(slot_of(wheel, level, slot)))
				rc = fail("a slot without its bit");
		}
	}
	if (rc == 0 && count != wheel->count)
		rc = fail("another number of timers");
	return rc;
}

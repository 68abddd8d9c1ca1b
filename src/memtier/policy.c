/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.c -- keep bytes allocated in the ratio of the tiers
 *
 * Both policies use the bytes that are allocated in each tier now, by all
 * threads, not all that were ever allocated: programs may free objects of any
 * tier.
 *
 * STATIC_RATIO. The level of a tier is its bytes divided by its ratio. What is
 * allocated goes to the tier with the lowest level. A thread asks for a budget
 * of bytes at a time, which all go to one tier: as much as lifts that to the
 * level of the next one, and a quarter of a step beyond, or some objects. A
 * step is a 4096th of what is allocated, within bounds (counts.h). So however
 * many threads there are, their totals lag behind by at most a step per thread.
 *
 * DYNAMIC_THRESHOLD. The size decides, by a threshold between each tier and the
 * next. Every so many allocations of a thread, it compares the bytes of both
 * with their ratio. If they are off by a quarter of the trigger or more, and no
 * nearer to the ratio than at the last check, the threshold moves by the
 * degree, within its bounds. A quarter, so that the error has grown no larger
 * than the trigger by the time the threshold takes effect. The threshold stays
 * while the error falls: if it moved on, it would be far beyond the right value
 * when the ratio is reached (sizes of 1 to 2048 bytes, and ratios of 1:8 to
 * 4:1: off by 0.3 % on average after 100,000 allocations, 0.8 % if it moves
 * on). One thread at a time checks; others do not wait for it.
 *
 * Rejected: giving allocations to the tiers in turn, which does not count
 * bytes; a random choice with the probabilities of the ratio, whose error is of
 * the size of the largest objects.
 */
#include "policy.h"

#include "memkind/malloc.h"

/* That of a ratio of 0 is never the lowest. */
static double
level(const struct vmc_counts *self, const struct vmc_tier *tier, int64_t *all)
{
	int64_t bytes = vmc_counts_estimate(self, tier->kind->number);

	if (bytes < 0)
		bytes = 0;
	*all += bytes;
	return (double)(bytes + (tier->ratio == 0)) * tier->weight;
}

/* A budget is for so many objects at least, if that is no more than this. */
#define OBJECTS 8
#define MOST_BEYOND 32768.0

static int64_t
step_for(int64_t bytes)
{
	int64_t step = bytes / 4096;

	return step < VMC_COUNTS_LEAST_STEP  ? VMC_COUNTS_LEAST_STEP
	       : step > VMC_COUNTS_MOST_STEP ? VMC_COUNTS_MOST_STEP
					     : step;
}

memkind_t
vmc_policy_by_ratio(const struct memtier_memory *memory, size_t size)
{
	struct vmc_counts *self = vmc_counts_self;
	double lowest = 0, next = 0;
	unsigned best = 0;
	int64_t all = 0;

	if (!self)
		self = vmc_counts_find();
	for (unsigned i = 0; i < memory->count; i++) {
		double at = level(self, &memory->tiers[i], &all);
		if (i == 0 || at < lowest) {
			next = i == 0 ? at : lowest;
			lowest = at;
			best = i;
		} else if (i == 1 || at < next) {
			next = at;
		}
	}
	if (!self)
		return memory->tiers[best].kind;
	self->step = step_for(all);
	double most = (double)self->step;
	double beyond = most / 4;
	double some = (double)size * OBJECTS;
	if (some > beyond) /* not this way for each object */
		beyond = some < MOST_BEYOND ? some : MOST_BEYOND;
	double budget = (next - lowest) * memory->tiers[best].ratio + beyond;
	if (most < beyond)
		most = beyond;
	if (budget > most)
		budget = most;
	self->plan.memory = memory->number;
	self->plan.kind = memory->tiers[best].kind;
	self->plan.budget = (size_t)budget > size ? (size_t)budget - size : 0;
	return self->plan.kind;
}

/* How much more the upper tier has than it should, as a part of that. */
static double
error_of(const struct vmc_counts *self, const struct vmc_tier *lower)
{
	const struct vmc_tier *upper = lower + 1;
	int64_t below = vmc_counts_estimate(self, lower->kind->number);
	int64_t above = vmc_counts_estimate(self, upper->kind->number);

	if (below <= 0 && above <= 0)
		return 0;
	if (below <= 0)
		return 1;
	if (above <= 0)
		return -1;
	return ((double)above * upper->weight) /
		       ((double)below * lower->weight) -
	       1;
}

static void
move(struct vmc_threshold *threshold, double degree, bool up)
{
	size_t val = vmc_load_relaxed(&threshold->val);
	double by = (double)val * degree;
	size_t most = up ? threshold->max - val : val - threshold->min;
	size_t whole = by < 1 ? 1 : by < (double)most ? (size_t)by : most;

	if (whole > most)
		whole = most;
	if (whole > 0)
		vmc_store_relaxed(
			&threshold->val, up ? val + whole : val - whole);
}

static void
check(struct memtier_memory *memory, const struct vmc_counts *self)
{
	const struct vmc_threshold_settings *settings = &memory->settings;

	for (unsigned i = 0; i + 1 < memory->count; i++) {
		struct vmc_threshold *threshold = &memory->thresholds[i];
		double error = error_of(self, &memory->tiers[i]);
		double before = threshold->error;
		bool better = error > 0 ? error < before : error > before;

		threshold->error = error;
		if ((error < 0 ? -error : error) <
				(double)settings->trigger / 4 ||
			error == 0 || better)
			continue;
		move(threshold, (double)settings->degree, error > 0);
	}
}

static void
check_now_and_then(struct memtier_memory *memory)
{
	struct vmc_counts *self = vmc_counts_find();

	if (self) {
		unsigned count = memory->settings.check_count;
		bool here = self->plan.memory == memory->number;
		self->plan.memory = memory->number;
		self->plan.budget = 0;
		self->plan.to_check = count > 0 ? count - 1 : 0;
		if (!here)
			return;
	}
	/* acquire: pairs with the release of who checked before */
	if (vmc_exchange_acq_rel(&memory->checking.held, true))
		return;
	check(memory, self);
	vmc_store_release(&memory->checking.held, false);
}

memkind_t
vmc_policy_by_size(struct memtier_memory *memory, size_t size)
{
	struct vmc_counts *self = vmc_counts_self;
	unsigned tier = 0;

	if (__builtin_expect(!self || self->plan.memory != memory->number ||
				     self->plan.to_check-- == 0,
		    0))
		check_now_and_then(memory);
	while (tier + 1 < memory->count &&
		size >= vmc_load_relaxed(&memory->thresholds[tier].val))
		tier++;
	return memory->tiers[tier].kind;
}

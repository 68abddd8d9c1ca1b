/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * builder.c -- the public calls that define the tiers
 *
 * A builder has room for every kind there may be, as no kind is added twice.
 * One thread at a time may use it. It constructs a copy of the tiers, which is
 * immutable except for the thresholds.
 */
#include "policy.h"

#include "memkind/malloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The default threshold between the first two tiers; then so much more. */
#define THRESHOLD_FIRST ((size_t)1024)
#define THRESHOLD_BELOW ((size_t)512)
#define THRESHOLD_ABOVE ((size_t)511)
#define THRESHOLD_APART ((size_t)1024)

struct memtier_builder {
	memtier_policy_t policy;
	unsigned count;
	struct vmc_threshold_settings settings;
	struct vmc_tier tiers[MEMKIND_MAX_KIND];
	struct vmc_threshold thresholds[MEMKIND_MAX_KIND];
};

static void *
fail(int err)
{
	errno = err;
	return NULL;
}

struct memtier_builder *
memtier_builder_new(memtier_policy_t policy)
{
	struct memtier_builder *builder;

	if ((unsigned)policy >= MEMTIER_POLICY_MAX_VALUE)
		return fail(EINVAL);
	builder = vmc_memkind_calloc(MEMKIND_DEFAULT, 1, sizeof(*builder));
	if (!builder)
		return NULL;
	builder->policy = policy;
	builder->settings = (struct vmc_threshold_settings){
		.check_count = 20, .trigger = 0.02f, .degree = 0.15f};
	return builder;
}

void
memtier_builder_delete(struct memtier_builder *builder)
{
	vmc_memkind_free(MEMKIND_DEFAULT, builder);
}

int
memtier_builder_add_tier(
	struct memtier_builder *builder, memkind_t kind, unsigned kind_ratio)
{
	if (!builder || !kind)
		return -1;
	for (unsigned i = 0; i < builder->count; i++)
		if (builder->tiers[i].kind == kind)
			return -1;
	unsigned i = builder->count++;
	builder->tiers[i] = (struct vmc_tier){.kind = kind,
		.ratio = kind_ratio,
		.weight = kind_ratio ? 1.0 / kind_ratio : 1e100};
	builder->thresholds[i] = (struct vmc_threshold){
		.val = THRESHOLD_FIRST + i * THRESHOLD_APART,
		.min = THRESHOLD_FIRST + i * THRESHOLD_APART - THRESHOLD_BELOW,
		.max = THRESHOLD_FIRST + i * THRESHOLD_APART + THRESHOLD_ABOVE};
	return 0;
}

static int
set_of_threshold(
	struct memtier_builder *builder, const char *name, const void *val)
{
	struct vmc_threshold *threshold;
	unsigned long id;
	size_t bytes;
	char *end;

	if (*name < '0' || *name > '9')
		return -1;
	id = strtoul(name, &end, 10);
	if (builder->count < 2 || id >= builder->count - 1)
		return -1;
	threshold = &builder->thresholds[id];
	memcpy(&bytes, val, sizeof(bytes));
	if (strcmp(end, "].val") == 0)
		vmc_store_relaxed(&threshold->val, bytes);
	else if (strcmp(end, "].min") == 0)
		threshold->min = bytes;
	else if (strcmp(end, "].max") == 0)
		threshold->max = bytes;
	else
		return -1;
	return 0;
}

static int
set_of_dynamic(
	struct memtier_builder *builder, const char *name, const void *val)
{
	struct vmc_threshold_settings *settings = &builder->settings;
	static const char thresholds[] = "thresholds[";

	if (strncmp(name, thresholds, sizeof(thresholds) - 1) == 0)
		return set_of_threshold(
			builder, name + sizeof(thresholds) - 1, val);
	if (strcmp(name, "check_cnt") == 0)
		memcpy(&settings->check_count, val, sizeof(unsigned));
	else if (strcmp(name, "trigger") == 0)
		memcpy(&settings->trigger, val, sizeof(float));
	else if (strcmp(name, "degree") == 0)
		memcpy(&settings->degree, val, sizeof(float));
	else
		return -1;
	return 0;
}

int
memtier_ctl_set(
	struct memtier_builder *builder, const char *name, const void *val)
{
	static const char dynamic[] = "policy.dynamic_threshold.";
	int saved = errno, r;

	if (!builder || !name || !val ||
		builder->policy != MEMTIER_POLICY_DYNAMIC_THRESHOLD ||
		strncmp(name, dynamic, sizeof(dynamic) - 1) != 0)
		return -1;
	r = set_of_dynamic(builder, name + sizeof(dynamic) - 1, val);
	errno = saved;
	return r;
}

/* Is every size between two tiers of one of them, wherever they move? */
static bool
thresholds_are_sane(const struct memtier_builder *builder)
{
	const struct vmc_threshold_settings *settings = &builder->settings;

	/* not a number fails as well */
	if (builder->count < 2 || !(settings->trigger >= 0) ||
		!(settings->degree >= 0))
		return false;
	for (unsigned i = 0; i + 1 < builder->count; i++) {
		const struct vmc_threshold *at = &builder->thresholds[i];
		size_t val = vmc_load_relaxed(&at->val);
		if (val < at->min || val > at->max ||
			(i > 0 && at[-1].max > at->min))
			return false;
	}
	return true;
}

struct memtier_memory *
memtier_builder_construct_memtier_memory(struct memtier_builder *builder)
{
	static _Atomic uint64_t latest; /* number */
	struct memtier_memory *memory;
	void *room;
	int err;

	if (!builder || builder->count == 0 ||
		(builder->policy == MEMTIER_POLICY_DYNAMIC_THRESHOLD &&
			!thresholds_are_sane(builder)))
		return fail(EINVAL);
	const size_t tiers = builder->count * sizeof(*memory->tiers);
	const size_t thresholds = builder->count * sizeof(*memory->thresholds);
	err = vmc_memkind_posix_memalign(MEMKIND_DEFAULT, &room,
		alignof(struct memtier_memory),
		sizeof(*memory) + tiers + thresholds);
	if (err)
		return fail(err);
	memory = room;
	*memory = (struct memtier_memory){
		.number = vmc_fetch_add_relaxed(&latest, 1) + 1,
		.policy = builder->policy,
		.count = builder->count,
		.settings = builder->settings,
		.thresholds = (struct vmc_threshold *)(memory + 1),
		.tiers =
			(struct vmc_tier *)((char *)(memory + 1) + thresholds)};
	memcpy((void *)memory->thresholds, builder->thresholds, thresholds);
	memcpy(memory->tiers, builder->tiers, tiers);
	return memory;
}

void
memtier_delete_memtier_memory(struct memtier_memory *memory)
{
	vmc_memkind_free(MEMKIND_DEFAULT, memory);
}

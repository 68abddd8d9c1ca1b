/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * types.c -- the types of the static kinds, as one table
 *
 * A row says everything in which a kind differs: nodes, placement, pages.
 * What the calls below do follows from the row; none knows a kind by name.
 *
 * A static kind takes addresses as it needs them. Pages are taken when they are
 * touched. If the nodes are full then, a policy that prefers them takes pages
 * of others. Under a policy that binds, the kernel kills the process (also with
 * memkind 1.14). A kind that depends on the processor has arenas, with a policy
 * of their own, for each node that has any.
 *
 * All of it is constant once the topology is read, so any thread may call it.
 */
#include "types.h"

#include "memkind/topology/settings.h"

#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>

#define SHIFT_2M 21
#define SHIFT_1G 30

const struct vmc_kind_type vmc_static_types[MEMKIND_NUM_BASE_KIND] = {
	[MEMKIND_PARTITION_DEFAULT] = {.name = "default"},
	[MEMKIND_PARTITION_REGULAR] = {.name = "regular",
		.nodes = VMC_NODES_PROCESSORS,
		.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_HUGETLB] = {.name = "hugetlb",
		.page_shift = SHIFT_2M},
	[MEMKIND_PARTITION_GBTLB] = {.name = "gbtlb", .page_shift = SHIFT_1G},
	[MEMKIND_PARTITION_INTERLEAVE] = {.name = "interleave",
		.nodes = VMC_NODES_ALL,
		.placement = VMC_PLACE_INTERLEAVE,
		.small_pages = true},
	[MEMKIND_PARTITION_HBW] = {.name = "hbw",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_BIND,
		.closest = true},
	[MEMKIND_PARTITION_HBW_ALL] = {.name = "hbw_all",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_HBW_PREFERRED] = {.name = "hbw_preferred",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_PREFER,
		.closest = true,
		.no_capacity = true,
		.ambiguous = MEMKIND_ERROR_RUNTIME},
	[MEMKIND_PARTITION_HBW_HUGETLB] = {.name = "hbw_hugetlb",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_BIND,
		.closest = true,
		.no_capacity = true,
		.page_shift = SHIFT_2M},
	[MEMKIND_PARTITION_HBW_ALL_HUGETLB] = {.name = "hbw_all_hugetlb",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_BIND,
		.no_capacity = true,
		.page_shift = SHIFT_2M},
	[MEMKIND_PARTITION_HBW_PREFERRED_HUGETLB] =
		{.name = "hbw_preferred_hugetlb",
			.nodes = VMC_NODES_HIGH_BANDWIDTH,
			.placement = VMC_PLACE_PREFER,
			.closest = true,
			.no_capacity = true,
			.page_shift = SHIFT_2M,
			.ambiguous = MEMKIND_ERROR_RUNTIME},
	[MEMKIND_PARTITION_HBW_GBTLB] = {.name = "hbw_gbtlb",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_BIND,
		.closest = true,
		.no_capacity = true,
		.page_shift = SHIFT_1G},
	[MEMKIND_PARTITION_HBW_PREFERRED_GBTLB] =
		{.name = "hbw_preferred_gbtlb",
			.nodes = VMC_NODES_HIGH_BANDWIDTH,
			.placement = VMC_PLACE_PREFER,
			.closest = true,
			.no_capacity = true,
			.page_shift = SHIFT_1G,
			.ambiguous = MEMKIND_ERROR_RUNTIME},
	[MEMKIND_PARTITION_HBW_INTERLEAVE] = {.name = "hbw_interleave",
		.nodes = VMC_NODES_HIGH_BANDWIDTH,
		.placement = VMC_PLACE_INTERLEAVE,
		.small_pages = true},
	[MEMKIND_PARTITION_DAX_KMEM] = {.name = "dax_kmem",
		.nodes = VMC_NODES_KMEM,
		.placement = VMC_PLACE_BIND,
		.closest = true},
	[MEMKIND_PARTITION_DAX_KMEM_ALL] = {.name = "dax_kmem_all",
		.nodes = VMC_NODES_KMEM,
		.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_DAX_KMEM_PREFERRED] = {.name = "dax_kmem_preferred",
		.nodes = VMC_NODES_KMEM,
		.placement = VMC_PLACE_PREFER,
		.closest = true,
		.no_capacity = true,
		.ambiguous = MEMKIND_ERROR_RUNTIME},
	[MEMKIND_PARTITION_DAX_KMEM_INTERLEAVE] =
		{.name = "dax_kmem_interleave",
			.nodes = VMC_NODES_KMEM,
			.placement = VMC_PLACE_INTERLEAVE},
	[MEMKIND_PARTITION_HIGHEST_CAPACITY] = {.name = "highest_capacity",
		.nodes = VMC_NODES_CAPACITY,
		.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_HIGHEST_CAPACITY_PREFERRED] =
		{.name = "highest_capacity_preferred",
			.nodes = VMC_NODES_CAPACITY,
			.placement = VMC_PLACE_PREFER,
			.no_capacity = true,
			.ambiguous = MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE},
	[MEMKIND_PARTITION_HIGHEST_CAPACITY_LOCAL] =
		{.name = "highest_capacity_local",
			.nodes = VMC_NODES_LOCAL_CAPACITY,
			.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_HIGHEST_CAPACITY_LOCAL_PREFERRED] =
		{.name = "highest_capacity_local_preferred",
			.nodes = VMC_NODES_LOCAL_CAPACITY,
			.placement = VMC_PLACE_PREFER,
			.no_capacity = true},
	[MEMKIND_PARTITION_LOWEST_LATENCY_LOCAL] =
		{.name = "lowest_latency_local",
			.nodes = VMC_NODES_LOCAL_LATENCY,
			.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_LOWEST_LATENCY_LOCAL_PREFERRED] =
		{.name = "lowest_latency_local_preferred",
			.nodes = VMC_NODES_LOCAL_LATENCY,
			.placement = VMC_PLACE_PREFER,
			.no_capacity = true},
	[MEMKIND_PARTITION_HIGHEST_BANDWIDTH_LOCAL] =
		{.name = "highest_bandwidth_local",
			.nodes = VMC_NODES_LOCAL_BANDWIDTH,
			.placement = VMC_PLACE_BIND},
	[MEMKIND_PARTITION_HIGHEST_BANDWIDTH_LOCAL_PREFERRED] =
		{.name = "highest_bandwidth_local_preferred",
			.nodes = VMC_NODES_LOCAL_BANDWIDTH,
			.placement = VMC_PLACE_PREFER,
			.no_capacity = true},
};

static uint64_t
pages_in_pool(const struct vmc_node_rules *rules, unsigned shift)
{
	return shift == SHIFT_1G ? rules->topology.huge_1g
				 : rules->topology.huge_2m;
}

/* The type's nodes for processors of that node; a code if there are none. */
static int
nodes_for(const struct vmc_node_rules *rules, const struct vmc_kind_type *type,
	unsigned processors, struct vmc_node_set *set)
{
	int code = vmc_nodes_select(
		rules, type->nodes, type->closest, processors, set);

	if (!code && type->placement == VMC_PLACE_PREFER &&
		vmc_node_count(set) > 1)
		return type->ambiguous;
	return code;
}

/* Every node that the type's memory may come from, from any processor. */
static int
all_nodes(const struct vmc_node_rules *rules, const struct vmc_kind_type *type,
	struct vmc_node_set *all)
{
	struct vmc_node_set set;
	int code;

	*all = (struct vmc_node_set){{0}};
	for (unsigned i = 0; i < rules->topology.end; i++) {
		if (!vmc_node_has(&rules->topology.processors, i))
			continue;
		code = nodes_for(rules, type, i, &set);
		if (code)
			return code;
		for (unsigned w = 0; w < VMC_NODE_WORDS; w++)
			all->words[w] |= set.words[w];
	}
	return 0;
}

/*
 * Where the system refuses to place memory: a preference is that, and who binds
 * to all memory there is binds to nothing.
 */
static bool
can_do_without(const struct vmc_node_rules *rules,
	const struct vmc_kind_type *type, const struct vmc_node_set *set)
{
	return type->placement != VMC_PLACE_BIND ||
	       vmc_node_has_all(set, &rules->topology.memory);
}

int
vmc_type_available(const struct vmc_kind_type *type)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	struct vmc_node_set all;
	int code;

	if (!rules)
		return MEMKIND_ERROR_MALLOC;
	code = all_nodes(rules, type, &all);
	if (!code && rules->bind_refused && !can_do_without(rules, type, &all))
		code = MEMKIND_ERROR_MBIND;
	if (!code && type->page_shift &&
		pages_in_pool(rules, type->page_shift) == 0)
		return MEMKIND_ERROR_HUGETLB;
	return code;
}

static uint64_t
all_memory(const struct vmc_node_rules *rules, const struct vmc_node_set *set)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < rules->topology.end; i++) {
		if (vmc_node_has(set, i))
			bytes += rules->topology.nodes[i].capacity;
	}
	return bytes;
}

/* As the environment says, or one for each processor. */
unsigned
vmc_kind_arena_limit(void)
{
	unsigned arenas = vmc_settings()->arenas;

	if (arenas == 0)
		arenas = vmc_os_processor_count();
	return arenas < VMC_KIND_ARENAS ? arenas : VMC_KIND_ARENAS;
}

/* The nodes of the memory of that arena of a kind. A code if there are none. */
static int
nodes_of_arena(const struct vmc_node_rules *rules,
	const struct vmc_kind_type *type, unsigned arena,
	struct vmc_node_set *set)
{
	unsigned nth;

	if (!vmc_type_is_local(type))
		return all_nodes(rules, type, set);
	nth = arena % vmc_node_count(&rules->topology.processors);
	for (unsigned i = 0; i < rules->topology.end; i++)
		if (vmc_node_has(&rules->topology.processors, i) && nth-- == 0)
			return nodes_for(rules, type, i, set);
	return MEMKIND_ERROR_RUNTIME;
}

/* The rules are there since the type is available. */
static int
place_for(const struct vmc_kind_type *type, unsigned arena, void *addr,
	size_t size)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	struct vmc_node_set set;
	int err;

	if (type->placement == VMC_PLACE_ANYWHERE)
		return 0;
	if (nodes_of_arena(rules, type, arena, &set) != 0)
		return -ENODEV;
	err = vmc_nodes_bind(addr, size, type->placement, &set);
	return can_do_without(rules, type, &set) ? 0 : err;
}

static int
place(const struct vmc_space *space, unsigned arena, void *addr, size_t size)
{
	if (space->type->small_pages)
		vmc_os_small_pages(addr, size);
	return place_for(space->type, arena, addr, size);
}

/* Would the kernel place memory like that? Asked once, of a range of its own.
 */
static int
try_to_place(const struct vmc_kind_type *type)
{
	unsigned nodes =
		vmc_type_is_local(type)
			? vmc_node_count(&vmc_nodes_here()->topology.processors)
			: 1;
	void *addr;
	int err;

	if (type->placement == VMC_PLACE_ANYWHERE)
		return 0;
	if (vmc_os_space_map(VMC_OS_CHUNK, VMC_OS_CHUNK, &addr) < 0)
		return MEMKIND_ERROR_MMAP;
	err = 0;
	for (unsigned i = 0; i < nodes && !err; i++)
		err = place_for(type, i, addr, VMC_OS_CHUNK);
	vmc_os_unmap(addr, VMC_OS_CHUNK);
	return err == -ENOMEM ? MEMKIND_ERROR_MALLOC
	       : err          ? MEMKIND_ERROR_MBIND
			      : 0;
}

/* As many for each node as divide the limit evenly, one at least. */
static unsigned
local_arenas(const struct vmc_node_rules *rules)
{
	unsigned nodes = vmc_node_count(&rules->topology.processors);
	unsigned each = vmc_kind_arena_limit() / nodes;

	if (nodes > VMC_KIND_ARENAS)
		return VMC_KIND_ARENAS;
	return nodes * (each > 0 ? each : 1);
}

int
vmc_type_space(const struct vmc_kind_type *type, struct vmc_space *space)
{
	int code = vmc_type_available(type);
	const struct vmc_node_rules *rules = vmc_nodes_here(); /* there now */

	if (!code)
		code = try_to_place(type);
	if (code)
		return code;
	vmc_space_anonymous(space,
		vmc_type_is_local(type) ? local_arenas(rules)
					: vmc_kind_arena_limit(),
		type->page_shift);
	space->type = type;
	space->place = place;
	space->capacity = all_memory(rules, &rules->topology.memory);
	return 0;
}

ssize_t
vmc_type_capacity(const struct vmc_kind_type *type)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	struct vmc_node_set all;

	if (!rules || type->no_capacity || all_nodes(rules, type, &all) != 0)
		return -1;
	if (type->page_shift)
		return (ssize_t)(pages_in_pool(rules, type->page_shift)
				 << type->page_shift);
	return (ssize_t)all_memory(rules, &all);
}

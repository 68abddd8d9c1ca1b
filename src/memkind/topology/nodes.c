/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodes.c -- choosing NUMA nodes
 *
 * A choice has two steps: the nodes that have the property asked for, then,
 * for the kinds that want it, those of them closest to the processor. The
 * properties:
 *
 *   high bandwidth   $MEMKIND_HBW_NODES, else those that the firmware says
 *                    give their best initiator $MEMKIND_HBW_THRESHOLD MB/s
 *   KMEM             $MEMKIND_DAX_KMEM_NODES, else the nodes of the DAX
 *                    devices that the driver kmem has
 *   local …          the best of those local to the processor, by capacity or
 *                    by the firmware's attributes; ties go to the one with
 *                    less to lose: the slower where capacity was asked for,
 *                    the smaller where speed was
 *
 * Environment and topology are read once, unless that fails for want of memory
 * or descriptors; from then on everything is immutable. No malloc() for that:
 * see topology.c; hence not libdaxctl. Policies are set on
 * address ranges that have not been touched yet (mbind), never on threads.
 */
#include "nodes.h"

#include "memkind.h"
#include "settings.h"

#include "base/atomic.h"
#include "base/os.h"

#include <errno.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_THRESHOLD_MBPS 204800

/* From the variable, if it is set; none: the code if it names no node. */
static bool
from_environment(const char *name, const struct vmc_node_set *memory, int none,
	struct vmc_node_set *set, int *error)
{
	const char *text = secure_getenv(name);

	if (!text)
		return false;
	*error = 0;
	if (vmc_node_parse(text, memory, set) == 0) {
		if (vmc_node_count(set) == 0)
			*error = none;
	} else {
		vmc_warn("%s=%s is no list of nodes with memory", name, text);
		*set = (struct vmc_node_set){{0}};
		*error = MEMKIND_ERROR_ENVIRON;
	}
	return true;
}

static void
find_high_bandwidth(struct vmc_node_rules *rules)
{
	const struct vmc_topology *t = &rules->topology;
	const char *text = secure_getenv("MEMKIND_HBW_THRESHOLD");
	unsigned long long threshold = DEFAULT_THRESHOLD_MBPS;
	char *end;

	if (from_environment("MEMKIND_HBW_NODES", &t->memory,
		    MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, &rules->high_bandwidth,
		    &rules->high_bandwidth_error))
		return;
	rules->high_bandwidth_error = MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE;
	if (text && *text) {
		errno = 0;
		threshold = strtoull(text, &end, 10);
		if (errno || end == text || *end || strchr(text, '-')) {
			vmc_warn("MEMKIND_HBW_THRESHOLD=%s is no number", text);
			rules->high_bandwidth_error = MEMKIND_ERROR_ENVIRON;
			return;
		}
	}
	for (unsigned i = 0; i < t->end; i++) {
		if (!vmc_node_has(&t->memory, i) ||
			t->nodes[i].bandwidth == 0 ||
			t->nodes[i].bandwidth < threshold)
			continue;
		vmc_node_add(&rules->high_bandwidth, i);
		rules->high_bandwidth_error = 0;
	}
}

#define KMEM_DRIVER "/sys/bus/dax/drivers/kmem"

/* Where find_kmem() is. */
struct search {
	struct vmc_node_rules *rules;
	const char *root;
};

/* A device that the driver has, if it is one: they have a node. */
static void
add_kmem_device(const char *name, void *arg)
{
	const struct search *search = arg;
	struct vmc_node_rules *rules = search->rules;
	char path[512];
	uint64_t node;

	snprintf(path, sizeof(path), "%s" KMEM_DRIVER "/%s/target_node",
		search->root, name);
	if (vmc_os_read_number(path, &node) < 0 || node >= VMC_MAX_NODES ||
		!vmc_node_has(&rules->topology.memory, (unsigned)node))
		return;
	vmc_node_add(&rules->kmem, (unsigned)node);
	rules->kmem_error = 0;
}

static void
find_kmem(struct vmc_node_rules *rules, const char *root)
{
	struct search search = {rules, root};
	char path[512];

	if (from_environment("MEMKIND_DAX_KMEM_NODES", &rules->topology.memory,
		    MEMKIND_ERROR_UNAVAILABLE, &rules->kmem,
		    &rules->kmem_error))
		return;
	rules->kmem_error = MEMKIND_ERROR_UNAVAILABLE;
	snprintf(path, sizeof(path), "%s" KMEM_DRIVER, root);
	(void)vmc_os_list(path, add_kmem_device, &search);
}

/*
 * Not by what nodes there are (EINVAL), nor for the moment (ENOMEM): seccomp,
 * or a kernel without that call.
 */
static bool
is_bind_refused(const struct vmc_node_set *memory)
{
	size_t size = vmc_os_page_size();
	void *page = vmc_os_map_anonymous(size);
	int err;

	if (!page)
		return false;
	err = vmc_nodes_bind(page, size, VMC_PLACE_BIND, memory);
	vmc_os_unmap(page, size);
	if (err == 0 || err == -EINVAL || err == -ENOMEM)
		return false;
	vmc_warn("mbind is refused, error %d: memory cannot be bound to nodes",
		-err);
	return true;
}

int
vmc_nodes_read(struct vmc_node_rules *rules, const char *root)
{
	*rules = (struct vmc_node_rules){.kmem_error = 0};
	if (vmc_topology_read(&rules->topology, root) < 0)
		return -ENOMEM;
	find_high_bandwidth(rules);
	find_kmem(rules, root);
	rules->bind_refused = is_bind_refused(&rules->topology.memory);
	return 0;
}

static size_t
bytes_of_rules(void)
{
	size_t page = vmc_os_page_size();

	return (sizeof(struct vmc_node_rules) + page - 1) & ~(page - 1);
}

/* Read by whoever comes first; what others read meanwhile is dropped. */
const struct vmc_node_rules *
vmc_nodes_here(void)
{
	static struct vmc_node_rules *_Atomic here;
	struct vmc_node_rules *known = vmc_load_acquire(&here);
	struct vmc_node_rules *fresh;
	int saved = errno, err;

	if (known)
		return known;
	fresh = vmc_os_map_anonymous(bytes_of_rules());
	err = fresh ? vmc_nodes_read(fresh, "") : -ENOMEM;
	errno = saved;
	if (!err && vmc_cas_acq_rel(&here, &known, fresh))
		return fresh;
	if (!err)
		vmc_topology_free(&fresh->topology);
	if (fresh)
		vmc_os_unmap(fresh, bytes_of_rules());
	return known;
}

/* Higher is better; 0: nothing known that could be compared. */
static uint64_t
merit(const struct vmc_node *node, enum vmc_nodes nodes)
{
	switch (nodes) {
	case VMC_NODES_LOCAL_LATENCY:
		return node->latency ? UINT64_MAX - node->latency : 0;
	case VMC_NODES_LOCAL_BANDWIDTH:
		return node->bandwidth;
	default:
		return node->capacity;
	}
}

static bool
wins_tie(const struct vmc_topology *t, enum vmc_nodes nodes,
	unsigned processors, unsigned a, unsigned b)
{
	if (nodes != VMC_NODES_LOCAL_CAPACITY)
		return t->nodes[a].capacity < t->nodes[b].capacity;
	if (t->nodes[a].latency != t->nodes[b].latency)
		return t->nodes[a].latency > t->nodes[b].latency;
	return vmc_topology_distance(t, processors, a) >
	       vmc_topology_distance(t, processors, b);
}

static void
keep_closest(const struct vmc_topology *t, unsigned processors,
	struct vmc_node_set *set)
{
	unsigned least = UINT32_MAX, distance;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < t->end; i++) {
			if (!vmc_node_has(set, i))
				continue;
			distance = vmc_topology_distance(t, processors, i);
			if (pass == 0 && distance < least)
				least = distance;
			else if (pass == 1 && distance > least)
				vmc_node_remove(set, i);
		}
	}
}

/*
 * The nodes whose memory is local. Processors that have none, or none that the
 * process may use, make do with what is closest.
 */
static void
select_local(const struct vmc_topology *t, unsigned processors,
	struct vmc_node_set *set)
{
	for (unsigned i = 0; i < t->end; i++)
		if (vmc_node_has(&t->memory, i) &&
			vmc_topology_local(t, processors, i))
			vmc_node_add(set, i);
	if (vmc_node_count(set) > 0)
		return;
	*set = t->memory;
	keep_closest(t, processors, set);
}

static int
select_best_local(const struct vmc_topology *t, enum vmc_nodes nodes,
	unsigned processors, struct vmc_node_set *set)
{
	struct vmc_node_set local = {{0}};
	unsigned best = t->end;
	uint64_t value, best_value = 0;

	select_local(t, processors, &local);
	for (unsigned i = 0; i < t->end; i++) {
		if (!vmc_node_has(&local, i))
			continue;
		value = merit(&t->nodes[i], nodes);
		if (value == 0)
			return MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE;
		if (value > best_value ||
			(value == best_value &&
				wins_tie(t, nodes, processors, i, best))) {
			best = i;
			best_value = value;
		}
	}
	if (best == t->end)
		return MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE;
	vmc_node_add(set, best);
	return 0;
}

static void
select_capacity(const struct vmc_topology *t, struct vmc_node_set *set)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < t->end; i++) {
		if (!vmc_node_has(&t->memory, i) || t->nodes[i].capacity < most)
			continue;
		if (t->nodes[i].capacity > most)
			*set = (struct vmc_node_set){{0}};
		most = t->nodes[i].capacity;
		vmc_node_add(set, i);
	}
}

int
vmc_nodes_select(const struct vmc_node_rules *rules, enum vmc_nodes nodes,
	bool closest, unsigned processors, struct vmc_node_set *set)
{
	const struct vmc_topology *t = &rules->topology;
	int code = 0;

	*set = (struct vmc_node_set){{0}};
	switch (nodes) {
	case VMC_NODES_ANY:
	case VMC_NODES_ALL:
		*set = t->memory;
		break;
	case VMC_NODES_PROCESSORS:
		for (unsigned i = 0; i < VMC_NODE_WORDS; i++)
			set->words[i] =
				t->memory.words[i] & t->processors.words[i];
		if (vmc_node_count(set) == 0)
			code = MEMKIND_ERROR_UNAVAILABLE;
		break;
	case VMC_NODES_HIGH_BANDWIDTH:
		*set = rules->high_bandwidth;
		code = rules->high_bandwidth_error;
		break;
	case VMC_NODES_KMEM:
		*set = rules->kmem;
		code = rules->kmem_error;
		break;
	case VMC_NODES_CAPACITY:
		select_capacity(t, set);
		break;
	default:
		code = select_best_local(t, nodes, processors, set);
	}
	if (!code && closest)
		keep_closest(t, processors, set);
	return code;
}

int
vmc_nodes_bind(void *addr, size_t size, enum vmc_placement placement,
	const struct vmc_node_set *set)
{
	static const int modes[] = {
		[VMC_PLACE_BIND] = MPOL_BIND,
		[VMC_PLACE_PREFER] = MPOL_PREFERRED,
		[VMC_PLACE_INTERLEAVE] = MPOL_INTERLEAVE,
	};

	if (placement == VMC_PLACE_ANYWHERE)
		return 0;
	/* the kernel takes the number of bits as one more than there are */
	return mbind(addr, size, modes[placement], set->words,
		       VMC_MAX_NODES + 1, 0) == 0
		       ? 0
		       : -errno;
}

int
vmc_nodes_verify(void *addr, size_t size, const struct vmc_node_set *set)
{
	enum { BATCH = 128 };
	size_t page = vmc_os_page_size();
	char *at = (char *)((uintptr_t)addr & ~(page - 1));
	char *end = (char *)addr + size;
	void *pages[BATCH];
	int nodes[BATCH];
	unsigned long count;

	while (at < end) {
		for (count = 0; count < BATCH && at < end; at += page)
			pages[count++] = at;
		if (move_pages(0, count, pages, NULL, nodes, 0) < 0)
			return -EFAULT;
		for (unsigned long i = 0; i < count; i++) {
			if (nodes[i] < 0)
				return nodes[i] == -EFAULT ? -EFAULT : -ENOENT;
			if (!vmc_node_has(set, (unsigned)nodes[i]))
				return -ENOENT;
		}
	}
	return 0;
}

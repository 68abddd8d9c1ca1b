/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodes.h -- which nodes a kind's memory comes from
 */
#ifndef VMC_MEMKIND_NODES_H
#define VMC_MEMKIND_NODES_H

#include "topology.h"

#include <stddef.h>

enum vmc_nodes {
	VMC_NODES_ANY, /* wherever the process's own policy says */
	VMC_NODES_PROCESSORS,
	VMC_NODES_ALL,
	VMC_NODES_HIGH_BANDWIDTH,
	VMC_NODES_KMEM,
	VMC_NODES_CAPACITY,
	/* one of those local to the processor */
	VMC_NODES_LOCAL_CAPACITY,
	VMC_NODES_LOCAL_LATENCY,
	VMC_NODES_LOCAL_BANDWIDTH,
};

enum vmc_placement {
	VMC_PLACE_ANYWHERE,
	VMC_PLACE_BIND,
	VMC_PLACE_PREFER,
	VMC_PLACE_INTERLEAVE,
};

/* What a choice depends on besides the kind. Immutable once read. */
struct vmc_node_rules {
	struct vmc_topology topology;
	struct vmc_node_set high_bandwidth, kmem;
	/* 0, or the code of memkind.h why the set is empty */
	int high_bandwidth_error, kmem_error;
	/* mbind(2) is not for this process, as in many containers */
	bool bind_refused;
};

/*
 * From the machine below root, and the environment. -ENOMEM. An
 * environment that makes no sense is an error of those kinds alone.
 */
int vmc_nodes_read(struct vmc_node_rules *rules, const char *root);

/* The rules of this machine, read once; NULL: no memory for them. */
const struct vmc_node_rules *vmc_nodes_here(void);

/*
 * The nodes for memory that a processor of this node first needs; closest:
 * those of them at the least distance. Returns 0 or a code of memkind.h.
 */
int vmc_nodes_select(const struct vmc_node_rules *rules, enum vmc_nodes nodes,
	bool closest, unsigned processors, struct vmc_node_set *set);

/* Have the range's pages come from there. 0 or a negative errno. */
int vmc_nodes_bind(void *addr, size_t size, enum vmc_placement placement,
	const struct vmc_node_set *set);

/*
 * Is every page of the range on one of these nodes? Pages are looked at
 * without being touched. 0, -ENOENT: at least one is not; -EFAULT: it cannot
 * be told.
 */
int vmc_nodes_verify(void *addr, size_t size, const struct vmc_node_set *set);

#endif

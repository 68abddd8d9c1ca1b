/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * topology.h -- the NUMA nodes of the machine as sysfs describes them
 */
#ifndef VMC_MEMKIND_TOPOLOGY_H
#define VMC_MEMKIND_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

/* As many as any kernel can be built for. */
#define VMC_MAX_NODES 1024u
#define VMC_NODE_WORDS (VMC_MAX_NODES / (8 * sizeof(unsigned long)))

struct vmc_node_set {
	unsigned long words[VMC_NODE_WORDS];
};

static inline bool
vmc_node_has(const struct vmc_node_set *set, unsigned node)
{
	const unsigned bits = 8 * sizeof(unsigned long);

	return set->words[node / bits] >> node % bits & 1;
}

static inline void
vmc_node_add(struct vmc_node_set *set, unsigned node)
{
	const unsigned bits = 8 * sizeof(unsigned long);

	set->words[node / bits] |= 1ul << node % bits;
}

static inline void
vmc_node_remove(struct vmc_node_set *set, unsigned node)
{
	const unsigned bits = 8 * sizeof(unsigned long);

	set->words[node / bits] &= ~(1ul << node % bits);
}

unsigned vmc_node_count(const struct vmc_node_set *set);

/* Are all nodes of the other in the set, too? */
static inline bool
vmc_node_has_all(
	const struct vmc_node_set *set, const struct vmc_node_set *other)
{
	for (unsigned i = 0; i < VMC_NODE_WORDS; i++)
		if (other->words[i] & ~set->words[i])
			return false;
	return true;
}

/*
 * Read a list of nodes in libnuma's syntax: numbers, in octal with a leading 0
 * and in hexadecimal with 0x, and ranges, joined by commas, with "+" in front
 * of a number or range counted among the known nodes; or "all"; with "!" in
 * front of either all others. It may come to none, as "" does. -EINVAL: it is
 * malformed or names a node that is not among the known ones.
 */
int vmc_node_parse(const char *text, const struct vmc_node_set *known,
	struct vmc_node_set *set);

struct vmc_node {
	uint64_t capacity;  /* bytes */
	uint64_t bandwidth; /* MB/s from its best initiator, 0: unknown */
	uint64_t latency;   /* ns from there, 0: unknown */
	/* nodes from which access is best, by the firmware; may be empty */
	struct vmc_node_set initiators;
	uint8_t *
		distances; /* to each node, VMC_MAX_NODES; NULL or 0: unknown */
};

struct vmc_topology {
	unsigned end; /* one above the highest node */
	/* nodes with memory that the process may use, with processors */
	struct vmc_node_set memory, processors;
	struct vmc_node *nodes;    /* end of them; a mapping */
	uint64_t huge_2m, huge_1g; /* pages of those sizes, at most */
};

/*
 * Read it from below root, "" for this machine. -ENOMEM. A machine without
 * NUMA, or where nothing is to be read of it, is one node with everything.
 */
int vmc_topology_read(struct vmc_topology *topology, const char *root);
void vmc_topology_free(struct vmc_topology *topology);

/* Distance as the firmware states it, 10 for the node itself. */
unsigned vmc_topology_distance(
	const struct vmc_topology *topology, unsigned from, unsigned to);

/* Is the memory of the node local to the processors of the other? */
bool vmc_topology_local(const struct vmc_topology *topology,
	unsigned processors, unsigned memory);

#endif

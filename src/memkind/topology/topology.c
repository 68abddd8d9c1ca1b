/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * topology.c -- reading the NUMA nodes from sysfs
 *
 * Read once, when the first kind needs it, and never changed afterwards: who
 * has it may read it without a lock.
 *
 *   devices/system/node/{has_memory,has_cpu}   node lists
 *   …/nodeN/meminfo                             capacity
 *   …/nodeN/distance                            a row of the matrix, which
 *                                               has no gaps for absent nodes
 *   …/nodeN/access1/initiators/                 by the firmware's HMAT: who
 *                                               gets at it best, and how fast
 *   kernel/mm/hugepages/                        the pools of huge pages
 *
 * and from /proc/self/status, Mems_allowed_list: which nodes the process may
 * use (cpusets). Others are as if they had no memory.
 *
 * access0 counts every initiator, access1, where the kernel has it, only
 * processors.
 *
 * Nothing here calls malloc(), directly or through stdio: a kind may be what
 * the program's malloc() is made of, and this is its first use.
 *
 * Rejected: libnuma, which prints warnings, ends the process on some errors
 * and knows nothing of attributes; hwloc, for its size. With the root as an
 * argument, a snapshot of another machine is a test.
 */
#include "topology.h"

#include "base/os.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned
vmc_node_count(const struct vmc_node_set *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < VMC_NODE_WORDS; i++)
		count += (unsigned)__builtin_popcountl(set->words[i]);
	return count;
}

/* One number; *relative: it counts members of known. */
static int
parse_node(const char **text, const struct vmc_node_set *known, bool relative,
	unsigned *node)
{
	unsigned long n, i;
	char *end;

	while (isspace((unsigned char)**text))
		++*text;
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	n = strtoul(*text, &end, 0);
	*text = end;
	for (i = 0; relative && i < VMC_MAX_NODES; i++) {
		if (vmc_node_has(known, (unsigned)i) && n-- == 0)
			break;
	}
	*node = (unsigned)(relative ? i : n);
	return (relative ? i : n) < VMC_MAX_NODES ? 0 : -EINVAL;
}

static int
parse_range(const char **text, const struct vmc_node_set *known,
	struct vmc_node_set *set)
{
	bool relative = **text == '+';
	unsigned first, last;
	int err;

	*text += relative;
	err = parse_node(text, known, relative, &first);
	last = first;
	if (!err && **text == '-') {
		++*text;
		err = parse_node(text, known, relative, &last);
	}
	if (err || last < first)
		return -EINVAL;
	for (; first <= last; first++) {
		if (!vmc_node_has(known, first))
			return -EINVAL;
		vmc_node_add(set, first);
	}
	return 0;
}

int
vmc_node_parse(const char *text, const struct vmc_node_set *known,
	struct vmc_node_set *set)
{
	bool others = *text == '!';

	*set = (struct vmc_node_set){{0}};
	text += others;
	if (!*text)
		return others ? -EINVAL : 0;
	if (strcmp(text, "all") == 0) {
		*set = *known;
		text += 3;
	}
	while (*text) {
		int err = parse_range(&text, known, set);
		if (err)
			return err;
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	for (unsigned i = 0; others && i < VMC_NODE_WORDS; i++)
		set->words[i] = known->words[i] & ~set->words[i];
	return 0;
}

/* Where to read, what was read last, and whether any failed that may pass. */
struct source {
	const char *root;
	bool lacking;
	char text[8192]; /* a row of distances to as many nodes as there can be
			  */
};

/* What is in a file below the root; NULL: there is none. */
static __attribute__((format(printf, 2, 3))) const char *
read_in(struct source *from, const char *format, ...)
{
	char path[512];
	va_list ap;
	int n = snprintf(path, sizeof(path), "%s/sys/", from->root);
	long length;

	va_start(ap, format);
	vsnprintf(path + n, sizeof(path) - (size_t)n, format, ap);
	va_end(ap);
	length = vmc_os_read_text(path, from->text, sizeof(from->text));
	if (length == -EMFILE || length == -ENFILE || length == -ENOMEM ||
		length == -EIO)
		from->lacking = true;
	return length < 0 ? NULL : from->text;
}

static uint64_t
read_number(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

/* A list of nodes as the kernel prints it; empty if there is no file. */
static void
read_set(const char *text, struct vmc_node_set *set)
{
	struct vmc_node_set any;
	char line[4096];
	size_t length = text ? strcspn(text, "\n") : 0;

	memset(&any, 0xff, sizeof(any));
	*set = (struct vmc_node_set){{0}};
	if (length == 0 || length >= sizeof(line))
		return;
	memcpy(line, text, length);
	line[length] = '\0';
	if (vmc_node_parse(line, &any, set) < 0)
		*set = (struct vmc_node_set){{0}};
}

/* Only nodes that the process may use stay; all, if that is not to be read. */
static void
keep_allowed(struct source *from, struct vmc_node_set *memory)
{
	static const char name[] = "Mems_allowed_list:";
	const char *text = read_in(from, "../proc/self/status");
	const char *at = text ? strstr(text, name) : NULL;
	struct vmc_node_set allowed;

	if (!at)
		return;
	at += sizeof(name) - 1;
	read_set(at + strspn(at, " \t"), &allowed);
	if (vmc_node_count(&allowed) == 0)
		return;
	for (unsigned i = 0; i < VMC_NODE_WORDS; i++)
		memory->words[i] &= allowed.words[i];
}

static uint64_t
read_capacity(const char *text)
{
	const char *at = text ? strstr(text, "MemTotal:") : NULL;

	return at ? strtoull(at + strlen("MemTotal:"), NULL, 10) * 1024 : 0;
}

/* The columns are the nodes that exist, in order. */
static void
read_distances(const char *text, const struct vmc_node_set *online,
	uint8_t distances[VMC_MAX_NODES])
{
	unsigned column = 0;
	char *end;

	for (; text; text = end) {
		unsigned long value = strtoul(text, &end, 10);
		while (column < VMC_MAX_NODES && !vmc_node_has(online, column))
			column++;
		if (end == text || column == VMC_MAX_NODES)
			break;
		distances[column++] = (uint8_t)value;
	}
}

static void
read_attributes(struct source *from, struct vmc_topology *topology, unsigned n)
{
	struct vmc_node *node = &topology->nodes[n];
	char path[4096];

	for (int class = 1; class >= 0; class --) {
		for (unsigned i = 0; i < topology->end; i++) {
			snprintf(path, sizeof(path),
				"%s/sys/devices/system/node/node%u/access%d/"
				"initiators/node%u",
				from->root, n, class, i);
			if (access(path, F_OK) == 0)
				vmc_node_add(&node->initiators, i);
		}
		node->bandwidth = read_number(read_in(from,
			"devices/system/node/node%u/access%d/initiators/"
			"read_bandwidth",
			n, class));
		node->latency = read_number(read_in(from,
			"devices/system/node/node%u/access%d/initiators/"
			"read_latency",
			n, class));
		if (vmc_node_count(&node->initiators) > 0)
			return;
	}
}

static uint64_t
read_pool(struct source *from, unsigned kib)
{
	return read_number(read_in(from,
		       "kernel/mm/hugepages/hugepages-%ukB/nr_hugepages",
		       kib)) +
	       read_number(read_in(from,
		       "kernel/mm/hugepages/hugepages-%ukB/"
		       "nr_overcommit_hugepages",
		       kib));
}

/* Room for so many nodes and, behind them, the distances of each. */
static size_t
bytes_for(unsigned end)
{
	size_t page = vmc_os_page_size();
	size_t size = end * (sizeof(struct vmc_node) + VMC_MAX_NODES);

	return (size + page - 1) & ~(page - 1);
}

static int
make_nodes(struct vmc_topology *topology, unsigned end)
{
	topology->end = end;
	topology->nodes = vmc_os_map_anonymous(bytes_for(end));
	return topology->nodes ? 0 : -ENOMEM;
}

static void
free_nodes(struct vmc_topology *topology)
{
	if (topology->nodes)
		vmc_os_unmap(topology->nodes, bytes_for(topology->end));
	topology->nodes = NULL;
}

/* In the place of what was read of nodes. */
static int
one_node(struct vmc_topology *topology)
{
	free_nodes(topology);
	topology->memory = topology->processors = (struct vmc_node_set){{1}};
	if (make_nodes(topology, 1) < 0)
		return -ENOMEM;
	topology->nodes[0].capacity = (uint64_t)sysconf(_SC_PHYS_PAGES) *
				      (uint64_t)vmc_os_page_size();
	return 0;
}

static void
read_node(struct source *from, struct vmc_topology *topology,
	const struct vmc_node_set *online, unsigned n)
{
	struct vmc_node *node = &topology->nodes[n];

	node->capacity = read_capacity(
		read_in(from, "devices/system/node/node%u/meminfo", n));
	node->distances = (uint8_t *)(topology->nodes + topology->end) +
			  (size_t)n * VMC_MAX_NODES;
	read_distances(read_in(from, "devices/system/node/node%u/distance", n),
		online, node->distances);
	read_attributes(from, topology, n);
	/* one without memory, or on its way out */
	if (node->capacity == 0)
		vmc_node_remove(&topology->memory, n);
}

int
vmc_topology_read(struct vmc_topology *topology, const char *root)
{
	struct source source, *from = &source;
	struct vmc_node_set online;
	unsigned end = 0;

	source.root = root;
	source.lacking = false;
	*topology = (struct vmc_topology){0};
	topology->huge_2m = read_pool(from, 2048);
	topology->huge_1g = read_pool(from, 1048576);
	read_set(read_in(from, "devices/system/node/online"), &online);
	read_set(read_in(from, "devices/system/node/has_memory"),
		&topology->memory);
	read_set(read_in(from, "devices/system/node/has_cpu"),
		&topology->processors);
	for (unsigned i = 0; i < VMC_NODE_WORDS; i++) {
		topology->memory.words[i] &= online.words[i];
		topology->processors.words[i] &= online.words[i];
	}
	keep_allowed(from, &topology->memory);
	if (source.lacking)
		return -ENOMEM;
	if (vmc_node_count(&topology->memory) == 0 ||
		vmc_node_count(&topology->processors) == 0)
		return one_node(topology);
	for (unsigned i = 0; i < VMC_MAX_NODES; i++) {
		if (vmc_node_has(&online, i))
			end = i + 1;
	}
	if (make_nodes(topology, end) < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < end; i++) {
		if (vmc_node_has(&online, i))
			read_node(from, topology, &online, i);
	}
	if (source.lacking) {
		vmc_topology_free(topology);
		return -ENOMEM;
	}
	return vmc_node_count(&topology->memory) > 0 ? 0 : one_node(topology);
}

void
vmc_topology_free(struct vmc_topology *topology)
{
	free_nodes(topology);
	*topology = (struct vmc_topology){0};
}

unsigned
vmc_topology_distance(
	const struct vmc_topology *topology, unsigned from, unsigned to)
{
	const uint8_t *row = topology->nodes[from].distances;

	return row && row[to] ? row[to] : from == to ? 10 : 255;
}

/* Without word from the firmware: the processors closest to the memory. */
bool
vmc_topology_local(const struct vmc_topology *topology, unsigned processors,
	unsigned memory)
{
	const struct vmc_node_set *initiators =
		&topology->nodes[memory].initiators;
	unsigned own = vmc_topology_distance(topology, processors, memory);

	if (processors == memory)
		return true;
	if (vmc_node_has(&topology->processors, memory))
		return false;
	if (vmc_node_count(initiators) > 0)
		return vmc_node_has(initiators, processors);
	for (unsigned i = 0; i < topology->end; i++) {
		if (vmc_node_has(&topology->processors, i) &&
			vmc_topology_distance(topology, i, memory) < own)
			return false;
	}
	return true;
}

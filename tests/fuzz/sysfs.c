/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sysfs.c -- fuzz target: the machine's nodes as /sys and the environment
 * describe them, and what is chosen from them
 *
 * Files below "/fuzz/sys/" are sections of the input (variables.h). Nodes
 * above 31 are left out, or an input would take a second.
 */
#include "memkind.h"
#include "memkind/topology/nodes.h"
#include "variables.h"

#include <ctype.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOT "/fuzz"

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

static char *
file_section(const char *path)
{
	return section(path + strlen(ROOT "/sys/"));
}

static bool
is_ours(const char *path)
{
	return strncmp(path, ROOT "/sys/", strlen(ROOT "/sys/")) == 0;
}

/* Nothing else is opened for writing here. */
int
__wrap_open(const char *path, int flags, ...)
{
	const char *text;

	if (!is_ours(path))
		return __real_open(path, flags);
	text = file_section(path);
	if (!text) {
		errno = ENOENT;
		return -1;
	}
	int fd = memfd_create("section", MFD_CLOEXEC);
	fuzz_expect(fd >= 0);
	fuzz_expect(pwrite(fd, text, strlen(text), 0) >= 0);
	return fd;
}

int
__wrap_access(const char *path, int mode)
{
	if (!is_ours(path))
		return __real_access(path, mode);
	if (file_section(path))
		return 0;
	errno = ENOENT;
	return -1;
}

static bool
has_large_numbers(const char *text)
{
	unsigned number = 0;

	/* "all", or all others */
	if (text && strpbrk(text, "a!"))
		return true;
	for (; text && *text && number < 32; text++)
		number = isdigit((unsigned char)*text)
				 ? number * 10 + (unsigned)(*text - '0')
				 : 0;
	return number >= 32;
}

static bool
is_within(const struct vmc_node_set *set, const struct vmc_node_set *of)
{
	for (unsigned i = 0; i < VMC_NODE_WORDS; i++) {
		if (set->words[i] & ~of->words[i])
			return false;
	}
	return true;
}

/* A list of nodes by itself, and written down again. */
static void
parse_list(const char *text)
{
	struct vmc_node_set known = {{0}}, set, again;
	char list[4 * VMC_MAX_NODES + 1] = "";
	size_t length = 0;

	for (unsigned i = 0; i < VMC_MAX_NODES; i += 1 + i % 3)
		vmc_node_add(&known, i);
	if (vmc_node_parse(text, &known, &set) != 0)
		return;
	fuzz_expect(is_within(&set, &known));
	for (unsigned i = 0; i < VMC_MAX_NODES; i++) {
		if (vmc_node_has(&set, i))
			length += (size_t)snprintf(list + length,
				sizeof(list) - length, "%s%u",
				length ? "," : "", i);
	}
	fuzz_expect(vmc_node_parse(list, &known, &again) == 0);
	fuzz_expect(memcmp(&set, &again, sizeof(set)) == 0);
}

static void
choose(const struct vmc_node_rules *rules, enum vmc_nodes nodes)
{
	const struct vmc_topology *t = &rules->topology;

	for (unsigned i = 0; i < t->end; i++) {
		struct vmc_node_set all, closest;
		if (!vmc_node_has(&t->processors, i))
			continue;
		int code = vmc_nodes_select(rules, nodes, false, i, &all);
		fuzz_expect(is_within(&all, &t->memory));
		fuzz_expect(code || vmc_node_count(&all) > 0);
		fuzz_expect(vmc_nodes_select(rules, nodes, true, i, &closest) ==
			    code);
		fuzz_expect(is_within(&closest, &all));
		fuzz_expect(!code == (vmc_node_count(&closest) > 0));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmc_node_rules rules;

	sections_read(data, size);
	if (section_count > 0)
		parse_list(sections[0]);
	if (has_large_numbers(section("devices/system/node/online")))
		goto out;
	fuzz_expect(vmc_nodes_read(&rules, ROOT) == 0);
	fuzz_expect(rules.topology.end > 0);
	fuzz_expect(vmc_node_count(&rules.topology.memory) > 0);
	for (enum vmc_nodes n = 0; n <= VMC_NODES_LOCAL_BANDWIDTH; n++)
		choose(&rules, n);
	vmc_topology_free(&rules.topology);
out:
	sections_free();
	return 0;
}

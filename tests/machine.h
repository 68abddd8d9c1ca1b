/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine.h -- a machine made of files: what sysfs would say of its nodes
 */
#ifndef VMC_TESTS_MACHINE_H
#define VMC_TESTS_MACHINE_H

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *machine_root;

/* A file of /sys, with this line in it. False: it cannot be written. */
static inline bool
machine_file(const char *path, const char *line)
{
	size_t root = strlen(machine_root);
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/sys/%s", machine_root, path);
	for (char *at = whole + root + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(whole, 0700);
		*at = '/';
	}
	FILE *file = fopen(whole, "we");
	if (file == NULL)
		return false;
	fprintf(file, "%s\n", line);
	return fclose(file) == 0;
}

/*
 * Below root, which is kept by reference: nodes with memory, and processors. ""
 * is for a process with a /sys of its own, which may then use all nodes.
 */
static inline bool
machine_start(const char *root, const char *nodes, const char *processors)
{
	machine_root = root;
	if (!*root && (!machine_file("status", "Mems_allowed_list:\t0-1023") ||
			      mount("/sys/status", "/proc/self/status", NULL,
				      MS_BIND, NULL) != 0))
		return false;
	return machine_file("devices/system/node/online", nodes) &&
	       machine_file("devices/system/node/has_memory", nodes) &&
	       machine_file("devices/system/node/has_cpu", processors);
}

/* bandwidth 0: the firmware says nothing about it. MB/s and ns. */
static inline bool
machine_node(unsigned n, const char *distances, unsigned gib,
	unsigned initiator, unsigned bandwidth, unsigned latency)
{
	static const char *const names[] = {
		"", "initiators/read_bandwidth", "initiators/read_latency"};
	unsigned values[] = {0, bandwidth, latency};
	char path[256], text[256];

	snprintf(path, sizeof(path), "devices/system/node/node%u/distance", n);
	if (!machine_file(path, distances))
		return false;
	snprintf(path, sizeof(path), "devices/system/node/node%u/meminfo", n);
	snprintf(text, sizeof(text), "Node %u MemTotal:       %u kB", n,
		gib << 20);
	if (!machine_file(path, text) || bandwidth == 0)
		return bandwidth == 0;
	snprintf(path, sizeof(path),
		"devices/system/node/node%u/access1/initiators/node%u", n,
		initiator);
	machine_file(path, "");
	for (int i = 1; i < 3; i++) {
		snprintf(path, sizeof(path),
			"devices/system/node/node%u/access1/%s", n, names[i]);
		snprintf(text, sizeof(text), "%u", values[i]);
		if (!machine_file(path, text))
			return false;
	}
	return true;
}

/*
 * Two sockets, nodes 0 and 1, with fast memory beside each, 2 and 3; node 5 is
 * large and slow.
 */
static inline bool
machine_two_sockets(const char *root)
{
	return machine_start(root, "0-3,5", "0-1") &&
	       machine_node(0, "10 20 15 25 30", 4, 0, 100000, 100) &&
	       machine_node(1, "20 10 25 15 40", 4, 1, 100000, 100) &&
	       machine_node(2, "15 25 10 30 35", 1, 0, 400000, 120) &&
	       machine_node(3, "25 15 30 10 45", 1, 1, 400000, 120) &&
	       machine_node(5, "30 40 35 45 10", 16, 0, 20000, 300);
}

static inline int
machine_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Everything below the root, and the root. 0, or -1. */
static inline int
machine_remove(const char *root)
{
	return nftw(root, machine_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

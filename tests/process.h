/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.h -- what a test wants to know of its own process, and a mount
 * namespace to have file systems of one's own in
 */
#ifndef VMC_TESTS_PROCESS_H
#define VMC_TESTS_PROCESS_H

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many descriptors the process has open. */
static inline int
process_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the one of dir */

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/*
 * How many threads the process has. One that was joined may be on its way out
 * still, so unless it is one, they are given half a minute to go.
 */
static inline int
process_threads(void)
{
	int count = 0;

	for (int i = 0; i < 30000 && count != 1; i++) {
		DIR *dir = opendir("/proc/self/task");
		if (i > 0)
			usleep(1000);
		count = -2; /* "." and ".." */
		while (readdir(dir) != NULL)
			count++;
		closedir(dir);
	}
	return count;
}

/* How many mappings of files without a name the process has. */
static inline int
process_unnamed_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4200];
	int count = 0;

	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "(deleted)") != NULL;
	fclose(maps);
	return count;
}

/* How many mappings the process has. */
static inline int
process_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int count = 0, c;

	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

/* Bytes of what /proc/self/status tells in kilobytes: "VmSize", "VmRSS". */
static inline size_t
process_status_size(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t length = strlen(field);
	unsigned long long size = 0;
	char line[256];

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, field, length) == 0 && line[length] == ':')
			size = strtoull(line + length + 1, NULL, 10);
	}
	fclose(f);
	return (size_t)size << 10;
}

/*
 * What /proc/self/smaps says in the line "field:" of the mapping at addr, into
 * value, which has size bytes; "" if there is no such line.
 */
static inline void
process_smaps(const void *addr, const char *field, char *value, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	size_t length = strlen(field);
	char line[4200];
	bool here = false;

	value[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (uintptr_t)addr && (uintptr_t)addr < to;
		else if (here && strncmp(line, field, length) == 0 &&
			 line[length] == ':')
			snprintf(value, size, "%.*s", (int)size - 1,
				line + length + 1);
	}
	fclose(f);
}

/* The device of the file that is mapped at addr, "major:minor" in hexadecimal
 * as the kernel writes it; "" if there is no mapping. */
static inline void
process_mapped_device(const void *addr, char device[32])
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[4200];

	device[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;
		char name[32];
		if (sscanf(line, "%lx-%lx %*s %*s %31s", &from, &to, name) ==
				3 &&
			from <= (uintptr_t)addr && (uintptr_t)addr < to)
			strcpy(device, name);
	}
	fclose(f);
}

#define PROCESS_NODES 64

/*
 * Adds to pages how many each node has of what is mapped from addr on, size
 * bytes, in whole mappings. The sum.
 */
static inline size_t
process_pages_on_nodes(
	const void *addr, size_t size, size_t pages[PROCESS_NODES])
{
	FILE *f = fopen("/proc/self/numa_maps", "re");
	uintptr_t first = (uintptr_t)addr;
	static char line[8192];
	size_t sum = 0;

	while (f && fgets(line, sizeof(line), f) != NULL) {
		uintptr_t from = strtoul(line, NULL, 16);
		if (from < first || from >= first + size)
			continue;
		for (char *at = line; (at = strstr(at, " N")); at++) {
			unsigned node;
			size_t count;
			if (sscanf(at, " N%u=%zu", &node, &count) == 2 &&
				node < PROCESS_NODES) {
				pages[node] += count;
				sum += count;
			}
		}
	}
	if (f)
		fclose(f);
	return sum;
}

/* What process_smaps() finds, of a line that tells a size: in bytes. */
static inline size_t
process_smaps_size(const void *addr, const char *field)
{
	char value[64];

	process_smaps(addr, field, value, sizeof(value));
	return (size_t)strtoull(value, NULL, 10) << 10;
}

static inline bool
process_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Become root of a user namespace with a mount namespace of its own. */
static inline bool
process_enter_namespace(void)
{
	unsigned uid = geteuid();
	unsigned gid = getegid();
	char map[32];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!process_write("/proc/self/uid_map", map))
		return false;
	process_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return process_write("/proc/self/gid_map", map);
}

#define PROCESS_REFUSED 77

/*
 * Run test(dir) in a child that has a file system of this type and with these
 * options mounted on the directory dir, which no one else sees. Returns what
 * the test returned (0 to 76), PROCESS_REFUSED if the system does not let
 * one have that, or 128 and the number of the signal that killed it.
 */
static inline int
process_on_file_system(const char *dir, const char *type, const char *options,
	int (*test)(const char *dir))
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		int result = PROCESS_REFUSED;
		if (process_enter_namespace() &&
			mount("vmc", dir, type, 0, options) == 0)
			result = test(dir);
		fflush(NULL);
		_exit(result);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return PROCESS_REFUSED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_memory.c -- the interface to the operating system: how much memory is left
 *
 * Pages of a file in memory are allocated when they are reserved or touched. If
 * that takes too much memory, the kernel kills a process, which cannot be
 * caught. So the size wanted is compared with the memory that is left, as far
 * as that can be known: other processes allocate memory at the same time.
 *
 *   the machine      /proc/meminfo: MemAvailable, SwapFree
 *   control groups   of each level from the process's own up to the root:
 *                    the limit, less what is used, but for the cache of files,
 *                    which goes when it is in the way; and what may be swapped
 *                    out. Version 2 limits swap by itself, version 1 both
 *                    together.
 *
 * In a container the name of the group may be that on the host, while the group
 * itself is mounted as the root: levels that do not exist are skipped.
 *
 * No allocation and no stdio: a heap's hooks call this under its locks. The
 * only state is the allowance below.
 */
#include "os.h"

#include "atomic.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Kept back from what is handed out piece by piece: page tables, and errors. */
#define RESERVE ((size_t)4 << 20)

/* The names of what a group's directory tells; see above for the files. */
struct version {
	const char *controller; /* in /proc/self/cgroup */
	const char *mounts[2];  /* NULL: no other */
	const char *limit, *usage, *inactive, *active;
	const char *swap_limit, *swap_usage;
	bool swap_limit_is_of_both;
};

static const struct version versions[] = {
	{.controller = "::",
		.mounts = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"},
		.limit = "memory.max",
		.usage = "memory.current",
		.inactive = "inactive_file",
		.active = "active_file",
		.swap_limit = "memory.swap.max",
		.swap_usage = "memory.swap.current"},
	{.controller = ":memory:",
		.mounts = {"/sys/fs/cgroup/memory", NULL},
		.limit = "memory.limit_in_bytes",
		.usage = "memory.usage_in_bytes",
		.inactive = "total_inactive_file",
		.active = "total_active_file",
		.swap_limit = "memory.memsw.limit_in_bytes",
		.swap_usage = "memory.memsw.usage_in_bytes",
		.swap_limit_is_of_both = true},
};

static size_t
sum(size_t a, size_t b)
{
	return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static size_t
difference(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The beginning of that file below the directory; false: it is not there. */
static bool
read_text(const char *directory, const char *name, char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >=
		(int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* The number in the line that begins with the name; 0: there is none. */
static size_t
number_of(const char *text, const char *name)
{
	size_t length = strlen(name);

	while (text) {
		if (strncmp(text, name, length) == 0 &&
			(text[length] == ' ' || text[length] == ':'))
			return strtoull(text + length + 1, NULL, 10);
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return 0;
}

/* The one number in a file; none if it is not there, or says "max". */
static size_t
read_number(const char *directory, const char *name, size_t none)
{
	char text[64];

	return read_text(directory, name, text, sizeof(text)) &&
			       isdigit((unsigned char)text[0])
		       ? strtoull(text, NULL, 10)
		       : none;
}

/* What the group of this directory still allows, with so much free swap. */
static size_t
left_in_group(const struct version *v, const char *directory, size_t swap)
{
	char text[8192] = "";
	size_t limit = read_number(directory, v->limit, SIZE_MAX);
	size_t swap_limit = read_number(directory, v->swap_limit, SIZE_MAX);
	size_t left, swap_left;

	if (limit == SIZE_MAX &&
		(swap_limit == SIZE_MAX || !v->swap_limit_is_of_both))
		return SIZE_MAX;
	read_text(directory, "memory.stat", text, sizeof(text));
	size_t cache =
		sum(number_of(text, v->inactive), number_of(text, v->active));
	left = difference(
		limit, difference(read_number(directory, v->usage, 0), cache));
	swap_left = difference(
		swap_limit, read_number(directory, v->swap_usage, 0));
	if (v->swap_limit_is_of_both)
		return least(sum(left, swap), sum(swap_left, cache));
	return sum(left, least(swap, swap_left));
}

/* What the groups allow, from the one of that path below the mount to it. */
static size_t
left_in_groups(const struct version *v, const char *mount, const char *path,
	size_t swap)
{
	char directory[PATH_MAX];
	size_t base = strlen(mount), left = SIZE_MAX;
	char *cut;

	if (snprintf(directory, sizeof(directory), "%s%s", mount, path) >=
		(int)sizeof(directory))
		return SIZE_MAX;
	for (;;) {
		left = least(left, left_in_group(v, directory, swap));
		cut = strrchr(directory + base, '/');
		if (!cut)
			return left;
		*cut = '\0';
	}
}

/* In which group is the process, by a line of /proc/self/cgroup? */
static size_t
left_by_line(const char *root, const char *line, size_t swap)
{
	size_t left = SIZE_MAX;
	char mount[PATH_MAX];

	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		const struct version *v = &versions[i];
		const char *at = strstr(line, v->controller);
		if (!at)
			continue;
		at += strlen(v->controller);
		for (int m = 0; m < 2 && v->mounts[m]; m++) {
			if (snprintf(mount, sizeof(mount), "%s%s", root,
				    v->mounts[m]) < (int)sizeof(mount))
				left = least(left,
					left_in_groups(v, mount, at, swap));
		}
	}
	return left;
}

size_t
vmc_os_memory_left(const char *root)
{
	char text[8192], *line, *rest = text;
	size_t left = SIZE_MAX, swap = 0;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (read_text(root, "proc/meminfo", text, sizeof(text)) &&
		strstr(text, "MemAvailable:")) {
		swap = number_of(text, "SwapFree") << 10;
		left = sum(number_of(text, "MemAvailable") << 10, swap);
	}
	if (!read_text(root, "proc/self/cgroup", text, sizeof(text)))
		rest = NULL;
	while (rest && (line = strsep(&rest, "\n")) != NULL)
		left = least(left, left_by_line(root, line, swap));
	pthread_setcancelstate(cancel, NULL);
	return left;
}

/*
 * So much may be taken until it is looked again: half of what was left then, so
 * that who takes little looks rarely, and nobody looks long before too much is
 * gone. Threads may look at once: the last one's word holds. A relaxed counter,
 * as nothing else depends on it.
 */
static _Atomic size_t allowance;

bool
vmc_os_memory_take(size_t size)
{
	size_t now = vmc_load_relaxed(&allowance);

	while (now >= size)
		if (vmc_cas_acq_rel(&allowance, &now, now - size))
			return true;
	size_t left = vmc_os_memory_left("");
	if (left < RESERVE || left - RESERVE < size)
		return false;
	vmc_store_relaxed(&allowance, (left - RESERVE - size) / 2);
	return true;
}

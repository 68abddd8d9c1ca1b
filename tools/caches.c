/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caches.c -- finding, reading and removing what processes publish
 *
 * Anybody may write to the directory, so nothing in it is believed: only plain
 * files are opened, links are not followed, and none that another user prepared
 * is waited for. What an object says of itself is checked by
 * vmc_publication_read(), and that its name has the number of its process here.
 *
 * An object goes if its process has gone; one that cannot be read, as it was
 * never completed or is of another version, if nobody holds it and there is no
 * process of the number in its name.
 */
#include "caches.h"

#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
top_is_wanted(const char *name, char *const *patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (fnmatch(*patterns, name, 0) == 0)
			return true;
	return false;
}

/* The number of the process in the name of an object; 0: it is none. */
static int
pid_of(const char *file)
{
	char again[VMC_PUBLICATION_PATH_MAX];
	unsigned number;
	int pid;

	if (sscanf(file, VMC_PUBLICATION_FILE, &pid, &number) != 2 || pid <= 0)
		return 0;
	snprintf(again, sizeof(again), VMC_PUBLICATION_FILE, pid, number);
	return strcmp(again, file) == 0 ? pid : 0;
}

/* A descriptor, or a negative errno. */
static int
open_object(DIR *dir, const char *file)
{
	int fd = openat(dirfd(dir), file,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static int
read_cache(int fd, const char *file, struct top_cache *cache)
{
	struct vmc_published *p = &cache->published;
	int rc = vmc_publication_read(fd, p);

	if (rc)
		return rc;
	if (p->pid != pid_of(file))
		return -EINVAL;
	snprintf(cache->file, sizeof(cache->file), "%s", file);
	cache->state = vmc_publication_is_gone(fd, p) ? TOP_GONE
		       : vmc_publication_is_late(p)   ? TOP_LATE
						      : TOP_RUNNING;
	return 0;
}

/* Call each() for every object that can be opened; fd: a negative errno. */
static int
for_objects(
	void (*each)(DIR *dir, const char *file, int fd, void *arg), void *arg)
{
	DIR *dir = opendir(VMC_PUBLICATION_DIR);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (pid_of(entry->d_name) == 0)
			continue;
		int fd = open_object(dir, entry->d_name);
		each(dir, entry->d_name, fd, arg);
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
	return 0;
}

struct reading {
	struct top_caches *caches;
	char *const *patterns;
	int err;
};

static void
read_one(DIR *dir, const char *file, int fd, void *arg)
{
	struct reading *reading = arg;
	struct top_caches *caches = reading->caches;
	struct top_cache cache;
	int rc = fd < 0 ? fd : read_cache(fd, file, &cache);

	(void)dir;
	caches->of_others += rc == -EACCES;
	caches->of_other_versions += rc == -ENOTSUP;
	if (rc || !top_is_wanted(cache.published.now.name, reading->patterns))
		return;
	struct top_cache *more =
		realloc(caches->all, (caches->count + 1) * sizeof(*more));
	if (!more) {
		reading->err = -ENOMEM;
		return;
	}
	caches->all = more;
	caches->all[caches->count++] = cache;
}

static int
compare(const void *a, const void *b)
{
	const struct top_cache *one = a, *other = b;
	int order = strcmp(one->published.now.name, other->published.now.name);

	return order ? order : strverscmp(one->file, other->file);
}

int
top_caches_read(struct top_caches *caches, char *const *patterns)
{
	struct reading reading = {caches, patterns, 0};

	free(caches->all);
	*caches = (struct top_caches){0};
	int rc = for_objects(read_one, &reading);
	if (caches->count > 0)
		qsort(caches->all, caches->count, sizeof(*caches->all),
			compare);
	return rc ? rc : reading.err;
}

struct cleaning {
	char *const *patterns;
	void (*removed)(const char *file, const char *name);
	int err;
};

static void
clean_one(DIR *dir, const char *file, int fd, void *arg)
{
	struct cleaning *cleaning = arg;
	struct top_cache cache;
	int rc = fd < 0 ? fd : read_cache(fd, file, &cache);
	const char *name = rc ? NULL : cache.published.now.name;

	if (fd < 0)
		return;
	if (rc ? vmc_os_is_held(fd) || !vmc_os_process_is_gone(pid_of(file))
	       : cache.state != TOP_GONE)
		return;
	if (!top_is_wanted(name ? name : "", cleaning->patterns))
		return;
	if (unlinkat(dirfd(dir), file, 0) == 0)
		cleaning->removed(file, name);
	else if (cleaning->err == 0 && errno != ENOENT)
		cleaning->err = -errno;
}

int
top_clean(char *const *patterns,
	void (*removed)(const char *file, const char *name))
{
	struct cleaning cleaning = {patterns, removed, 0};
	int rc = for_objects(clean_one, &cleaning);

	return rc ? rc : cleaning.err;
}

double
top_rate(const struct vmc_published *published, uint64_t now, uint64_t before)
{
	uint64_t from = published->before.clock_ns;
	uint64_t to = published->now.clock_ns;

	if (to <= from || now <= before)
		return 0;
	return (double)(now - before) * 1e9 / (double)(to - from);
}

uint64_t
top_stores(const struct vmemcache_statistics *statistics,
	enum vmemcache_outcome outcome)
{
	uint64_t sum = 0;

	for (unsigned mode = 0; mode < VMEMCACHE_MODES; mode++)
		sum += statistics->stores[mode][outcome];
	return sum;
}

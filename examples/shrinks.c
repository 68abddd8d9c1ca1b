/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shrinks.c DIRECTORY -- a cache that gives memory back when the machine is
 * short of it, and takes more when it is not
 *
 * Linux tells in /proc/pressure/memory for how much of the time programs have
 * waited for memory. A trigger, written to that file, has poll(2) say so when
 * it was more than 50 ms of the last second; then the cache becomes a quarter
 * smaller. After a quiet while it becomes a quarter larger again. Needs no
 * privilege with a window of 2 seconds on Linux 6.6 and above, else
 * CAP_SYS_RESOURCE: without, the program reads the file now and then instead.
 *
 * A real one would have a thread that does this for ever. This one looks a few
 * times, and to have something to show, takes the first look for a shortage.
 */
#include <libvmemcache.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1024 * 1024)
#define LEAST (4 * MIB)
#define MOST (64 * MIB)

#define LOOKS 4
#define LOOK_MS 250

/* Some waited for 50 ms within 2 s. */
static const char trigger[] = "some 50000 2000000";

/* In percent of the last ten seconds, programs waited for memory: too much */
#define TOO_MUCH 5.0

static size_t
size_of(VMEMcache *cache)
{
	struct vmemcache_statistics now = {.struct_size = sizeof(now)};

	return vmemcache_statistics(cache, &now) == 0 ? now.pool_bytes : 0;
}

/* As large as it should be, or as pinned values allow (EBUSY). */
static void
resize(VMEMcache *cache, size_t size)
{
	if (size < LEAST)
		size = LEAST;
	if (size > MOST)
		size = MOST;
	if (vmemcache_resize(cache, size) != 0 && errno != EBUSY)
		fprintf(stderr, "%s\n", vmemcache_errormsg());
}

/* Is the machine short of memory? Waits for a while to find out. */
static bool
is_short(int fd, bool triggered)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLPRI};
	char text[128];
	double waited = 0;

	if (triggered)
		return poll(&poll_fd, 1, LOOK_MS) > 0 &&
		       poll_fd.revents & POLLPRI;
	poll(NULL, 0, LOOK_MS);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "some avg10=%lf", &waited) == 1 &&
	       waited > TOO_MUCH;
}

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();
	char value[1000] = "some value";
	int fd = open("/proc/pressure/memory", O_RDWR | O_CLOEXEC);
	bool triggered = fd >= 0 && write(fd, trigger, sizeof(trigger)) > 0;

	if (fd < 0)
		fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	if (argc != 2 || !cache || vmemcache_set_size(cache, MOST / 4) != 0 ||
		vmemcache_set_most(cache, MOST) != 0 ||
		vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	for (int key = 0; key < 12000; key++)
		vmemcache_put(cache, &key, sizeof(key), value, sizeof(value));
	size_t before = size_of(cache), smallest = before;
	/* without a word from the system there is nothing to go by */
	for (int look = 0; fd >= 0 && look < LOOKS; look++) {
		if (is_short(fd, triggered) || look == 0)
			resize(cache, size_of(cache) / 4 * 3);
		else
			resize(cache, size_of(cache) / 4 * 5);
		if (size_of(cache) < smallest)
			smallest = size_of(cache);
	}
	if (fd >= 0)
		close(fd);
	if (fd < 0)
		printf("nobody tells of a shortage here\n");
	else
		printf("%zu MiB, %zu MiB when memory was short\n", before / MIB,
			smallest / MIB);
	vmemcache_delete(cache);
	return 0;
}

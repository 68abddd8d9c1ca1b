/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c -- system calls that fail on demand
 *
 * Each rule counts down the calls to let through and those to fail, atomically,
 * so threads may call while a fault is armed. Arming and redirecting belong
 * to the test's thread while nobody else calls.
 *
 * Each wrapper is a line below and a name in CMakeLists.txt. Functions that
 * cannot fail in a way the library could act upon (close, munmap) are left
 * out: failing them would only leak.
 */
#include "fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct rule {
	/* immutable while armed */
	const char *function;
	int err;
	/* atomic */
	_Atomic long to_skip;
	_Atomic long to_fail;
};

static struct rule rules[8];
static atomic_int rule_count;
static _Atomic long failed;

static const char *redirect_from, *redirect_to;

void
fault_arm(const char *function, long skip, long count, int err)
{
	struct rule *rule = &rules[rule_count];

	assert((size_t)rule_count < sizeof(rules) / sizeof(*rules));
	rule->function = function;
	rule->err = err;
	rule->to_skip = skip;
	rule->to_fail = count;
	rule_count++;
}

long
fault_disarm(void)
{
	rule_count = 0;
	return atomic_exchange(&failed, 0);
}

void
fault_redirect(const char *from, const char *to)
{
	redirect_from = from;
	redirect_to = to;
}

static bool
hit(const char *function)
{
	for (int i = 0; i < rule_count; i++) {
		struct rule *rule = &rules[i];
		if (rule->function && strcmp(rule->function, function) != 0)
			continue;
		if (atomic_fetch_sub(&rule->to_skip, 1) > 0)
			continue;
		if (atomic_fetch_sub(&rule->to_fail, 1) <= 0)
			continue;
		failed++;
		errno = rule->err;
		return true;
	}
	return false;
}

static const char *
redirected(const char *path, char *buffer)
{
	size_t prefix = redirect_from ? strlen(redirect_from) : 0;

	if (prefix == 0 || strncmp(path, redirect_from, prefix) != 0)
		return path;
	snprintf(buffer, PATH_MAX, "%s%s", redirect_to, path + prefix);
	return buffer;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int
__wrap_open(const char *path, int flags, ...)
{
	char buffer[PATH_MAX];
	va_list args;

	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	return hit("open") ? -1
			   : __real_open(redirected(path, buffer), flags, mode);
}

ssize_t __real_readlink(const char *path, char *to, size_t size);
ssize_t __wrap_readlink(const char *path, char *to, size_t size);

ssize_t
__wrap_readlink(const char *path, char *to, size_t size)
{
	char buffer[PATH_MAX];

	return hit("readlink")
		       ? -1
		       : __real_readlink(redirected(path, buffer), to, size);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg)
{
	return hit("pthread_create")
		       ? errno
		       : __real_pthread_create(thread, attr, start, arg);
}

/* WRAP(what it returns, what on failure, name, parameters, arguments) */
#define WRAP(type, failure, name, parameters, arguments)                       \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		return hit(#name) ? failure : __real_##name arguments;         \
	}

WRAP(int, -1, mkostemp, (char *name, int flags), (name, flags))
WRAP(int, -1, unlink, (const char *path), (path))
WRAP(int, -1, stat, (const char *path, struct stat *st), (path, st))
WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, fstatfs, (int fd, struct statfs *fs), (fd, fs))
WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, -1, fallocate, (int fd, int mode, off_t offset, off_t size),
	(fd, mode, offset, size))
WRAP(ssize_t, -1, read, (int fd, void *to, size_t size), (fd, to, size))
WRAP(ssize_t, -1, pwrite, (int fd, const void *from, size_t size, off_t at),
	(fd, from, size, at))
WRAP(void *, MAP_FAILED, mmap,
	(void *addr, size_t size, int prot, int flags, int fd, off_t offset),
	(addr, size, prot, flags, fd, offset))
WRAP(int, -1, madvise, (void *addr, size_t size, int advice),
	(addr, size, advice))
WRAP(ssize_t, -1, getrandom, (void *to, size_t size, unsigned flags),
	(to, size, flags))
WRAP(int, -1, sched_getaffinity, (pid_t pid, size_t size, void *set),
	(pid, size, set))

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c -- system calls that fail on demand
 *
 * Each rule counts down the calls to let through and those to fail, atomically,
 * so threads may call while a fault is armed. Arming and redirecting belong
 * to the test's thread while nobody else calls.
 *
 * Each wrapper is a line below and a name in CMakeLists.txt. Functions that
 * cannot fail in a way the library could act upon (close, munmap, free) do not:
 * failing them would only leak. Those that come in pairs are counted.
 *
 * Beside system calls these are the C library's allocations and the private
 * jemalloc's, and of its controls those that create something.
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
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "memkind.h"
#include "memkind/heap/engine.h"
#include "memkind/space/space.h"

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
static const char *spared;
static _Atomic long failed;
static const char *_Atomic last_function;
static atomic_int last_err;
static atomic_bool was_err[256];
static _Atomic long mapped, allocated;
/* of the calling thread */
static _Thread_local bool is_exempt;
static _Thread_local bool is_uncounted;

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

void
fault_spare(const char *function)
{
	spared = function;
}

long
fault_disarm(void)
{
	rule_count = 0;
	return atomic_exchange(&failed, 0);
}

const char *
fault_last(int *err)
{
	*err = last_err;
	return last_function;
}

bool
fault_was(int err)
{
	return err > 0 && err < 256 && was_err[err];
}

void
fault_exempt(void)
{
	is_exempt = true;
}

void
fault_exempt_end(void)
{
	is_exempt = false;
}

struct fault_ledger
fault_ledger(void)
{
	return (struct fault_ledger){mapped, allocated};
}

void
fault_redirect(const char *from, const char *to)
{
	redirect_from = from;
	redirect_to = to;
}

/* errno is set where it is true. */
static bool
hit(const char *function, int usual_err)
{
	for (int i = 0; i < rule_count && !is_exempt; i++) {
		struct rule *rule = &rules[i];
		const char *other = rule->function ? rule->function : spared;
		if (other && (strcmp(other, function) == 0) == !rule->function)
			continue;
		if (atomic_fetch_sub(&rule->to_skip, 1) > 0)
			continue;
		if (atomic_fetch_sub(&rule->to_fail, 1) <= 0)
			continue;
		failed++;
		errno = rule->err ? rule->err : usual_err;
		last_function = function;
		last_err = errno;
		was_err[errno] = true;
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
	return hit("open", EMFILE)
		       ? -1
		       : __real_open(redirected(path, buffer), flags, mode);
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);

FILE *
__wrap_fopen(const char *path, const char *mode)
{
	char buffer[PATH_MAX];

	return hit("fopen", EMFILE)
		       ? NULL
		       : __real_fopen(redirected(path, buffer), mode);
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

int
__wrap_access(const char *path, int mode)
{
	char buffer[PATH_MAX];

	return hit("access", EACCES)
		       ? -1
		       : __real_access(redirected(path, buffer), mode);
}

ssize_t __real_readlink(const char *path, char *to, size_t size);
ssize_t __wrap_readlink(const char *path, char *to, size_t size);

ssize_t
__wrap_readlink(const char *path, char *to, size_t size)
{
	char buffer[PATH_MAX];

	return hit("readlink", EACCES)
		       ? -1
		       : __real_readlink(redirected(path, buffer), to, size);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

/* Of commands that have an argument, which is a pointer. */
int
__wrap_fcntl(int fd, int command, ...)
{
	va_list args;

	va_start(args, command);
	void *arg = va_arg(args, void *);
	va_end(args);
	return hit("fcntl", ENOLCK) ? -1 : __real_fcntl(fd, command, arg);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	void *(*start)(void *), void *arg)
{
	return hit("pthread_create", EAGAIN)
		       ? errno
		       : __real_pthread_create(thread, attr, start, arg);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/*
 * Takes six arguments, however many the call has: five are in registers, the
 * last is read from the caller's stack, which the address sanitizer objects to.
 */
__attribute__((no_sanitize("address"))) long
__wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_membarrier && hit("membarrier", EPERM))
		return -1;
	if (number == SYS_pidfd_open && hit("pidfd_open", EMFILE))
		return -1;
	return __real_syscall(
		number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* WRAP(what it returns, what on failure, usual errno, name, parameters,
 * arguments) */
#define WRAP(type, failure, err, name, parameters, arguments)                  \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		return hit(#name, err) ? failure : __real_##name arguments;    \
	}

WRAP(int, -1, EMFILE, mkostemp, (char *name, int flags), (name, flags))
WRAP(int, -1, EACCES, unlink, (const char *path), (path))
WRAP(int, -1, EACCES, stat, (const char *path, struct stat *st), (path, st))
WRAP(int, -1, EIO, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, EIO, fstatfs, (int fd, struct statfs *fs), (fd, fs))
WRAP(int, -1, EFBIG, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, -1, ENOSPC, fallocate, (int fd, int mode, off_t offset, off_t size),
	(fd, mode, offset, size))
WRAP(ssize_t, -1, EIO, read, (int fd, void *to, size_t size), (fd, to, size))
WRAP(ssize_t, -1, EIO, pread, (int fd, void *to, size_t size, off_t at),
	(fd, to, size, at))
WRAP(ssize_t, -1, ENOSPC, pwrite,
	(int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
WRAP(int, -1, ENOMEM, madvise, (void *addr, size_t size, int advice),
	(addr, size, advice))
WRAP(ssize_t, -1, ENOSYS, getrandom, (void *to, size_t size, unsigned flags),
	(to, size, flags))
WRAP(int, -1, EPERM, sched_getaffinity, (pid_t pid, size_t size, void *set),
	(pid, size, set))
WRAP(int, -1, ENOSYS, getcpu, (unsigned *cpu, unsigned *node), (cpu, node))
WRAP(int, -1, EPERM, getrlimit,
	(__rlimit_resource_t resource, struct rlimit *limit), (resource, limit))
WRAP(int, errno, ENOMEM, pthread_setspecific,
	(pthread_key_t key, const void *value), (key, value))
WRAP(long, -1, ENOMEM, mbind,
	(void *addr, unsigned long size, int mode, const unsigned long *nodes,
		unsigned long most, unsigned flags),
	(addr, size, mode, nodes, most, flags))
WRAP(long, -1, ENOMEM, move_pages,
	(int pid, unsigned long count, void **pages, const int *nodes,
		int *status, int flags),
	(pid, count, pages, nodes, status, flags))
WRAP(int, -errno, EAGAIN, vmc_engine_arena_create,
	(extent_hooks_t * hooks, unsigned *arena), (hooks, arena))

WRAP(int, -errno, EAGAIN, vmc_engine_tcache_create, (unsigned *tcache),
	(tcache))

/* --- what comes in pairs --- */

static void *
counted(void *ptr)
{
	allocated += ptr != NULL;
	return ptr;
}

#define WRAP_ALLOCATION(name, parameters, arguments)                           \
	void *__real_##name parameters;                                        \
	void *__wrap_##name parameters;                                        \
	void *__wrap_##name parameters                                         \
	{                                                                      \
		return hit(#name, ENOMEM) ? NULL                               \
					  : counted(__real_##name arguments);  \
	}

#define WRAP_FREE(name, parameters, arguments, ptr)                            \
	void __real_##name parameters;                                         \
	void __wrap_##name parameters;                                         \
	void __wrap_##name parameters                                          \
	{                                                                      \
		allocated -= ptr != NULL;                                      \
		__real_##name arguments;                                       \
	}

WRAP_ALLOCATION(malloc, (size_t size), (size))
WRAP_ALLOCATION(calloc, (size_t count, size_t size), (count, size))
WRAP_FREE(free, (void *ptr), (ptr), ptr)
WRAP_ALLOCATION(vmc_je_malloc, (size_t size), (size))
WRAP_ALLOCATION(vmc_je_calloc, (size_t count, size_t size), (count, size))
WRAP_FREE(vmc_je_free, (void *ptr), (ptr), ptr)
WRAP(void *, NULL, ENOMEM, vmc_je_rallocx, (void *ptr, size_t size, int flags),
	(ptr, size, flags))

int __real_posix_memalign(void **ptr, size_t alignment, size_t size);
int __wrap_posix_memalign(void **ptr, size_t alignment, size_t size);

int
__wrap_posix_memalign(void **ptr, size_t alignment, size_t size)
{
	if (hit("posix_memalign", ENOMEM))
		return ENOMEM;
	int err = __real_posix_memalign(ptr, alignment, size);
	allocated += err == 0;
	return err;
}

/* Of an arena, unless the flags are an alignment at most: goes with that. */
void *__real_vmc_je_mallocx(size_t size, int flags);
void *__wrap_vmc_je_mallocx(size_t size, int flags);

void *
__wrap_vmc_je_mallocx(size_t size, int flags)
{
	void *ptr = hit("vmc_je_mallocx", ENOMEM)
			    ? NULL
			    : __real_vmc_je_mallocx(size, flags);

	return flags < 64 ? counted(ptr) : ptr;
}

void __real_vmc_je_sdallocx(void *ptr, size_t size, int flags);
void __wrap_vmc_je_sdallocx(void *ptr, size_t size, int flags);

void
__wrap_vmc_je_sdallocx(void *ptr, size_t size, int flags)
{
	allocated -= flags == 0;
	__real_vmc_je_sdallocx(ptr, size, flags);
}

void *__real_mmap(
	void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(
	void *addr, size_t size, int prot, int flags, int fd, off_t offset);

void *
__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *at = hit("mmap", ENOMEM)
			   ? MAP_FAILED
			   : __real_mmap(addr, size, prot, flags, fd, offset);

	if (at != MAP_FAILED && !is_uncounted)
		mapped += (long)size;
	return at;
}

int __real_munmap(void *addr, size_t size);
int __wrap_munmap(void *addr, size_t size);

int
__wrap_munmap(void *addr, size_t size)
{
	if (!is_uncounted)
		mapped -= (long)size;
	return __real_munmap(addr, size);
}

/*
 * What these map stays or goes as it likes: the default kind's heap, and the
 * address map, whose size depends on where the kernel puts things. One may
 * call another.
 */
#define WRAP_UNCOUNTED(type, name, parameters, arguments)                      \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		bool was = is_uncounted;                                       \
		is_uncounted = true;                                           \
		type result = __real_##name arguments;                         \
		is_uncounted = was;                                            \
		return result;                                                 \
	}

WRAP_UNCOUNTED(void *, vmc_engine_mmap,
	(void *addr, size_t size, int prot, int flags, int fd, off_t offset),
	(addr, size, prot, flags, fd, offset))
WRAP_UNCOUNTED(int, vmc_engine_munmap, (void *addr, size_t size), (addr, size))
WRAP_UNCOUNTED(int, vmc_map_set,
	(const void *addr, size_t size, struct vmc_chunk *records, size_t step),
	(addr, size, records, step))

/* So do the addresses of static kinds, which are never given up. */
int __real_vmc_space_grow(struct vmc_space *space, struct vmc_arena *arena,
	unsigned number, size_t size, size_t align, struct vmc_piece **piece);
int __wrap_vmc_space_grow(struct vmc_space *space, struct vmc_arena *arena,
	unsigned number, size_t size, size_t align, struct vmc_piece **piece);

int
__wrap_vmc_space_grow(struct vmc_space *space, struct vmc_arena *arena,
	unsigned number, size_t size, size_t align, struct vmc_piece **piece)
{
	bool was = is_uncounted;

	is_uncounted = was || space->owner <= MEMKIND_NUM_BASE_KIND;
	int result =
		__real_vmc_space_grow(space, arena, number, size, align, piece);
	is_uncounted = was;
	return result;
}

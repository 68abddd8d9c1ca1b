/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.c -- the medium: a mapped unnamed file, or a /dev/dax device
 *
 * The steps of opening: file, length, mapping, huge pages, space. The mapping
 * comes before the space because huge pages on tmpfs are requested through it,
 * and they must exist before small pages fill the file. Each step after the
 * first is undone by unmapping and closing: the file has no name, so it goes
 * with its last reference. The descriptor stays open: vmemcache_region()
 * returns copies of it, and a file without a name cannot be opened again.
 *
 * Mapping with MAP_SYNC tells whether the medium is persistent memory; libpmem
 * decides in the end, so that its PMEM_IS_PMEM_FORCE can be used to run that
 * code without the hardware. The data are volatile: stores are ordered by a
 * drain before they are published, never flushed. Letting libpmem make the
 * mapping (pmem_map_file) was no choice: it makes file, space and mapping in
 * one call, with no place in between to ask for huge pages.
 *
 * Most of the cost of a file in memory is creating its pages. That is done
 * before the space is reserved, which then has nothing left to do, and it is
 * prefaulting at the same time. On other file systems the space is reserved
 * first, as blocks that are allocated fault by fault are scattered. Failures on
 * the way, mainly to get huge pages, are ignored: the reservation reports exact
 * errors.
 *
 * Growing and shrinking. The mapping is longer than the file from the start: as
 * long as the pool may become. Addresses beyond the end of the file cost
 * nothing but addresses, and can be used when the file has grown; so the pool
 * stays where it is, and nothing is mapped while others use it. If addresses
 * are scarce, the mapping is shorter, but at least as long as the file.
 * Rejected: reserving the addresses by an inaccessible mapping, and replacing a
 * part of it when the pool grows. If that fails, the range is unmapped, and
 * another thread's mapping may get it.
 *
 * Prefaulting threads take the pool in steps from one shared counter, so that a
 * slow thread does not hold up the others and progress is even. It may run
 * beside every other use of the pool. The threads block all signals: the user's
 * handlers run on the user's threads. If none can be started, the caller does
 * it all.
 */
#include "pool.h"

#include "base/atomic.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/os.h"
#include "base/process.h"
#include "pool/persistent.h"

#include <errno.h>
#include <libvmemcache.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* The line of persistent media: what is smaller, the processor's cache should
 * gather first. */
#define NONTEMPORAL_MIN 256

/* How much a thread prefaults between two reports. */
#define PREFAULT_STEP ((size_t)16 << 20)
/*
 * How much becomes huge pages at a time where nobody is told. Before each
 * MADV_COLLAPSE the kernel waits for every processor to empty its lists of
 * pages, which takes long on a busy machine. Signals are handled in between.
 */
#define COLLAPSE_STEP ((size_t)128 << 20)
#define PREFAULT_THREADS_MAX 128u

/* Round up to a multiple of the power of two granule; 0 if that overflows. */
static size_t
round_up(size_t size, size_t granule)
{
	return (size + granule - 1) & ~(granule - 1);
}

static size_t
size_of(const struct vmc_pool *pool)
{
	return vmc_load_relaxed(&pool->size);
}

static int
open_devdax(struct vmc_pool *pool, const char *path, size_t size, int *fd)
{
	size_t device, align;
	int err = vmc_os_open_devdax(path, fd, &device, &align);

	if (err)
		return vmc_fail_file(-err, "open", path);
	device &= ~(align - 1);
	size_t whole = size ? round_up(size, align) : device;
	pool->page_size = pool->granule = align;
	pool->mapped = device;
	if (whole > device || whole < size) {
		vmc_os_close(*fd);
		return vmc_fail(EINVAL,
			"a size of %zu bytes exceeds the device's %zu: %s",
			size, device, path);
	}
	vmc_store_relaxed(&pool->size, whole);
	return 0;
}

/* Nobody would be told later: the kernel would end a process. */
static int
check_memory(int fd, size_t size)
{
	size_t left = vmc_os_in_memory(fd) ? vmc_os_memory_left("") : SIZE_MAX;

	if (size <= left)
		return 0;
	return vmc_fail(ENOMEM,
		"a pool of %zu bytes in memory, of which the machine or the "
		"memory control group has %zu left",
		size, left);
}

/*
 * The file becomes longer by what is behind `from`. Leaves a message, which
 * tells what size was asked for.
 */
static int
lengthen(int fd, const char *path, size_t from, size_t size, size_t asked)
{
	int err = size == 0 ? -EFBIG : vmc_os_set_length(fd, from, size);
	char what[64];

	if (!err)
		return check_memory(fd, size - from);
	snprintf(what, sizeof(what), "a file of %zu bytes", asked);
	return vmc_fail_file(-err, what, path);
}

static int
open_file(struct vmc_pool *pool, const char *path, size_t size, int *fd)
{
	int err = vmc_os_open_unnamed(path, fd);

	if (err)
		return vmc_fail_file(-err, "open", path);
	pool->page_size = pool->granule = vmc_os_granule(*fd);
	pool->mapped = SIZE_MAX;
	size_t whole =
		round_up(size ? size : VMEMCACHE_MIN_POOL, pool->granule);
	vmc_store_relaxed(&pool->size, whole);
	err = lengthen(*fd, path, 0, whole, size);
	if (err)
		vmc_os_close(*fd);
	return err;
}

enum work {
	HUGE_PAGES, /* make huge ones while there are any */
	ALL_PAGES   /* make present what is not */
};

struct job {
	/* immutable while threads run */
	char *base;
	size_t size;
	size_t step;
	enum work work;
	bool prefault;
	/* atomic */
	_Atomic size_t next;
	_Atomic size_t done;
	_Atomic bool no_huge;
	_Atomic int err;
};

static int
do_step(struct job *job, char *at, size_t part)
{
	if (job->work == HUGE_PAGES && !vmc_load_relaxed(&job->no_huge) &&
		!vmc_os_make_huge(at, part))
		vmc_store_relaxed(&job->no_huge, true);
	return job->prefault ? vmc_os_populate(at, part) : 0;
}

/* False: there is none left, or somebody failed. */
static bool
next_step(struct job *job)
{
	if (vmc_load_relaxed(&job->err))
		return false;
	size_t at = vmc_fetch_add_relaxed(&job->next, job->step);
	if (at >= job->size)
		return false;
	size_t part = job->size - at < job->step ? job->size - at : job->step;
	int err = do_step(job, job->base + at, part);
	if (err)
		vmc_store_relaxed(&job->err, err);
	else
		vmc_fetch_add_relaxed(&job->done, part);
	return !err;
}

static void *
step_on(void *arg)
{
	while (next_step(arg))
		;
	return NULL;
}

/* Returns how many of the threads run. */
static unsigned
start_threads(pthread_t *threads, unsigned count, struct job *job)
{
	sigset_t all, old;
	unsigned started = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (started < count &&
		pthread_create(&threads[started], NULL, step_on, job) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}

static int
report(const struct vmc_prefault *p, size_t size, size_t done)
{
	return p && p->progress ? p->progress(done, size, p->arg) : 0;
}

/* The threads at a job. What they work with is on the stack of who began. */
struct crew {
	pthread_t threads[PREFAULT_THREADS_MAX];
	unsigned started;
	struct job *job;
	unsigned mark; /* of their process */
};

/*
 * They have no more to do, or there is no one left to do it for: the callback
 * did not return, but ended its thread or threw an exception.
 */
static void
dismiss(struct crew *crew)
{
	if (vmc_load_relaxed(&crew->job->done) < crew->job->size)
		vmc_store_relaxed(&crew->job->err, -ECANCELED);
	/* a child has none of them */
	for (unsigned i = 0;
		crew->mark == vmc_process_mark() && i < crew->started; i++)
		pthread_join(crew->threads[i], NULL);
	crew->started = 0;
}

static size_t
step_of(const struct vmc_pool *pool, const struct vmc_prefault *prefault)
{
	size_t step = prefault ? PREFAULT_STEP : COLLAPSE_STEP;

	return pool->page_size > step ? pool->page_size : step;
}

/* From there to the end. Leaves a message, but for what the callback says. */
static int
for_all_steps(struct vmc_pool *pool, size_t from, enum work work,
	const struct vmc_prefault *prefault)
{
	struct job job = {.base = pool->base + from,
		.size = size_of(pool) - from,
		.step = step_of(pool, prefault),
		.work = work,
		.prefault = prefault};
	size_t steps = (job.size + job.step - 1) / job.step;
	unsigned threads = !prefault           ? 1
			   : prefault->threads ? prefault->threads
					       : vmc_os_cpu_count();
	int said = 0;

	if (threads > PREFAULT_THREADS_MAX)
		threads = PREFAULT_THREADS_MAX;
	if (threads > steps)
		threads = (unsigned)steps;
	VMC_NO_CANCEL;
	__attribute__((cleanup(dismiss))) struct crew crew = {
		.job = &job, .mark = vmc_process_mark()};
	crew.started = start_threads(crew.threads, threads - 1, &job);
	while (!said && next_step(&job)) {
		size_t done = vmc_load_relaxed(&job.done);

		if (done < job.size)
			said = report(prefault, job.size, done);
	}
	if (said)
		vmc_store_relaxed(&job.err, said);
	for (unsigned i = 0; said != -EBADF && i < crew.started; i++)
		pthread_join(crew.threads[i], NULL);
	crew.started = 0;
	if (said)
		return said;
	int err = vmc_load_relaxed(&job.err);
	if (err)
		return vmc_fail(-err, "!prefault");
	return report(prefault, job.size, job.size);
}

int
vmc_pool_prefault(struct vmc_pool *pool, const struct vmc_prefault *prefault)
{
	return for_all_steps(pool, 0, ALL_PAGES, prefault);
}

/*
 * The mapping's pages from there on, and the space behind them; prefault may be
 * NULL. A huge page that there is a part of already is made whole.
 */
static int
fill(struct vmc_pool *pool, const char *path, size_t from,
	const struct vmc_prefault *prefault)
{
	bool in_memory = !pool->is_devdax && vmc_os_in_memory(pool->fd);
	size_t huge = from & ~(vmc_os_huge_page_size() - 1);
	int err = 0, reserved = 0;

	if (in_memory)
		err = for_all_steps(pool, huge, HUGE_PAGES, prefault);
	if (err == -ECANCELED || err == -EBADF)
		return err;
	if (!pool->is_devdax)
		reserved = vmc_os_reserve(pool->fd, from, size_of(pool));
	if (reserved) {
		char what[64];

		snprintf(what, sizeof(what), "no space for %zu bytes",
			size_of(pool));
		return vmc_fail_file(-reserved, what, path);
	}
	if (!prefault || (in_memory && !err))
		return 0;
	return for_all_steps(pool, from, ALL_PAGES, prefault);
}

/* How long the mapping should be, where the user has said `most`, or not. */
static size_t
length_wanted(const struct vmc_pool *pool, size_t most)
{
	size_t size = size_of(pool);
	/* a program whose addresses are limited needs them for more */
	size_t share = vmc_os_address_limit() / 4;
	size_t wanted = round_up(most, pool->granule);

	if (most == 0 && __builtin_mul_overflow(size, VMC_POOL_MOST, &wanted))
		wanted = size;
	if (most == 0 && wanted > share)
		wanted = share & ~(pool->granule - 1);
	if (wanted > pool->mapped)
		wanted = pool->mapped;
	return wanted < size ? size : wanted;
}

/* As long as addresses allow, at least the size. Leaves a message. */
static int
map(struct vmc_pool *pool, const char *path, size_t most, bool *sync)
{
	/* a device's own mapping function aligns what it must */
	size_t align = pool->is_devdax ? 1 : vmc_os_huge_page_size();
	size_t size = size_of(pool), length = length_wanted(pool, most);
	void *base;
	int err;

	if (size < align)
		align = 1;
	while ((err = vmc_os_map_file(pool->fd, length, align, &base, sync)) !=
			0 &&
		length > size) {
		length = length / 2 & ~(pool->granule - 1);
		if (length < size)
			length = size;
	}
	if (err)
		return vmc_fail_file(-err, "mmap", path);
	pool->base = base;
	pool->mapped = length;
	if (!pool->is_devdax && pool->granule > vmc_os_page_size()) {
		/* a mapping of hugetlbfs makes the file as long as it is */
		err = vmc_os_set_length(pool->fd, length, size);
		if (err)
			return vmc_fail_file(-err, "ftruncate", path);
	}
	return 0;
}

/* All goes unless all went well. */
struct opening {
	struct vmc_pool *pool;
	bool done;
};

static void
end_of_opening(struct opening *opening)
{
	if (!opening->done)
		vmc_pool_close(opening->pool);
}

int
vmc_pool_open(struct vmc_pool *pool, const char *path, size_t size, size_t most,
	const struct vmc_prefault *prefault)
{
	bool sync;
	int fd;
	int err;

	if (path == NULL)
		return vmc_fail(EINVAL, "invalid (NULL) path");
	pool->base = NULL;
	pool->is_devdax = vmc_os_is_devdax(path);
	err = pool->is_devdax ? open_devdax(pool, path, size, &fd)
			      : open_file(pool, path, size, &fd);
	if (err)
		return err;

	__attribute__((cleanup(end_of_opening))) struct opening opening = {
		pool, false};
	pool->fd = fd;
	vmc_os_file_id(fd, pool->file);
	err = map(pool, path, most, &sync);
	if (err)
		return err;
	if (!pool->is_devdax && vmc_os_in_memory(fd))
		vmc_os_prefer_huge(pool->base, pool->mapped);
	err = fill(pool, path, 0, prefault);
	if (err)
		return err;
	size = size_of(pool);
	pool->is_pmem =
		sync || pool->is_devdax || is_persistent(pool->base, size);
	if (pool->page_size == vmc_os_page_size())
		pool->page_size = vmc_os_mapped_page_size(pool->base, size);
	opening.done = true;
	return 0;
}

void
vmc_pool_close(struct vmc_pool *pool)
{
	if (vmc_os_may_be_file(pool->fd, pool->file))
		vmc_os_close(pool->fd);
	if (pool->base)
		vmc_os_unmap(pool->base, pool->mapped);
	pool->base = NULL;
}

size_t
vmc_pool_round(const struct vmc_pool *pool, size_t size)
{
	return round_up(size, pool->granule);
}

/* Its file is another one's number by now, or nobody's. */
static int
check_descriptor(const struct vmc_pool *pool)
{
	return vmc_os_may_be_file(pool->fd, pool->file)
		       ? 0
		       : vmc_fail_const(EBADF,
				 "the program has closed the pool's file");
}

/* What has grown goes unless all went well. */
struct growing {
	struct vmc_pool *pool;
	size_t from;
	bool done;
	unsigned mark; /* of the process */
};

static void
end_of_growing(struct growing *growing)
{
	struct vmc_pool *pool = growing->pool;
	size_t size = size_of(pool);

	if (growing->done || growing->mark != vmc_process_mark())
		return;
	vmc_store_relaxed(&pool->size, growing->from);
	if (!pool->is_devdax)
		(void)vmc_os_set_length(pool->fd, size, growing->from);
}

int
vmc_pool_has_addresses(const struct vmc_pool *pool, size_t size)
{
	if (size <= pool->mapped)
		return 0;
	return pool->is_devdax
		       ? vmc_fail(ENOSPC,
				 "a pool of %zu bytes: the device, or what "
				 "vmemcache_set_most() allows, ends at %zu",
				 size, pool->mapped)
		       : vmc_fail(ENOMEM,
				 "a pool of %zu bytes exceeds the %zu for "
				 "which vmemcache_set_most() reserved "
				 "addresses",
				 size, pool->mapped);
}

int
vmc_pool_grow(
	struct vmc_pool *pool, size_t size, const struct vmc_prefault *prefault)
{
	static const char path[] = "the pool's file";
	int err = check_descriptor(pool);

	if (!err)
		err = vmc_pool_has_addresses(pool, size);
	if (err)
		return err;
	VMC_NO_CANCEL;
	__attribute__((cleanup(end_of_growing))) struct growing growing = {
		pool, size_of(pool), false, vmc_process_mark()};
	if (!pool->is_devdax)
		err = lengthen(pool->fd, path, growing.from, size, size);
	if (!err) {
		vmc_store_relaxed(&pool->size, size);
		err = fill(pool, path, growing.from, prefault);
	}
	growing.done = !err;
	return err;
}

int
vmc_pool_shrink(struct vmc_pool *pool, size_t size)
{
	size_t from = size_of(pool);
	int err = pool->is_devdax ? 0 : check_descriptor(pool);

	if (err)
		return err;
	if (!pool->is_devdax)
		err = vmc_os_set_length(pool->fd, from, size);
	if (err)
		return vmc_fail(-err, "!a file of %zu bytes", size);
	vmc_store_relaxed(&pool->size, size);
	return 0;
}

int
vmc_pool_descriptor(const struct vmc_pool *pool, int *fd)
{
	return vmc_os_may_be_file(pool->fd, pool->file)
		       ? vmc_os_duplicate(pool->fd, fd)
		       : -EBADF;
}

static bool
is_of_pool(uintptr_t start, uintptr_t end, const void *arg)
{
	const struct vmc_pool *pool = arg;
	uintptr_t base = (uintptr_t)pool->base;

	return start < base + size_of(pool) && end > base;
}

/* Of DAX and hugetlbfs the system tells what their pages are, not where. */
size_t
vmc_pool_huge_bytes(const struct vmc_pool *pool)
{
	size_t huge = vmc_os_huge_page_size(), size = size_of(pool);
	size_t told = size < huge ? 0 : vmc_os_huge_bytes(is_of_pool, pool);

	if (told == 0 && pool->page_size >= huge)
		told = size / huge * huge;
	return told;
}

void
vmc_pool_pmem_write(void *to, const void *from, size_t size)
{
	if (size < NONTEMPORAL_MIN)
		memcpy(to, from, size);
	else
		copy_to_persistent(to, from, size);
}

void
vmc_pool_pmem_drain(void)
{
	drain_persistent();
}

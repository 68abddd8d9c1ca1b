/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_prefault.c -- making the pages of a pool present: all of them, their
 * contents unchanged, whatever fails and whoever writes meanwhile
 *
 * On the temporary directory's file system, whose pages are not present from
 * the start as those of tmpfs are.
 */
#include "testing.h"

#include "base/error.h"
#include "fault.h"
#include "pool/pool.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

struct progress {
	pthread_t thread;
	uint64_t last;
	uint64_t total;
	int calls;
	int answer;
};

static int
on_progress(size_t done, size_t total, void *arg)
{
	struct progress *p = arg;

	assert_true(pthread_equal(pthread_self(), p->thread));
	assert_true(done >= p->last && done <= total);
	assert_int_equal(total, p->total);
	p->last = done;
	p->calls++;
	return p->answer;
}

/* With a callback where there is something for it to note. */
static int
prefault(struct vmc_pool *pool, unsigned threads, struct progress *p)
{
	return vmc_pool_prefault(pool,
		&(struct vmc_prefault){threads, p ? on_progress : NULL, p});
}

/* All of it but what the system, short of memory, has taken back. */
static void
assert_resident(const struct vmc_pool *pool)
{
	assert_in_range(process_smaps_size(pool->base, "Rss"),
		pool->size - pool->size / 20, pool->size);
}

static void
test_prefault(void **state)
{
	static const unsigned threads[] = {0, 1, 2, 3, 1000};
	size_t size = 50 * MIB;
	struct vmc_pool pool;

	(void)state;
	for (size_t i = 0; i < sizeof(threads) / sizeof(*threads); i++) {
		struct progress p = {.thread = pthread_self(), .total = size};
		assert_int_equal(
			vmc_pool_open(&pool, "/tmp", size, 0, NULL), 0);
		memset(pool.base, 7, 10 * MIB);
		assert_true(process_smaps_size(pool.base, "Rss") < 40 * MIB);
		assert_int_equal(prefault(&pool, threads[i], &p), 0);
		assert_resident(&pool);
		assert_int_equal(p.last, size);
		assert_true(p.calls >= 1);
		for (size_t at = 0; at < size; at += 509)
			assert_int_equal(pool.base[at], at < 10 * MIB ? 7 : 0);
		vmc_pool_close(&pool);
	}
}

static void
test_prefault_failing(void **state)
{
	struct vmc_pool pool;

	(void)state;
	assert_int_equal(vmc_pool_open(&pool, "/tmp", 50 * MIB, 0, NULL), 0);
	/* kernels before 5.14 do not know it */
	if (madvise(pool.base, 4096, MADV_POPULATE_WRITE) && errno == EINVAL) {
		vmc_pool_close(&pool);
		skip();
	}
	fault_arm("pthread_create", 0, LONG_MAX, EAGAIN);
	assert_int_equal(prefault(&pool, 4, NULL), 0);
	assert_true(fault_disarm() > 0);
	assert_resident(&pool);
	struct progress p = {.thread = pthread_self(), .total = 50 * MIB};
	for (long n = 0; n < 4; n++) {
		fault_arm("madvise", n, 1, ENOMEM);
		assert_int_equal(prefault(&pool, 2, &p), -ENOMEM);
		assert_int_equal(fault_disarm(), 1);
		assert_true(p.last < p.total);
		assert_string_equal(vmc_error_message(),
			"prefault: Cannot allocate memory");
		p.last = 0;
	}
	vmc_pool_close(&pool);
}

/* What is in memory is made at opening, with all that can go wrong there. */
static void
test_prefault_at_opening(void **state)
{
	static const char *const where[] = {"/dev/shm", "/tmp"};
	static const char *const failing[] = {
		NULL, "pthread_create", "madvise", "fstatfs", "fallocate"};
	struct vmc_pool pool;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		const char *function = failing[i / 2];
		struct progress p = {
			.thread = pthread_self(), .total = 50 * MIB};

		/* not the calls for the length, and for the mapping */
		if (function)
			fault_arm(function, i / 2 == 3,
				i / 2 == 4 ? 1 : LONG_MAX,
				i / 2 == 2 ? EINVAL : 0);
		int rc = vmc_pool_open(&pool, where[i % 2], 50 * MIB, 0,
			&(struct vmc_prefault){3, on_progress, &p});
		fault_disarm();
		if (i / 2 == 4) {
			assert_true(rc < 0);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(p.last, 50 * MIB);
		assert_resident(&pool);
		assert_int_equal(
			process_smaps_size(pool.base, "ShmemPmdMapped") +
				process_smaps_size(pool.base, "FilePmdMapped"),
			vmc_pool_huge_bytes(&pool));
		vmc_pool_close(&pool);
	}
}

static void
test_prefault_stopped(void **state)
{
	static const char *const where[] = {"/dev/shm", "/tmp"};
	int before = process_unnamed_mappings();
	struct vmc_pool pool;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct progress p = {.thread = pthread_self(),
			.total = 50 * MIB,
			.answer = -ECANCELED};
		assert_int_equal(vmc_pool_open(&pool, where[i % 2], 50 * MIB, 0,
					 &(struct vmc_prefault){
						 1 + i / 2, on_progress, &p}),
			-ECANCELED);
		assert_int_equal(p.calls, 1);
		assert_int_equal(process_unnamed_mappings(), before);
	}
}

struct writer {
	struct vmc_pool *pool;
	atomic_bool *stop;
	uint64_t rounds;
};

/* Adds one to a word on each page for as long as it may. */
static void *
write_on(void *arg)
{
	struct writer *w = arg;

	while (!vmc_load_relaxed(w->stop)) {
		for (size_t at = 0; at < w->pool->size; at += 4096)
			vmc_fetch_add_relaxed(
				(_Atomic uint64_t *)(w->pool->base + at), 1);
		w->rounds++;
	}
	return NULL;
}

/* Both ways of prefaulting, beside a writer that must lose no write. */
static void
test_prefault_beside_writers(void **state)
{
	for (int touching = 0; touching < 2; touching++) {
		struct vmc_pool pool;
		atomic_bool stop = false;
		struct writer w = {.pool = &pool, .stop = &stop};
		pthread_t thread;

		(void)state;
		assert_int_equal(
			vmc_pool_open(&pool, "/tmp", 20 * MIB, 0, NULL), 0);
		if (touching)
			fault_arm("madvise", 0, LONG_MAX, EINVAL);
		pthread_create(&thread, NULL, write_on, &w);
		for (int i = 0; i < 20; i++)
			assert_int_equal(prefault(&pool, 2, NULL), 0);
		stop = true;
		pthread_join(thread, NULL);
		fault_disarm();
		for (size_t at = 0; at < pool.size; at += 4096)
			assert_int_equal(
				*(uint64_t *)(pool.base + at), w.rounds);
		vmc_pool_close(&pool);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_prefault_failing),
		cmocka_unit_test(test_prefault_at_opening),
		cmocka_unit_test(test_prefault_stopped),
		cmocka_unit_test(test_prefault_beside_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

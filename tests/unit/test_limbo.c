/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_limbo.c -- retired objects stay as long as a reader may hold them, and
 * not longer
 */
#include "testing.h"

#include "base/epoch.h"
#include "base/limbo.h"

#include <pthread.h>
#include <sched.h>

enum { OBJECT = 48 };

/* A reader of its own thread, since a limbo is not for threads in an epoch. */
struct reader {
	pthread_t thread;
	_Atomic int phase; /* 1: inside; 2: may leave */
	_Atomic bool leaving;
	int patience; /* yields between being let go and leaving */
};

static void *
read_on(void *arg)
{
	struct reader *r = arg;
	struct vmc_thread *self = vmc_thread_self();

	vmc_epoch_enter(self);
	vmc_store_release(&r->phase, 1);
	while (vmc_load_acquire(&r->phase) < 2)
		sched_yield();
	while (r->patience-- > 0)
		sched_yield();
	vmc_store_release(&r->leaving, true);
	vmc_epoch_exit(self);
	return NULL;
}

static void
reader_start(struct reader *r)
{
	*r = (struct reader){.patience = 200};
	assert_int_equal(pthread_create(&r->thread, NULL, read_on, r), 0);
	while (vmc_load_acquire(&r->phase) < 1)
		sched_yield();
}

static void
reader_end(struct reader *r)
{
	vmc_store_release(&r->phase, 2);
	pthread_join(r->thread, NULL);
}

struct fixture {
	struct testing_memory counts;
	struct vmc_memory memory;
	struct vmc_limbo limbo;
};

static void
fixture_start(struct fixture *f)
{
	f->memory = testing_memory_of(&f->counts);
	f->limbo = (struct vmc_limbo){0};
}

static void
add_one(struct fixture *f)
{
	void *p = vmc_alloc(&f->memory, OBJECT);

	assert_true(vmc_limbo_add(&f->limbo, &f->memory, p, OBJECT));
}

/* Objects up to and including the one that seals a chunk; their number. */
static long
fill_chunk(struct fixture *f)
{
	long count = 0;

	do {
		add_one(f);
		assert_true(++count < 100000);
	} while (f->limbo.open);
	assert_true(vmc_limbo_is_due(&f->limbo));
	return count;
}

static void
test_empty(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	assert_null(vmc_limbo_ripe(&f.limbo));
	vmc_limbo_free(NULL, &f.memory);
	vmc_limbo_flush(&f.limbo, &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

static void
test_without_readers(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	for (int i = 0; i < 5; i++) {
		long count = fill_chunk(&f);
		assert_int_equal(f.counts.objects, count + 1);
		/* one alone is not worth a fence */
		assert_null(vmc_limbo_ripe(&f.limbo));
		assert_false(vmc_limbo_is_due(&f.limbo));
		assert_false(vmc_limbo_is_behind(&f.limbo));
		count += fill_chunk(&f);
		assert_true(vmc_limbo_is_behind(&f.limbo));
		struct vmc_limbo_chunk *ripe = vmc_limbo_ripe(&f.limbo);
		assert_non_null(ripe);
		assert_false(vmc_limbo_is_due(&f.limbo));
		assert_false(vmc_limbo_is_behind(&f.limbo));
		assert_null(vmc_limbo_ripe(&f.limbo));
		assert_int_equal(f.counts.objects, count + 2);
		vmc_limbo_free(ripe, &f.memory);
		assert_int_equal(f.counts.objects, 0);
		assert_int_equal(f.counts.bytes, 0);
	}
}

static void
test_fenced_by_another(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	fill_chunk(&f);
	assert_null(vmc_limbo_ripe(&f.limbo));
	assert_true(vmc_epoch_fence());
	vmc_limbo_free(vmc_limbo_ripe(&f.limbo), &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

/* Without waiting for chunks to be full, but not for readers' objects. */
static void
test_at_once(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	fixture_start(&f);
	assert_null(vmc_limbo_ripe_at_once(&f.limbo));
	fill_chunk(&f);
	add_one(&f);
	vmc_limbo_free(vmc_limbo_ripe_at_once(&f.limbo), &f.memory);
	assert_int_equal(f.counts.objects, 0);

	reader_start(&r);
	add_one(&f);
	assert_null(vmc_limbo_ripe_at_once(&f.limbo));
	assert_int_equal(f.counts.objects, 2);
	reader_end(&r);
	vmc_limbo_free(vmc_limbo_ripe(&f.limbo), &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

/* Not at every object that is added, but before another chunk is full. */
static void
test_looks_again(void **state)
{
	struct fixture f;
	struct reader r;
	long more = 0;

	(void)state;
	fixture_start(&f);
	reader_start(&r);
	fill_chunk(&f);
	long each = fill_chunk(&f);
	assert_null(vmc_limbo_ripe(&f.limbo));
	for (; !vmc_limbo_is_due(&f.limbo); more++)
		add_one(&f);
	assert_true(more > 1 && more < each / 2);
	assert_null(vmc_limbo_ripe(&f.limbo));
	reader_end(&r);
	vmc_limbo_free(vmc_limbo_ripe(&f.limbo), &f.memory);
	assert_int_equal(f.counts.objects, more + 1);
	vmc_limbo_flush(&f.limbo, &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

static void
test_reader_keeps_what_came_after_it(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	fixture_start(&f);
	long first = fill_chunk(&f);
	reader_start(&r);
	fill_chunk(&f);
	fill_chunk(&f);
	struct vmc_limbo_chunk *ripe = vmc_limbo_ripe(&f.limbo);
	assert_non_null(ripe);
	long all = f.counts.objects;
	vmc_limbo_free(ripe, &f.memory);
	assert_int_equal(f.counts.objects, all - first - 1);
	assert_null(vmc_limbo_ripe(&f.limbo));
	reader_end(&r);
	ripe = vmc_limbo_ripe(&f.limbo);
	assert_non_null(ripe);
	assert_null(vmc_limbo_ripe(&f.limbo));
	/* the limbo is whole again, whatever was taken out of it */
	long fourth = fill_chunk(&f);
	vmc_limbo_free(ripe, &f.memory);
	assert_int_equal(f.counts.objects, fourth + 1);
	assert_true(vmc_epoch_fence());
	vmc_limbo_free(vmc_limbo_ripe(&f.limbo), &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

static void
test_flush(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	fixture_start(&f);
	reader_start(&r);
	for (int rounds = 0; rounds < 3; rounds++) {
		fill_chunk(&f);
		fill_chunk(&f);
		add_one(&f);
		vmc_limbo_flush(&f.limbo, &f.memory);
		assert_int_equal(f.counts.objects, 0);
		assert_int_equal(f.counts.bytes, 0);
	}
	reader_end(&r);
}

/* Without memory for a note, add waits for the readers and gives up. */
static void
test_no_memory(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	fixture_start(&f);
	void *p = vmc_alloc(&f.memory, OBJECT);
	reader_start(&r);
	f.counts.fail_at = -2;
	vmc_store_release(&r.phase, 2);
	assert_false(vmc_limbo_add(&f.limbo, &f.memory, p, OBJECT));
	assert_true(vmc_load_acquire(&r.leaving));
	reader_end(&r);
	vmc_free(&f.memory, p, OBJECT);
	f.counts.fail_at = -1;

	/* in the middle of a chunk there is memory for the note */
	add_one(&f);
	p = vmc_alloc(&f.memory, OBJECT);
	f.counts.fail_at = -2;
	reader_start(&r);
	assert_true(vmc_limbo_add(&f.limbo, &f.memory, p, OBJECT));
	reader_end(&r);
	vmc_limbo_flush(&f.limbo, &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

/* Few large objects are enough; what is kept is bounded by their bytes. */
static void
test_bounded_in_bytes(void **state)
{
	enum { LARGE = 20000 };
	struct fixture f;

	(void)state;
	fixture_start(&f);
	for (int i = 0; i < 1000; i++) {
		void *p = vmc_alloc(&f.memory, LARGE);
		assert_true(vmc_limbo_add(&f.limbo, &f.memory, p, LARGE));
		if (vmc_limbo_is_due(&f.limbo))
			vmc_limbo_free(vmc_limbo_ripe(&f.limbo), &f.memory);
		assert_true(f.counts.bytes <= 3 * (int)VMC_LIMBO_BYTES + LARGE);
	}
	vmc_limbo_flush(&f.limbo, &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

/* The first chunk is small, the next ones are larger, up to some size. */
static void
test_grows(void **state)
{
	struct fixture f;
	long last = 0;

	(void)state;
	fixture_start(&f);
	add_one(&f);
	assert_true(f.counts.bytes < 4096);
	vmc_limbo_flush(&f.limbo, &f.memory);
	for (int i = 0; i < 8; i++) {
		long count = fill_chunk(&f);
		assert_true(count >= last);
		last = count;
	}
	vmc_limbo_flush(&f.limbo, &f.memory);
	f.limbo.most = 100;
	for (int i = 0; i < 3; i++)
		assert_int_equal(fill_chunk(&f), 100);
	vmc_limbo_flush(&f.limbo, &f.memory);
	assert_int_equal(f.counts.objects, 0);
}

static void
test_adopted(void **state)
{
	struct fixture f, from;

	(void)state;
	for (int memory = 0; memory < 2; memory++)
		for (int own = 0; own < 2; own++) {
			fixture_start(&f);
			fixture_start(&from);
			from.memory.ctx = &f.counts;
			if (own)
				fill_chunk(&f);
			fill_chunk(&from);
			add_one(&from);
			add_one(&from);
			f.counts.fail_at = memory ? -1 : -2;
			vmc_limbo_adopt(&f.limbo, &from.limbo, &f.memory);
			f.counts.fail_at = -1;
			assert_null(from.limbo.open);
			assert_null(from.limbo.oldest);
			add_one(&f);
			vmc_limbo_free(
				vmc_limbo_ripe_at_once(&f.limbo), &f.memory);
			assert_int_equal(f.counts.objects, 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_without_readers),
		cmocka_unit_test(test_fenced_by_another),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_looks_again),
		cmocka_unit_test(test_reader_keeps_what_came_after_it),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_bounded_in_bytes),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

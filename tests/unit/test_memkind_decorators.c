/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_decorators.c -- all ten functions that a program may hang around
 * the heap calls: each is called once, before or after, with what the call was
 * given, and what it changes takes effect
 */
#include "testing.h"

#include "memkind.h"

#include <errno.h>

#pragma GCC visibility push(default)
void memkind_malloc_pre(memkind_t *kind, size_t *size);
void memkind_malloc_post(memkind_t kind, size_t size, void **result);
void memkind_calloc_pre(memkind_t *kind, size_t *num, size_t *size);
void memkind_calloc_post(
	memkind_t kind, size_t num, size_t size, void **result);
void memkind_posix_memalign_pre(
	memkind_t *kind, void **memptr, size_t *alignment, size_t *size);
void memkind_posix_memalign_post(
	memkind_t kind, void **memptr, size_t alignment, size_t size, int *err);
void memkind_realloc_pre(memkind_t *kind, void **ptr, size_t *size);
void memkind_realloc_post(
	memkind_t kind, void *ptr, size_t size, void **result);
void memkind_free_pre(memkind_t *kind, void **ptr);
void memkind_free_post(memkind_t kind, void *ptr);
#pragma GCC visibility pop

enum call { MALLOC, CALLOC, MEMALIGN, REALLOC, FREE, CALLS };

/* How often each was called, and what the latest was told. */
static int pre[CALLS], post[CALLS];
static memkind_t seen_kind;
static void *seen_ptr;
static size_t seen_size;
static int seen_err;

/* What the next pre-decorator puts in place of the kind and the size. */
static memkind_t other_kind;
static size_t other_size;
/* What the next post-decorator puts in place of the result. */
static bool replace_result;
static char replacement;

static void
decorate(enum call call, memkind_t *kind, size_t *size)
{
	assert_int_equal(pre[call], post[call]);
	pre[call]++;
	if (other_kind)
		*kind = other_kind;
	if (other_size)
		*size = other_size;
	other_kind = NULL;
	other_size = 0;
}

static void
decorated(enum call call, memkind_t kind, size_t size, void *ptr)
{
	post[call]++;
	assert_int_equal(pre[call], post[call]);
	seen_kind = kind;
	seen_size = size;
	seen_ptr = ptr;
}

static void
result_of(void **result)
{
	if (replace_result)
		*result = &replacement;
	replace_result = false;
}

void
memkind_malloc_pre(memkind_t *kind, size_t *size)
{
	decorate(MALLOC, kind, size);
}

void
memkind_malloc_post(memkind_t kind, size_t size, void **result)
{
	decorated(MALLOC, kind, size, *result);
	result_of(result);
}

void
memkind_calloc_pre(memkind_t *kind, size_t *num, size_t *size)
{
	assert_int_equal(*num, 3);
	decorate(CALLOC, kind, size);
}

void
memkind_calloc_post(memkind_t kind, size_t num, size_t size, void **result)
{
	decorated(CALLOC, kind, num * size, *result);
	result_of(result);
}

void
memkind_posix_memalign_pre(
	memkind_t *kind, void **memptr, size_t *alignment, size_t *size)
{
	assert_non_null(memptr);
	assert_int_equal(*alignment & (*alignment - 1), 0);
	decorate(MEMALIGN, kind, size);
}

void
memkind_posix_memalign_post(
	memkind_t kind, void **memptr, size_t alignment, size_t size, int *err)
{
	assert_int_equal(alignment & (alignment - 1), 0);
	decorated(MEMALIGN, kind, size, *memptr);
	seen_err = *err;
	result_of(memptr);
}

void
memkind_realloc_pre(memkind_t *kind, void **ptr, size_t *size)
{
	seen_ptr = *ptr;
	decorate(REALLOC, kind, size);
}

void
memkind_realloc_post(memkind_t kind, void *ptr, size_t size, void **result)
{
	assert_ptr_equal(ptr, seen_ptr);
	decorated(REALLOC, kind, size, *result);
	result_of(result);
}

/* Turns a free of the replacement into one of nothing. */
void
memkind_free_pre(memkind_t *kind, void **ptr)
{
	if (*ptr == &replacement)
		*ptr = NULL;
	decorate(FREE, kind, &(size_t){0});
}

void
memkind_free_post(memkind_t kind, void *ptr)
{
	decorated(FREE, kind, 0, ptr);
}

static void
expect_seen(enum call call, memkind_t kind, size_t size, void *ptr)
{
	assert_int_equal(pre[call], 1);
	assert_int_equal(post[call], 1);
	assert_ptr_equal(seen_kind, kind);
	assert_int_equal(seen_size, size);
	assert_ptr_equal(seen_ptr, ptr);
	memset(pre, 0, sizeof(pre));
	memset(post, 0, sizeof(post));
}

static void
test_seen(void **state)
{
	void *p, *q;

	(void)state;
	p = memkind_malloc(MEMKIND_DEFAULT, 100);
	expect_seen(MALLOC, MEMKIND_DEFAULT, 100, p);
	q = memkind_realloc(MEMKIND_DEFAULT, p, 5000);
	expect_seen(REALLOC, MEMKIND_DEFAULT, 5000, q);
	memkind_free(MEMKIND_DEFAULT, q);
	expect_seen(FREE, MEMKIND_DEFAULT, 0, q);
	p = memkind_calloc(MEMKIND_DEFAULT, 3, 100);
	expect_seen(CALLOC, MEMKIND_DEFAULT, 300, p);
	memkind_free(NULL, p);
	expect_seen(FREE, NULL, 0, p);
	assert_int_equal(
		memkind_posix_memalign(MEMKIND_DEFAULT, &p, 128, 100), 0);
	expect_seen(MEMALIGN, MEMKIND_DEFAULT, 100, p);
	assert_int_equal(seen_err, 0);
	memkind_free(MEMKIND_DEFAULT, p);
	expect_seen(FREE, MEMKIND_DEFAULT, 0, p);
}

/* Failures are seen as well. */
static void
test_failures(void **state)
{
	void *p;

	(void)state;
	assert_null(memkind_malloc(MEMKIND_DEFAULT, SIZE_MAX / 2));
	expect_seen(MALLOC, MEMKIND_DEFAULT, SIZE_MAX / 2, NULL);
	assert_null(memkind_realloc(NULL, NULL, 10));
	expect_seen(REALLOC, NULL, 10, NULL);
	assert_int_equal(
		memkind_posix_memalign(MEMKIND_DEFAULT, &p, 2, 100), EINVAL);
	expect_seen(MEMALIGN, MEMKIND_DEFAULT, 100, NULL);
	assert_int_equal(seen_err, EINVAL);
	memkind_free(MEMKIND_DEFAULT, NULL);
	expect_seen(FREE, MEMKIND_DEFAULT, 0, NULL);
}

static void *
call_of(enum call call, memkind_t kind, size_t size)
{
	void *p = NULL;

	switch (call) {
	case MALLOC:
		return memkind_malloc(kind, size);
	case CALLOC:
		return memkind_calloc(kind, 3, size);
	case MEMALIGN:
		assert_int_equal(memkind_posix_memalign(kind, &p, 64, size), 0);
		return p;
	default:
		return memkind_realloc(kind, NULL, size);
	}
}

/* Kind, size and result are the decorators' to change. */
static void
test_changed(void **state)
{
	memkind_t kind;
	void *p;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 0, &kind), 0);
	for (enum call call = MALLOC; call < FREE; call++) {
		other_kind = kind;
		other_size = 3000;
		p = call_of(call, MEMKIND_DEFAULT, 10);
		expect_seen(call, kind, call == CALLOC ? 9000 : 3000, p);
		assert_ptr_equal(memkind_detect_kind(p), kind);
		assert_true(memkind_malloc_usable_size(kind, p) >= 3000);
		other_kind = kind;
		memkind_free(MEMKIND_DEFAULT, p);
		expect_seen(FREE, kind, 0, p);

		replace_result = true;
		p = call_of(call, kind, 10);
		assert_ptr_equal(p, &replacement);
		assert_ptr_not_equal(seen_ptr, &replacement);
		p = seen_ptr;
		memkind_free(kind, &replacement);
		assert_null(seen_ptr);
		memkind_free(kind, p);
		memset(pre, 0, sizeof(pre));
		memset(post, 0, sizeof(post));
	}
	memkind_destroy_kind(kind);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

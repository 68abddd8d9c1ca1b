/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.h -- what may be expected of the heap calls, whoever manages the heap
 */
#ifndef VMC_TESTS_HEAP_H
#define VMC_TESTS_HEAP_H

#include "testing.h"

#include "memkind/malloc.h"

#include <errno.h>

#define MIB ((size_t)1 << 20)

/* What a caller may rely on, whatever the kind. */
static inline void
heap_contract(memkind_t kind)
{
	void *ptr, *other;

	errno = 77;
	assert_null(vmc_memkind_malloc(kind, 0));
	assert_null(vmc_memkind_calloc(kind, 0, 8));
	assert_null(vmc_memkind_calloc(kind, 8, 0));
	assert_int_equal(errno, 77);
	assert_null(vmc_memkind_malloc(kind, SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(vmc_memkind_calloc(kind, SIZE_MAX / 4, 5));
	assert_int_equal(errno, ENOMEM);
	vmc_memkind_free(kind, NULL);
	vmc_memkind_free(NULL, NULL);
	assert_int_equal(vmc_memkind_usable_size(kind, NULL), 0);
	assert_null(memkind_defrag_reallocate(kind, NULL));

	for (size_t size = 1; size < 3 * MIB; size += 1 + size / 3) {
		ptr = vmc_memkind_malloc(kind, size);
		assert_non_null(ptr);
		assert_true(vmc_memkind_usable_size(kind, ptr) >= size);
		assert_int_equal(vmc_memkind_usable_size(kind, ptr),
			vmc_memkind_usable_size(NULL, ptr));
		assert_int_equal((uintptr_t)ptr % (size < 16 ? 8 : 16), 0);
		memset(ptr, 0xaa, vmc_memkind_usable_size(kind, ptr));
		assert_ptr_equal(memkind_detect_kind(ptr), kind);
		assert_ptr_equal(
			memkind_detect_kind((char *)ptr + size - 1), kind);
		vmc_memkind_free(kind, ptr);
		ptr = vmc_memkind_calloc(kind, 1, size);
		assert_non_null(ptr);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(((char *)ptr)[i], 0);
		memset(ptr, 0xbb, size);
		other = vmc_memkind_realloc(NULL, ptr, size * 2 + 1);
		assert_non_null(other);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(((unsigned char *)other)[i], 0xbb);
		other = vmc_memkind_realloc(kind, other, size / 2 + 1);
		assert_non_null(other);
		assert_int_equal(((unsigned char *)other)[size / 2], 0xbb);
		assert_null(vmc_memkind_realloc(kind, other, 0));
	}
	ptr = vmc_memkind_realloc(kind, NULL, 100);
	assert_non_null(ptr);
	vmc_memkind_free_sized(kind, ptr, 100);
}

/* As for alignments; errno stays as it was. */
static inline void
heap_aligned_contract(memkind_t kind)
{
	const size_t page_of_kind = 4096;
	void *ptr = &ptr;

	errno = 77;
	assert_int_equal(vmc_memkind_posix_memalign(kind, &ptr, 3, 10), EINVAL);
	assert_null(ptr);
	assert_int_equal(vmc_memkind_posix_memalign(kind, &ptr, 4, 10), EINVAL);
	assert_int_equal(vmc_memkind_posix_memalign(kind, &ptr, 0, 10), EINVAL);
	assert_int_equal(vmc_memkind_posix_memalign(kind, &ptr, 64, 0), 0);
	assert_null(ptr);
	assert_int_equal(
		vmc_memkind_posix_memalign(kind, &ptr, 64, SIZE_MAX / 2),
		ENOMEM);
	assert_null(ptr);
	for (size_t align = 8; align <= 512 * page_of_kind; align *= 2) {
		for (size_t size = 1; size < 100000; size = size * 5 + 1) {
			assert_int_equal(vmc_memkind_posix_memalign(
						 kind, &ptr, align, size),
				0);
			assert_int_equal((uintptr_t)ptr % align, 0);
			assert_true(vmc_memkind_usable_size(kind, ptr) >= size);
			memset(ptr, 0xcc, size);
			vmc_memkind_free(align & 0x5555 ? kind : NULL, ptr);
		}
	}
	assert_int_equal(errno, 77);
}

/* So much of it can be had, and again after it was all given back. */
static inline void
heap_fill_and_empty(memkind_t kind, size_t capacity, size_t size, int percent)
{
	size_t most = capacity / size + 1, count, before = 0;
	void **objects = malloc(most * sizeof(*objects));

	for (int round = 0; round < 3; round++) {
		errno = 0;
		for (count = 0; count < most; count++) {
			objects[count] = vmc_memkind_malloc(kind, size);
			if (!objects[count])
				break;
			memset(objects[count], round, size);
		}
		assert_int_equal(errno, ENOMEM);
		assert_true(count * size >= capacity / 100 * (size_t)percent);
		assert_true(count >= before - before / 100);
		before = count;
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(((char *)objects[i])[size - 1], round);
			vmc_memkind_free(kind, objects[i]);
		}
	}
	free(objects);
}

#endif

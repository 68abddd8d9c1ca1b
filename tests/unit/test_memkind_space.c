/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_space.c -- pieces of addresses: which pages can be touched, what
 * is held for them, and that a limit is about what the file holds
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"
#include "memkind/space/space.h"

#include "base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static uint64_t random_state;

enum { PIECES = 3, PIECE_PAGES = 1024, PAGES = PIECES * PIECE_PAGES };

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* A space with three pieces of 4 MiB, and which of their pages are used. */
struct model {
	struct vmc_space space;
	struct vmc_piece *pieces[PIECES];
	bool used[PAGES];
	size_t used_pages;
};

static void
open_pieces(struct model *model)
{
	static struct vmc_arena arena;

	assert_int_equal(
		vmc_space_open(&model->space, MEMKIND_NUM_BASE_KIND + 1), 0);
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(
			vmc_space_grow(&model->space, &arena, 0,
				PIECE_PAGES * PAGE, PAGE, &model->pieces[i]),
			0);
}

static void
close_pieces(struct model *model)
{
	vmc_space_destroy(&model->space);
}

static char *
address(const struct model *model, size_t page)
{
	return model->pieces[page / PIECE_PAGES]->base +
	       page % PIECE_PAGES * PAGE;
}

/* write(2) says EFAULT of what cannot be read, and does not look at it else. */
static bool
is_open(const struct model *model, size_t page)
{
	int ends[2];
	bool readable;

	if (RUNNING_ON_VALGRIND) /* which complains of such a call */
		return model->used[page];
	assert_int_equal(pipe(ends), 0);
	readable = write(ends[1], address(model, page), 1) == 1;
	assert_true(readable || errno == EFAULT);
	close(ends[0]);
	close(ends[1]);
	return readable;
}

/* Pages of the same state from this one on, in the same piece, at most some. */
static size_t
run_from(const struct model *model, size_t page, size_t most)
{
	size_t n = 0;

	while (n < most && page + n < PAGES &&
		(page + n) / PIECE_PAGES == page / PIECE_PAGES &&
		model->used[page + n] == model->used[page])
		n++;
	return n;
}

static void
set_used(struct model *model, size_t page, size_t n, bool used)
{
	memset(model->used + page, used, n);
	model->used_pages += used ? n : -n;
}

/* Pages that were given back, or never used, read as zeros. */
static void
commit(struct model *model, size_t page, size_t n, size_t limit)
{
	int err =
		vmc_space_commit(&model->space, address(model, page), n * PAGE);

	if ((model->used_pages + n) * PAGE > limit) {
		assert_int_equal(err, -ENOSPC);
		return;
	}
	assert_int_equal(err, 0);
	for (size_t i = page; i < page + n; i++) {
		uint64_t *words = (uint64_t *)address(model, i);
		assert_int_equal(words[0] | words[PAGE / 8 - 1], 0);
		words[0] = words[PAGE / 8 - 1] = i + 1;
	}
	set_used(model, page, n, true);
}

static void
decommit(struct model *model, size_t page, size_t n)
{
	for (size_t i = page; i < page + n; i++)
		assert_int_equal(*(uint64_t *)address(model, i), i + 1);
	assert_int_equal(vmc_space_decommit(
				 &model->space, address(model, page), n * PAGE),
		0);
	set_used(model, page, n, false);
}

/*
 * Whatever is used: what is held is at least that and at most the limit, it is
 * what the file has, and chunks without used pages cannot be touched.
 */
static void
check(struct model *model)
{
	size_t held = vmc_load_relaxed(&model->space.held), occupied;
	const size_t chunk = VMC_OS_CHUNK / PAGE;

	assert_int_equal(vmc_space_check(&model->space), 0);
	assert_true(held >= model->used_pages * PAGE);
	if (model->space.fd >= 0) {
		assert_int_equal(
			vmc_os_file_occupied(model->space.fd, &occupied), 0);
		assert_int_equal(occupied, held);
	}
	for (size_t page = 0; page < PAGES; page += chunk)
		if (!memchr(model->used + page, true, chunk))
			assert_false(is_open(model, page));
}

static void
do_at_random(struct model *model, size_t limit)
{
	for (uint64_t i = testing_operations(1500); i > 0; i--) {
		size_t page = testing_below(&random_state, PAGES);
		size_t most =
			1 + testing_below(&random_state, i % 4 ? 20 : 700);
		size_t n = run_from(model, page, most);
		if (model->used[page])
			decommit(model, page, n);
		else
			commit(model, page, n, limit);
		if (i % 50 == 0)
			check(model);
	}
	for (size_t page = 0; page < PAGES; page++)
		if (model->used[page])
			decommit(model, page, run_from(model, page, PAGES));
	check(model);
	assert_int_equal(vmc_load_relaxed(&model->space.held), 0);
}

static void
test_file(void **state)
{
	static struct model model;
	const size_t limit = 8 * MIB; /* of 12 that are mapped */

	(void)state;
	if (access("/dev/shm", W_OK) != 0)
		skip(); /* other file systems count metadata, too */
	memset(&model, 0, sizeof(model));
	assert_int_equal(vmc_space_file(&model.space, "/dev/shm", limit, 1), 0);
	open_pieces(&model);
	do_at_random(&model, limit);
	close_pieces(&model);
}

static void
test_anonymous(void **state)
{
	static struct model model;

	(void)state;
	memset(&model, 0, sizeof(model));
	vmc_space_anonymous(&model.space, 1, 0);
	open_pieces(&model);
	do_at_random(&model, SIZE_MAX);
	close_pieces(&model);
}

static size_t
resident(const struct model *model, size_t page, size_t n)
{
	unsigned char *present = malloc(n);
	size_t count = 0;

	assert_int_equal(mincore(address(model, page), n * PAGE, present), 0);
	for (size_t i = 0; i < n; i++)
		count += present[i] & 1;
	free(present);
	return count;
}

/*
 * A huge page is behind all of a granule as soon as one page of it is touched.
 * What nobody committed goes with it: it stayed, and no book knew of it.
 */
static void
test_nothing_stays_behind(void **state)
{
	const size_t granule = VMC_OS_CHUNK / PAGE;
	static struct model model;

	(void)state;
	memset(&model, 0, sizeof(model));
	vmc_space_anonymous(&model.space, 1, 0);
	open_pieces(&model);
	commit(&model, 5, 1, SIZE_MAX);
	memset(address(&model, 6), 0, (granule - 6) * PAGE);
	assert_true(resident(&model, 0, granule) > granule / 2);
	decommit(&model, 5, 1);
	assert_int_equal(resident(&model, 0, granule), 0);
	close_pieces(&model);
}

/* How many objects of that size there is room for. */
static size_t
fits(memkind_t kind, size_t size)
{
	void *all = NULL, *object;
	size_t count = 0;

	for (; (object = vmc_memkind_malloc(kind, size)); count++) {
		*(void **)object = all;
		all = object;
	}
	while ((object = all)) {
		all = *(void **)object;
		vmc_memkind_free(kind, object);
	}
	return count;
}

/*
 * A kind of 16 MiB held less after each round of objects that were given back
 * in part: what was committed again was charged twice.
 */
static void
test_nothing_is_lost(void **state)
{
	static const size_t larger[] = {16384, 1048576, 6710886, 10066329};
	memkind_t kind;
	size_t first;

	(void)state;
	assert_int_equal(memkind_create_pmem(directory(), 16 * MIB, &kind), 0);
	first = fits(kind, 8192);
	assert_true(first * 8192 > 15 * MIB);
	for (int round = 0; round < 40; round++) {
		assert_in_range(
			fits(kind, 8192), first * 99 / 100, first * 101 / 100);
		for (size_t i = 0; i < sizeof(larger) / sizeof(*larger); i++) {
			void *object = vmc_memkind_malloc(kind, larger[i]);
			assert_non_null(object);
			vmc_memkind_free(kind, object);
		}
		assert_int_equal(vmc_space_check(&kind->space), 0);
	}
	memkind_destroy_kind(kind);
}

static size_t
mapped(memkind_t kind)
{
	size_t bytes = 0;

	for (struct vmc_piece *p = kind->space.pieces; p; p = p->next)
		bytes += p->size;
	return bytes;
}

/* A kind has addresses in proportion to what is allocated. */
static void
test_few_addresses(void **state)
{
	memkind_t kind;
	void *object;

	(void)state;
	assert_int_equal(
		memkind_create_pmem(directory(), 1024 * MIB, &kind), 0);
	assert_null(kind->space.pieces);
	object = vmc_memkind_malloc(kind, 100);
	assert_non_null(object);
	assert_in_range(mapped(kind), VMC_OS_CHUNK, 2 * VMC_OS_CHUNK);
	vmc_memkind_free(kind, object);
	memkind_destroy_kind(kind);
}

static size_t pretended; /* bytes of every file system; 0: what it has */

int __real_vmc_os_file_system_size(int fd, size_t *size);
int __wrap_vmc_os_file_system_size(int fd, size_t *size);

int
__wrap_vmc_os_file_system_size(int fd, size_t *size)
{
	int err = __real_vmc_os_file_system_size(fd, size);

	if (pretended > 0)
		*size = pretended;
	return err;
}

/*
 * Without a limit, on file systems larger than all addresses, or than a file
 * may be. (Such a kind could not be made.)
 */
static void
test_large_file_systems(void **state)
{
	static const size_t tib[] = {20, 100, (size_t)8 << 20, SIZE_MAX >> 40};
	memkind_t kind;

	(void)state;
	for (size_t i = 0; i < sizeof(tib) / sizeof(*tib); i++) {
		pretended = tib[i] << 40;
		assert_int_equal(memkind_create_pmem(directory(), 0, &kind), 0);
		for (size_t size = 100; size < 10 * MIB; size *= 10) {
			char *object = vmc_memkind_malloc(kind, size);
			assert_non_null(object);
			object[0] = object[size - 1] = 1;
			vmc_memkind_free(kind, object);
		}
		assert_true(mapped(kind) < 64 * MIB);
		assert_int_equal(memkind_destroy_kind(kind), 0);
	}
	pretended = 0;
}

static bool
overcommit_is_refused(void)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "r");
	int digit = file ? fgetc(file) : EOF;

	if (file)
		fclose(file);
	return digit == '2';
}

/*
 * What is left to a program that has used all kinds, some in large files: more
 * than all of them could have been given.
 */
static void
test_addresses_left(void **state)
{
	const size_t file = (size_t)256 << 30, rest = (size_t)16 << 40;
	memkind_t files[8];
	size_t all = 0;
	void *room;

	(void)state;
	if (RUNNING_ON_VALGRIND || overcommit_is_refused())
		skip();
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(
			memkind_create_pmem(directory(), file, &files[i]), 0);
		assert_non_null(vmc_memkind_malloc(files[i], 100));
	}
	for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
		memkind_t kind = &vmc_kinds[i];
		if (kind != MEMKIND_DEFAULT && i < MEMKIND_NUM_BASE_KIND)
			vmc_memkind_free(kind, vmc_memkind_malloc(kind, 100));
		all += mapped(kind);
	}
	assert_true(all < 1024 * MIB);
	room = mmap(NULL, rest, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#ifndef VMC_TESTING_SANITIZED /* which has most of them */
	assert_ptr_not_equal(room, MAP_FAILED);
#endif
	if (room != MAP_FAILED)
		munmap(room, rest);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(memkind_destroy_kind(files[i]), 0);
}

/*
 * A thread alone can have all memory of the machine's in large objects. (Only
 * 43 % were to be had.) None of it is touched.
 */
static void
test_all_of_memory(void **state)
{
	const size_t size = 100 * MIB;
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE;
	size_t most = memory / 100 * 95 / size, count = 0;
	void *objects[400];

	(void)state;
	if (RUNNING_ON_VALGRIND || overcommit_is_refused() ||
		memkind_check_available(MEMKIND_REGULAR) != 0)
		skip();
	if (most > 400)
		most = 400;
	while (count < most &&
		(objects[count] = vmc_memkind_malloc(MEMKIND_REGULAR, size)))
		count++;
	assert_int_equal(count, most);
	while (count > 0)
		vmc_memkind_free(MEMKIND_REGULAR, objects[--count]);
	vmc_memkind_give_back(MEMKIND_REGULAR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_nothing_stays_behind),
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_few_addresses),
		cmocka_unit_test(test_large_file_systems),
		cmocka_unit_test(test_addresses_left),
		cmocka_unit_test(test_all_of_memory),
	};

	random_state = testing_seed();
	vmc_kinds_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

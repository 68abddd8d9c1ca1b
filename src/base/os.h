/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os.h -- the one interface to the operating system
 *
 * Everything platform-specific that the library needs stands here, with its
 * preconditions; nothing else has an #ifdef for a platform. Functions return
 * 0 or a negative errno unless they say otherwise; none prints or aborts, is a
 * cancellation point, or, unless it says so, calls malloc().
 * os.c has what concerns the process, os_file.c files and their mappings,
 * os_shared.c files that other processes find, os_memory.c how much memory
 * there is.
 */
#ifndef VMC_BASE_OS_H
#define VMC_BASE_OS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of a base page in bytes. */
size_t vmc_os_page_size(void);

/*
 * What a file that the kernel shows begins with, as a string, into size bytes
 * at text; how long it is, or a negative errno.
 */
long vmc_os_read_text(const char *path, char *text, size_t size);

/* Call each() for every name in a directory, without "." and "..". */
int vmc_os_list(
	const char *path, void (*each)(const char *name, void *arg), void *arg);

/* On standard error, past stdio; what cannot be written is lost. */
void vmc_os_print(const char *text, size_t length);

/*
 * The one number in a file that the kernel shows, decimal, or with a leading
 * 0x hexadecimal. -EINVAL: it holds something else. *number is set on success
 * only.
 */
int vmc_os_read_number(const char *path, uint64_t *number);

/* The size in bytes of what one entry of the second page table level maps. */
size_t vmc_os_huge_page_size(void);

/* The number of processors the calling thread may run on, at least 1. */
unsigned vmc_os_cpu_count(void);

/*
 * The number that threads of the process may come to run on, at least 1: of
 * those online, whatever the calling thread was pinned to.
 */
unsigned vmc_os_processor_count(void);

/* Is there a mapping behind every page that the range touches? size above 0. */
bool vmc_os_is_mapped(const void *addr, size_t size);

/* Nanoseconds of a clock that never goes back, in steps of milliseconds. */
uint64_t vmc_os_clock_ns(void);

/*
 * Sleep while *word is that value, until another thread wakes all that sleep
 * so, or the clock above shows that time; it may end early. False: the time is
 * over. until_ns UINT64_MAX: without end.
 */
bool vmc_os_sleep_while(
	_Atomic uint32_t *word, uint32_t value, uint64_t until_ns);
void vmc_os_wake_all(_Atomic uint32_t *word);

/* Nanoseconds since 1970, of the clock that people set. */
uint64_t vmc_os_time_ns(void);

/*
 * Milliseconds since the machine was booted, in which it may have slept; never
 * 0. Read without a system call, in some 25 ns.
 */
uint64_t vmc_os_boot_ms(void);

/* 64 bits that an attacker cannot guess (getrandom, clock as a last resort). */
uint64_t vmc_os_random64(void);

/* The number of this process. */
int vmc_os_process(void);

/* Has the process of that number ended, all its threads? A zombie has. */
bool vmc_os_process_is_gone(int pid);

/* Private zeroed memory, size a multiple of the page size; NULL if none. */
void *vmc_os_map_anonymous(size_t size);
/* The same, but shared with the children of this process. */
void *vmc_os_map_shared(size_t size);
void vmc_os_unmap(void *addr, size_t size);

/*
 * Children get these pages empty, whatever forks them: private anonymous ones.
 * Best effort.
 */
void vmc_os_wipe_on_fork(void *addr, size_t size);

/* The calling thread's number; and has that thread of this process ended? */
int vmc_os_thread(void);
bool vmc_os_thread_is_gone(int thread);

/*
 * Run on each processor that this process may run on, one after the other, and
 * go back to where the thread was allowed to: each thread of the process has
 * been taken off its processor in between, or was on none, so it has executed a
 * full memory barrier. False: the system refuses. Takes tens of microseconds a
 * processor.
 */
bool vmc_os_visit_processors(void);

/*
 * Is any of this memory one that a child of a fork would share with us, not get
 * a copy of? True also where the system does not tell.
 */
bool vmc_os_is_shared(const void *addr, size_t size);

/*
 * membarrier(2), private expedited. register: false where the kernel has
 * none; readers then need a fence of their own, see epoch.h. membarrier: make
 * every other thread of the process execute a full memory barrier before this
 * returns true; false if the system refused, and nothing may be concluded.
 */
bool vmc_os_membarrier_register(void);
bool vmc_os_membarrier(void);

/*
 * An unnamed file of the caller's in the directory path: O_TMPFILE where the
 * file system has it, mkstemp and unlink otherwise. Mode 0600, close-on-exec.
 * -ENOTDIR: path is no directory.
 */
int vmc_os_open_unnamed(const char *path, int *fd);

/*
 * May this errno, negative, of fallocate(2) mean that the file system, the
 * kernel or what guards the process knows nothing of it? What is wrong with the
 * arguments is not ours: offsets and sizes are whole pages. ENOSPC is for who
 * knows whether space was asked for.
 */
static inline bool
vmc_os_cannot_allocate(int err)
{
	return err == -EOPNOTSUPP || err == -ENOSYS || err == -EINVAL ||
	       err == -ENODEV || err == -EPERM;
}

/* Is path a device DAX? */
bool vmc_os_is_devdax(const char *path);

/*
 * Open the device DAX path, close-on-exec. It is *size bytes long, and
 * lengths and addresses of its mappings are multiples of *align.
 */
int vmc_os_open_devdax(const char *path, int *fd, size_t *size, size_t *align);

void vmc_os_close(int fd);
/* A new one of the same file, close-on-exec. -EMFILE, -ENFILE. */
int vmc_os_duplicate(int fd, int *copy);
/* Which file it is; two zeros: it cannot be told. */
void vmc_os_file_id(int fd, uint64_t id[2]);
/*
 * May fd still be that file? Programs close descriptors that they have not
 * opened, and reuse the numbers. True where it cannot be told.
 */
bool vmc_os_may_be_file(int fd, const uint64_t id[2]);

/*
 * Bytes of memory that can still be taken, by pages of files in memory above
 * all, before the kernel ends a process for it: what the machine and the memory
 * control groups have. SIZE_MAX: it is not known. As the files below root tell,
 * "" for this machine. Some 50 us.
 */
size_t vmc_os_memory_left(const char *root);

/*
 * Is there so much? Who asks piece by piece, as they take it, is told no before
 * too much is gone. Nearly always without looking; from any thread, also where
 * nothing may be allocated.
 */
bool vmc_os_memory_take(size_t size);

/* Bytes of so many of the file system's blocks, SIZE_MAX: too many to count. */
struct statfs;
size_t vmc_os_blocks_to_bytes(const struct statfs *fs, uint64_t blocks);

/* Lengths of mappings of the file are multiples of this (hugetlbfs: more). */
size_t vmc_os_granule(int fd);

/*
 * The file, whose space is reserved up to `from`, gets that length. Shortening
 * it gives the rest back to the system; who reads there is ended by SIGBUS.
 * -EFBIG: more than the file system or RLIMIT_FSIZE allows; never SIGXFSZ.
 * -ENOSPC: more than the file system has free.
 */
int vmc_os_set_length(int fd, size_t from, size_t size);

/*
 * Reserve the space behind the file's bytes from `from` to size, so that
 * touching a page later cannot fail: -ENOSPC comes from here, never a SIGBUS
 * later.
 */
int vmc_os_reserve(int fd, size_t from, size_t size);

/* The bytes of addresses that the process may have; SIZE_MAX: no limit. */
size_t vmc_os_address_limit(void);

/*
 * Map the file shared, readable and writable, at a multiple of align if the
 * address space has room for that. It may be shorter than the mapping: what is
 * beyond its end can be used once the file is longer. *sync: the mapping is of
 * persistent memory, stores go to the medium without the page cache between
 * (MAP_SYNC). Left out of core dumps.
 */
int vmc_os_map_file(int fd, size_t size, size_t align, void **addr, bool *sync);

/* Does the file live in memory alone? Its pages are then made, not read. */
bool vmc_os_in_memory(int fd);

/*
 * Huge pages for a fresh mapping of a file in memory, as far as the system has
 * them: prefer once for the whole, after vmc_os_set_length(), then make, which
 * may be called from several threads, for parts that begin at multiples of the
 * huge page size, and before vmc_os_reserve(), which completes it. False:
 * there will be no more of them.
 */
void vmc_os_prefer_huge(void *addr, size_t size);
bool vmc_os_make_huge(void *addr, size_t size);

/*
 * The size of the pages that faults on the shared file mapping get:
 * vmc_os_huge_page_size() if all the places looked at had those, else the
 * base page.
 */
size_t vmc_os_mapped_page_size(void *addr, size_t size);

/*
 * The bytes that are mapped by huge pages now, in those mappings of the process
 * of which is_meant tells so. Asks the kernel, which looks through its page
 * tables: milliseconds where much is mapped by small pages. 0: it does not
 * tell, as of persistent memory.
 */
size_t vmc_os_huge_bytes(
	bool (*is_meant)(uintptr_t start, uintptr_t end, const void *arg),
	const void *arg);

/*
 * Make the pages of a shared file mapping present and writable, without a
 * change of their contents; others may be using them.
 */
int vmc_os_populate(void *addr, size_t size);

/*
 * Make the file of that path, which must not be there, and map it. It is so
 * long, rounded up (vmc_os_shared_size), zeros that have their space, of mode
 * 0600, close-on-exec, and held by this process until fd is closed or the
 * process ends.
 */
int vmc_os_create_shared(const char *path, size_t size, int *fd, void **addr);
size_t vmc_os_shared_size(size_t size);
/* What cannot be removed stays. */
void vmc_os_remove(const char *path);
/* Does a process, not this one, hold the file? Also if it cannot be told. */
bool vmc_os_is_held(int fd);

#endif

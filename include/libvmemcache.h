/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libvmemcache.h -- an embeddable, volatile key-value cache in a memory pool
 * that the program chooses
 *
 * Compatible with libvmemcache 0.8 in source and binary form. This header is
 * the reference. vmemcache(3) has the same content as a man page, and
 * libvmemcache(7) is an overview.
 *
 * Words. The pool is the memory that holds the bytes of values. Its medium is
 * where this memory comes from: a file system or a device. Metadata is all
 * that the cache keeps outside the pool: keys, entries, index and order of
 * eviction. The pool is divided into blocks of equal size; an extent is a run
 * of adjacent blocks that belong to one value. (0.8 calls the size of a block
 * the extent size, and so do the names here.)
 *
 * Errors. On failure a call that returns int or ssize_t returns -1, sets errno
 * and leaves a message for vmemcache_errormsg(). A call with a NULL cache fails
 * with EINVAL, or does nothing if it returns void. A key size above PTRDIFF_MAX
 * is EINVAL.
 *
 * Forks. In a child of fork(2) every call on a cache of the parent fails with
 * EBADF, except vmemcache_delete() and the setters of callbacks. A call whose
 * callback forks and then returns in the child fails there in the same way.
 * Exception: if the parent has ended, and has put and evicted nothing since the
 * fork, the first child that makes a call owns the cache. So daemon(3) may
 * follow vmemcache_add(); see libvmemcache(7).
 *
 * Signals. No call is async-signal-safe: a handler must not make one, nor leave
 * one by longjmp(3).
 *
 * Threads. Calls may be made from any number of threads at once, except: call
 * set_*, callback_*, bench_set and add from one thread, before any other thread
 * uses the cache; call delete after all other threads have stopped using it.
 * Where a call has another rule, the rule stands with the call.
 */
#ifndef LIBVMEMCACHE_H
#define LIBVMEMCACHE_H 1

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#ifdef __GNUC__ /* functions with the name of a struct are meant */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#endif

/* The version of libvmemcache whose interface this is. The version of the
 * library itself: vmemcache_version(). */
#define VMEMCACHE_MAJOR_VERSION 0
#define VMEMCACHE_MINOR_VERSION 8

/* The smallest pool, in bytes. */
#define VMEMCACHE_MIN_POOL ((size_t)(1024 * 1024))
/* The smallest block, in bytes, and the default. Values occupy whole blocks. */
#define VMEMCACHE_MIN_EXTENT ((size_t)256)

/* A cache. Opaque. */
typedef struct vmemcache VMEMcache;

/*
 * What is evicted when the pool is full. Policies that 0.8 does not have are
 * numbered from 16 on, since programs of 0.8 use NUM as an invalid policy.
 */
enum vmemcache_repl_p {
	VMEMCACHE_REPLACEMENT_NONE, /* nothing: put fails with ENOSPC */
	VMEMCACHE_REPLACEMENT_LRU,  /* the least recently used; the default */

	VMEMCACHE_REPLACEMENT_NUM,

	/* since 1.0; gets of these write nothing to what is got often */
	VMEMCACHE_REPLACEMENT_SIEVE = 16, /* SIEVE, NSDI 2024 */
	VMEMCACHE_REPLACEMENT_S3FIFO,     /* S3-FIFO, SOSP 2023 */
	VMEMCACHE_REPLACEMENT_ADAPTIVE    /* what suits the load, by itself */
};

/*
 * Statistics, each an unsigned long long. See vmemcache_get_stat(). Statistics
 * that 0.8 does not have are numbered from 64 on, since programs of 0.8 use NUM
 * as an invalid one.
 */
enum vmemcache_statistic {
	VMEMCACHE_STAT_PUT,            /* successful puts */
	VMEMCACHE_STAT_GET,            /* gets: hits and misses */
	VMEMCACHE_STAT_HIT,            /* gets that found the key */
	VMEMCACHE_STAT_MISS,           /* gets that did not */
	VMEMCACHE_STAT_EVICT,          /* entries removed, to make room or by
					  a call */
	VMEMCACHE_STAT_ENTRIES,        /* entries now in the cache */
	VMEMCACHE_STAT_DRAM_SIZE_USED, /* bytes of metadata in DRAM; 0 if the
					  metadata is elsewhere */
	VMEMCACHE_STAT_POOL_SIZE_USED, /* bytes of allocated blocks */
	VMEMCACHE_STAT_HEAP_ENTRIES,   /* runs of adjacent free blocks */

	VMEMCACHE_STATS_NUM,

	VMEMCACHE_STAT_EXTENTS = 64,   /* extents of all values */
	VMEMCACHE_STAT_PAGE_SIZE,      /* bytes of a page of the pool, as the
					  system granted it */
	VMEMCACHE_STAT_PMEM_SIZE_USED, /* bytes of metadata in a file, with
					  VMEMCACHE_METADATA_PMEM; else 0 */
	VMEMCACHE_STAT_KMEM_SIZE_USED, /* bytes of metadata on memory nodes,
					  with VMEMCACHE_METADATA_KMEM; else
					  0 */
	VMEMCACHE_STAT_POOL_SIZE,      /* bytes of the pool */
	VMEMCACHE_STAT_POOL_SIZE_HUGE, /* bytes of the pool in huge pages now.
					  Reading it may take milliseconds */
	VMEMCACHE_STAT_DRAM_SIZE_HUGE  /* bytes in huge pages now, of the heap
					  for the metadata in DRAM of all
					  caches. Reading it may take
					  milliseconds */
};

/* Switches for benchmarks. See vmemcache_bench_set(). */
enum vmemcache_bench_cfg {
	VMEMCACHE_BENCH_INDEX_ONLY, /* keep keys in the index, no values */
	VMEMCACHE_BENCH_NO_ALLOC,   /* no blocks are allocated */
	VMEMCACHE_BENCH_NO_MEMCPY,  /* blocks are allocated, no bytes copied */
	VMEMCACHE_BENCH_PREFAULT    /* touch every page of the pool now */
};

/* The structure that finds entries by their keys. Since 1.0. */
enum vmemcache_index {
	VMEMCACHE_INDEX_CRITNIB, /* a critnib trie: 17 to 20 bytes per entry */
	VMEMCACHE_INDEX_HASH,    /* linear hashing: 27 to 29 bytes per entry,
				    and faster for puts that evict; the
				    default */
};

/* Where the metadata is. Since 1.0. */
enum vmemcache_metadata {
	VMEMCACHE_METADATA_DRAM, /* ordinary memory; the default */
	VMEMCACHE_METADATA_PMEM, /* an unnamed file of its own in the directory
				    that vmemcache_add() is given */
	VMEMCACHE_METADATA_KMEM  /* the closest node of persistent or CXL memory
				    that the system uses as RAM, and other
				    nodes when that is full */
};

/*
 * Called before an entry is evicted, on the thread that evicts it. Gets from
 * any thread still find the entry until the callback returns. The callback may
 * call put, get, exists and evict on this or another cache, and these calls may
 * run callbacks in turn. key belongs to the cache and is valid during the call
 * only. No lock of the library is held.
 *
 * The callback may end by pthread_exit(3), by a cancellation of its thread or
 * by a C++ exception. Then the entry stays, so do all others that this put
 * would have evicted next, and the put does not take place. The callback must
 * not be left by longjmp(3). This paragraph holds for on_miss and on_progress,
 * too.
 */
typedef void vmemcache_on_evict(
	VMEMcache *cache, const void *key, size_t key_size, void *arg);

/*
 * Called by vmemcache_get() after a miss, on the thread of the get. If the
 * callback puts this key into this cache, the get returns a value. It is the
 * value of the put, also if there was no space to keep it. If the put failed
 * with EEXIST, since another thread has put the key meanwhile, it is the value
 * in the cache, or the value of the put if that entry has gone again. key is
 * the pointer that the get was given.
 */
typedef void vmemcache_on_miss(
	VMEMcache *cache, const void *key, size_t key_size, void *arg);

/*
 * Called by vmemcache_add() during prefaulting, on the thread that adds: done
 * of total bytes are present. The last call has done == total. Return 0 to go
 * on; any other value makes vmemcache_add() fail with ECANCELED. The callback
 * must not use the cache.
 */
typedef int vmemcache_on_progress(
	VMEMcache *cache, size_t done, size_t total, void *arg);

/*
 * Returns a new cache without a pool: its policy is LRU, its blocks have
 * VMEMCACHE_MIN_EXTENT bytes, its size is not set. Free it with
 * vmemcache_delete(). Returns NULL on failure: ENOMEM.
 */
VMEMcache *vmemcache_new(void);

/*
 * Sets the size of the pool in bytes. vmemcache_add() rounds it up to a page.
 * EINVAL: below VMEMCACHE_MIN_POOL, or 2^56 and above. EALREADY: after add.
 */
int vmemcache_set_size(VMEMcache *cache, size_t size);

/*
 * Sets the size in bytes up to which vmemcache_resize() may enlarge the pool.
 * 0, the default, means 16 times the size of the pool, but at most a quarter of
 * RLIMIT_AS. vmemcache_add() reserves addresses for it, not memory; if the
 * system grants fewer addresses, the limit is lower. EINVAL: 2^56 and above.
 * EALREADY: after add. In libvmemcache since 1.0.
 */
int vmemcache_set_most(VMEMcache *cache, size_t size);

/*
 * Sets the size of a block in bytes: values occupy whole blocks. EINVAL: below
 * VMEMCACHE_MIN_EXTENT. EALREADY: after add.
 */
int vmemcache_set_extent_size(VMEMcache *cache, size_t extent_size);

/* EINVAL: unknown policy. EALREADY: after add. */
int vmemcache_set_eviction_policy(
	VMEMcache *cache, enum vmemcache_repl_p policy);

/* EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0. */
int vmemcache_set_metadata(VMEMcache *cache, enum vmemcache_metadata where);

/*
 * Limits the metadata, wherever it is, to this number of bytes, counted as in
 * metadata_bytes of vmemcache_statistics(). 0, the default, means no limit.
 * Near the limit each put and store first evicts entries that have twice the
 * metadata it needs, expired ones before the least useful; so does a touch that
 * gives an entry its first time to live. If not enough can be evicted for it,
 * it evicts only what has expired, and fails with ENOSPC. Metadata that exceeds
 * a new limit therefore shrinks step by step. 1/16 of the limit stays free,
 * since several threads together may exceed it by what they are putting.
 * Removed entries count while they are pinned.
 *
 * May be called at any time. EINVAL: the cache is NULL. EBADF: it is another
 * process's.
 */
int vmemcache_set_metadata_limit(VMEMcache *cache, uint64_t bytes);

/* EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0. */
int vmemcache_set_index(VMEMcache *cache, enum vmemcache_index index);

/*
 * With ordered other than 0, the cache also keeps its keys in the order of
 * their bytes, for vmemcache_walk_prefix() and vmemcache_remove_prefix(). That
 * takes some 20 bytes per key, and time whenever an entry comes or goes.
 * Default: 0. EALREADY: after add. In libvmemcache since 1.0.
 */
int vmemcache_set_ordered(VMEMcache *cache, int ordered);

/*
 * Makes vmemcache_add() create every page of the pool, so that no put has to.
 * threads is the number of threads that do it, the caller of vmemcache_add()
 * included; if some cannot be started, the others do it all. With 0, the
 * default, pages are created on first use, except on tmpfs, where they always
 * exist once vmemcache_add() returns. on_progress may be NULL; arg is passed to
 * it. EALREADY: after add. In libvmemcache since 1.0.
 */
int vmemcache_set_prefault(VMEMcache *cache, unsigned threads,
	vmemcache_on_progress *on_progress, void *arg);

/*
 * Creates the pool. If path is a directory, the pool is an unnamed file (mode
 * 0600) in it, whose space is reserved at once; path may also be a /dev/dax
 * device. If no size was set, the pool has VMEMCACHE_MIN_POOL bytes, or is the
 * whole device. After a failure the cache can be configured and added again.
 *
 * EBUSY: the cache has a pool already.
 * EINVAL: path is NULL; the block is larger than the pool; the pool is larger
 *   than the device; path is a device and the metadata is to be in PMEM; the
 *   metadata is to be in KMEM and MEMKIND_DAX_KMEM_NODES is no list of nodes.
 * ENODEV: the metadata is to be in KMEM, and the machine has no such node, or
 *   several that are equally close: MEMKIND_DAX_KMEM_NODES can name one.
 * ENOTDIR: path is neither a directory nor a /dev/dax device.
 * ENOSPC: the file system has no room for the pool.
 * ECANCELED: on_progress returned a value other than 0.
 * EBADF: on_progress called fork() and returned in the child.
 * ENOMEM: no memory; or the pool would be in memory (tmpfs), and is larger than
 *   what the machine or the memory control group has left.
 * And every errno of open(2), fallocate(2) and mmap(2).
 */
int vmemcache_add(VMEMcache *cache, const char *path);

/*
 * Frees the cache and its pool: no file, mapping, descriptor or thread is left.
 * Callbacks do not run. Requires that no other call on the cache is in
 * progress. NULL is ignored.
 */
void vmemcache_delete(VMEMcache *cache);

/*
 * Changes the size of the pool, in bytes, rounded up to a page, while it is in
 * use. Other calls go on meanwhile, and gets find all values that stay.
 *
 * When the pool grows, space is reserved and prefaulted as by vmemcache_add();
 * on_progress is told of the new part. When it shrinks, values are moved, and
 * the least useful ones are evicted if not all fit: on_evict and on_remove run
 * on the calling thread. A value is not moved while it is pinned or reserved,
 * or while a callback of another call is told of it. At the end the file is
 * cut, and other mappings of it (vmemcache_region()) end there, too.
 *
 * The call waits for stores and evictions of other threads, except their
 * callbacks, and for gets that are copying. After an error other than EBUSY the
 * size is unchanged; values evicted until then are gone.
 *
 * EINVAL: below VMEMCACHE_MIN_POOL or the size of a block, or 2^56 and above.
 * EALREADY: another call is resizing the pool, perhaps one whose callback makes
 * this call. EBUSY: values that can be neither moved nor evicted are in the
 * way; the pool is as small as they allow. ENOMEM: as add, or more than
 * vmemcache_set_most() reserved. ENOSPC: the file system is full, or the device
 * ends. ECANCELED, EBADF: as add; or the pool's descriptor was closed. ENOSYS:
 * to shrink, where membarrier(2) and sched_setaffinity(2) are refused. And
 * every errno of ftruncate(2) and fallocate(2). In libvmemcache since 1.0.
 */
int vmemcache_resize(VMEMcache *cache, size_t size);

/* Sets the callback, or with NULL none. arg is passed to it. */
void vmemcache_callback_on_evict(
	VMEMcache *cache, vmemcache_on_evict *evict, void *arg);

/* Sets the callback, or with NULL none. arg is passed to it. */
void vmemcache_callback_on_miss(
	VMEMcache *cache, vmemcache_on_miss *miss, void *arg);

/*
 * Inserts a copy of the value under a copy of the key. Evicts entries if
 * needed, and only if the put will then succeed. A key that is there is not
 * replaced: vmemcache_store() does that. An empty value takes no block, but
 * counts as one: so a pool of n blocks has at most n entries, and one more for
 * each thread that puts at the same time.
 *
 * A value that fits the pool finds room whatever other threads put at the same
 * time: the call waits for their puts and evictions in progress, but never for
 * their callbacks.
 *
 * EEXIST: the key is there; nothing was changed.
 * ENOSPC: the value is larger than the pool or than 512 GiB, or evicting every
 *   entry that can be evicted would not make room for it, or for its metadata
 *   (vmemcache_set_metadata_limit()). (An entry whose on_evict callback is
 *   running cannot.)
 * EINVAL: key or value is NULL and its size is above 0, or the cache has no
 *   pool.
 * ENOMEM: no memory for the metadata.
 *
 * A put that fails has evicted nothing, except in three cases. EEXIST: another
 * thread put the key after this put had looked for it. ENOSPC: others took the
 * free blocks while on_evict ran, or there was room for the metadata first, and
 * then none for the value. ENOMEM: there was no memory for the index or
 * for the list of the value's extents.
 */
int vmemcache_put(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size);

/*
 * Copies at most vbufsize bytes of the value, from offset on, to vbuf, and
 * returns their number. It is 0 if offset is at or past the end of the value,
 * vbuf is NULL, or vbufsize is 0. If vsize is not NULL, *vsize becomes the size
 * of the whole value; a miss leaves it unchanged.
 *
 * ENOENT: the key is not there, and the on_miss callback, if any, has not put
 *   it.
 * EINVAL: key is NULL and its size is above 0, or the cache has no pool.
 * ENOMEM: the thread's first call on the cache, and no memory for what is kept
 *   per thread.
 */
ssize_t vmemcache_get(VMEMcache *cache, const void *key, size_t key_size,
	void *vbuf, size_t vbufsize, size_t offset, size_t *vsize);

/* One of many gets: the arguments of vmemcache_get(), and what came of it. */
struct vmemcache_request {
	const void *key;
	size_t key_size;
	void *vbuf;
	size_t vbufsize;
	size_t offset;
	size_t vsize;   /* the size of the value; not touched on a miss */
	ssize_t result; /* bytes copied, or minus an error code: -ENOENT, … */
};

/*
 * Performs the gets requests[0] to requests[count - 1] in this order, and
 * fetches memory for up to 16 of them at a time. For random keys in a large
 * cache, 16 gets take a quarter to a third of the time of 16 calls of
 * vmemcache_get() (doc/PERFORMANCE.md). A miss calls on_miss. The array and the
 * buffers belong to the caller; the buffers must not overlap.
 *
 * Returns the number of gets that succeeded, with the result of each in its
 * request. Fails before the first get, with:
 * EINVAL: requests is NULL and count is above 0; a key is NULL and its size is
 *   above 0; count exceeds SSIZE_MAX; or the cache has no pool.
 * ENOMEM: as vmemcache_get().
 */
ssize_t vmemcache_get_many(
	VMEMcache *cache, struct vmemcache_request *requests, size_t count);

/* The condition for storing a value. Since 1.0, as is all that follows on
 * storing. */
enum vmemcache_mode {
	VMEMCACHE_SET,     /* none: the value is inserted or replaces another */
	VMEMCACHE_ADD,     /* the key is not there */
	VMEMCACHE_REPLACE, /* the key is there */
	VMEMCACHE_IF_VERSION /* the value there has the version if_version */
};

/* As ttl_ms: the value does not expire. */
#define VMEMCACHE_FOREVER UINT64_MAX

/* As a flag: a value that replaces another keeps the time at which that would
 * have expired; ttl_ms is used only if the value is inserted. */
#define VMEMCACHE_KEEP_TTL 1u
/* As a flag: see vmemcache_reserve(). */
#define VMEMCACHE_EXCLUSIVE 2u
/* As a flag: see vmemcache_load(). */
#define VMEMCACHE_STALE 4u

/*
 * How to store a value. Every member except struct_size may be 0, its default.
 * A NULL pointer in place of the structure means all defaults. Set struct_size
 * to sizeof(struct vmemcache_store): the structure may get more members in
 * later versions.
 */
struct vmemcache_store {
	size_t struct_size;
	enum vmemcache_mode mode;
	unsigned flags;      /* 0 or VMEMCACHE_KEEP_TTL, and where that is
				said some of the others */
	uint64_t if_version; /* for VMEMCACHE_IF_VERSION */
	uint64_t ttl_ms;     /* 0: the cache's default; VMEMCACHE_FOREVER */
	uint64_t stale_ms;   /* for VMEMCACHE_STALE */
	uint32_t tag;        /* any number, stored with the value; 0 takes no
				memory */
	uint32_t cost;       /* of a miss, in any unit; 0: as others' */
};

/*
 * cost: with VMEMCACHE_REPLACEMENT_ADAPTIVE a cache prefers to keep what costs
 * much for its blocks. Only the ratios of costs count: a value that costs 20
 * times as much as others of its size that are evicted stays about 20 times as
 * long without a use (32 times at most). One without a cost is neither
 * preferred nor put at a disadvantage. A cost takes 4 to 16 bytes of metadata;
 * other policies ignore it, and then it takes none.
 */

/*
 * Stores a copy of the value under a copy of the key, in one step: at any
 * moment a reader finds the old value or the new one, whole, and never a miss
 * in between. Evicts entries as vmemcache_put() does, except the one that is
 * replaced: for a moment the pool holds both values.
 *
 * If version is not NULL, *version becomes the version of the new value: a
 * number above 0 that no other value of this key has had in this cache. A call
 * that fails leaves *version unchanged. A cache keeps versions from the first
 * call on that asks for one, that reports one (as pins and walks do), or that
 * sets on_remove.
 *
 * A store counts as a put. A value that is replaced does not count as evicted,
 * and on_evict is not called for it. Within on_miss a store answers the get as
 * a put does, unless it fails with ENOENT or ESTALE.
 *
 * The value expires ttl_ms milliseconds after the call, by CLOCK_BOOTTIME. From
 * then on no call finds it: gets miss, ADD succeeds, REPLACE fails. The entry
 * is removed when its blocks are needed, before any other is evicted; on_evict
 * is called then, and until then the entry counts in the statistics.
 *
 * EEXIST: mode is ADD, and the key is there.
 * ENOENT: mode is REPLACE or IF_VERSION, and the key is not there.
 * ESTALE: mode is IF_VERSION, and the value there has another version.
 * ENOSPC: as vmemcache_put(); or the pool is too small for the value and the
 * one that it would replace together. EINVAL: as vmemcache_put(); or
 * struct_size, mode or flags is invalid. ENOMEM: as vmemcache_put().
 *
 * A store that fails has evicted nothing, except in the cases that are listed
 * at vmemcache_put().
 */
int vmemcache_store(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	uint64_t *version);

/* One of many stores: arguments of vmemcache_store(), and what came of it. */
struct vmemcache_store_request {
	const void *key;
	size_t key_size;
	const void *value;
	size_t value_size;
	const struct vmemcache_store *how; /* NULL: all defaults */
	uint64_t version; /* of the new value; unchanged on failure */
	int result;       /* 0 or minus an error code: -EEXIST, … */
};

/*
 * Performs the stores requests[0] to requests[count - 1] in this order, and
 * fetches memory for several of them at a time. From then on the cache keeps
 * versions. The array and what it points to belong to the caller.
 *
 * Returns the number of stores that succeeded, with the result of each in its
 * request. Fails before the first store, with:
 * EINVAL: requests is NULL and count is above 0; count exceeds SSIZE_MAX; the
 *   cache has no pool; or a request is EINVAL for vmemcache_store().
 * ENOMEM: as vmemcache_get().
 */
ssize_t vmemcache_store_many(VMEMcache *cache,
	struct vmemcache_store_request *requests, size_t count);

/*
 * Records a use of the entry, and sets its time to live, counted from now:
 * ttl_ms as in vmemcache_store(). Value and version stay the same.
 *
 * ENOENT: the key is not there.
 * EAGAIN: another thread is evicting the entry; or the entry is pinned, and was
 *   stored without a time to live.
 * ENOSPC: the limit on metadata has no room for the entry's first time to live.
 * EINVAL: key is NULL and its size is above 0, or the cache has no pool.
 * ENOMEM: as vmemcache_get().
 */
int vmemcache_touch(
	VMEMcache *cache, const void *key, size_t key_size, uint64_t ttl_ms);

/*
 * Sets the time to live, in milliseconds, of values that are put or stored from
 * now on without one of their own. 0, the default, and VMEMCACHE_FOREVER: they
 * do not expire. May be called at any time.
 */
int vmemcache_set_ttl(VMEMcache *cache, uint64_t ttl_ms);

/*
 * Removes the entry of key if its value has the version if_version, or any
 * version if that is 0. The on_evict callback runs first.
 *
 * ENOENT: the key is not there.
 * ESTALE: its value has another version.
 * EAGAIN: as vmemcache_evict().
 * EINVAL: key is NULL and its size is above 0, or the cache has no pool.
 * ENOMEM: as vmemcache_get().
 */
int vmemcache_remove(VMEMcache *cache, const void *key, size_t key_size,
	uint64_t if_version);

/* What vmemcache_fetch() and pins tell about a value. */
struct vmemcache_info {
	size_t struct_size; /* set by the caller: sizeof this structure */
	size_t value_size;
	uint64_t version; /* 0: on_miss could not store the value */
	uint64_t ttl_ms;  /* until it expires; VMEMCACHE_FOREVER: never */
	uint32_t tag;
};

/* As a flag: neither the order of eviction nor a statistic changes. */
#define VMEMCACHE_PEEK 1u
/* As a flag: on_miss is not called. */
#define VMEMCACHE_NO_CALLBACK 2u

/*
 * As vmemcache_get(). If info is not NULL, *info describes the value that the
 * bytes are from; a miss leaves it unchanged. buffer may be NULL: then no bytes
 * are copied. flags: 0, or some of the flags above or-ed.
 *
 * ENOENT, ENOMEM: as vmemcache_get(). EINVAL: as vmemcache_get(); or flags or
 * info->struct_size is invalid.
 */
ssize_t vmemcache_fetch(VMEMcache *cache, const void *key, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, unsigned flags,
	struct vmemcache_info *info);

/*
 * Returns 1 if the key is there, 0 if it is not. If vsize is not NULL and the
 * key is there, *vsize becomes the size of its value. Neither the order of
 * eviction nor a statistic changes. EINVAL, ENOMEM: as vmemcache_get().
 */
int vmemcache_exists(
	VMEMcache *cache, const void *key, size_t key_size, size_t *vsize);

/*
 * Removes the entry of key, or if key is NULL the entry that the policy would
 * evict next. The on_evict callback runs first.
 *
 * ENOENT: the key is not there.
 * EAGAIN: another thread is putting or evicting the entry; or this call is made
 *   by the on_evict callback of the same entry; or another value was stored
 *   while on_evict ran, and stays.
 * ESRCH: key is NULL and there is nothing to evict, as is always so with
 *   VMEMCACHE_REPLACEMENT_NONE.
 * EINVAL: the cache has no pool.
 * ENOMEM: as vmemcache_get().
 */
int vmemcache_evict(VMEMcache *cache, const void *key, size_t key_size);

/*
 * Stores the statistic in *value, an unsigned long long; value_size is
 * sizeof(unsigned long long). The figure is exact if no other call is in
 * progress. Otherwise it may be a moment old, and ENTRIES and EXTENTS may count
 * what came and went while they were read; it is never below 0, and PUT, GET,
 * HIT, MISS and EVICT never decrease. EINVAL: the statistic is unknown, value
 * is NULL, or value_size is another.
 */
int vmemcache_get_stat(VMEMcache *cache, enum vmemcache_statistic stat,
	void *value, size_t value_size);

/* --- Values where they are: pins. In libvmemcache since 1.0. --- */

/* vmemcache_pin_many(): only the keys before the first miss. */
#define VMEMCACHE_LEADING 4u

/*
 * A pinned value. iov may point into this structure: do not move it while the
 * value is pinned, and do not use a copy of it. The library writes all of it,
 * and frees what its members point to.
 */
struct vmemcache_item {
	const struct iovec *iov; /* the pieces of the value, in order */
	int iov_count;           /* number of pieces; -1: nothing is pinned */
	unsigned kind;           /* private, as is all below info */
	struct vmemcache_info info;
	void *entry;
	void *more;
	struct iovec piece[2];
	uint64_t reserved[7];
};

/* One of many keys. */
struct vmemcache_key {
	const void *key;
	size_t key_size;
};

/*
 * Pins the value of key: *item lists its pieces in the pool, for writev(2),
 * sendmsg(2) or io_uring. Until vmemcache_unpin() the bytes neither move nor
 * change, whatever happens to the key. The program may write to them itself;
 * other readers may then read the old bytes, the new ones, or some of both. A
 * pinned value is not evicted: where all are, a put fails with ENOSPC.
 *
 * Otherwise this is a get: it counts as a use of the entry, and after a miss it
 * calls on_miss and looks again. flags: VMEMCACHE_PEEK, VMEMCACHE_NO_CALLBACK,
 * or 0. ENOENT: a miss. EINVAL: item is NULL, flags are unknown, or as
 * vmemcache_get(). ENOMEM. After a failure item->iov_count is -1.
 */
int vmemcache_pin(VMEMcache *cache, const void *key, size_t key_size,
	unsigned flags, struct vmemcache_item *item);

/*
 * Pins the values of count keys, one after the other, and returns the number of
 * values pinned. With VMEMCACHE_LEADING in flags it stops at the first key that
 * is not there. Items of values that are not pinned have an iov_count of -1.
 *
 * Returns -1 if nothing is pinned because of an error. EINVAL: keys or items is
 * NULL and count is above 0, a key is NULL and its size is above 0, flags are
 * unknown, count exceeds SSIZE_MAX, or the cache has no pool. ENOMEM.
 */
ssize_t vmemcache_pin_many(VMEMcache *cache, const struct vmemcache_key *keys,
	size_t count, unsigned flags, struct vmemcache_item *items);

/*
 * Ends a pin. Never fails. Any thread may call it, but no two threads for the
 * same item at a time. It sets iov_count to -1, and does nothing to an item in
 * which it is -1. In a child of fork(2) that may not use the cache it does
 * nothing. Unpin every item before vmemcache_delete(): otherwise a library that
 * was built with assertions ends the program, and any other leaks some memory.
 */
void vmemcache_unpin(VMEMcache *cache, struct vmemcache_item *item);

/*
 * Tells where the pool is mapped until vmemcache_delete(), to register it with
 * io_uring, RDMA or a GPU. *fd becomes a new descriptor of the file or device;
 * the caller closes it. Each pointer may be NULL. EINVAL: the cache has no
 * pool. EMFILE, ENFILE: there are too many descriptors.
 */
int vmemcache_region(VMEMcache *cache, void **base, size_t *size, int *fd);

/* --- Values made in place. In libvmemcache since 1.0. --- */

/*
 * Allocates room for a value of value_size bytes, and evicts for it as
 * vmemcache_put() does. Write the value to the pieces of *item, with readv(2)
 * or recvmsg(2) say; at first they hold any bytes. No call finds the entry
 * until vmemcache_commit(). A time to live begins now. The reservation stays
 * until any thread commits or aborts it, also after its own thread has ended;
 * end it before vmemcache_delete(), as a pin.
 *
 * how->flags: VMEMCACHE_KEEP_TTL, or VMEMCACHE_EXCLUSIVE. A key has at most one
 * exclusive reservation, or load, at a time; vmemcache_wait() waits for it. It
 * does not hold up stores, nor reservations without this flag.
 *
 * EINPROGRESS: VMEMCACHE_EXCLUSIVE, and the key has an exclusive reservation or
 * load. ENOSPC, ENOMEM: as vmemcache_put(). EINVAL: item is NULL, how is not
 * valid (vmemcache_store()), or as vmemcache_put(). After a failure
 * item->iov_count is -1.
 */
int vmemcache_reserve(VMEMcache *cache, const void *key, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);

/*
 * Stores the first value_size bytes of the reservation as the value, in one
 * step, as vmemcache_store() does with the mode of the reservation. If version
 * is not NULL, *version becomes that of the value. It ends the reservation. If
 * the space was cleared since, the commit evicts there for the quota.
 *
 * EEXIST, ENOENT, ESTALE: as vmemcache_store(). ENOMEM, ENOSPC: no room in the
 * index, for what is kept per thread, or after such a clear in the quota. In
 * these cases the reservation is gone. EINVAL: item is no reservation, or
 * value_size is more than was reserved: nothing was changed.
 */
int vmemcache_commit(VMEMcache *cache, struct vmemcache_item *item,
	size_t value_size, uint64_t *version);

/* Gives a reservation up, on any thread. Never fails; ignores other items. */
void vmemcache_abort(VMEMcache *cache, struct vmemcache_item *item);

/*
 * Waits until the exclusive reservation or the load of key that is in progress
 * has ended, for timeout_ms at most (VMEMCACHE_FOREVER: without end). Returns 0
 * if its value was committed; the value may have been evicted since. No
 * cancellation point.
 *
 * ENOENT: none is in progress, perhaps since it has just ended: look the key up
 * again. ECANCELED: it was aborted, its commit failed, or its loader did not
 * return. ETIMEDOUT: it has not ended in time. EDEADLK: it is a load of the
 * calling thread. EINVAL, ENOMEM: as vmemcache_get(). And the error that the
 * loader returned.
 */
int vmemcache_wait(VMEMcache *cache, const void *key, size_t key_size,
	uint64_t timeout_ms);

/* --- One load for all who miss. In libvmemcache since 1.0. --- */

/* A load in progress: a loader hands it to vmemcache_loading_reserve(). */
struct vmemcache_loading;

/*
 * Makes the value of a key, on the thread whose vmemcache_load() missed it. It
 * calls vmemcache_loading_reserve() when it knows the size, writes the value to
 * the room, and returns 0; the value is then committed. Or it stores the value
 * by any other call, and returns 0. If it fails, it returns an error code above
 * 0, as in errno.h. No lock is held: it may call anything except
 * vmemcache_delete(), and may be left as on_evict. key belongs to the caller of
 * the load.
 */
typedef int vmemcache_loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg);

/*
 * Allocates room for the value that is being loaded, as vmemcache_reserve()
 * does. The pieces of *item are valid until the loader returns; then all of it
 * is committed. The loader must not commit or abort it; a second call in the
 * same loader frees the room of the first. If how is NULL, that of
 * vmemcache_load() is used; flags as there. Errors: as vmemcache_reserve(),
 * except EINPROGRESS. EINVAL: also if loading is NULL.
 */
int vmemcache_loading_reserve(struct vmemcache_loading *loading,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);

/*
 * Pins the value of key as vmemcache_pin() does, and after a miss loads it. The
 * loader runs once, however many threads ask for the key at a time. The others
 * wait, for timeout_ms at most (VMEMCACHE_FOREVER: without end), and get the
 * value, or the error that the loader returned. If the loader does not return
 * (its thread ends, or throws an exception), or a reservation that threads wait
 * for is aborted, one of the waiting threads loads. Loads of different keys do
 * not wait for each other; but loaders that load each other's keys wait until
 * their time is over. on_miss is not called. No cancellation point, except in
 * the loader.
 *
 * how: how to store the value, unless the loader says so. If a commit with
 * VMEMCACHE_ADD finds another value, the call succeeds and pins that one.
 * how->flags: VMEMCACHE_KEEP_TTL; VMEMCACHE_EXCLUSIVE changes nothing, as all
 * loads are exclusive; VMEMCACHE_STALE: while another thread loads the value,
 * or has it reserved, the call pins the value that expired less than
 * how->stale_ms ago, if that is still there, and does not wait. info.ttl_ms is
 * 0 then. Expired values are the first to be evicted.
 *
 * ETIMEDOUT: another thread was not done in time. EDEADLK: the calling thread
 * is loading that key. ENOENT: the loader returned 0 and has stored nothing, or
 * the value was gone before it could be pinned. What the loader returned;
 * EINVAL if below 0. ENOENT, ESTALE, ENOSPC: as vmemcache_commit(), also for
 * threads that waited. EINVAL: item or loader is NULL, how is not valid, or as
 * vmemcache_get(). ENOMEM. After a failure item->iov_count is -1.
 */
int vmemcache_load(VMEMcache *cache, const void *key, size_t key_size,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	uint64_t timeout_ms, struct vmemcache_item *item);

/* --- Walking. In libvmemcache since 1.0. --- */

/* What a walk is to do after an entry. */
enum vmemcache_step {
	VMEMCACHE_WALK_ON,
	VMEMCACHE_WALK_STOP,  /* pause here */
	VMEMCACHE_WALK_REMOVE /* go on, and remove this entry */
};

/*
 * Called by vmemcache_walk(), on its thread. The entry is pinned during the
 * call. No lock is held: the callback may call anything except
 * vmemcache_delete(), and may be left as on_evict. key belongs to the cache.
 */
typedef enum vmemcache_step vmemcache_on_item(VMEMcache *cache, const void *key,
	size_t key_size, const struct vmemcache_item *item, void *arg);

/*
 * Shows about at_most entries to on_item, beginning at *cursor (0: the start),
 * and returns their number. *cursor becomes where to go on, and 0 again at the
 * end. A walk from 0 to 0, in one call or in many, shows each entry that stays
 * in the cache meanwhile once, and each that comes or goes at most once,
 * however the index grows or shrinks. Entries with equal hashes are shown in
 * one call. No use is recorded, and nothing counted as a get.
 *
 * EINVAL: cursor or on_item is NULL, at_most is 0, or the cache has no pool.
 * ENOMEM: none was shown.
 */
ssize_t vmemcache_walk(VMEMcache *cache, uint64_t *cursor, size_t at_most,
	vmemcache_on_item *on_item, void *arg);

/*
 * Shows entries whose keys begin with the prefix (of 0 bytes: all entries) to
 * on_item, ordered by the bytes of their keys: as memcmp() compares them, and a
 * key before all keys that it is the beginning of. If after is not NULL, it is
 * a key, present or not, and only entries behind it are shown. Shows at_most at
 * most, and returns how many. If it shows fewer, and on_item has not returned
 * STOP, there are no more; else go on after the last key shown. A walk to the
 * end, in one call or in many, shows each entry that stays in the cache
 * meanwhile once, and each that comes or goes at most once; of a value that is
 * replaced meanwhile, the old or the new one. No use is recorded, and nothing
 * counted as a get.
 *
 * With vmemcache_set_ordered() the time is proportional to what is shown.
 * Without it, each call looks at all entries of the cache, and copies the keys
 * to show; if some of these go before they are shown, it may look again.
 *
 * EINVAL: prefix or after is NULL and its size is not 0, on_item is NULL,
 * at_most is 0, or the cache has no pool. ENOMEM: some may have been shown.
 */
ssize_t vmemcache_walk_prefix(VMEMcache *cache, const void *prefix,
	size_t prefix_size, const void *after, size_t after_size,
	size_t at_most, vmemcache_on_item *on_item, void *arg);

/*
 * Removes all entries whose keys begin with the prefix, in the order of their
 * keys, as vmemcache_remove() does, and returns how many it removed, without
 * those that another call is evicting. No call finds an entry that was there
 * before, once this returns; others that are stored meanwhile may go, too.
 * Time: as vmemcache_walk_prefix(). EINVAL: prefix is NULL and prefix_size is
 * not 0, or the cache has no pool. ENOMEM: some may be left.
 */
ssize_t vmemcache_remove_prefix(
	VMEMcache *cache, const void *prefix, size_t prefix_size);

/*
 * Removes all entries that are there when it is called; others that are stored
 * meanwhile may go, too. It takes constant time; the room of the entries is
 * used again before anything is evicted, a bounded part by each later call that
 * needs room, and by each clear. Until then metadata_bytes counts them; no
 * other figure does. If on_remove is set, it is called for each, and time is
 * proportional to their number; so it is on the cache itself while entries of
 * 16 earlier clears are left. EINVAL: the cache has no pool. ENOMEM: nothing
 * was changed; or with on_remove, not all were told of, and some may be left.
 */
int vmemcache_clear(VMEMcache *cache);

/* --- Spaces: several caches in one pool. In libvmemcache since 1.0. --- */

struct vmemcache_space {
	size_t struct_size; /* sizeof(struct vmemcache_space) */
	const char *name;   /* NULL: "space"; see vmemcache_set_name() */
	size_t quota;       /* at most so many bytes of blocks; 0: no limit */
	size_t reserved;    /* bytes of blocks that others leave it; or 0 */
};

/*
 * Creates a space of a cache that has a pool: a handle for all calls, with
 * keys, callbacks, default time to live, name and statistics of its own. Pool,
 * policy and metadata are the cache's. An entry takes 4 bytes more. how NULL:
 * all zero.
 *
 * A put that would exceed the quota evicts in its own space. Puts of others
 * evict from a space only while it has more than is reserved for it. If several
 * spaces have, the one whose next victim is about the oldest loses an entry.
 *
 * vmemcache_evict() without a key evicts the space's own next victim. Walks
 * show the space's entries (of the cache: those in no space); of a space in
 * time proportional to the entries of all spaces, by prefix as well, ordered or
 * not. Statistics: pool_bytes is the quota, if any; what cannot be told by
 * space is 0; those of the cache are of all spaces together. vmemcache_delete()
 * requires that no thread is using the space or has a reservation in it. It
 * waits for callbacks of other threads that evict from it, takes constant time,
 * and calls no callback. Deleting the cache deletes its spaces.
 *
 * Returns NULL on failure. EINVAL: cache is NULL, a space, or without a pool;
 * struct_size is unknown; the name is invalid; the quota is below a block, or
 * below what is reserved. ENOSPC: more is reserved, in all, than the pool has;
 * or there are 65,536 spaces. ENOMEM, EBADF: as vmemcache_put().
 */
VMEMcache *vmemcache_new_space(
	VMEMcache *cache, const struct vmemcache_space *how);

/* --- What goes, and why. In libvmemcache since 1.0. --- */

/* Why an entry went. */
enum vmemcache_reason {
	VMEMCACHE_REASON_CAPACITY, /* another one needed its room */
	VMEMCACHE_REASON_EVICTED,  /* a call said so: evict, remove */
	VMEMCACHE_REASON_EXPIRED,  /* its time was over */
	VMEMCACHE_REASON_REPLACED, /* another value took its place */
	VMEMCACHE_REASON_CLEARED   /* vmemcache_clear() */
};
#define VMEMCACHE_REASONS 5

/*
 * Called when an entry goes, on the thread that removes it, after on_evict.
 * item is the value, valid during the call; its iov_count is -1 if there is no
 * memory for the list of its pieces. Gets still find the entry, unless it was
 * replaced. All else is as for on_evict, which is also called if the reason is
 * CAPACITY, EVICTED or EXPIRED. If the callback does not return, the entry
 * stays; one that was replaced goes, and the new one stays.
 */
typedef void vmemcache_on_remove(VMEMcache *cache, const void *key,
	size_t key_size, const struct vmemcache_item *item,
	enum vmemcache_reason reason, void *arg);

/* on_remove may be NULL: none. arg is handed to it as it is. */
void vmemcache_callback_on_remove(
	VMEMcache *cache, vmemcache_on_remove *on_remove, void *arg);

/* --- Statistics in one snapshot. In libvmemcache since 1.0. --- */

/* How a store was to treat what is there: vmemcache_put() is an ADD. */
#define VMEMCACHE_MODES 4

/* What came of a store. */
enum vmemcache_outcome {
	VMEMCACHE_OUTCOME_INSERTED, /* there was no such key */
	VMEMCACHE_OUTCOME_REPLACED, /* the value took another one's place */
	VMEMCACHE_OUTCOME_EXISTS,   /* EEXIST */
	VMEMCACHE_OUTCOME_ABSENT,   /* ENOENT */
	VMEMCACHE_OUTCOME_STALE,    /* ESTALE: another version is there */
	VMEMCACHE_OUTCOME_NO_SPACE, /* ENOSPC */
	VMEMCACHE_OUTCOME_NO_MEMORY /* ENOMEM */
};
#define VMEMCACHE_OUTCOMES 7

/*
 * All figures of a cache. Those up to touches_lost count what has happened
 * since vmemcache_add(), and never get smaller. The others tell what is now.
 */
struct vmemcache_statistics {
	size_t struct_size; /* set by the caller: sizeof of this */
	uint64_t gets, hits, misses;
	uint64_t stores[VMEMCACHE_MODES][VMEMCACHE_OUTCOMES];
	uint64_t removals[VMEMCACHE_REASONS];
	uint64_t loads;        /* loaders that were called */
	uint64_t loads_failed; /* loaders from which no value came */
	uint64_t loads_shared; /* loads that met one of the same key */
	uint64_t touches_lost; /* gets that are missing in the order of
				  eviction, since threads were too busy */
	uint64_t items;
	uint64_t value_bytes;    /* of all values */
	uint64_t block_bytes;    /* of the blocks that hold them */
	uint64_t metadata_bytes; /* beside the pool: keys, index, order */
	uint64_t pool_bytes;
	uint64_t most_bytes;          /* that it can be resized to */
	uint64_t free_runs;           /* maximal runs of free blocks */
	uint64_t pieces;              /* runs of blocks that values are in */
	uint64_t page_bytes;          /* of a page of the pool, as granted */
	uint64_t pool_huge_bytes;     /* of the pool, in huge pages now */
	uint64_t metadata_huge_bytes; /* of the memory that all caches' metadata
					 in DRAM comes from */
	uint64_t pinned_items; /* with those removed from the cache since */
	uint64_t pinned_bytes; /* of their values */
	uint64_t reservations; /* neither committed nor aborted yet */
	uint64_t reserved_bytes;
	uint64_t metadata_limit_bytes; /* vmemcache_set_metadata_limit() */
};

/*
 * All statistics at once; *statistics is the caller's. The counters of all
 * threads are read in one pass: exact while no other call is in progress, and
 * beside others as for vmemcache_get_stat(). Before vmemcache_add() all are 0.
 * It may take milliseconds, to ask the system for huge pages. EINVAL:
 * statistics NULL, or a struct_size that is not known.
 */
int vmemcache_statistics(
	VMEMcache *cache, struct vmemcache_statistics *statistics);

enum vmemcache_format {
	VMEMCACHE_FORMAT_TEXT,      /* lines for people */
	VMEMCACHE_FORMAT_JSON,      /* one object, on one line */
	VMEMCACHE_FORMAT_PROMETHEUS /* the text exposition format, 0.0.4 */
};

/*
 * The statistics as text, as snprintf(3) does it: at most size - 1 characters
 * and a zero byte are written to buffer, which may be NULL if size is 0. The
 * result is the number of characters that all of it has. Names of figures are
 * those of struct vmemcache_statistics. Errors as of vmemcache_statistics();
 * EINVAL: unknown format, or buffer NULL with a size above 0.
 */
ssize_t vmemcache_format_statistics(VMEMcache *cache,
	enum vmemcache_format format, char *buffer, size_t size);

/* The longest name of a cache, without the zero byte at its end. */
#define VMEMCACHE_NAME_MAX 63

/*
 * The name that the statistics give the cache, a copy; "vmemcache" at first.
 * It may be set at any time, but not beside another call on this cache. EINVAL:
 * NULL, empty, longer than VMEMCACHE_NAME_MAX, or with characters other than
 * printable ASCII.
 */
int vmemcache_set_name(VMEMcache *cache, const char *name);

/*
 * Publishes the statistics of the cache, which must have a pool, to other
 * processes of the same user: vmemcache-top shows them. They are in a file of
 * /dev/shm, which vmemcache_delete() and exit() remove. name becomes the
 * cache's name, as by vmemcache_set_name(). NULL ends the publication.
 *
 * A thread of the library, the only one that outlives a call, updates the
 * figures of all published caches once a second. It runs from the first
 * publication of the process to the end of the last one, with all signals
 * blocked. A child made by fork() does not have it: if the child owns the cache
 * (after daemon(3)), it has to publish it again.
 *
 * From any thread, beside any call on the cache except vmemcache_set_name() and
 * vmemcache_delete(). A failure leaves everything as it was. EINVAL: the cache
 * is NULL or has no pool, or the name is invalid. EBADF: the cache is another
 * process's. ENOMEM,
 * EMFILE, ENFILE, EAGAIN: no memory, descriptor or thread. ENOENT, EACCES,
 * ENOSPC, EFBIG, EEXIST, ENOLCK, or another errno of open(2): no file can be
 * made in /dev/shm.
 */
int vmemcache_publish(VMEMcache *cache, const char *name);

/*
 * Switches parts of the operations off, to measure the others: val 0 is the
 * usual behaviour, any other value the one that cfg names. PREFAULT acts at
 * once, or if the cache has no pool yet, in vmemcache_add(). A cache that was
 * used with one of the other switches on is good for benchmarks only.
 */
void vmemcache_bench_set(
	VMEMcache *cache, enum vmemcache_bench_cfg cfg, size_t val);

/*
 * Returns the message of the calling thread's latest failure, or "" if there
 * was none; never NULL. The text is valid until the thread's next failure.
 */
const char *vmemcache_errormsg(void);

/* Returns the version of the library, such as "vmemcache 1.0.0". Since 1.0. */
const char *vmemcache_version(void);

#ifdef __cplusplus
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
}
#endif

#endif

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
 * Threads. put, store, get, get_many, fetch, exists, evict, remove and get_stat
 * may be called from any number of threads at once, and so may errormsg and
 * version. Call set_*, callback_*, bench_set and add from one thread, before
 * any other thread uses the cache. Call delete after all other threads have
 * stopped using it. Where a call has another rule, the rule stands with the
 * call.
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
/* The smallest block, in bytes, and the default. A value occupies whole blocks.
 */
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
 * Sets how large vmemcache_resize() may make the pool, in bytes; 0, the
 * default, is 16 times its size, up to a quarter of RLIMIT_AS. Add reserves
 * addresses for that, and no memory; fewer, if it does not get as many. EINVAL:
 * 2^56 and above. EALREADY: after add. In libvmemcache since 1.0.
 */
int vmemcache_set_most(VMEMcache *cache, size_t size);

/*
 * Sets the size of a block in bytes: a value occupies its size rounded up to a
 * multiple of extent_size. EINVAL: below VMEMCACHE_MIN_EXTENT. EALREADY: after
 * add.
 */
int vmemcache_set_extent_size(VMEMcache *cache, size_t extent_size);

/* EINVAL: unknown policy. EALREADY: after add. */
int vmemcache_set_eviction_policy(
	VMEMcache *cache, enum vmemcache_repl_p policy);

/* EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0. */
int vmemcache_set_metadata(VMEMcache *cache, enum vmemcache_metadata where);

/*
 * Limits the metadata, wherever it is, to so many bytes, counted as in
 * metadata_bytes of vmemcache_statistics(). 0, the default: no limit. Where it
 * is nearly reached, each put and store evicts least useful entries with twice
 * the metadata of its own before it adds to it; where not as much can be
 * evicted as it takes, it fails with ENOSPC, and nothing has been evicted. So a
 * limit that is set below what there is is reached bit by bit. 1/16 of the
 * limit is left free for calls of several threads at a time, which may exceed
 * it by what they are putting; entries whose removal pins hold back count.
 *
 * Before or after vmemcache_add(), from any thread, beside any call but
 * vmemcache_delete(). EINVAL: the cache is NULL. EBADF: the cache is another
 * process's.
 */
int vmemcache_set_metadata_limit(VMEMcache *cache, uint64_t bytes);

/* EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0. */
int vmemcache_set_index(VMEMcache *cache, enum vmemcache_index index);

/*
 * ordered != 0: the cache keeps its keys in the order of their bytes, too, for
 * vmemcache_walk_prefix() and vmemcache_remove_prefix(). It costs some 20 bytes
 * a key, and time with each item that comes or goes. Not set: not ordered.
 * EALREADY: after add. In libvmemcache since 1.0.
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
 * Makes the pool that large, rounded up to a page, while it is in use. Other
 * calls go on meanwhile, and values stay where gets find them.
 *
 * A pool that grows has its space reserved, and is prefaulted, as by
 * vmemcache_add(); on_progress is told of what it grows by. To make it smaller,
 * values are moved, and the least useful ones evicted if not all fit: on_evict
 * and on_remove run on the calling thread. Not moved is what is pinned or
 * reserved, or what a callback of another call is told of. Then the file gets
 * shorter: other mappings of it (vmemcache_region()) end there, too.
 *
 * The call waits for others that are storing or evicting, but for their
 * callbacks, and for gets that are copying. After an error other than EBUSY it
 * is as large as it was; what was evicted until then is gone.
 *
 * EINVAL: below VMEMCACHE_MIN_POOL or the size of a block, or 2^56 and above.
 * EALREADY: another call is resizing it, perhaps the callback's that calls
 * this. EBUSY: what can neither be moved nor evicted is in the way; it is as
 * small as that allows. ENOMEM: no memory, as of add, or more than
 * vmemcache_set_most() reserved. ENOSPC: the file system is full, or the device
 * ends. ECANCELED, EBADF: as of add; or the pool's descriptor was closed.
 * ENOSYS: to shrink, where membarrier(2) and sched_setaffinity(2) are refused.
 * And every errno of ftruncate(2) and fallocate(2). In libvmemcache since 1.0.
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
 * call on that asks for one or tells of one, as pins and walks do, or sets
 * on_remove.
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

/* One of many stores: the arguments of vmemcache_store(), and what came of it.
 */
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
 * EINVAL: key is NULL and its size is above 0, or the cache has no pool.
 * ENOMEM: as vmemcache_get().
 */
int vmemcache_touch(
	VMEMcache *cache, const void *key, size_t key_size, uint64_t ttl_ms);

/*
 * Sets the time to live, in milliseconds, of values that are put or stored from
 * now on without one of their own. 0, the default, and VMEMCACHE_FOREVER: they
 * do not expire. May be called at any time, from any thread.
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
 * An item that is pinned. iov may point into it: it stays where it is while it
 * is pinned, and a copy is none. All of it is the library's to write and free.
 */
struct vmemcache_item {
	const struct iovec *iov; /* the pieces of the value, in order */
	int iov_count;           /* of them; -1: nothing is pinned */
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
 * Pin the value of the key: *item tells where it is in the pool, for writev(2),
 * sendmsg(2) or io_uring. Until vmemcache_unpin() its bytes neither move nor
 * change, whatever happens to the key, unless the program itself writes to
 * them: other readers may then read the bytes of before, of after, or some of
 * both. A pinned item is no victim: where all are pinned a put fails with
 * ENOSPC.
 *
 * Otherwise this is a get: a use of the item, and a miss calls on_miss and
 * looks again. flags: VMEMCACHE_PEEK, VMEMCACHE_NO_CALLBACK, or 0. From any
 * thread. ENOENT: a miss. EINVAL: item NULL, unknown flags, or as of
 * vmemcache_get(). ENOMEM. After a failure item->iov_count is -1.
 */
int vmemcache_pin(VMEMcache *cache, const void *key, size_t key_size,
	unsigned flags, struct vmemcache_item *item);

/*
 * Pin the values of count keys, one after the other, and return how many are
 * pinned: each that is there, or with VMEMCACHE_LEADING in flags those before
 * the first that is not. The others' items have an iov_count of -1.
 *
 * -1 where nothing is pinned: EINVAL: keys or items is NULL with a count above
 * 0, a key is NULL with a size above 0, unknown flags, the count exceeds
 * SSIZE_MAX, or the cache has no medium. ENOMEM.
 */
ssize_t vmemcache_pin_many(VMEMcache *cache, const struct vmemcache_key *keys,
	size_t count, unsigned flags, struct vmemcache_item *items);

/*
 * The value is no longer needed. It never fails; any thread may call it, one
 * for an item at a time. An item of which iov_count is -1 is left alone, as
 * this leaves it. In a child of fork(2) that may not use the cache it does
 * nothing. Every item must be unpinned before vmemcache_delete(): else one that
 * was built with assertions ends the program, and any other keeps some memory.
 */
void vmemcache_unpin(VMEMcache *cache, struct vmemcache_item *item);

/*
 * Where the pool is mapped until vmemcache_delete(), to be registered with
 * io_uring, RDMA or a GPU. *fd: a new descriptor of the file or device, the
 * caller's to close. Each may be NULL. EINVAL: the cache has no medium. EMFILE,
 * ENFILE: there are too many descriptors.
 */
int vmemcache_region(VMEMcache *cache, void **base, size_t *size, int *fd);

/* --- Values made in place. In libvmemcache since 1.0. --- */

/*
 * Room for a value of that size, evicting as vmemcache_put() would: the pieces
 * of *item are to be written to, by readv(2) or recvmsg(2) say, and hold
 * anything before. Nobody finds the item until it is committed. A time to live
 * begins here. A reservation, also of a thread that has ended, stays until any
 * commits or aborts it: before vmemcache_delete(), as of vmemcache_unpin().
 *
 * how->flags: VMEMCACHE_KEEP_TTL, or VMEMCACHE_EXCLUSIVE. There is one
 * exclusive reservation, or load, of a key at a time; others can be waited for.
 * What is stored otherwise, or reserved without this flag, is not kept back.
 *
 * EINPROGRESS: VMEMCACHE_EXCLUSIVE, and the key is reserved so, or loaded.
 * ENOSPC, ENOMEM: as of vmemcache_put(). EINVAL: item NULL, how is not valid
 * (vmemcache_store()), or as of vmemcache_put(). After a failure
 * item->iov_count is -1.
 */
int vmemcache_reserve(VMEMcache *cache, const void *key, size_t key_size,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);

/*
 * The first value_size bytes are the value from here on: stored in one step, as
 * by vmemcache_store() with the mode that was reserved for. *version, unless
 * NULL, becomes its version. The item is none any more.
 *
 * EEXIST, ENOENT, ESTALE: as of vmemcache_store(). ENOMEM, ENOSPC: no room in
 * the index, or for the thread. In these cases the reservation is gone. EINVAL:
 * the item is not reserved, or value_size is more than was: nothing changed.
 */
int vmemcache_commit(VMEMcache *cache, struct vmemcache_item *item,
	size_t value_size, uint64_t *version);

/* The reservation goes. Any thread may; it never fails. Other items stay. */
void vmemcache_abort(VMEMcache *cache, struct vmemcache_item *item);

/*
 * Wait until the exclusive reservation or the load of the key that is under way
 * has ended: 0 if its value was committed. It may have gone again by then.
 * timeout_ms: for so long at most; VMEMCACHE_FOREVER. No cancellation point.
 *
 * ENOENT: there is none, perhaps any more: look the key up again. ECANCELED: it
 * was aborted, its commit failed, or its loader did not return. ETIMEDOUT.
 * EDEADLK: it is a load of the calling thread. EINVAL, ENOMEM: as of
 * vmemcache_get(). And what the loader answered.
 */
int vmemcache_wait(VMEMcache *cache, const void *key, size_t key_size,
	uint64_t timeout_ms);

/* --- One load for all who miss. In libvmemcache since 1.0. --- */

/* What a loader asks for room, while it runs. */
struct vmemcache_loading;

/*
 * Makes the value of a key, on the thread of a vmemcache_load() that missed it.
 * It asks for room when it knows the size, fills it, and returns 0: then that
 * is committed. Or it stores the value by any other call. Otherwise it returns
 * an error code above 0, as of errno.h. No lock is held: it may call anything
 * but delete, and may be left as on_evict. key belongs to the caller of the
 * load.
 */
typedef int vmemcache_loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg);

/*
 * Room for the value that is being loaded, as by vmemcache_reserve(): the
 * pieces of *item are valid until the loader returns, and all of it is
 * committed then. The loader neither commits nor aborts it; another call in the
 * same loader gives this room back. how NULL: as of vmemcache_load(). flags: as
 * there. Errors: as of vmemcache_reserve(), but EINPROGRESS. EINVAL: loading
 * NULL.
 */
int vmemcache_loading_reserve(struct vmemcache_loading *loading,
	size_t value_size, const struct vmemcache_store *how,
	struct vmemcache_item *item);

/*
 * Pin the value of the key, as by vmemcache_pin(); on a miss load it. The
 * loader runs once, however many threads ask for the key at a time: the others
 * wait, for timeout_ms at most (VMEMCACHE_FOREVER: without end), and get the
 * value, or the error that the loader answered. If it does not return, as its
 * thread has ended or by an exception, or a reservation that was waited for is
 * aborted, one of those that wait loads. Loads of other keys are not waited
 * for. A loader that loads another key, which is loaded by who waits for this
 * one, waits until its time is over. on_miss is not called. No cancellation
 * point, but in the loader.
 *
 * how: how the value is stored, if the loader does not say so. A commit that
 * finds another value in the way, by VMEMCACHE_ADD, is no failure: that is
 * pinned. how->flags: VMEMCACHE_KEEP_TTL; VMEMCACHE_EXCLUSIVE, which all loads
 * are; VMEMCACHE_STALE: while another thread loads the value, or has it
 * reserved, one that expired less than how->stale_ms ago is pinned in place of
 * waiting, if it is still there: its room may have been needed. Its
 * info.ttl_ms is 0.
 *
 * ETIMEDOUT: another thread was not done in time. EDEADLK: the calling thread
 * is loading that key. ENOENT: the loader answered 0, but has stored nothing,
 * or it had gone again before it could be pinned. What the loader answered;
 * EINVAL: also if that is below 0. ENOENT, ESTALE, ENOSPC: as of
 * vmemcache_commit(), which others get as well. EINVAL: item or loader NULL,
 * how is not valid, or as of vmemcache_get(). ENOMEM. After a failure
 * item->iov_count is -1.
 */
int vmemcache_load(VMEMcache *cache, const void *key, size_t key_size,
	vmemcache_loader *loader, void *arg, const struct vmemcache_store *how,
	uint64_t timeout_ms, struct vmemcache_item *item);

/* --- Walking. In libvmemcache since 1.0. --- */

/* What a walk is to do after an item. */
enum vmemcache_step {
	VMEMCACHE_WALK_ON,
	VMEMCACHE_WALK_STOP,  /* pause here */
	VMEMCACHE_WALK_REMOVE /* go on; this item is evicted */
};

/*
 * Called by vmemcache_walk(), on its thread. The item is pinned during the
 * call. No lock is held: it may call anything but delete, and may be left as
 * on_evict. key belongs to the cache.
 */
typedef enum vmemcache_step vmemcache_on_item(VMEMcache *cache, const void *key,
	size_t key_size, const struct vmemcache_item *item, void *arg);

/*
 * Show items to on_item, from *cursor on (0: the start), about at_most of them,
 * and return how many; *cursor is where to go on, and 0 again at the end. In a
 * walk from 0 to 0, in one call or in many, each item that stays in the cache
 * all the while is shown once, and each that comes or goes at most once,
 * however the index grows or shrinks. Items of which the hashes are equal are
 * shown in one call. No use is recorded, and nothing counted as a get. From any
 * thread.
 *
 * EINVAL: cursor or on_item NULL, at_most 0, or the cache has no medium.
 * ENOMEM: none was shown.
 */
ssize_t vmemcache_walk(VMEMcache *cache, uint64_t *cursor, size_t at_most,
	vmemcache_on_item *on_item, void *arg);

/*
 * Show items of which the key begins with the prefix (of no bytes: all) to
 * on_item, in the order of the keys' bytes: as memcmp() has it, a key before
 * all that it is the beginning of. after, unless NULL, is a key, there or not:
 * only items behind it are shown. At most at_most; returns how many. It was the
 * last of them if it was fewer, unless on_item has said STOP; else go on after
 * the last key shown. In a walk to the end, in one call or in many, each item
 * that stays in the cache all the while is shown once, and each that comes or
 * goes at most once; of a value that is replaced meanwhile, the old or the new
 * one. No use is recorded, and nothing counted as a get. From any thread.
 *
 * It takes time in proportion to what is shown where vmemcache_set_ordered()
 * was called; else each call looks at all items of the cache, and has a copy of
 * the keys that it will show.
 *
 * EINVAL: prefix or after NULL and its size not 0, on_item NULL, at_most 0, or
 * the cache has no medium. ENOMEM: some may have been shown.
 */
ssize_t vmemcache_walk_prefix(VMEMcache *cache, const void *prefix,
	size_t prefix_size, const void *after, size_t after_size,
	size_t at_most, vmemcache_on_item *on_item, void *arg);

/*
 * Evict all items of which the key begins with the prefix, in the order of
 * their keys, as vmemcache_remove() does; returns how many this call evicted.
 * All that were there before the call are gone when it returns, or are pinned
 * and not found any more; others that are stored meanwhile may go, too. Time as
 * vmemcache_walk_prefix(). From any thread. EINVAL: prefix NULL and prefix_size
 * not 0, or the cache has no medium. ENOMEM: some may be left.
 */
ssize_t vmemcache_remove_prefix(
	VMEMcache *cache, const void *prefix, size_t prefix_size);

/*
 * All items that were there before the call are gone when it returns; others
 * that are stored meanwhile may go, too. on_remove is called for each. It takes
 * time in proportion to the number of items; other calls go on meanwhile. From
 * any thread. EINVAL: the cache has no medium. ENOMEM: some may be left.
 *
 * Of a space it takes the same time however many items it has, unless on_remove
 * is set; what they had is used again before anything is evicted. ENOMEM:
 * nothing changed; where on_remove is set, or not all were told of.
 */
int vmemcache_clear(VMEMcache *cache);

/* --- Spaces: several caches in one pool. In libvmemcache since 1.0. --- */

struct vmemcache_space {
	size_t struct_size; /* sizeof(struct vmemcache_space) */
	const char *name;   /* NULL: "space"; see vmemcache_set_name() */
	size_t quota;       /* bytes of the pool, in whole blocks; 0: none */
	size_t reserved;    /* the same, that others leave it; 0: none */
};

/*
 * A space of a cache that has its medium: a handle for all calls, with keys,
 * callbacks, default time to live, name and statistics of its own. Pool, policy
 * and metadata are the cache's. An item takes 4 bytes more. how NULL: all zero.
 *
 * A put over the quota evicts in the space itself. Others' puts evict what it
 * has only while that is more than is reserved for it. Of those that have more
 * the one loses an item whose next victim is the oldest, about.
 *
 * vmemcache_evict() without a key evicts the space's own next victim. Walks
 * show what is the space's, or the cache's own, in time in proportion to all;
 * so do walks by prefix of a space, ordered or not. Statistics: pool_bytes is
 * the quota, if any; what cannot be told by space is 0; those of the cache are
 * of all spaces together. vmemcache_delete(): nobody may be using the space or
 * have a reservation in it; it waits for callbacks that other threads run as
 * they evict; it takes the same time however many items there are, and calls no
 * callback for them. Deleting the cache deletes its spaces. From any thread.
 *
 * NULL, EINVAL: cache NULL, a space, or without a medium; struct_size not
 * known; the name no name; quota less than a block, or than what is reserved.
 * ENOSPC: more is reserved, in all, than the pool has; or there are 65,536
 * spaces. ENOMEM, EBADF: as of vmemcache_put().
 */
VMEMcache *vmemcache_new_space(
	VMEMcache *cache, const struct vmemcache_space *how);

/* --- What goes, and why. In libvmemcache since 1.0. --- */

/* Why an item went. */
enum vmemcache_reason {
	VMEMCACHE_REASON_CAPACITY, /* another one needed its room */
	VMEMCACHE_REASON_EVICTED,  /* a call said so: evict, remove */
	VMEMCACHE_REASON_EXPIRED,  /* its time was over */
	VMEMCACHE_REASON_REPLACED, /* another value took its place */
	VMEMCACHE_REASON_CLEARED   /* all items went */
};
#define VMEMCACHE_REASONS 5

/*
 * Called as an item goes, on the thread that makes it go, after on_evict. item
 * is the value, valid during the call; its iov_count is -1 if there is no
 * memory to list its pieces. The item still answers gets, unless it was
 * replaced. Otherwise this is as on_evict, which goes on to be called if the
 * reason is CAPACITY, EVICTED or EXPIRED. If it does not return, the item
 * stays; one that is replaced goes, and the new one stays.
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
	uint64_t loads_failed; /* of which no value came */
	uint64_t loads_shared; /* loads that met another one of their key */
	uint64_t touches_lost; /* gets that the order of eviction missed, as
				  several threads were too busy */
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
	uint64_t pinned_items; /* also those that are in the cache no more */
	uint64_t pinned_bytes; /* of their values */
	uint64_t reservations; /* neither committed nor aborted yet */
	uint64_t reserved_bytes;
	uint64_t metadata_limit_bytes; /* vmemcache_set_metadata_limit() */
};

/*
 * All statistics at once; *statistics is the caller's. The counters of all
 * threads are read in one pass: exact while no other call is under way, and
 * beside others as for vmemcache_get_stat(). Before vmemcache_add() all are 0.
 * It may take milliseconds, to ask the system for huge pages. From any thread.
 * EINVAL: statistics NULL, or a struct_size that is not known.
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
 * Let other processes of the same user read the statistics of the cache, which
 * has a medium: vmemcache-top shows them. They stand in a file of /dev/shm,
 * which vmemcache_delete() and exit() remove. name: as of vmemcache_set_name(),
 * and from now on the cache's. NULL: no longer.
 *
 * A thread of the library, the only one that outlives a call, brings the
 * figures of all published caches up to date once a second. It runs from the
 * first publication of the process to the end of the last one, with all signals
 * blocked. A child made by fork() does not have it: where the cache is the
 * child's (daemon()), it publishes it again.
 *
 * From any thread, beside any call on the cache but vmemcache_set_name() and
 * vmemcache_delete(). A failure leaves everything as it was. EINVAL: the cache
 * is NULL or has no medium, or the name is none. EBADF: the cache is another
 * process's. ENOMEM, EMFILE, ENFILE, EAGAIN: no memory, descriptor or thread.
 * ENOENT, EACCES, ENOSPC, EFBIG, EEXIST, ENOLCK, or what else open(2) says: no
 * file can be made in /dev/shm.
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

/*
 * Returns the version of the library, a constant such as "vmemcache 1.0.0". In
 * libvmemcache since 1.0.
 */
const char *vmemcache_version(void);

#ifdef __cplusplus
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
}
#endif

#endif

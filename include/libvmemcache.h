/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libvmemcache.h -- an embeddable, volatile key-value cache on a large,
 * cheap, somewhat slower memory
 *
 * Binary and source compatible with libvmemcache 0.8. This header is the
 * manual; vmemcache(3) and libvmemcache(7) tell the same as a narrative.
 *
 * Errors. Calls that return int or ssize_t give -1, set errno and leave a
 * message for vmemcache_errormsg() on failure. Passing a NULL cache is
 * EINVAL everywhere (where there is a return value; else it does nothing).
 * A key size above PTRDIFF_MAX is EINVAL.
 * EBADF: the cache was made before a fork and this is the child, where only
 * vmemcache_delete() and the setters of callbacks may be used: parent and
 * child would otherwise write into the same pool. A call whose callback forks
 * and then returns in the child fails there in the same way. But once the
 * parent has ended, having put and evicted nothing since the fork, the first
 * child that makes a call owns the cache, as after daemon(3): libvmemcache(7).
 *
 * Signals. No call is async-signal-safe: a handler must not make one, nor leave
 * one by longjmp(3).
 *
 * Threads. put, store, get, get_many, fetch, exists, evict, remove and get_stat
 * may be called from any number of threads at once. new, set_*, callback_*,
 * add, bench_set and delete belong to one thread, before (delete: after) all
 * others use the cache.
 */
#ifndef LIBVMEMCACHE_H
#define LIBVMEMCACHE_H 1

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#ifdef __GNUC__ /* functions with the name of a struct are meant */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#endif

/* The interface of libvmemcache 0.8; of the library itself: _version(). */
#define VMEMCACHE_MAJOR_VERSION 0
#define VMEMCACHE_MINOR_VERSION 8

/* The smallest pool, in bytes. */
#define VMEMCACHE_MIN_POOL ((size_t)(1024 * 1024))
/* The smallest extent (allocation granule), in bytes; also the default. */
#define VMEMCACHE_MIN_EXTENT ((size_t)256)

/* A cache. Opaque. */
typedef struct vmemcache VMEMcache;

/*
 * What is removed when the pool is full. Programs of 0.8 take NUM for a policy
 * that there is not: those that 0.8 does not have are numbered from 16 on.
 */
enum vmemcache_repl_p {
	VMEMCACHE_REPLACEMENT_NONE, /* nothing: put fails with ENOSPC */
	VMEMCACHE_REPLACEMENT_LRU,  /* the least recently used; the default */

	VMEMCACHE_REPLACEMENT_NUM,

	/* since 1.0; gets of these write nothing to what is got often */
	VMEMCACHE_REPLACEMENT_SIEVE = 16, /* SIEVE, NSDI 2024 */
	VMEMCACHE_REPLACEMENT_S3FIFO      /* S3-FIFO, SOSP 2023 */
};

/*
 * Statistics, each an unsigned long long. See vmemcache_get_stat(). Those that
 * 0.8 does not have are numbered from 64 on, as NUM is unknown there, too.
 */
enum vmemcache_statistic {
	VMEMCACHE_STAT_PUT,            /* successful puts */
	VMEMCACHE_STAT_GET,            /* gets: hits and misses */
	VMEMCACHE_STAT_HIT,            /* gets that found the key */
	VMEMCACHE_STAT_MISS,           /* gets that did not */
	VMEMCACHE_STAT_EVICT,          /* entries removed, of either kind */
	VMEMCACHE_STAT_ENTRIES,        /* entries now in the cache */
	VMEMCACHE_STAT_DRAM_SIZE_USED, /* bytes of DRAM kept per entry beside
					  the pool: key, entry, index, policy */
	VMEMCACHE_STAT_POOL_SIZE_USED, /* bytes of allocated blocks */
	VMEMCACHE_STAT_HEAP_ENTRIES,   /* maximal runs of free blocks */

	VMEMCACHE_STATS_NUM,

	VMEMCACHE_STAT_EXTENTS = 64,   /* runs of blocks held by all entries */
	VMEMCACHE_STAT_PAGE_SIZE,      /* bytes of a page of the pool, as the
					  system really granted it */
	VMEMCACHE_STAT_PMEM_SIZE_USED, /* as DRAM_SIZE_USED, of metadata in */
	VMEMCACHE_STAT_KMEM_SIZE_USED, /* these; the other two are then 0 */
	VMEMCACHE_STAT_POOL_SIZE,      /* bytes of the pool */
	VMEMCACHE_STAT_POOL_SIZE_HUGE, /* those in huge pages now; reading it
					  may take milliseconds, as may */
	VMEMCACHE_STAT_DRAM_SIZE_HUGE  /* bytes in huge pages of the memory
					  that the metadata in DRAM of all
					  caches comes from */
};

/* Switches for benchmarks. See vmemcache_bench_set(). */
enum vmemcache_bench_cfg {
	VMEMCACHE_BENCH_INDEX_ONLY, /* keep keys in the index, no values */
	VMEMCACHE_BENCH_NO_ALLOC,   /* no blocks are allocated */
	VMEMCACHE_BENCH_NO_MEMCPY,  /* blocks are, bytes are not copied */
	VMEMCACHE_BENCH_PREFAULT    /* touch every page of the pool now */
};

/*
 * What finds the items: a critnib trie, which takes 10 bytes an item less, or
 * linear hashing, which is faster: the default.
 */
enum vmemcache_index {
	VMEMCACHE_INDEX_CRITNIB,
	VMEMCACHE_INDEX_HASH,
};

/* Where what the cache keeps per entry beside the pool lives. Since 1.0. */
enum vmemcache_metadata {
	VMEMCACHE_METADATA_DRAM, /* ordinary memory; the default */
	VMEMCACHE_METADATA_PMEM, /* an unnamed file of its own in the directory
				    that vmemcache_add() is given */
	VMEMCACHE_METADATA_KMEM  /* the closest node of persistent or CXL memory
				    that the system uses as RAM, and other
				    nodes when that is full */
};

/*
 * Called before an entry goes, on the thread that evicts it. Until it returns
 * the entry answers gets from any thread. It may call put, get, exists and
 * evict on this or another cache, recursively. key belongs to the cache and
 * is valid during the call only. No lock of the library is held.
 *
 * It may end by pthread_exit(3), by a cancellation or by an exception of C++:
 * then the entry stays, as do all others that this put would have evicted next,
 * and the put does not take place. It must not be left by longjmp(3). The same
 * goes for on_miss and on_progress.
 */
typedef void vmemcache_on_evict(
	VMEMcache *cache, const void *key, size_t key_size, void *arg);

/*
 * Called by vmemcache_get() after a miss, on the thread of the get. If it
 * puts that very key into that very cache, the get returns a value, even if
 * that put failed: the value put, if there was no space to keep it; and if the
 * key was there (EEXIST), as another thread was faster, what was there then, or
 * where that has gone already, the value put. key is the caller's of the get.
 */
typedef void vmemcache_on_miss(
	VMEMcache *cache, const void *key, size_t key_size, void *arg);

/*
 * Called by vmemcache_add() on its thread, after vmemcache_set_prefault(): so
 * many of total bytes are there; at last all. Other than 0: stop; add fails.
 * It must not use the cache.
 */
typedef int vmemcache_on_progress(
	VMEMcache *cache, size_t done, size_t total, void *arg);

/*
 * A new, unconfigured cache: policy LRU, extents of VMEMCACHE_MIN_EXTENT, no
 * size. To be freed with vmemcache_delete(). NULL: ENOMEM.
 */
VMEMcache *vmemcache_new(void);

/*
 * The size of the pool in bytes; rounded up to a page by vmemcache_add().
 * EINVAL: below VMEMCACHE_MIN_POOL, or 2^56 and above. EALREADY: after add.
 */
int vmemcache_set_size(VMEMcache *cache, size_t size);

/*
 * The allocation granule in bytes: a value takes its size rounded up to a
 * multiple of it. EINVAL: below VMEMCACHE_MIN_EXTENT. EALREADY: after add.
 */
int vmemcache_set_extent_size(VMEMcache *cache, size_t extent_size);

/* EINVAL: unknown policy. EALREADY: after add. */
int vmemcache_set_eviction_policy(
	VMEMcache *cache, enum vmemcache_repl_p policy);

/* EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0. */
int vmemcache_set_metadata(VMEMcache *cache, enum vmemcache_metadata where);

/*
 * How the cache finds its items: see vmemcache(3) for which suits whom.
 * EINVAL: unknown value. EALREADY: after add. In libvmemcache since 1.0.
 */
int vmemcache_set_index(VMEMcache *cache, enum vmemcache_index index);

/*
 * Let vmemcache_add() make every page of the pool present, so that no put is
 * the first to touch one, on so many threads (or fewer, where they cannot be
 * started) counting its own. 0, the default: it does not. on_progress may be
 * NULL: none; arg is handed to it as it is. EALREADY: after add. In
 * libvmemcache since 1.0.
 */
int vmemcache_set_prefault(VMEMcache *cache, unsigned threads,
	vmemcache_on_progress *on_progress, void *arg);

/*
 * Bind the cache to its medium: a directory, where an unnamed file (mode
 * 0600) is made, its space reserved, and mapped; or a /dev/dax device. With
 * no size set the pool is VMEMCACHE_MIN_POOL, or the whole device.
 *
 * EBUSY: added already. EINVAL: path NULL; extent larger than the size; size
 * larger than the device; a device, and metadata in PMEM; metadata in KMEM, and
 * MEMKIND_DAX_KMEM_NODES is no list of nodes.
 * ENODEV: metadata in KMEM, and there is no such node, or no single closest
 * one: MEMKIND_DAX_KMEM_NODES can name it. ENOTDIR ("open: Not a directory:
 * path"): neither a directory nor a dax device. ENOSPC: the file system is
 * full. ECANCELED: the callback of vmemcache_set_prefault() said so. EBADF: it
 * forked and returned in the child. ENOMEM: also of a pool in memory (tmpfs)
 * that is larger than what the machine or the memory control group has left;
 * and what open(2), fallocate(2) and
 * mmap(2) say. After a failure the cache can be configured and added again.
 */
int vmemcache_add(VMEMcache *cache, const char *path);

/*
 * Free everything: no file, mapping, descriptor or thread is left. Callbacks
 * do not run. No other call on the cache may be under way. NULL is ignored.
 */
void vmemcache_delete(VMEMcache *cache);

/* evict may be NULL: none. arg is handed to it as it is. */
void vmemcache_callback_on_evict(
	VMEMcache *cache, vmemcache_on_evict *evict, void *arg);

/* miss may be NULL: none. arg is handed to it as it is. */
void vmemcache_callback_on_miss(
	VMEMcache *cache, vmemcache_on_miss *miss, void *arg);

/*
 * Insert a copy of the value under a copy of the key. Entries are evicted as
 * needed, and only if the put will then succeed. vmemcache_store() also
 * replaces.
 *
 * A value that fits the pool finds its place whatever others put at the time:
 * the call waits for puts and evictions under way in other threads, but never
 * for a callback of theirs.
 *
 * EEXIST: the key is there; nothing changed. ENOSPC: larger than the pool, or
 * than 512 GiB, or not enough can be evicted: nothing, or what on_evict
 * callbacks are under way for. Entries may have been evicted by a put that
 * fails in three cases: EEXIST where another thread put the key after this put
 * had looked for it; ENOSPC where others took what was free while on_evict ran;
 * ENOMEM, out of DRAM, where that was wanting for the index or the list of the
 * value's extents. EINVAL: key or value NULL with a size above 0, or the cache
 * has no medium.
 */
int vmemcache_put(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size);

/*
 * Copy min(vbufsize, size - offset) bytes of the value from offset on to
 * vbuf; the result is their number: 0 if offset is at or past the end, or
 * vbuf is NULL, or vbufsize is 0. *vsize, unless vsize is NULL, becomes the
 * size of the value; it is not touched on a miss.
 *
 * ENOENT: a miss (after the on_miss callback, if any, did not put the key).
 * EINVAL: key NULL with a size above 0, or the cache has no medium. ENOMEM.
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
 * count gets in the order of the array, except that the library fetches what
 * several of them need at a time: of random keys in a large cache, 16 take
 * much less time than 16 calls of vmemcache_get(). Misses call on_miss like
 * there. The array and what it points to are the caller's, as are the buffers,
 * which must not overlap.
 *
 * The number of gets that succeeded; each request's result is set. -1 where
 * none was begun: EINVAL: requests is NULL with a count above 0, a key is NULL
 * with a size above 0, the count exceeds SSIZE_MAX, or the cache has no medium.
 * ENOMEM. EBADF, as of all calls, in a child of the process that made the
 * cache.
 */
ssize_t vmemcache_get_many(
	VMEMcache *cache, struct vmemcache_request *requests, size_t count);

/* When a value may be stored. Since 1.0, as is all that follows on storing. */
enum vmemcache_mode {
	VMEMCACHE_SET,       /* in any case: it is inserted, or replaces */
	VMEMCACHE_ADD,       /* only if the key is not there */
	VMEMCACHE_REPLACE,   /* only if it is */
	VMEMCACHE_IF_VERSION /* only if the value there has that version */
};

/* For ttl_ms: it does not expire. */
#define VMEMCACHE_FOREVER UINT64_MAX

/*
 * How to store; all but struct_size may be 0, which is the default. So is a
 * NULL pointer. Structures that begin with struct_size may grow: it is to be
 * sizeof(struct vmemcache_store), as the program was compiled.
 */
struct vmemcache_store {
	size_t struct_size;
	enum vmemcache_mode mode;
	unsigned flags;      /* none so far */
	uint64_t if_version; /* IF_VERSION: the one that must be there */
	uint64_t ttl_ms;     /* 0, or VMEMCACHE_FOREVER */
	uint64_t stale_ms;   /* not looked at so far */
	uint32_t tag;        /* any word, kept with the item; 0 costs nothing */
	uint32_t cost;       /* of a miss, for policies that weigh it: so far
				none does; 0: like all others */
};

/*
 * Store a copy of the value under a copy of the key, in one step: at any moment
 * every reader finds the old value or the new one, whole, and never a miss in
 * between. Entries are evicted as by vmemcache_put(), but not the one that is
 * replaced: for a moment the pool holds both values. *version, unless NULL,
 * becomes the version of what was stored, a number above 0 that no other value
 * of this key has had in this cache; it is not touched where the call fails.
 * Caches that are never asked for versions keep none. A store counts as a put,
 * and a value that is replaced is not counted as evicted: on_evict is not
 * called. In on_miss it is like a put, if it does not fail with ENOENT or
 * ESTALE.
 *
 * EEXIST: ADD, and the key is there. ENOENT: REPLACE or IF_VERSION, and it is
 * not. ESTALE: IF_VERSION, and the value there has another version. ENOSPC, and
 * in what cases entries may have been evicted all the same: as of
 * vmemcache_put(), or the pool is too small for the value beside the one that
 * it would replace. EINVAL: as there, or struct_size is not known, or mode,
 * flags or ttl_ms is none of the above. ENOMEM.
 */
int vmemcache_store(VMEMcache *cache, const void *key, size_t key_size,
	const void *value, size_t value_size, const struct vmemcache_store *how,
	uint64_t *version);

/*
 * Remove that key, if its value has that version; 0: whatever is there. The
 * on_evict callback runs first, as by vmemcache_evict().
 *
 * ENOENT: no such key. ESTALE: its value has another version. EAGAIN: it is
 * being put or evicted by somebody else now, the latter also within its own
 * on_evict callback; or another value was stored while on_evict ran, and stays.
 * EINVAL: key NULL with a size above 0, or the cache has no medium. ENOMEM.
 */
int vmemcache_remove(VMEMcache *cache, const void *key, size_t key_size,
	uint64_t if_version);

/* What vmemcache_fetch() tells of a value. */
struct vmemcache_info {
	size_t struct_size; /* sizeof(struct vmemcache_info), by the caller */
	size_t value_size;
	uint64_t version; /* 0: on_miss could not store it */
	uint64_t ttl_ms; /* left to it; VMEMCACHE_FOREVER: it does not expire */
	uint32_t tag;
};

/* No use is recorded, and nothing counted in the statistics. */
#define VMEMCACHE_PEEK 1u
/* A miss is a miss: on_miss is not called. */
#define VMEMCACHE_NO_CALLBACK 2u

/*
 * As vmemcache_get(), and *info, unless info is NULL, tells of the very value
 * that the bytes are of; it is not touched on a miss. buffer NULL: only that.
 * flags: 0, or some of the above together.
 *
 * ENOENT, ENOMEM: as of vmemcache_get(). EINVAL: as there, or unknown flags, or
 * info->struct_size is not known.
 */
ssize_t vmemcache_fetch(VMEMcache *cache, const void *key, size_t key_size,
	void *buffer, size_t buffer_size, size_t offset, unsigned flags,
	struct vmemcache_info *info);

/*
 * 1: the key is there and *vsize, unless NULL, the size of its value; 0: it
 * is not. Affects neither policy nor statistics. EINVAL as in get. ENOMEM.
 */
int vmemcache_exists(
	VMEMcache *cache, const void *key, size_t key_size, size_t *vsize);

/*
 * Remove that key; with key NULL the policy's victim. The on_evict callback
 * runs first.
 *
 * ENOENT: no such key. EAGAIN: it is being put or evicted by somebody else now,
 * the latter also within its own on_evict callback; or another value was stored
 * while on_evict ran, and stays. ESRCH: key is NULL and
 * there is no victim (always so without a policy). EINVAL: no medium. ENOMEM.
 */
int vmemcache_evict(VMEMcache *cache, const void *key, size_t key_size);

/*
 * The statistic into *value, an unsigned long long, value_size its size.
 * Exact while no other call is under way. Beside others a figure may be a
 * moment old, but none is below 0, and PUT, GET, HIT, MISS and EVICT never get
 * smaller. EINVAL: unknown statistic, another size, or NULL value.
 */
int vmemcache_get_stat(VMEMcache *cache, enum vmemcache_statistic stat,
	void *value, size_t value_size);

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
 * All figures of a cache. Those up to touches_lost count what has happened
 * since vmemcache_add(), and never get smaller. The others tell what is now.
 */
struct vmemcache_statistics {
	size_t struct_size; /* set by the caller: sizeof of this */
	uint64_t gets, hits, misses;
	uint64_t stores[VMEMCACHE_MODES][VMEMCACHE_OUTCOMES];
	uint64_t removals[VMEMCACHE_REASONS];
	uint64_t touches_lost; /* gets that the order of eviction missed, as
				  several threads were too busy */
	uint64_t items;
	uint64_t value_bytes;    /* of all values */
	uint64_t block_bytes;    /* of the blocks that hold them */
	uint64_t metadata_bytes; /* beside the pool: keys, index, order */
	uint64_t pool_bytes;
	uint64_t free_runs;           /* maximal runs of free blocks */
	uint64_t pieces;              /* runs of blocks that values are in */
	uint64_t page_bytes;          /* of a page of the pool, as granted */
	uint64_t pool_huge_bytes;     /* of the pool, in huge pages now */
	uint64_t metadata_huge_bytes; /* of the memory that all caches' metadata
					 in DRAM comes from */
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
 * Change what operations do from now on, to measure parts of them. val is 0
 * (off) or else on; PREFAULT acts at once, before add as part of it. A cache
 * that was used with one of the others is only good for benchmarks.
 */
void vmemcache_bench_set(
	VMEMcache *cache, enum vmemcache_bench_cfg cfg, size_t val);

/*
 * The message of the calling thread's last failure; "" if there was none.
 * Valid until the thread's next call that fails. Never NULL.
 */
const char *vmemcache_errormsg(void);

/*
 * The version of the library, "vmemcache " and three numbers with dots between
 * them. A constant. In libvmemcache since 1.0.
 */
const char *vmemcache_version(void);

#ifdef __cplusplus
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
}
#endif

#endif

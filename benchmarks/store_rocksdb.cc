/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_rocksdb.cc -- RocksDB's block caches as stores
 *
 * They keep pointers: a put is malloc(), a copy and an insert, a get is a
 * lookup, a copy while the handle holds the value, and a release. Everything
 * that RocksDB chooses by itself (shards, pools of priority) is left to it;
 * HyperClockCache gets the right size of its entries, as it wants.
 */
#include <cstdlib>
#include <cstring>

#include <rocksdb/cache.h>

#define _Noreturn [[noreturn]]
extern "C" {
#include "peers.h"
}

namespace
{

struct rocks : bench_store {
	std::shared_ptr<rocksdb::Cache> cache;
};

rocksdb::Slice
slice_of(const bench_key *key)
{
	return rocksdb::Slice(static_cast<const char *>(key->bytes), key->size);
}

void
drop(const rocksdb::Slice &, void *value)
{
	free(value);
}

bench_result
rocks_put(bench_store *s, const bench_key *key, const void *value, size_t size)
{
	void *copy = malloc(size);

	if (copy == nullptr)
		return BENCH_FAILED;
	memcpy(copy, value, size);
	/* The copy is the cache's even where it fails. */
	return static_cast<rocks *>(s)
			       ->cache->Insert(slice_of(key), copy, size, drop)
			       .ok()
		       ? BENCH_DONE
		       : BENCH_FAILED;
}

bench_result
rocks_get(bench_store *s, const bench_key *key, void *buffer, size_t size)
{
	rocksdb::Cache *cache = static_cast<rocks *>(s)->cache.get();
	rocksdb::Cache::Handle *handle = cache->Lookup(slice_of(key));

	if (handle == nullptr)
		return BENCH_MISS;
	memcpy(buffer, cache->Value(handle), size);
	cache->Release(handle);
	return BENCH_DONE;
}

const char *
rocks_message()
{
	return "an insert failed";
}

void
rocks_close(bench_store *s)
{
	delete static_cast<rocks *>(s);
}

const bench_store_type rocks_type = {"rocksdb", rocks_put, rocks_get, nullptr,
	nullptr, rocks_message, rocks_close};

bench_store *
open_store(std::shared_ptr<rocksdb::Cache> cache)
{
	rocks *r = new rocks;

	r->type = &rocks_type;
	r->cache = std::move(cache);
	return r;
}

} // namespace

extern "C" bench_store *
bench_lru_cache_open(const bench_budget *budget)
{
	rocksdb::LRUCacheOptions options;

	options.capacity = budget->bytes;
	options.metadata_charge_policy = rocksdb::kDontChargeCacheMetadata;
	return open_store(rocksdb::NewLRUCache(options));
}

extern "C" bench_store *
bench_hyper_clock_open(const bench_budget *budget)
{
	rocksdb::HyperClockCacheOptions options(budget->bytes, budget->value);

	options.metadata_charge_policy = rocksdb::kDontChargeCacheMetadata;
	return open_store(options.MakeSharedCache());
}

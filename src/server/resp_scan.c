/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp_scan.c -- SCAN of Redis: some of the keys with each call
 *
 * A cursor goes through the cache itself first, and then through one space
 * after the other. It has the number of the space in its upper 16 bits (0: the
 * cache itself) and in the others what fits of the library's cursor of it, its
 * upper 48 bits. Entries whose cursors agree in these bits with that of the
 * last one shown are shown again, which SCAN allows. A call goes on until the
 * bits differ, so each call makes progress. A pattern that begins with a prefix
 * needs one space alone.
 */
#include "resp_run.h"

#include <stdio.h>
#include <stdlib.h>

#define SCANNED_MAX 10000
#define PLACE_BITS 48

struct scan {
	struct vmcd_span pattern; /* at NULL: all */
	char *keys;               /* as they are replied */
	size_t size, found;
	bool no_memory;
};

static enum vmemcache_step
scan_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct scan *scan = arg;
	char *keys;

	(void)cache;
	(void)item;
	if (scan->pattern.at &&
		!vmcd_glob(scan->pattern, (struct vmcd_span){key, key_size}))
		return VMEMCACHE_WALK_ON;
	keys = realloc(scan->keys, scan->size + key_size + 32);
	if (!keys) {
		scan->no_memory = true;
		return VMEMCACHE_WALK_STOP;
	}
	scan->keys = keys;
	scan->size += (size_t)sprintf(keys + scan->size, "$%zu\r\n", key_size);
	memcpy(keys + scan->size, key, key_size);
	scan->size += key_size;
	memcpy(keys + scan->size, "\r\n", 2);
	scan->size += 2;
	scan->found++;
	return VMEMCACHE_WALK_ON;
}

static bool
parse_scan(const struct vmcd_words *words, struct scan *scan, uint64_t *count)
{
	for (size_t i = 2; i < words->count; i += 2) {
		struct vmcd_span word = vmcd_at(words, i);

		if (i + 1 == words->count)
			return false;
		if (vmcd_is_word(word, "MATCH"))
			scan->pattern = vmcd_at(words, i + 1);
		else if (!vmcd_is_word(word, "COUNT") ||
			 !vmcd_unsigned(vmcd_at(words, i + 1), count) ||
			 *count == 0)
			return false;
	}
	return true;
}

/* The key that the pattern begins with, up to what stands for other bytes. */
static struct vmcd_span
literal(struct vmcd_span pattern)
{
	size_t size = 0;

	while (size < pattern.size && !strchr("*?[\\", pattern.at[size]))
		size++;
	pattern.size = size;
	return pattern;
}

/* Its upper bits say which; NULL: there is none. */
static VMEMcache *
cache_at(const struct vmcd_spaces *spaces, uint64_t cursor)
{
	unsigned number = (unsigned)(cursor >> PLACE_BITS);
	const struct vmcd_space *space =
		number ? vmcd_space_at(spaces, number - 1) : NULL;

	if (number == 0)
		return spaces->cache;
	return space ? space->cache : NULL;
}

/* *place: 48 bits; 0 then: that was all. */
static bool
scan_cache(VMEMcache *cache, uint64_t *place, uint64_t count, struct scan *scan)
{
	uint64_t at = *place << (64 - PLACE_BITS);

	do
		if (vmemcache_walk(cache, &at, count, scan_item, scan) < 0 ||
			scan->no_memory)
			return false;
	while (at != 0 && at >> (64 - PLACE_BITS) <= *place);
	*place = at >> (64 - PLACE_BITS);
	return true;
}

/* One call's share, from *cursor on, which goes on. */
static bool
scan_some(const struct vmcd_spaces *spaces, uint64_t *cursor, uint64_t count,
	struct scan *scan)
{
	uint64_t place = *cursor & ((UINT64_C(1) << PLACE_BITS) - 1);
	uint64_t number = *cursor >> PLACE_BITS;
	VMEMcache *cache = cache_at(spaces, *cursor);
	bool alone = !spaces->separator;

	if (spaces->separator && scan->pattern.at) {
		struct vmcd_span start = literal(scan->pattern);
		alone = vmcd_space_of(spaces, start) != spaces->cache;
		if (alone)
			cache = vmcd_space_of(spaces, start);
	}
	if (!cache)
		place = 0;
	else if (!scan_cache(cache, &place, count, scan))
		return false;
	if (place == 0)
		number = alone || !cache_at(spaces, (number + 1) << PLACE_BITS)
				 ? 0
				 : number + 1;
	*cursor = number << PLACE_BITS | place;
	return true;
}

enum vmcd_step
vmcd_resp_scan(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct scan scan = {0};
	uint64_t cursor, count = 10;
	char digits[VMCD_NUMBER_MAX + 1];

	if (!vmcd_unsigned(vmcd_at(words, 1), &cursor)) {
		vmcd_reply_error(s, "ERR invalid cursor");
		return VMCD_ON;
	}
	if (!parse_scan(words, &scan, &count)) {
		vmcd_reply_error(s, "ERR syntax error");
		return VMCD_ON;
	}
	if (!scan_some(&s->server->spaces, &cursor,
		    count < SCANNED_MAX ? count : SCANNED_MAX, &scan)) {
		free(scan.keys);
		vmcd_reply_error(s, "ERR the walk failed");
		return VMCD_ON;
	}
	digits[vmcd_digits(digits, cursor)] = '\0';
	vmcd_reply_array(s, 2);
	vmcd_reply_text(s, digits);
	vmcd_reply_array(s, scan.found);
	vmcd_out_bytes(&s->out, scan.keys ? scan.keys : "", scan.size);
	free(scan.keys);
	return VMCD_ON;
}
